/** A text as rules read it, and the way back to the text as it came. */
export interface View {
  /** Folded: what a reader sees, without what hides it. The original itself where there is nothing to fold. */
  readonly text: string;
  readonly original: string;
  /** Offsets of the original for each offset of `text` and its end; undefined where they are the same. */
  readonly offsets: Uint32Array | undefined;
}

/** Characters that show nothing: soft hyphen, joiners, fillers, variation selectors, bidi controls, tags. */
const invisible =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself looked for
  /^(?:[\u034f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}])$/u;

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
const accent = /^[\u0300-\u036f]$/;
const letter = /^[\p{L}\p{M}]$/u;

/** A text without what hides words: compatibility forms, accents, invisible characters and lookalike letters undone. */
export function foldText(original: string): View {
  // Folding costs a good deal per character; plain ASCII has nothing to fold.
  if (isAscii(original)) return { text: original, original, offsets: undefined };
  const folded = new Folded(original.length);
  // What the word so far has: bits of `kind`.
  let word = 0;
  let wordStart = 0;
  for (let at = 0; at < original.length; at++) {
    const code = original.charCodeAt(at);
    if (code < 128) {
      folded.push(code, at);
      if (isLatin(code)) {
        word |= kind.latin;
        continue;
      }
    } else {
      const isPair = isHighHalf(code) && isLowHalf(original.charCodeAt(at + 1));
      const found = isPair ? folded.pushPair(original, at) : folded.pushForeign(code, at);
      if (isPair) at++;
      word |= found & (kind.mixed | kind.latin);
      if ((found & kind.ends) === 0) continue;
    }
    if (word === (kind.mixed | kind.latin)) folded.replaceLookalikes(wordStart);
    wordStart = folded.length;
    word = 0;
  }
  if (word === (kind.mixed | kind.latin)) folded.replaceLookalikes(wordStart);
  return folded.view(original);
}

