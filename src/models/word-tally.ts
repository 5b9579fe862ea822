import { randomFillSync } from 'node:crypto';

/** Words whose counts are kept. */
const places = 1 << 16;
/** Longer ones are seldom said twice. */
const longestWord = 32;
/** Of words that were not counted before, in texts of known ones. */
const mostNewChars = 400;
const blank = 32;

/**
 * Counts tokens word by word and keeps what each word came to: most words of a prompt were counted before, and to know one again costs
 * a tenth of counting it. Words are known by 64 bits of a keyed hash, never by themselves: nothing of a prompt stays here.
 *
 * A text is cut before each blank that a word follows. No token of o200k and its kin reaches over such a place, so that the sum is
 * what the text comes to as a whole.
 */
export class WordTally {
  readonly #count: (text: string) => number;
  readonly #first = new Int32Array(places);
  readonly #second = new Int32Array(places);
  readonly #tokens = new Uint8Array(places);
  #left = Number.POSITIVE_INFINITY;
  // Drawn anew by each process: nobody outside can make two words look the same.
  readonly #key = randomFillSync(new Int32Array(2));

  constructor(count: (text: string) => number) {
    this.#count = count;
  }

  /** Tokens of these texts, where nearly all of their words were counted before; undefined where that cannot be said soon. */
  countKnown(texts: readonly string[]): number | undefined {
    let tokens = 0;
    this.#left = mostNewChars;
    try {
      for (const text of texts) {
        tokens += this.count(text);
        if (this.#left < 0) return undefined;
      }
      return tokens;
    } finally {
      this.#left = Number.POSITIVE_INFINITY;
    }
  }

  count(text: string): number {
    const [firstKey = 0, secondKey = 0] = this.#key;
    let tokens = 0;
    let start = 0;
    let first = firstKey;
    let second = secondKey;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit === blank && at > start && beginsWord(text, at + 1)) {
        tokens += this.#tokensOf(text, start, at, first, second);
        start = at;
        first = firstKey;
        second = secondKey;
      }
      first = Math.imul(first ^ unit, 0x01000193);
      second = Math.imul((second << 5) ^ (second >>> 27) ^ unit, 0x2c1b3c6d);
    }
    return start < text.length ? tokens + this.#tokensOf(text, start, text.length, first, second) : tokens;
  }

  #tokensOf(text: string, start: number, end: number, first: number, second: number): number {
    if (end - start > longestWord) return this.#countNew(text.slice(start, end));
    const place = (first ^ (first >>> 15) ^ second) & (places - 1);
    const known = this.#tokens[place] ?? 0;
    if (known > 0 && this.#first[place] === first && this.#second[place] === second) return known;
    const tokens = this.#countNew(text.slice(start, end));
    // Not counted, or nothing: neither is worth a place.
    if (tokens === 0) return 0;
    this.#first[place] = first;
    this.#second[place] = second;
    this.#tokens[place] = tokens;
    return tokens;
  }

  #countNew(word: string): number {
    // The time of merging grows with the square of the length: such words are cut, and not here.
    this.#left -= word.length > 2 * longestWord ? mostNewChars + 1 : word.length;
    return this.#left < 0 ? 0 : this.#count(word);
  }
}

function beginsWord(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit > blank && (unit < 0x80 || !/\s/.test(text.charAt(at)));
}
