/** The words around every anchor in a text, read as far as somebody asks; most of a long text is not read at all. */
import { makeAnchorScan } from '../anchors.ts';
import { isAscii, type View } from '../fold.ts';
import { readTokens, type Token } from './tokens.ts';
import { foreignAnchors, injectionAnchors } from './words.ts';

/** Some of the text, and the tokens in it. */
interface Passage {
  readonly tokens: Token[];
  end: number;
  /** Up to here the tokens are read. */
  read: number;
  /** No anchor will make it longer. */
  isWhole: boolean;
}

/** How far before and behind an anchor a sentence can reach. */
export const before = 240;
const behind = 320;
/** Of a long text so much is searched for anchors at once. */
const step = 16_384;
/** No anchor is longer, with all the blanks that may stand in it. */
const longestAnchor = 256;

const scanAnchors = makeAnchorScan(injectionAnchors);
const foreignWords = new RegExp(foreignAnchors.source, 'gi');

class PassageReader {
  readonly #text: string;
  readonly #passages: Passage[] = [];
  #scanned = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** The passage of this index, if it begins before `until`. */
  passage(index: number, until: number): Passage | undefined {
    while (this.#passages.length <= index && this.#scanned < Math.min(until + before, this.#text.length)) this.#scan();
    return this.#passages[index];
  }

  /** The first passage that reaches beyond `from`, of those that were read. */
  indexFrom(from: number): number {
    let index = 0;
    while (index + 1 < this.#passages.length && this.#passages[index]!.end <= from) index++;
    return index;
  }

  /** Reads on until a passage has this token, or has no more. */
  readUpTo(passage: Passage, index: number): void {
    while (passage.tokens.length <= index) {
      const end = Math.min(passage.end, this.#text.length);
      const stop = Math.min(end, passage.read + step);
      const isLast = passage.isWhole && stop === end;
      passage.read = readTokens(this.#text, passage.read, stop, !isLast, passage.tokens);
      if (isLast) return;
      if (stop === end && !passage.isWhole) this.#scan();
    }
  }

  /** Looks for anchors in the next part of the text. */
  #scan(): void {
    const from = this.#scanned;
    this.#scanned = Math.min(this.#text.length, from + step);
    for (const place of anchorsIn(this.#text.slice(from, this.#scanned + longestAnchor))) {
      const at = from + place;
      if (at < this.#scanned) this.#note(at);
    }
    const last = this.#passages.at(-1);
    if (last !== undefined) last.isWhole = this.#scanned === this.#text.length || this.#scanned - before > last.end;
  }

  #note(at: number): void {
    const last = this.#passages.at(-1);
    if (last !== undefined && at - before <= last.end) {
      last.end = Math.max(last.end, at + behind);
      return;
    }
    if (last !== undefined) last.isWhole = true;
    this.#passages.push({ tokens: [], end: at + behind, read: Math.max(0, at - before), isWhole: false });
  }
}

/** Where anchors begin, in order. */
function anchorsIn(text: string): number[] {
  const places: number[] = [];
  // One byte for each code unit, so that places in the bytes are places in the text.
  scanAnchors(Buffer.from(text, 'latin1'), (_, at) => {
    places.push(at);
    return false;
  });
  if (!isAscii(text)) for (const { index } of text.matchAll(foreignWords)) places.push(index);
  return places.sort((a, b) => a - b);
}

/** Several rules read the same passages. */
const known = new WeakMap<View, PassageReader>();

export function passagesOf(view: View): PassageReader {
  let reader = known.get(view);
  if (reader === undefined) {
    reader = new PassageReader(view.text);
    known.set(view, reader);
  }
  return reader;
}
