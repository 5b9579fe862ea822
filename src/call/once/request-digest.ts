import { type HmacKey, hmac, hmacOfPieces } from '../../hmac.ts';
import { inTurns, type Steps } from '../../turns.ts';
import { canonicalJson } from '../../wire/canonical-json.ts';
import { canonicalPieces } from '../../wire/canonical-pieces.ts';
import type { Json } from '../../wire/json.ts';

/** A request of up to so many bytes is written down in a millisecond or two. */
const smallBytes = 16 * 1024;

/**
 * Stands for what is asked for: the same for the same request, in whatever order and spacing it was sent. At once for what is small;
 * what is large, up to 400,000 values, is written down in turns with everybody else's work. `head` and `params` say the same as ever:
 * digests are kept.
 */
export function digestRequest(key: HmacKey, head: string, params: Json, bytes: number): string | Promise<string> {
  return bytes <= smallBytes ? hmac(key, `${head}${canonicalJson(params)}`, 'base64url') : inTurns(digested(key, head, params));
}

function* digested(key: HmacKey, head: string, params: Json): Steps<string> {
  const sum = hmacOfPieces(key);
  sum.add(head);
  for (const piece of canonicalPieces(params)) {
    sum.add(piece);
    yield;
  }
  return sum.end('base64url');
}
