import { randomInt } from 'node:crypto';

/** Of this process, so that no two of them make the same one. */
const ownPart = randomInt(2 ** 24)
  .toString(16)
  .padStart(6, '0');
const mostInOne = 2 ** 24;
let count = randomInt(mostInOne);
let atMs = 0;
let timePart = '';

/**
 * By which a client may speak of its call later, 24 hex digits: when it came, which process had it, and a number. Nobody gets anything for
 * guessing one; that they grow keeps the index of records in order.
 */
export function newRequestId(nowMs = Date.now()): string {
  if (nowMs !== atMs) {
    atMs = nowMs;
    timePart = nowMs.toString(16).padStart(12, '0');
  }
  count = (count + 1) % mostInOne;
  return timePart + ownPart + count.toString(16).padStart(6, '0');
}
