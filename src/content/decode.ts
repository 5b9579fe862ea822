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
const printable = /^[\t\n\r\x20-\x7e]{12}/;
const mostCandidates = 100;

/** What in a text may be text in base64 or hex, decoded once. */
export function decodeParts(text: string): Decoded[] {
  const found: Decoded[] = [];
  const add = (match: RegExpExecArray, decoded: string) => {
    found.push({ text: decoded, start: match.index, end: match.index + match[0].length });
    return found.length >= mostCandidates;
  };
  for (const match of text.matchAll(base64)) {
    if (!printable.test(Buffer.from(match[0].slice(0, 16), 'base64').toString('latin1'))) continue;
    if (add(match, Buffer.from(match[0], 'base64').toString('utf8'))) return found;
  }
  for (const match of text.matchAll(hex)) {
    if (!printable.test(Buffer.from(match[0].slice(0, 24), 'hex').toString('latin1'))) continue;
    if (add(match, Buffer.from(match[0], 'hex').toString('utf8'))) return found;
  }
  return found;
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

const shortestEncoded = 24;
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
  return code < 128 && code !== 0x2b && code !== 0x2f && base64Values[code]! < 64;
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

const escapes = /%([2-7][0-9A-Fa-f])|\\u00([2-7][0-9A-Fa-f])/g;

/**
 * Resolves escapes once; undefined where there are none. Not `decodeURIComponent`: that gives up at the first mistake, and whoever
 * hides something makes one.
 */
export function resolveEscapes(text: string): Unescaped | undefined {
  const offsets = new Uint32Array(text.length + 1);
  let out = '';
  let done = 0;
  const keep = (until: number) => {
    for (let at = done; at < until; at++) offsets[out.length + at - done] = at;
    out += text.slice(done, until);
  };
  for (const match of text.matchAll(escapes)) {
    keep(match.index);
    offsets[out.length] = match.index;
    out += String.fromCharCode(Number.parseInt(match[1] ?? match[2] ?? '', 16));
    done = match.index + match[0].length;
  }
  if (done === 0) return undefined;
  keep(text.length);
  offsets[out.length] = text.length;
  return { text: out, offsets: offsets.subarray(0, out.length + 1) };
}
