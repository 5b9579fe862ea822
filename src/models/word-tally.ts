import { randomFillSync } from 'node:crypto';

/** Words whose counts are kept. */
const places = 1 << 16;
/** Longer ones are seldom said twice. */
const longestWord = 32;
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
  // Drawn anew by each process: nobody outside can make two words look the same.
  readonly #key = randomFillSync(new Int32Array(2));

  constructor(count: (text: string) => number) {
    this.#count = count;
  }

  count(text: string): number {
    const [firstKey = 0, secondKey = 0] = this.#key;
    let tokens = 0;
    let start = 0;
    let first = firstKey;
    let second = secondKey;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit === blank && at > start && text.charCodeAt(at + 1) > blank) {
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
    if (end - start > longestWord) return this.#count(text.slice(start, end));
    const place = (first ^ (first >>> 15) ^ second) & (places - 1);
    const known = this.#tokens[place] ?? 0;
    if (known > 0 && this.#first[place] === first && this.#second[place] === second) return known;
    const tokens = this.#count(text.slice(start, end));
    this.#first[place] = first;
    this.#second[place] = second;
    this.#tokens[place] = tokens;
    return tokens;
  }
}
