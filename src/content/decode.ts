import type { Steps } from '../turns.ts';
import { openPattern } from './open-pattern.ts';

/** A part of a text that is a text again once decoded. It counts as one: whoever writes a secret in base64 hides all of it. */
export interface Decoded {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

// A run of key characters first, as the quick look finds them, then whatever base64 allows.
const base64 = /(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{16,}[A-Za-z0-9+/_-]{8,}={0,2}/g;
const hex = /(?<![0-9A-Za-z])[0-9A-Fa-f]{24,}(?![0-9A-Za-z])/g;
const shortestRun = 16;
const shortestEncoded = 24;
const mostCandidates = 100;
/** So much of a text is searched at once. */
const searchedAtOnce = 65_536;

/** What in a text may be text in base64 or hex, decoded once: what the two patterns match, in steps. */
export function* decodeSteps(text: string): Steps<Decoded[]> {
  const found: Decoded[] = [];
  for (const search of [findBase64, findHex]) {
    for (let from = search(text, 0, found); from < text.length && found.length < mostCandidates; ) {
      yield;
      from = search(text, from, found);
    }
  }
  return found;
}

function findBase64(text: string, from: number, found: Decoded[]): number {
  let at = from;
  while (at < text.length && at - from < searchedAtOnce && found.length < mostCandidates) {
    const start = at;
    at = endOfKind(text, at, inRun);
    if (at - start < shortestRun) {
      at++;
      continue;
    }
    at = endOfKind(text, at, inBase64);
    if (at - start < shortestEncoded) continue;
    for (let signs = 0; signs < 2 && text.charCodeAt(at) === 0x3d; signs++) at++;
    if (isText(base64Head(text, start)))
      found.push({ text: Buffer.from(text.slice(start, at), 'base64').toString('utf8'), start, end: at });
  }
  return at;
}

function findHex(text: string, from: number, found: Decoded[]): number {
  let at = from;
  while (at < text.length && at - from < searchedAtOnce && found.length < mostCandidates) {
    const start = at;
    at = endOfKind(text, at, inHex);
    const isAlone = endOfKind(text, at, inAlphanumeric) === at;
    if (at - start >= shortestEncoded && isAlone && isText(hexHead(text, start)))
      found.push({ text: Buffer.from(text.slice(start, at), 'hex').toString('utf8'), start, end: at });
    at = endOfKind(text, at, inAlphanumeric) + 1;
  }
  return at;
}

/** The first twelve bytes of what is encoded. */
function base64Head(text: string, start: number): number[] {
  const bytes: number[] = [];
  for (let at = start; at < start + 16; at += 4) {
    let bits = 0;
    for (let digit = 0; digit < 4; digit++) bits = (bits << 6) | base64Values[text.charCodeAt(at + digit)]!;
    bytes.push(bits >> 16, (bits >> 8) & 255, bits & 255);
  }
  return bytes;
}

function hexHead(text: string, start: number): number[] {
  return Array.from({ length: 12 }, (_, index) => Number.parseInt(text.slice(start + 2 * index, start + 2 * index + 2), 16));
}

function isText(bytes: readonly number[]): boolean {
  return bytes.every(isPrintable);
}

const inRun = 1;
const inBase64 = 2;
const inHex = 4;
const inAlphanumeric = 8;
/** What characters of ASCII can be part of. */
const partOf = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return (
    (/[A-Za-z0-9_-]/.test(character) ? inRun : 0) |
    (/[A-Za-z0-9+/_-]/.test(character) ? inBase64 : 0) |
    (/[0-9A-Fa-f]/.test(character) ? inHex : 0) |
    (/[0-9A-Za-z]/.test(character) ? inAlphanumeric : 0)
  );
});

function endOfKind(text: string, start: number, kind: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); code < 128 && (partOf[code]! & kind) !== 0; code = text.charCodeAt(at)) at++;
  return at;
}

const forms = [
  { pattern: base64, open: openPattern(base64), encoding: 'base64', step: 4 },
  { pattern: hex, open: openPattern(hex), encoding: 'hex', step: 2 },
] as const;

/**
 * The same for a text that goes on: calls `found` for each part that has ended and returns the offset from which on something is not
 * known yet. A run of which the beginning is no text when decoded is nothing that is waited for.
 */
export function decodeOpen(text: string, from: number, found: (part: Decoded) => boolean): number {
  return Math.min(...forms.map((form) => decodeForm(form, text, from, found)));
}

function decodeForm(
  { open, encoding, step }: (typeof forms)[number],
  text: string,
  from: number,
  found: (part: Decoded) => boolean,
): number {
  open.lastIndex = from;
  for (let match = open.exec(text); match !== null; match = open.exec(text)) {
    const [run] = match;
    const start = match.index;
    const end = start + run.length;
    const head = Buffer.from(run.slice(0, Math.min(encoding === 'hex' ? 24 : 16, run.length - (run.length % step))), encoding);
    const isText = /^[\t\n\r\x20-\x7e]*$/.test(head.toString('latin1'));
    if (end >= text.length) return isText && start < end ? start : text.length;
    if (isText && !found({ text: Buffer.from(run, encoding).toString('utf8'), start, end })) return start;
  }
  return text.length;
}

