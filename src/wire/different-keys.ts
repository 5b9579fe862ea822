import { randomInt } from 'node:crypto';

/** Different keys that a request may have. Each costs some microseconds wherever it is parsed, written and walked through, and nothing else runs. */
export const maxDifferentKeys = 20_000;

const quote = 0x22;
const colon = 0x3a;
const backslash = 0x5c;
const bits = 20;
/** Of this process: nobody outside can look for keys that fall together. */
const factor = randomInt(2 ** 31) * 2 + 1;

/**
 * Whether a request has more than `maxDifferentKeys`, in all its objects together. `keys` is how many the scan of its bytes found,
 * the same one counted wherever it stands. By hashes: a few in a hundred may go uncounted.
 */
export function hasTooManyKeys(bytes: Buffer, keys: number): boolean {
  if (keys <= maxDifferentKeys) return false;
  const seen = new Uint8Array(2 ** bits / 8);
  let different = 0;
  for (let at = bytes.indexOf(quote); at >= 0; at = bytes.indexOf(quote, at)) {
    let hash = factor;
    // A string that does not end ends with the bytes.
    for (at++; at < bytes.length && bytes[at] !== quote; at++) {
      // What a backslash escapes ends nothing.
      if (bytes[at] === backslash) hash = mix(hash, bytes[at++]!);
      hash = mix(hash, bytes[at]!);
    }
    at++;
    while (isSpace(bytes[at])) at++;
    if (bytes[at] !== colon) continue;
    const place = Math.imul(hash ^ (hash >>> 15), factor) >>> (32 - bits);
    const bit = 1 << (place & 7);
    if ((seen[place >> 3]! & bit) !== 0) continue;
    seen[place >> 3]! |= bit;
    if (++different > maxDifferentKeys) return true;
  }
  return false;
}

function mix(hash: number, byte: number): number {
  return Math.imul(((hash << 5) | (hash >>> 27)) ^ byte, factor);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
