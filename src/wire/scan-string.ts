/** Finds where a string of JSON ends, byte by byte: for strings that are short, or whose every byte is looked at anyway. */
import { ScanError } from './scan-error.ts';

const quote = 0x22;
const backslash = 0x5c;
/** What is below is a control character and must not stand in a string (RFC 8259 section 7). */
const firstPrintable = 0x20;
const shortStringBytes = 64;

/** What may stand behind a backslash: 1 alone, 2 with four hexadecimal digits (RFC 8259 section 7). */
const escapes = new Uint8Array(256);
for (const byte of Buffer.from('"\\/bfnrt')) escapes[byte] = 1;
escapes[0x75] = 2;
const isHex = new Uint8Array(256);
for (const byte of Buffer.from('0123456789abcdefABCDEF')) isHex[byte] = 1;

/** The offset behind the string that starts at `start`. */
export function endOfString(bytes: Buffer, start: number): number {
  const end = endWithin(bytes, start, bytes.length);
  if (end === 0) throw new ScanError(`a string that starts at byte ${start} does not end`);
  return end;
}

/** The same, or 0 where it is long. */
export function endOfShortString(bytes: Buffer, start: number): number {
  return endWithin(bytes, start, Math.min(start + shortStringBytes, bytes.length));
}

function endWithin(bytes: Buffer, start: number, stop: number): number {
  let at = start + 1;
  while (at < stop) {
    const byte = bytes[at]!;
    if (byte === quote) return at + 1;
    if (byte === backslash) at = endOfEscape(bytes, at);
    else if (byte >= firstPrintable) at++;
    else throw new ScanError(`a control character stands in a string at byte ${at}`);
  }
  return 0;
}

function endOfEscape(bytes: Buffer, at: number): number {
  const what = escapes[bytes[at + 1]!];
  if (what === 1) return at + 2;
  if (what === 2 && isHex[bytes[at + 2]!] && isHex[bytes[at + 3]!] && isHex[bytes[at + 4]!] && isHex[bytes[at + 5]!])
    return at + 6;
  throw new ScanError(at + 5 >= bytes.length ? 'it ends too early' : `a bad escape stands in a string at byte ${at}`);
}
