import type { Steps } from '../turns.ts';
import { formOf, kind, kindsOf } from './fold-kinds.ts';

/** A text as rules read it, and the way back to the text as it came. */
export interface View {
  /** Folded: what a reader sees, without what hides it. The original itself where there is nothing to fold. */
  readonly text: string;
  readonly original: string;
  /** Offsets of the original for each offset of `text` and its end; undefined where they are the same. */
  readonly offsets: Uint32Array | undefined;
}

/**
 * Characters that can hide a word from a rule. What ordinary text in any script holds is not among them: emoji with their joiners
 * and selectors, and words in one alphabet.
 */
const hiding =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself looked for
  /[\u034f\u0080-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2460-\u24ff\u3164\ufeff\uff01-\uff5e\uffa0\ufff0-\ufffb]|[\ufe00-\ufe0f]{2}|[A-Za-z0-9][\u200c\u200d]|[\u200c\u200d][A-Za-z0-9]|[A-Za-z][\ufe00-\ufe0f]|\ud835|\ud83c[\udd30-\udd89]|\udb40|[A-Za-z][\u0370-\u058f]|[\u0370-\u058f][A-Za-z]/;

/** Whether something in the text may be there to hide a word from a rule. */
export function hasHiding(text: string): boolean {
  return hiding.test(text);
}

/** Letters of other alphabets, each before the Latin one it looks like, for words that mix the two (compare Unicode TR39). */
const lookalikes = new Map(
  (
    'аa вb еe кk мm нh оo рp сc тt уy хx іi їi јj ѕs ԁd ԛq ԝw һh ѵv гr пn ӏl ьb АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ІI ЈJ ЅS ҮY ' +
    'αa βb εe ηn ιi κk νv οo ρp τt υu χx γy ωw σo ϲc ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX ɡg ıi łl øo đd օo ոn սu հh'
  )
    .split(' ')
    .map((pair) => [pair.charAt(0), pair.charAt(1)] as const),
);
/** Lookalikes by code unit; all of them lie below this. */
const latinForms = new Uint16Array(0x600);
for (const [other, latin] of lookalikes) latinForms[other.charCodeAt(0)] = latin.charCodeAt(0);

export function isLookalike(character: string): boolean {
  return lookalikes.has(character);
}

/** A text without what hides words: compatibility forms, accents, invisible characters and lookalike letters undone. */
export function foldText(original: string): View {
  // Folding costs a good deal per character; plain ASCII has nothing to fold.
  if (isAscii(original)) return { text: original, original, offsets: undefined };
  const folding = new Folding(original);
  folding.advance(original.length);
  return folding.view();
}

/** So much is folded at once. */
const foldedAtOnce = 32_768;

/** The same in steps; undefined as soon as it becomes longer than `most`. */
export function* foldSteps(original: string, most: number): Steps<View | undefined> {
  if (isAscii(original)) return { text: original, original, offsets: undefined };
  const folding = new Folding(original);
  for (let until = foldedAtOnce; ; until += foldedAtOnce) {
    folding.advance(until);
    if (folding.length > most) return undefined;
    if (until >= original.length) return folding.view();
    yield;
  }
}

function isHighHalf(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function isLowHalf(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}

/** The first index of a folded text that came from this offset of the original, or from behind it. */
export function firstFrom(offsets: Uint32Array, wanted: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function isLatin(code: number): boolean {
  return (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
}

export function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

class Folding {
  readonly #original: string;
  #units: Uint16Array;
  #offsets: Uint32Array;
  #at = 0;
  /** What the word so far has: bits of `kind`. */
  #word = 0;
  #wordStart = 0;
  /** Of what is folded. */
  length = 0;

  constructor(original: string) {
    this.#original = original;
    this.#units = new Uint16Array(original.length + 32);
    this.#offsets = new Uint32Array(original.length + 32);
  }

  /** Folds up to this offset of the original, or up to one behind it. */
  advance(until: number): void {
    const original = this.#original;
    const stop = Math.min(until, original.length);
    let at = this.#at;
    let word = this.#word;
    for (; at < stop; at++) {
      const code = original.charCodeAt(at);
      if (code < 128) {
        this.#push(code, at);
        if (isLatin(code)) {
          word |= kind.latin;
          continue;
        }
      } else {
        const isPair = isHighHalf(code) && isLowHalf(original.charCodeAt(at + 1));
        const found = isPair ? this.#pushPair(at) : this.#pushForeign(code, at);
        if (isPair) at++;
        word |= found & (kind.mixed | kind.latin);
        if ((found & kind.ends) === 0) continue;
      }
      this.#endWord(word);
      word = 0;
    }
    this.#at = at;
    this.#word = word;
    if (at >= original.length) this.#endWord(word);
  }

  view(): View {
    const original = this.#original;
    this.#offsets[this.length] = original.length;
    const text = Buffer.from(this.#units.buffer, 0, this.length * 2).toString('utf16le');
    return { text, original, offsets: this.#offsets.subarray(0, this.length + 1) };
  }

  #endWord(word: number): void {
    if (word === (kind.mixed | kind.latin)) this.#replaceLookalikes(this.#wordStart);
    this.#wordStart = this.length;
  }

  /** Adds one code unit that came from this offset. */
  #push(unit: number, from: number): void {
    // One more for the offset of the end.
    if (this.length + 2 > this.#units.length) this.#growTo(this.length + 2);
    this.#units[this.length] = unit;
    this.#offsets[this.length++] = from;
  }

  /** Adds what a character of one code unit folds to, and says of which kinds it is. */
  #pushForeign(code: number, from: number): number {
    const found = kindsOf(code);
    if ((found & kind.changes) === 0) this.#push(code, from);
    else this.#pushForm(code, from);
    return found;
  }

  /** The same for one of two code units. */
  #pushPair(from: number): number {
    const code = this.#original.codePointAt(from) ?? 0;
    const found = kindsOf(code);
    if ((found & kind.changes) === 0) {
      this.#push(this.#original.charCodeAt(from), from);
      this.#push(this.#original.charCodeAt(from + 1), from);
    } else this.#pushForm(code, from);
    return found;
  }

  #pushForm(code: number, from: number): void {
    const form = formOf(code);
    const { length } = form;
    if (this.length + length + 1 > this.#units.length) this.#growTo(this.length + length + 1);
    for (let at = 0; at < length; at++) {
      this.#units[this.length + at] = form.charCodeAt(at);
      this.#offsets[this.length + at] = from;
    }
    this.length += length;
  }

  #replaceLookalikes(from: number): void {
    for (let at = from; at < this.length; at++) {
      const latin = latinForms[this.#units[at]!];
      if (latin !== undefined && latin !== 0) this.#units[at] = latin;
    }
  }

  #growTo(least: number): void {
    const size = Math.max(least, this.#units.length * 2);
    const units = new Uint16Array(size);
    units.set(this.#units);
    this.#units = units;
    const offsets = new Uint32Array(size);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
  }
}

/** A place in `view.text` as a place in the original: with every character that was folded into it, and what hid between them. */
export function toOriginal(view: View, start: number, end: number): readonly [number, number] {
  const { offsets, original } = view;
  if (offsets === undefined) return [start, end];
  const from = offsets[start] ?? original.length;
  const last = offsets[end - 1] ?? from;
  const lastLength = (original.codePointAt(last) ?? 0) > 0xffff ? 2 : 1;
  return [from, Math.max(from, last + lastLength)];
}
