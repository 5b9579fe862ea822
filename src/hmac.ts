import { createHash, hash } from 'node:crypto';
import { takeTurns } from './turns.ts';

/** A key as HMAC-SHA-256 uses it, twice: padded and masked once and for all (RFC 2104 section 2). */
export interface HmacKey {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

/** `key` has at most 64 bytes. */
export function hmacKey(key: Buffer): HmacKey {
  const padded = Buffer.concat([key], blockBytes);
  return { inner: padded.map((byte) => byte ^ 0x36) as Buffer, outer: padded.map((byte) => byte ^ 0x5c) as Buffer };
}

const blockBytes = 64;

/** HMAC-SHA-256 of a text by two hashes at one go: making an Hmac object costs several times as much as both. */
export function hmac({ inner, outer }: HmacKey, text: string, encoding: 'hex' | 'base64url'): string {
  const within = hash('sha256', Buffer.concat([inner, Buffer.from(text)]), 'buffer');
  return hash('sha256', Buffer.concat([outer, within]), encoding);
}

/** The same of a text that comes in pieces, none of which ends in the middle of a character. */
export function hmacOfPieces({ inner, outer }: HmacKey): {
  add(piece: string): void;
  end(encoding: 'hex' | 'base64url'): string;
} {
  const within = createHash('sha256').update(inner);
  return {
    add: (piece) => void within.update(piece),
    end: (encoding) => hash('sha256', Buffer.concat([outer, within.digest()]), encoding),
  };
}

/** The same, in turns with everybody else's work. */
export async function hmacInTurns(key: HmacKey, pieces: Iterable<string>, encoding: 'hex' | 'base64url'): Promise<string> {
  const turn = takeTurns();
  const sum = hmacOfPieces(key);
  for (const piece of pieces) {
    sum.add(piece);
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  return sum.end(encoding);
}
