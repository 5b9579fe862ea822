import { WordTally } from './word-tally.ts';

/** Characters that are looked at of one request; longer ones are sampled. */
const sampledChars = 16 * 1024;
const pieceChars = 1024;
/** What is counted at once. */
const partChars = 256;
/** The time of merging grows with the square of a word's length: longer runs without a break are cut. */
const longestRun = 64;
/** Most that one request may cost, in the units of `costOf`: microseconds of a slow machine. */
const budget = 4_000;
/** Of counting a part at all. */
const callCost = 2;
/** UTF-8 bytes of a token, while nothing better is known. */
const bytesPerToken = 3.5;

let tally: WordTally | undefined;
let loading: Promise<void> | undefined;

/**
 * Loads the vocabulary (o200k), once; resolves when texts are counted with it, or when that failed and they are measured by length
 * for good. It takes some 0.2 s of the event loop and 60 MB: whoever knows early that tokens will be limited calls it early.
 */
export function loadTokenizer(): Promise<void> {
  loading ??= import('gpt-tokenizer/encoding/o200k_base').then(
    ({ countTokens, setMergeCacheSize }) => {
      setMergeCacheSize(10_000);
      const options = { disallowedSpecial: new Set<string>() };
      countTokens('', options);
      tally = new WordTally((text) => countTokens(text, options));
    },
    () => {},
  );
  return loading;
}

/** Tokens of these texts, of which `chars` is the length together. Never throws, and takes a few milliseconds whatever they are. */
export function countTexts(texts: readonly string[], chars: number): number {
  if (chars === 0) return 0;
  const pieces = chars <= sampledChars ? texts : sample(texts, chars);
  const counted = tally === undefined ? measure(pieces) : tokenize(tally, pieces);
  if (counted.chars === 0) return Math.ceil(chars / bytesPerToken);
  return Math.ceil((counted.tokens * chars) / counted.chars);
}

interface Counted {
  readonly tokens: number;
  /** How many characters that is the count of. */
  readonly chars: number;
}

function measure(pieces: readonly string[]): Counted {
  let bytes = 0;
  let chars = 0;
  for (const piece of pieces) {
    bytes += Buffer.byteLength(piece);
    chars += piece.length;
  }
  return { tokens: bytes / bytesPerToken, chars };
}

function tokenize(words: WordTally, pieces: readonly string[]): Counted {
  const known = countKnown(words, pieces);
  if (known !== undefined) return known;
  const parts = pieces.flatMap(cut);
  const cost = parts.reduce((sum, part) => sum + part.cost, 0);
  // Of what would take too long every other one, every third, ...: evenly from all over the text.
  const step = Math.ceil(cost / budget);
  let tokens = 0;
  let chars = 0;
  for (let at = step >> 1; at < parts.length; at += step) {
    const { text } = parts[at]!;
    tokens += countSafely(words, text);
    chars += text.length;
  }
  return { tokens, chars };
}

function countKnown(words: WordTally, pieces: readonly string[]): Counted | undefined {
  try {
    const tokens = words.countKnown(pieces);
    return tokens === undefined ? undefined : { tokens, chars: pieces.reduce((sum, { length }) => sum + length, 0) };
  } catch {
    return undefined;
  }
}

function countSafely(words: WordTally, text: string): number {
  try {
    return words.count(text);
  } catch {
    return text.length / bytesPerToken;
  }
}

/** Evenly spaced pieces of the texts as if they were one. */
function sample(texts: readonly string[], chars: number): readonly string[] {
  const wanted = sampledChars / pieceChars;
  const pieces: string[] = [];
  let passed = 0;
  let next = 0;
  for (const text of texts) {
    // A piece that begins in this text; where the text ends, so does the piece.
    while (next < wanted) {
      const start = Math.floor((next * (chars - pieceChars)) / (wanted - 1)) - passed;
      if (start >= text.length) break;
      pieces.push(text.slice(start, start + pieceChars));
      next += 1;
    }
    passed += text.length;
  }
  return pieces;
}

interface Part {
  readonly text: string;
  readonly cost: number;
}

/** The text in parts, cut before a blank where there is one, and where a word or a gap is longer than any real one. */
function cut(text: string): readonly Part[] {
  const parts: Part[] = [];
  let start = 0;
  let runStart = 0;
  let cost = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const isBreak = unit <= 32;
    const isLong = at - start >= partChars - longestRun && isBreak;
    if ((isLong || at - runStart >= longestRun || at - start >= partChars) && (unit & 0xfc00) !== 0xdc00) {
      parts.push({ text: text.slice(start, at), cost: cost + costOf(at - runStart) + callCost });
      start = at;
      runStart = at;
      cost = 0;
    }
    if (unit > 127) cost += 4;
    else if (isBreak) {
      cost += costOf(at - runStart);
      runStart = at;
    }
  }
  if (start < text.length) parts.push({ text: text.slice(start), cost: cost + costOf(text.length - runStart) + callCost });
  return parts;
}

/** Of a run: words are in the vocabulary, or nearly; what is longer is put together from letters. */
function costOf(runChars: number): number {
  return runChars > 16 ? runChars * 2.5 : 0.5;
}
