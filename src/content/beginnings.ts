import type { ContentCheck } from './content-check.ts';
import type { View } from './fold.ts';
import { codesOf, pairsOfPattern } from './pattern-beginnings.ts';
import { gate, type Rule } from './rule.ts';

/** Which of a check's rules can have a match that begins somewhere in a text: told by pairs of characters, so that most are not run. */
export interface Beginnings {
  /** Calls `found` with the index of each rule that may, from `from` on. */
  look(text: string, from: number, found: (rule: number) => void): void;
}

const known = new WeakMap<ContentCheck, Beginnings>();

export function beginningsOf(check: ContentCheck): Beginnings {
  let made = known.get(check);
  if (made === undefined) {
    made = makeBeginnings(check.rules.map(({ rule }) => rule));
    known.set(check, made);
  }
  return made;
}

/** One character stands for all beyond ASCII. */
const foreign = 127;
const size = 128;
const end = 128;

function makeBeginnings(rules: readonly Rule[]): Beginnings {
  const words = Math.ceil(rules.length / 32);
  // For each pair, and each character at the end of the text: a bit for each rule.
  const pairs = Array.from({ length: words }, () => new Int32Array(size * (size + 1)));
  for (const [index, rule] of rules.entries()) {
    const table = pairs[index >>> 5]!;
    for (const pair of pairsOf(rule)) table[pair]! |= 1 << index;
  }
  return {
    look(text, from, found) {
      for (const [word, table] of pairs.entries()) {
        let seen = 0;
        let second = end;
        for (let at = text.length - 1; at >= from; at--) {
          const code = text.charCodeAt(at);
          const first = Math.min(code, foreign);
          seen |= table[first * (size + 1) + second]!;
          second = first;
        }
        for (let rest = seen; rest !== 0; rest &= rest - 1) found(word * 32 + 31 - Math.clz32(rest & -rest));
      }
    },
  };
}

const lists = new WeakMap<Rule, Uint16Array>();
/** Rules that can begin with more characters than this are told by the first one alone. */
const mostFirst = 32;
/** In front of a match may not, or must, stand a letter. */
const fronts = ['', 'a'];

/** Places in the table of all pairs, with which a match of the rule can begin. */
export function pairsOf(rule: Rule): Uint16Array {
  let list = lists.get(rule);
  if (list === undefined) {
    const table = tableOf(rule);
    const pairs: number[] = [];
    for (let pair = table.indexOf(1); pair >= 0; pair = table.indexOf(1, pair + 1)) pairs.push(pair);
    list = Uint16Array.from(pairs);
    lists.set(rule, list);
  }
  return list;
}

// A pattern is read; what is made of more is asked whether it waits for more.
function tableOf(rule: Rule): Uint8Array {
  const table = new Uint8Array(size * (size + 1));
  if (rule.pattern !== undefined) readPattern(rule.pattern, table);
  else askRule(rule, table);
  // What lies beyond ASCII is not tried one by one: the gates say who begins with it.
  if ((rule.gates & (gate.foreign | gate.injectionWords)) !== 0) table.fill(1, foreign * (size + 1), (foreign + 1) * (size + 1));
  return table;
}

function readPattern(pattern: RegExp, table: Uint8Array): void {
  for (const [first, seconds] of pairsOfPattern(pattern)) {
    if (first >= foreign) continue;
    const row = first * (size + 1);
    table[row + end] = table[row + foreign] = 1;
    for (const second of codesOf(seconds)) if (second < foreign) table[row + second] = 1;
  }
}

function askRule(rule: Rule, table: Uint8Array): void {
  const first = Array.from({ length: foreign }, (_, code) => code).filter((code) => mayBegin(rule, String.fromCharCode(code)));
  for (const code of first) {
    const row = code * (size + 1);
    table[row + end] = table[row + foreign] = 1;
    for (let second = 0; second < foreign; second++)
      if (first.length > mostFirst || mayBegin(rule, String.fromCharCode(code, second))) table[row + second] = 1;
  }
}

function mayBegin(rule: Rule, text: string): boolean {
  return fronts.some((front) => {
    const view: View = { text: front + text, original: front + text, offsets: undefined };
    let isFound = false;
    const read = rule.find(
      view,
      () => {
        isFound = true;
        return true;
      },
      { from: front.length, until: Number.POSITIVE_INFINITY, isOpen: true },
    );
    return isFound || read === front.length;
  });
}
