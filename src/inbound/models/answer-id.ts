import { randomFillSync } from 'node:crypto';

const idBytes = 12;
// Random bytes come at a price per asking, not per byte.
const pool = Buffer.alloc(idBytes * 256);
let used = pool.length;

/** By which a client may speak of its answer later: 24 hex digits that nobody can guess. */
export function newAnswerId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const id = pool.toString('hex', used, used + idBytes);
  used += idBytes;
  return id;
}
