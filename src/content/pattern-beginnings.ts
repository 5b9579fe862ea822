import { classEnd, closedAt, escapeForms, quantifierForm } from './open-pattern.ts';

/** Characters of ASCII, a bit for each. */
export type Characters = bigint;

/** What texts that a part of a pattern matches begin with; of ASCII only, and never too little. */
interface Part {
  /** It may match nothing. */
  readonly isNullable: boolean;
  /** It may match just one of these. */
  readonly ones: Characters;
  /** It may begin with this one and one of these. */
  readonly pairs: ReadonlyMap<number, Characters>;
}

const none = 0n;
const everything = (1n << 128n) - 1n;
const noPairs: ReadonlyMap<number, Characters> = new Map();
const nothing: Part = { isNullable: true, ones: none, pairs: noPairs };

/** Characters that a match of the pattern can begin with, each with those that can stand behind it. What is looked around at is left out. */
export function pairsOfPattern(pattern: RegExp): ReadonlyMap<number, Characters> {
  const { ones, pairs } = new PartReader(pattern.source, pattern.flags.replace(/[gy]/g, '')).alternatives();
  const all = new Map(pairs);
  for (const one of codesOf(ones)) all.set(one, everything);
  return all;
}

export function codesOf(characters: Characters): number[] {
  const codes: number[] = [];
  for (let word = 0; word < 128; word += 32) {
    for (let rest = Number(BigInt.asIntN(32, characters >> BigInt(word))); rest !== 0; rest &= rest - 1)
      codes.push(word + 31 - Math.clz32(rest & -rest));
  }
  return codes;
}

function bitOf(code: number): Characters {
  return 1n << BigInt(code);
}

/** What atoms match, by flags and atom; rules have most of them in common. */
const sets = new Map<string, Characters>();

class PartReader {
  readonly #source: string;
  readonly #flags: string;
  #at = 0;

  constructor(source: string, flags: string) {
    this.#source = source;
    this.#flags = flags;
  }

  alternatives(): Part {
    const branches: Part[] = [];
    let branch = nothing;
    while (this.#at < this.#source.length && this.#source[this.#at] !== ')') {
      if (this.#source[this.#at] === '|') {
        this.#at++;
        branches.push(branch);
        branch = nothing;
      } else branch = inTurn(branch, this.#repeated(this.#term()));
    }
    return branches.length === 0 ? branch : either([...branches, branch]);
  }

  #term(): Part {
    const rest = this.#source.slice(this.#at, this.#at + 400);
    if (/^\(\?<?[=!]/.test(rest)) {
      this.#at += closedAt(this.#source.slice(this.#at));
      return nothing;
    }
    if (rest.startsWith('(')) {
      this.#at += rest.startsWith('(?:') ? 3 : 1;
      const inner = this.alternatives();
      this.#at++;
      return inner;
    }
    if (rest.startsWith('^') || rest.startsWith('$') || /^\\[bB]/.test(rest)) {
      this.#at += rest.startsWith('\\') ? 2 : 1;
      return nothing;
    }
    return { isNullable: false, ones: this.#setOf(this.#atom(rest)), pairs: noPairs };
  }

  #atom(rest: string): string {
    const length = rest.startsWith('[')
      ? classEnd(this.#source.slice(this.#at))
      : rest.startsWith('\\')
        ? (escapeForms.map((form) => form.exec(rest)?.[0].length).find((found) => found) ?? 2)
        : (rest.codePointAt(0) ?? 0) > 0xffff
          ? 2
          : 1;
    this.#at += length;
    return this.#source.slice(this.#at - length, this.#at);
  }

  #setOf(atom: string): Characters {
    const key = `${this.#flags} ${atom}`;
    let set = sets.get(key);
    if (set === undefined) {
      // What was captured before may be anything.
      set = /^\\[1-9]/.test(atom) ? everything : matchedBy(new RegExp(`^(?:${atom})$`, this.#flags));
      sets.set(key, set);
    }
    return set;
  }

  #repeated(part: Part): Part {
    const [text = ''] = quantifierForm.exec(this.#source.slice(this.#at, this.#at + 24)) ?? [];
    if (text === '') return part;
    this.#at += text.length;
    const twice = inTurn(part, part);
    const [, least = text.startsWith('+') ? '1' : '0'] = /^\{(\d+)/.exec(text) ?? [];
    if (Number(least) > 1) return { ...twice, isNullable: part.isNullable };
    return { isNullable: part.isNullable || least === '0', ones: part.ones, pairs: twice.pairs };
  }
}

const ascii = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));

function matchedBy(one: RegExp): Characters {
  return ascii.reduce((set, character, code) => (one.test(character) ? set | bitOf(code) : set), none);
}

function inTurn(a: Part, b: Part): Part {
  // Two characters are known: what follows says nothing more.
  if (!a.isNullable && a.ones === none) return a;
  const pairs = new Map(a.pairs);
  let firstOfB = b.ones;
  for (const first of b.pairs.keys()) firstOfB |= bitOf(first);
  for (const one of codesOf(a.ones)) addTo(pairs, one, firstOfB);
  if (a.isNullable) for (const [first, seconds] of b.pairs) addTo(pairs, first, seconds);
  const ones = (b.isNullable ? a.ones : none) | (a.isNullable ? b.ones : none);
  return { isNullable: a.isNullable && b.isNullable, ones, pairs };
}

function either(parts: readonly Part[]): Part {
  const pairs = new Map<number, Characters>();
  for (const part of parts) for (const [first, seconds] of part.pairs) addTo(pairs, first, seconds);
  const ones = parts.reduce((all, part) => all | part.ones, none);
  return { isNullable: parts.some(({ isNullable }) => isNullable), ones, pairs };
}

function addTo(pairs: Map<number, Characters>, first: number, seconds: Characters): void {
  pairs.set(first, (pairs.get(first) ?? none) | seconds);
}
