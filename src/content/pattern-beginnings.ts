import { classEnd, closedAt, escapeForms, quantifierForm } from './open-pattern.ts';

/** What texts that a part of a pattern matches begin with; of ASCII only, and never too little. */
interface Part {
  /** It may match nothing. */
  readonly isNullable: boolean;
  /** It may match just this one character. */
  readonly ones: ReadonlySet<number>;
  /** It may begin with these two. */
  readonly pairs: ReadonlyMap<number, ReadonlySet<number>>;
}

const none: ReadonlySet<number> = new Set();
const nothing: Part = { isNullable: true, ones: none, pairs: new Map() };
const impossible: Part = { isNullable: false, ones: none, pairs: new Map() };

/** Characters that a match of the pattern can begin with, each with those that can stand behind it. What is looked around at is left out. */
export function pairsOfPattern(pattern: RegExp): ReadonlyMap<number, ReadonlySet<number>> {
  const { ones, pairs } = new PartReader(pattern.source, pattern.flags.replace(/[gy]/g, '')).alternatives();
  const all = new Map(pairs);
  for (const one of ones) all.set(one, everything);
  return all;
}

const everything: ReadonlySet<number> = new Set(Array.from({ length: 128 }, (_, code) => code));

class PartReader {
  readonly #source: string;
  readonly #flags: string;
  readonly #sets = new Map<string, ReadonlySet<number>>();
  #at = 0;

  constructor(source: string, flags: string) {
    this.#source = source;
    this.#flags = flags;
  }

  alternatives(): Part {
    let all = impossible;
    let branch = nothing;
    while (this.#at < this.#source.length && this.#source[this.#at] !== ')') {
      if (this.#source[this.#at] === '|') {
        this.#at++;
        all = either(all, branch);
        branch = nothing;
      } else branch = inTurn(branch, this.#repeated(this.#term()));
    }
    return either(all, branch);
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
    return { isNullable: false, ones: this.#setOf(this.#atom(rest)), pairs: new Map() };
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

  #setOf(atom: string): ReadonlySet<number> {
    let set = this.#sets.get(atom);
    if (set === undefined) {
      // What was captured before may be anything.
      const test = /^\\[1-9]/.test(atom) ? /[\s\S]/ : new RegExp(`^(?:${atom})$`, this.#flags);
      set = new Set([...everything].filter((code) => test.test(String.fromCharCode(code))));
      this.#sets.set(atom, set);
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

function inTurn(a: Part, b: Part): Part {
  // Two characters are known: what follows says nothing more.
  if (!a.isNullable && a.ones.size === 0) return a;
  const pairs = new Map(a.pairs);
  const firstOfB = new Set([...b.ones, ...b.pairs.keys()]);
  for (const one of a.ones) addTo(pairs, one, firstOfB);
  if (a.isNullable) for (const [first, seconds] of b.pairs) addTo(pairs, first, seconds);
  const ones = new Set([...(b.isNullable ? a.ones : none), ...(a.isNullable ? b.ones : none)]);
  return { isNullable: a.isNullable && b.isNullable, ones, pairs };
}

function either(a: Part, b: Part): Part {
  const pairs = new Map(a.pairs);
  for (const [first, seconds] of b.pairs) addTo(pairs, first, seconds);
  return { isNullable: a.isNullable || b.isNullable, ones: new Set([...a.ones, ...b.ones]), pairs };
}

function addTo(pairs: Map<number, ReadonlySet<number>>, first: number, seconds: ReadonlySet<number>): void {
  const known = pairs.get(first);
  pairs.set(first, known === undefined ? seconds : new Set([...known, ...seconds]));
}
