import type { View } from '../fold.ts';
import type { AddSpan } from '../rule.ts';
import { type JudgeAt, unknown } from './judge-at.ts';
import { before } from './passages.ts';
import { dropPhrases, openings } from './phrases.ts';
import { readTokens, type Token } from './tokens.ts';
import { part, parts } from './words.ts';

/** In a text that goes on: only what sentences with one of the words at which they can begin say is read. */
export function findOpen(judgeAt: JudgeAt, view: View, add: AddSpan, from: number): number {
  const { text } = view;
  const start = firstTrigger(view, from);
  if (start === text.length) return start;
  const tokens = openTokens(view, start);
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.start < start) continue;
    const end = judgeAt(tokens, at, true);
    // One token more says that what was found last is all of its word, or of its sentence.
    if (end === unknown || (end > 0 && end >= tokens.length)) return token.start;
    if (end === 0) continue;
    add(token.start, tokens[end - 1]!.end);
    at = end - 1;
  }
  const read = tokens.at(-1)?.end ?? start;
  return firstTrigger(view, Math.max(read, start));
}

/** The last words of a view that were read, and from where. */
const openKnown = new WeakMap<View, { readonly start: number; readonly tokens: readonly Token[] }>();

function openTokens(view: View, start: number): readonly Token[] {
  const known = openKnown.get(view);
  if (known !== undefined && known.start <= start) return known.tokens;
  const all: Token[] = [];
  readTokens(view.text, Math.max(0, start - before), view.text.length, false, all);
  const last = all.at(-1);
  const tokens = last !== undefined && isUnfinished(view.text, last.end) ? all.slice(0, -1) : all;
  openKnown.set(view, { start, tokens });
  return tokens;
}

/** Whether the word, or the mark, that ends here may go on. */
function isUnfinished(text: string, end: number): boolean {
  return text.length - end < (/['’]/.test(text.charAt(end)) ? 4 : 1);
}

let lastTrigger: { readonly view: View; readonly from: number; readonly at: number } | undefined;

/** Where the first word stands at which a sentence can begin that some rule finds, or what may become one; else the length of the text. */
function firstTrigger(view: View, from: number): number {
  // Five rules ask the same.
  if (lastTrigger?.view === view && lastTrigger.from === from) return lastTrigger.at;
  const at = findTrigger(view.text, from);
  lastTrigger = { view, from, at };
  return at;
}

function findTrigger(text: string, from: number): number {
  firstWord.lastIndex = from;
  for (let match = firstWord.exec(text); match !== null; match = firstWord.exec(text)) {
    const lower = match[0].toLowerCase().replace(/['’]/, '');
    const isTail = isUnfinished(text, firstWord.lastIndex);
    if (isTail ? triggerBeginnings.has(lower) : triggers.has(lower)) return match.index;
  }
  return text.length;
}

const firstWord = /(?<![\p{L}\p{N}_])[\p{L}\p{N}_]{1,40}(?:['’][a-z]{1,2}(?![a-z]))?/giu;

/** Words at which a sentence can begin that a rule finds. */
const triggers: ReadonlySet<string> = new Set([
  ...[...parts].flatMap(([text, bits]) => ((bits & (part.drop | part.hand | part.never | part.use)) === 0 ? [] : [text])),
  ...dropPhrases.keys(),
  ...openings.map(([text = '']) => text),
  'keep',
]);
const triggerBeginnings: ReadonlySet<string> = new Set(
  [...triggers].flatMap((text) => Array.from(text, (_, at) => text.slice(0, at + 1))),
);
