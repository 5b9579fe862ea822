/**
 * A pattern that finds what another one finds, at the same places and with the same preferences, and besides whatever could still
 * become a match if more text followed: such a match reaches the end of the text, and so does one that could still grow.
 *
 * Each character of the pattern may also be the end of the text. Throws RangeError for groups that capture in a look ahead.
 */
export function openPattern({ source, flags }: RegExp): RegExp {
  const reader = new PatternReader(source, flags.includes('u'));
  return new RegExp(reader.alternatives(), flags);
}

export const escapeForms = [/^\\u\{[0-9A-Fa-f]+\}/, /^\\u[0-9A-Fa-f]{4}/, /^\\x[0-9A-Fa-f]{2}/, /^\\[pP]\{[^}]+\}/, /^\\./];
export const quantifierForm = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/;

/** Of a word of two letters, or of a group. One character has two ways out, and not more for what follows. */
const shortestJoined = 12;

class PatternReader {
  readonly #source: string;
  readonly #isUnicode: boolean;
  #at = 0;

  constructor(source: string, isUnicode: boolean) {
    this.#source = source;
    this.#isUnicode = isUnicode;
  }

  /** Up to the bracket that closes the group, or the end. */
  alternatives(): string {
    let out = '';
    while (this.#at < this.#source.length && this.#source[this.#at] !== ')') {
      if (this.#source[this.#at] === '|') {
        out += '|';
        this.#at++;
      } else out += this.#joined();
    }
    return out;
  }

  // Where ways meet, V8 compiles what follows once for each of them, unless something stands there that is the same for all: what
  // looks ahead at nothing takes three quarters off the time.
  #joined(): string {
    const isLook = /^\(\?<?[=!]/.test(this.#source.slice(this.#at, this.#at + 4));
    const out = this.#term() + this.#quantifier();
    const isLast = this.#at === this.#source.length || /[|)]/.test(this.#source[this.#at] ?? '');
    return isLook || isLast || out.length < shortestJoined ? out : `${out}(?=)`;
  }

  #term(): string {
    const rest = this.#source.slice(this.#at);
    if (rest.startsWith('(?<!') || rest.startsWith('(?<=')) return this.#take(closedAt(rest));
    if (rest.startsWith('(?=') || rest.startsWith('(?!')) return this.#lookAhead(rest);
    if (rest.startsWith('(')) {
      const opening = rest.startsWith('(?:') ? '(?:' : '(';
      this.#at += opening.length;
      const inner = this.alternatives();
      this.#at++;
      return `${opening}${inner})`;
    }
    return this.#word(rest) ?? `(?:${this.#take(this.#atomLength(rest))}|$)`;
  }

  // V8 takes several times as long to compile a word of which each letter stands beside the others.
  #word(rest: string): string | undefined {
    const [letters = ''] = /^[A-Za-z ]{2,}/.exec(rest) ?? [];
    const isRepeated = quantifierForm.test(rest.slice(letters.length));
    const word = this.#take(isRepeated ? letters.length - 1 : letters.length);
    if (word === '') return undefined;
    return Array.from(word).reduceRight((behind, letter) => `(?:${letter}${behind}|$)`, '');
  }

  // Undecided where what is looked for reaches the end: then everything up to the end belongs to the match.
  #lookAhead(rest: string): string {
    const sign = rest.slice(0, 3);
    const raw = rest.slice(3, closedAt(rest) - 1);
    if (/(?:^|[^\\])\((?!\?)/.test(raw)) throw new RangeError(`a look ahead that captures: ${raw}`);
    this.#at += 3;
    const open = this.alternatives();
    this.#at++;
    return `(?:(?=(?:${open})$)[^]*$|${sign}${raw}))`;
  }

  #atomLength(rest: string): number {
    if (rest.startsWith('[')) return classEnd(rest);
    if (rest.startsWith('\\')) return escapeForms.map((form) => form.exec(rest)?.[0].length).find((length) => length) ?? 2;
    return this.#isUnicode && (rest.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
  }

  #quantifier(): string {
    return this.#take(quantifierForm.exec(this.#source.slice(this.#at))?.[0].length ?? 0);
  }

  #take(length: number): string {
    this.#at += length;
    return this.#source.slice(this.#at - length, this.#at);
  }
}

export function classEnd(rest: string): number {
  let at = 1;
  while (rest[at] !== ']') at += rest[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** The length of the group at the start. */
export function closedAt(rest: string): number {
  let depth = 0;
  for (let at = 0; at < rest.length; at++) {
    if (rest[at] === '\\') at++;
    else if (rest[at] === '[') at += classEnd(rest.slice(at)) - 1;
    else if (rest[at] === '(') depth++;
    else if (rest[at] === ')' && --depth === 0) return at + 1;
  }
  throw new RangeError(`a group without an end: ${rest}`);
}