function isHighHalf(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function isLowHalf(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}

/** What is known of a character beyond ASCII. */
const kind = {
  /** Looked up already. */
  known: 1,
  /** Folds to letters of other alphabets. */
  mixed: 2,
  /** Folds to Latin letters. */
  latin: 4,
  /** No letter: a word ends. */
  ends: 8,
  /** Folds to something else than itself, which is in `foldedForms`. */
  changes: 16,
} as const;

/** Kinds by code unit. Normalizing costs a microsecond, so each character is normalized once and not each time it comes. */
const kinds = new Uint8Array(0x10000);
/** The same for what is written as a pair. */
const pairKinds = new Map<number, number>();
const foldedForms = new Map<number, string>();
/** A text of every pair there is must not fill the memory. */
const mostPairs = 20_000;

function learnKinds(code: number): number {
  const character = String.fromCodePoint(code);
  // What shows nothing is part of no word and ends none.
  if (invisible.test(character)) {
    foldedForms.set(code, '');
    return kind.known | kind.changes;
  }
  let form = '';
  let found: number = kind.known;
  for (const part of character.normalize(isComposed(code) ? 'NFKC' : 'NFKD')) {
    if (accent.test(part)) continue;
    if (part >= '\u0080') found |= kind.mixed;
    else if (/[A-Za-z]/.test(part)) found |= kind.latin;
    form += part;
  }
  if (!letter.test(character)) found |= kind.ends;
  if (form === character) return found;
  foldedForms.set(code, form);
  return found | kind.changes;
}

function kindsOf(code: number): number {
  if (kinds[code] === 0) kinds[code] = learnKinds(code);
  return kinds[code]!;
}

function kindsOfPair(code: number): number {
  const known = pairKinds.get(code);
  if (known !== undefined) return known;
  if (pairKinds.size >= mostPairs) {
    for (const pair of pairKinds.keys()) foldedForms.delete(pair);
    pairKinds.clear();
  }
  const found = learnKinds(code);
  pairKinds.set(code, found);
  return found;
}

// Scripts whose marks are letters or parts of syllables, not accents: Hebrew to Vedic, kana to Hangul.
function isComposed(code: number): boolean {
  return (code >= 0x0590 && code <= 0x1cff) || (code >= 0x3000 && code <= 0xd7ff);
}

/** What a word has that more letters may still make one of mixed alphabets. */
const openPart = /^[\p{Script=Latin}\p{M}\p{Cf}\u0370-\u058f\u0261\u0131\u0142\u00f8\u0111]$/u;

/** Folds a text that grows: only what may still change is folded again. A view holds until the next one is asked for. */
export class GrowingView {
  #text = '';
  /** With room for more; as far as `#text` goes they stay as they are. */
  #offsets = new Uint32Array(1024);
  /** How much of the original is folded for good. */
  #done = 0;

  /** `original` is what it was before, and more. */
  of(original: string): View {
    const tail = foldText(original.slice(this.#done));
    const known = this.#text.length;
    const length = known + tail.text.length + 1;
    const offsets = this.#withRoomFor(length);
    for (let at = 0; known + at < length; at++)
      offsets[known + at] = this.#done + (tail.offsets === undefined ? at : tail.offsets[at]!);
    const view = { text: this.#text + tail.text, original, offsets: offsets.subarray(0, length) };
    const done = Math.max(this.#done, endOfAll(original, openPart));
    if (done > this.#done) {
      this.#text = view.text.slice(0, firstFrom(view.offsets, done));
      this.#done = done;
    }
    return view;
  }

  #withRoomFor(length: number): Uint32Array {
    if (length > this.#offsets.length) {
      const larger = new Uint32Array(length * 2);
      larger.set(this.#offsets.subarray(0, this.#text.length));
      this.#offsets = larger;
    }
    return this.#offsets;
  }
}

/** Where the characters of this kind at the end of a text begin; of letters without accents each kind has all. Looks back 200. */
function endOfAll(text: string, part: RegExp): number {
  const least = Math.max(0, text.length - 200);
  let at = text.length;
  while (at > least) {
    const code = text.charCodeAt(at - 1);
    const isPair = code >= 0xdc00 && code < 0xe000 && at - 2 >= least;
    const from = isPair ? at - 2 : at - 1;
    if (code < 128 ? !isLatin(code) : !part.test(text.slice(from, at))) break;
    at = from;
  }
  return at;
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

const wordPart = /^[\p{L}\p{M}\p{Cf}]$/u;

/**
 * Where the last word begins, if more letters may change how it is read: one with letters that look like Latin ones is folded only when
 * it has Latin ones as well. Else the length of the text.
 */
export function openWord(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  if (!(last >= 128)) {
    // A Latin letter may stand behind others, and is then read with them.
    if (!isLatin(last)) return text.length;
  }
  const word = text.slice(endOfAll(text, wordPart));
  for (const character of word) if (lookalikes.has(character)) return text.length - word.length;
  return text.length;
}

function isLatin(code: number): boolean {
  return (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
}

export function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/** Lookalikes by code unit; all of them lie below this. */
const latinForms = new Uint16Array(0x600);
for (const [other, latin] of lookalikes) latinForms[other.charCodeAt(0)] = latin.charCodeAt(0);

class Folded {
  #units: Uint16Array;
  #offsets: Uint32Array;
  length = 0;

  constructor(length: number) {
    this.#units = new Uint16Array(length + 32);
    this.#offsets = new Uint32Array(length + 32);
  }

  /** Adds one code unit that came from this offset. */
  push(unit: number, from: number): void {
    // One more for the offset of the end.
    if (this.length + 2 > this.#units.length) this.#grow();
    this.#units[this.length] = unit;
    this.#offsets[this.length++] = from;
  }

  /** Adds what a character of one code unit folds to, and says of which kinds it is. */
  pushForeign(code: number, from: number): number {
    const found = kindsOf(code);
    if ((found & kind.changes) === 0) this.push(code, from);
    else this.#pushForm(code, from);
    return found;
  }

  /** The same for one of two code units. */
  pushPair(original: string, from: number): number {
    const code = original.codePointAt(from) ?? 0;
    const found = kindsOfPair(code);
    if ((found & kind.changes) === 0) {
      this.push(original.charCodeAt(from), from);
      this.push(original.charCodeAt(from + 1), from);
    } else this.#pushForm(code, from);
    return found;
  }

  replaceLookalikes(from: number): void {
    for (let at = from; at < this.length; at++) {
      const latin = latinForms[this.#units[at]!];
      if (latin !== undefined && latin !== 0) this.#units[at] = latin;
    }
  }

  view(original: string): View {
    this.#offsets[this.length] = original.length;
    const text = Buffer.from(this.#units.buffer, 0, this.length * 2).toString('utf16le');
    return { text, original, offsets: this.#offsets.subarray(0, this.length + 1) };
  }

  #pushForm(code: number, from: number): void {
    const form = foldedForms.get(code) ?? '';
    for (let at = 0; at < form.length; at++) this.push(form.charCodeAt(at), from);
  }

  #grow(): void {
    const units = new Uint16Array(this.#units.length * 2);
    units.set(this.#units);
    this.#units = units;
    const offsets = new Uint32Array(this.#offsets.length * 2);
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
