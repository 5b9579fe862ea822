/**
 * Secrets as whoever reads a text may spell them. JSON has several spellings for each character (RFC 8259 section 7), addresses have
 * two (RFC 3986 section 2.1), and JSON within JSON has them squared. So a text and the secrets are brought to one plain spelling, and
 * compared in that.
 */

import { atOnce, type Steps } from '../turns.ts';

/** A text in the plain spelling, and where it stood in the text as it was. */
export interface Plain {
  readonly text: string;
  /** Offset of the spelling of the character at `at`. */
  startOf(at: number): number;
  /** Offset behind the spelling of the character before `at`. */
  endOf(at: number): number;
}

/** The secrets of one upstream. All texts have a character for each byte of UTF-8. */
interface Spellings {
  readonly plain: readonly string[];
  readonly longest: number;
  /** Finds escapes of characters that secrets have. Most texts with escapes have them for quotes, brackets and blanks. */
  readonly suspect: RegExp;
  readonly hasSlash: boolean;
  /** A secret has characters beyond ASCII. */
  readonly isWide: boolean;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A shorter one would be found in every second answer. */
export const shortest = 8;

const known = new WeakMap<readonly Buffer[], Spellings>();

/** Made once for each list of secrets. */
export function spellingsOf(secrets: readonly Buffer[]): Spellings {
  let spellings = known.get(secrets);
  if (spellings === undefined) {
    spellings = makeSpellings(secrets);
    known.set(secrets, spellings);
  }
  return spellings;
}

function makeSpellings(secrets: readonly Buffer[]): Spellings {
  const forms = secrets.map((secret) => inPlain(secret.toString('latin1')).text.replace(/[\b\t\n\f\r]/g, letterOf));
  const plain = [...new Set(forms)].filter(({ length }) => length >= shortest).sort((a, b) => b.length - a.length);
  return {
    plain,
    longest: plain[0]?.length ?? 0,
    suspect: suspectFor(plain),
    hasSlash: plain.some((secret) => secret.includes('/')),
    isWide: plain.some((secret) => /[\x80-\xff]/.test(secret)),
  };
}

function suspectFor(plain: readonly string[]): RegExp {
  const letters = plain.join('');
  const isWide = /[\x80-\xff]/.test(letters);
  const codes: string[] = [];
  for (let code = 0; code < 0x80; code++) {
    const sign = String.fromCharCode(code);
    // An escaped backslash or percent sign begins another escape.
    if (!letters.includes(letterOf(sign)) && sign !== '%') continue;
    const [high = '', low = ''] = code.toString(16).padStart(2, '0');
    codes.push(`${high}[${low}${low.toUpperCase()}]`);
  }
  const beyond = isWide ? '|\\\\u(?!00[0-7])|%[89A-Fa-f]' : '';
  return new RegExp([`(?:\\\\u00|%)(?:${codes.join('|')})${beyond}`, ...slashesIn(plain)].join('|'));
}

/** Slashes that are escaped, each with its neighbours: there are texts that escape all of theirs. */
function slashesIn(plain: readonly string[]): Iterable<string> {
  const found = new Set<string>();
  for (const secret of plain) {
    for (let at = secret.indexOf('/'); at >= 0; at = secret.indexOf('/', at + 1))
      found.add(`${literal(secret.slice(0, at).slice(-1))}\\\\+/\\\\*${literal(secret.charAt(at + 1))}`);
  }
  return found;
}

function literal(sign: string): string {
  return sign === '' ? '' : `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

const percent = 0x25;
const backslash = 0x5c;
const slash = 0x2f;
const asciiEscape = Buffer.from('\\u00');
const anyEscape = Buffer.from('\\u');
const slashEscape = Buffer.from('\\/');

/** Where secrets stand in the bytes in a mixed spelling; at the price of two or three searches where nothing is spelled in another way. */
export function* findSpelled(bytes: Buffer, spellings: Spellings): Steps<readonly Span[]> {
  if (spellings.plain.length === 0) return none;
  const mayBe =
    bytes.indexOf(spellings.isWide ? anyEscape : asciiEscape) >= 0 ||
    bytes.indexOf(percent) >= 0 ||
    (spellings.hasSlash && bytes.indexOf(slashEscape) >= 0);
  if (!mayBe) return none;
  yield;
  if (!(yield* isSuspect(bytes.toString('latin1'), spellings))) return none;
  return yield* findAll(yield* plainBytes(bytes), spellings);
}

const none: readonly Span[] = [];
const pieceCharacters = 256 * 1024;
/** Of the longest escape that is looked for, and what is beside it. */
const overlap = 8;

function* isSuspect(text: string, { suspect }: Spellings): Steps<boolean> {
  for (let start = 0; start < text.length; ) {
    const end = endOfPiece(text, start + pieceCharacters);
    if (suspect.test(text.slice(Math.max(0, start - overlap), end))) return true;
    start = end;
    yield;
  }
  return false;
}

/** A place that no escaped slash reaches over, however many backslashes it has. */
function endOfPiece(text: string, near: number): number {
  let end = near;
  while (end < text.length && (isOfSlash(text.charCodeAt(end - 1)) || isOfSlash(text.charCodeAt(end)))) end++;
  return Math.min(end, text.length);
}

function isOfSlash(code: number): boolean {
  return code === backslash || code === slash;
}

/** Each secret in a text, with offsets of the text as it was. */
export function findIn(read: Plain, spellings: Spellings): readonly Span[] {
  return atOnce(findAll(read, spellings));
}

function* findAll(read: Plain, { plain }: Spellings): Steps<readonly Span[]> {
  const found: Span[] = [];
  for (const secret of plain) {
    for (let at = read.text.indexOf(secret); at >= 0; at = read.text.indexOf(secret, at + secret.length)) {
      found.push({ start: read.startOf(at), end: read.endOf(at + secret.length) });
      if (found.length % 256 === 0) yield;
    }
    yield;
  }
  return found;
}

/** How many characters at the end of a plain text are the beginning of a secret of `of` characters. */
export function beginningAt(text: string, { plain, longest }: Spellings): { readonly length: number; readonly of: number } {
  for (let at = Math.max(0, text.length - longest + 1); at < text.length; at++) {
    const secret = plain.find((one) => one.length > text.length - at && one.startsWith(text.slice(at)));
    if (secret !== undefined) return { length: text.length - at, of: secret.length };
  }
  return { length: 0, of: 0 };
}

/** Where at the end of a text an escape has begun and is not over; the length of the text where none has. */
export function openEscapeAt(text: string): number {
  return text.length - (openEscape.exec(text.slice(-64))?.[0].length ?? 0);
}

const openEscape = /(?:\\(?:\\|u005[cC])*(?:u[0-9A-Fa-f]{0,3})?|%(?:25)*[0-9A-Fa-f]?)$/;

/**
 * The plain spelling: backslashes left out, so that `\/` is a slash and `\n` an n as a line feed is, and every escape the character
 * that it stands for.
 */
export function inPlain(text: string): Plain {
  return atOnce(plainBytes(Buffer.from(text, 'latin1')));
}

function* plainBytes(bytes: Buffer): Steps<Plain> {
  const json = yield* resolve(bytes, backslash, readJsonEscape);
  if (!json.bytes.includes(percent)) return plainOf(json);
  const whole = yield* resolve(json.bytes, percent, readPercentEscape);
  return {
    text: whole.bytes.toString('latin1'),
    startOf: (at) => json.startOf(whole.startOf(at)),
    endOf: (at) => json.endOf(whole.endOf(at)),
  };
}

interface Resolved extends Omit<Plain, 'text'> {
  readonly bytes: Buffer;
}

function plainOf({ bytes, startOf, endOf }: Resolved): Plain {
  return { text: bytes.toString('latin1'), startOf, endOf };
}

/** So many characters of the plain spelling lie between two places that are remembered. */
const step = 64;

// Places are remembered here and there, and what lies between is read again: there are texts of millions of escapes, and hardly ever a
// secret among them.
function* resolve(text: Buffer, sign: number, readEscape: ReadEscape): Steps<Resolved> {
  const first = text.indexOf(sign);
  if (first < 0) return { bytes: text, startOf: (at) => at, endOf: (at) => at };
  const out = Buffer.allocUnsafe(text.length);
  let length = text.copy(out, 0, 0, first);
  const plainAt = [0];
  const textAt = [0];
  let marked = -1;
  let next = step;
  let turnAt = first + pieceCharacters;
  for (let at = first; at < text.length; ) {
    if (at >= turnAt) {
      turnAt = at + pieceCharacters;
      yield;
    }
    const end = endOfRun(text, sign, at);
    // Of what is the same in both spellings, whatever its length, its ends and places between them.
    for (; next <= length + end - at; next += step) {
      if (next < length || (next === length && length === marked)) continue;
      plainAt.push(next);
      textAt.push(at + next - length);
    }
    if (end - at < shortRun) for (let from = at; from < end; from++) out[length + from - at] = text[from]!;
    else text.copy(out, length, at, end);
    length += end - at;
    at = end;
    if (at === text.length) break;
    if (!readEscape(text, at)) {
      out[length++] = sign;
      at++;
      continue;
    }
    // What stands for nothing belongs to what follows.
    marked = length;
    for (let letter = 0; letter < found.length; letter++) out[length++] = found.letters[letter]!;
    at = found.end;
  }
  let place = 0;
  const markAt = (at: number): Mark => {
    // Whoever asks goes on from where they asked before.
    if (plainAt[place]! > at || plainAt[place + 1]! <= at) place = lastUpTo(plainAt, at);
    return lastMark(text, sign, readEscape, plainAt[place]!, textAt[place]!, at);
  };
  return {
    bytes: out.subarray(0, length),
    startOf: (at) => startOf(markAt(at), at),
    endOf: (at) => (at === 0 ? 0 : endOf(markAt(at - 1), at)),
  };
}

const shortRun = 48;

/** Where the next sign stands, or the text ends. */
function endOfRun(text: Buffer, sign: number, start: number): number {
  const near = Math.min(text.length, start + shortRun);
  let at = start;
  while (at < near && text[at] !== sign) at++;
  if (at < near || near === text.length) return at;
  const end = text.indexOf(sign, near);
  return end < 0 ? text.length : end;
}

/** An escape, or any place from which on both spellings are the same. */
interface Mark {
  /** Offset of what the escape stands for. */
  readonly at: number;
  readonly length: number;
  readonly start: number;
  readonly end: number;
}

/** The last mark that stands for what is at an offset of the plain spelling or before, read from a place where both are known. */
function lastMark(text: Uint8Array, sign: number, readEscape: ReadEscape, plainAt: number, textAt: number, offset: number): Mark {
  let mark = { at: plainAt, length: 0, start: textAt, end: textAt };
  let length = plainAt;
  for (let at = textAt; length <= offset && at < text.length; ) {
    if (text[at] !== sign || !readEscape(text, at)) {
      length++;
      at++;
      continue;
    }
    mark = { at: length, length: found.length, start: at, end: found.end };
    length += found.length;
    at = found.end;
  }
  return mark;
}

function lastUpTo(places: readonly number[], at: number): number {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (places[middle]! <= at) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// The backslash in front of a character goes with it: alone, it would make another escape with what comes in its place.
function startOf(mark: Mark, at: number): number {
  return at < mark.at + Math.max(1, mark.length) ? mark.start : mark.end + at - mark.at - mark.length;
}

function endOf(mark: Mark, at: number): number {
  return Math.max(mark.end, mark.end + at - mark.at - mark.length);
}

/** What was read last: an escape goes up to `end`, and stands for so many of these letters. */
const found = { end: 0, letters: new Uint8Array(6), length: 0 };

/** Whether an escape begins at `start`, where the sign stands that begins one. */
type ReadEscape = (text: Uint8Array, start: number) => boolean;

// A run of backslashes is one escape, however deep it is, and a backslash may itself be escaped.
function readJsonEscape(text: Uint8Array, start: number): boolean {
  const code = passBackslashes(text, start);
  const { end } = found;
  found.length = 0;
  if (code < 0) return true;
  const low = text[end] === backslash && mayBeLow(text, end) ? passBackslashes(text, end) : -1;
  const isPair = low >= 0xdc00 && low < 0xe000;
  if (!isPair) found.end = end;
  if (code < 0x80) setLetter(code);
  else setWide(code, isPair ? low : -1);
  return true;
}

/** Whether the second half of a pair may begin here: most escapes that follow each other are none, and were read twice. */
function mayBeLow(text: Uint8Array, start: number): boolean {
  const sign = text[start + 1];
  if (sign !== 0x75) return sign === backslash;
  const digit = text[start + 2];
  // An escaped backslash may have it behind it.
  return digit === 0x64 || digit === 0x44 || (digit === 0x30 && text[start + 4] === 0x35);
}

/** Passes backslashes in a row, each as it is or as its code, and the code behind them, which is returned; -1 where there is none. */
function passBackslashes(text: Uint8Array, start: number): number {
  for (let at = start + 1; ; ) {
    const sign = text[at];
    if (sign === backslash) at++;
    else {
      const code = sign === 0x75 ? hexOfFour(text, at + 1) : -1;
      found.end = code < 0 ? at : at + 5;
      if (code !== backslash) return code;
      at += 5;
    }
  }
}

/** A percent sign, itself escaped any number of times, and two digits. */
function readPercentEscape(text: Uint8Array, start: number): boolean {
  let at = start + 1;
  while (text[at] === 0x32 && text[at + 1] === 0x35) at += 2;
  let code = hexOfTwo(text, at);
  if (code >= 0) at += 2;
  else if (at > start + 1) code = percent;
  else return false;
  found.end = at;
  setLetter(code);
  return true;
}

/** The value of two hexadecimal digits, -1 where there are none. */
function hexOfTwo(text: Uint8Array, at: number): number {
  if (at + 2 > text.length) return -1;
  const value = (hexDigits[text[at]!]! << 4) | hexDigits[text[at + 1]!]!;
  return value > 0xff ? -1 : value;
}

function hexOfFour(text: Uint8Array, at: number): number {
  const high = hexOfTwo(text, at);
  const low = hexOfTwo(text, at + 2);
  return high < 0 || low < 0 ? -1 : (high << 8) | low;
}

/** Values of hexadecimal digits, and for all else what no two digits come to, wherever it stands. */
const hexDigits = Uint16Array.from({ length: 256 }, (_, code) => {
  const value = code < 128 ? Number.parseInt(String.fromCharCode(code), 16) : Number.NaN;
  return Number.isNaN(value) ? 0x1000 : value;
});

/** As UTF-8 (RFC 3629 section 3), half of a pair alone as the sign for what cannot be read. There are texts of nothing else. */
function setWide(code: number, low: number): void {
  const isHigh = code >= 0xd800 && code < 0xdc00;
  const isAlone = code >= 0xd800 && code < 0xe000 && (low < 0 || !isHigh);
  const point = low >= 0 && isHigh ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : isAlone ? 0xfffd : code;
  const { letters } = found;
  if (point < 0x800) {
    letters[0] = 0xc0 | (point >> 6);
    letters[1] = 0x80 | (point & 63);
    found.length = 2;
  } else if (point < 0x10000) {
    letters[0] = 0xe0 | (point >> 12);
    letters[1] = 0x80 | ((point >> 6) & 63);
    letters[2] = 0x80 | (point & 63);
    found.length = 3;
  } else {
    letters[0] = 0xf0 | (point >> 18);
    letters[1] = 0x80 | ((point >> 12) & 63);
    letters[2] = 0x80 | ((point >> 6) & 63);
    letters[3] = 0x80 | (point & 63);
    found.length = 4;
  }
}

function setLetter(code: number): void {
  found.length = code === backslash ? 0 : 1;
  found.letters[0] = code < 0x80 ? letters[code]! : code;
}

/** What is left of a character in the plain spelling: JSON writes some as a backslash and a letter. */
function letterOf(sign: string): string {
  return short[sign] ?? sign;
}

const short: Readonly<Record<string, string>> = { '\\': '', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r' };

/** The same by code. */
const letters = Uint8Array.from({ length: 128 }, (_, code) => letterOf(String.fromCharCode(code)).charCodeAt(0));
