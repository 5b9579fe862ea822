/** What a client's `Cache-Control` (RFC 9111 section 5.2.1) asks for. */
export interface CacheWish {
  /** An answer from the cache will do. */
  readonly reads: boolean;
  /** The answer may be kept. */
  readonly keeps: boolean;
  /** Oldest answer that will do. */
  readonly maxAgeMs: number;
}

const anything: CacheWish = { reads: true, keeps: true, maxAgeMs: Number.POSITIVE_INFINITY };

export function readCacheControl(header: string | undefined): CacheWish {
  if (header === undefined || header === '') return anything;
  let { reads, keeps, maxAgeMs } = anything;
  for (const part of header.slice(0, 1_000).toLowerCase().split(',')) {
    const [name = '', value = ''] = part.trim().split('=', 2);
    if (name === 'no-store') {
      reads = false;
      keeps = false;
    } else if (name === 'no-cache') reads = false;
    else if (name === 'max-age') {
      const seconds = /^"?(\d{1,10})"?$/.exec(value)?.[1];
      // An age that cannot be read is no leave to be old.
      maxAgeMs = Math.min(maxAgeMs, seconds === undefined ? 0 : Number(seconds) * 1_000);
    }
  }
  return { reads, keeps, maxAgeMs };
}
