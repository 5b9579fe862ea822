import { firstFrom, foldText, isLatin, isLookalike, type View } from './fold.ts';

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
  for (const character of word) if (isLookalike(character)) return text.length - word.length;
  return text.length;
}