const base64Digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Values of the digits of base64, in both of its alphabets, and 64 for what is none. */
const base64Values = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = base64Digits.indexOf(String.fromCharCode(code === 0x2d ? 0x2b : code === 0x5f ? 0x2f : code));
  return value < 0 ? 64 : value;
});

/** Whether `decodeOpen` has anything to do from `from` on; a quick look that may say yes too often. */
export function mayBeEncoded(text: string, from: number): boolean {
  if (text.length - from >= shortestEncoded) return true;
  let start = text.length;
  while (start > from && isRun(text.charCodeAt(start - 1))) start--;
  if (start < text.length && !(start > 0 && isRun(text.charCodeAt(start - 1))) && isTextInBase64(text, start)) return true;
  for (start = text.length; start > from && /[0-9A-Fa-f]/.test(text.charAt(start - 1)); ) start--;
  const isCut = start > 0 && /[0-9A-Za-z]/.test(text.charAt(start - 1));
  return start < text.length && !isCut && isPrintable(Number.parseInt(text.slice(start, start + 2).padEnd(2, '0'), 16));
}

function isRun(code: number): boolean {
  return code < 128 && (partOf[code]! & inRun) !== 0;
}

function isTextInBase64(text: string, start: number): boolean {
  const value = (at: number) => base64Values[text.charCodeAt(start + at)] ?? 0;
  const count = text.length - start;
  const first = (value(0) << 2) | (count > 1 ? value(1) >> 4 : 0);
  if (count === 1) return isPrintable(first) || isPrintable(first | 1) || isPrintable(first | 2);
  if (!isPrintable(first & 255)) return false;
  if (count === 2) return true;
  const second = ((value(1) << 4) | (value(2) >> 2)) & 255;
  if (!isPrintable(second)) return false;
  return count === 3 || isPrintable(((value(2) << 6) | value(3)) & 255);
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x20 && byte < 0x7f) || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** Where the text ends in the beginning of an escape, or its length. */
export function openEscape(text: string): number {
  return text.length - (/(?:%[2-7]?|\\(?:u(?:0(?:0[2-7]?)?)?)?)$/.exec(text.slice(-6))?.[0].length ?? 0);
}

/** A text with percent signs and JSON escapes of ASCII resolved, and where each of its characters came from. */
export interface Unescaped {
  readonly text: string;
  /** Offsets of the text as it was, for each offset of `text` and its end. */
  readonly offsets: Uint32Array;
}

const anyEscape = /%[2-7][0-9A-Fa-f]|\\u00[2-7][0-9A-Fa-f]/;

/**
 * Resolves escapes once; undefined where there are none. Not `decodeURIComponent`: that gives up at the first mistake, and whoever
 * hides something makes one.
 */
export function resolveEscapes(text: string): Unescaped | undefined {
  const first = text.search(anyEscape);
  if (first < 0) return undefined;
  const units = new Uint16Array(text.length);
  const offsets = new Uint32Array(text.length + 1);
  let length = 0;
  let seen = 0;
  for (let at = 0; at < text.length; length++) {
    const code = text.charCodeAt(at);
    const escaped = at >= first && (code === 0x25 || code === 0x5c) ? escapedAt(text, at, code) : -1;
    units[length] = escaped < 0 ? code : escaped;
    offsets[length] = at;
    seen |= code;
    at += escaped < 0 ? 1 : code === 0x25 ? 3 : 6;
  }
  offsets[length] = text.length;
  return { text: textOf(units.subarray(0, length), seen), offsets: offsets.subarray(0, length + 1) };
}

/** The character that an escape here stands for, or -1. */
function escapedAt(text: string, at: number, sign: number): number {
  const digits = sign === 0x25 ? at + 1 : at + 4;
  if (sign === 0x5c && !text.startsWith('u00', at + 1)) return -1;
  const high = text.charCodeAt(digits);
  const low = text.charCodeAt(digits + 1);
  if (!(high >= 0x32 && high <= 0x37 && low < 128 && (partOf[low]! & inHex) !== 0)) return -1;
  return ((high - 0x30) << 4) | (low <= 0x39 ? low - 0x30 : (low | 0x20) - 0x57);
}

/** Patterns take half the time for texts of one byte a character. */
function textOf(units: Uint16Array, seen: number): string {
  return seen < 256
    ? Buffer.from(Uint8Array.from(units).buffer).toString('latin1')
    : Buffer.from(units.buffer, units.byteOffset, units.byteLength).toString('utf16le');
}
