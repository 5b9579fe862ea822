/** Cuts a text into words and marks that end sentences. */
import { wordKinds } from './word-kinds.ts';

/** One word, or one mark that ends a sentence, with what it can be in a sentence. */
export interface Token {
  readonly text: string;
  /** Bits of `part` and `role`. */
  readonly parts: number;
  readonly start: number;
  readonly end: number;
  readonly isBreak: boolean;
}

export function has(token: Token | undefined, bits: number): boolean {
  return token !== undefined && (token.parts & bits) !== 0;
}

const kind = { none: 1, word: 2, mark: 3, at: 4, pair: 5 } as const;
/** Kinds of characters by code unit; 0 is not looked up yet. */
const kinds = new Uint8Array(0x10000);
// In any case: what folds to a letter is one.
const wordCharacter = /^[\p{L}\p{N}_]$/iu;

function kindOf(code: number): number {
  if (kinds[code] === 0) kinds[code] = learnKind(String.fromCharCode(code), code);
  return kinds[code]!;
}

function learnKind(character: string, code: number): number {
  if (code >= 0xd800 && code < 0xdc00) return kind.pair;
  if (wordCharacter.test(character)) return kind.word;
  return /[.!?;:。]/.test(character) ? kind.mark : character === '@' ? kind.at : kind.none;
}

const longestWord = 40;

/**
 * Adds the tokens of a text from `from` on, as if it ended at `end`; where more belongs to it (`isCut`), only those that what follows
 * cannot change. Returns where it stopped.
 */
export function readTokens(text: string, from: number, end: number, isCut: boolean, tokens: Token[]): number {
  let at = from;
  while (at < end) {
    const what = kindOf(text.charCodeAt(at));
    const next = what === kind.word || what === kind.pair ? endOfWord(text, at, end) : at + 1;
    if (next === at) {
      at += isPair(text, at, end) ? 2 : 1;
      continue;
    }
    if (isCut && next + longestSuffix >= end) return at;
    if (what === kind.mark ? endsSentence(text, at, end) : what !== kind.none)
      tokens.push(tokenOf(text, at, next, what === kind.mark));
    at = next;
  }
  return at;
}

function tokenOf(text: string, start: number, end: number, isBreak: boolean): Token {
  const lower = text.slice(start, end).toLowerCase();
  const plain = end - start > 2 ? withoutApostrophe(lower) : lower;
  return { text: plain, parts: wordKinds.get(plain) ?? 0, start, end, isBreak };
}

// Only in front of the last two letters.
function withoutApostrophe(word: string): string {
  const place = word.length - (isApostrophe(word.charCodeAt(word.length - 2)) ? 2 : 3);
  return isApostrophe(word.charCodeAt(place)) ? word.slice(0, place) + word.slice(place + 1) : word;
}

/** Behind the word that starts here, of forty characters at most; `start` where none does. */
function endOfWord(text: string, start: number, end: number): number {
  let at = start;
  for (let length = 0; length < longestWord && at < end; length++) {
    const what = kindOf(text.charCodeAt(at));
    if (what === kind.word) at++;
    else if (what === kind.pair && isPair(text, at, end) && wordCharacter.test(text.slice(at, at + 2))) at += 2;
    else break;
  }
  return at > start && at < end && isApostrophe(text.charCodeAt(at)) ? endOfSuffix(text, at, end) : at;
}

/** An apostrophe and two letters, and what says that they are all. */
const longestSuffix = 4;

/** Behind an apostrophe and one letter or two. */
function endOfSuffix(text: string, apostrophe: number, end: number): number {
  let at = apostrophe + 1;
  while (at < end && at - apostrophe < longestSuffix && isLetter(text.charCodeAt(at))) at++;
  const letters = at - apostrophe - 1;
  return letters === 1 || letters === 2 ? at : apostrophe;
}

// A file's name or a number keeps its dot, and a paragraph may wrap anywhere.
function endsSentence(text: string, at: number, end: number): boolean {
  if (at + 1 >= end) return true;
  const next = text.charCodeAt(at + 1);
  return next < 128 ? next === 0x20 || (next >= 0x09 && next <= 0x0d) : /\s/.test(text.charAt(at + 1));
}

function isPair(text: string, at: number, end: number): boolean {
  if (at + 1 >= end || kindOf(text.charCodeAt(at)) !== kind.pair) return false;
  const low = text.charCodeAt(at + 1);
  return low >= 0xdc00 && low < 0xe000;
}

function isApostrophe(code: number): boolean {
  return code === 0x27 || code === 0x2019;
}

/** A letter of ASCII in either case, or one of the two that become one in lower case. */
function isLetter(code: number): boolean {
  return ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a) || code === 0x17f || code === 0x212a;
}
