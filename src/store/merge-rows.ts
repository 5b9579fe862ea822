interface Merging<Row> {
  readonly clean: (row: Row) => Row;
  readonly keyOf: (row: Row) => string;
  /** The sum of both under the key of the first. */
  readonly add: (a: Row, b: Row) => Row;
}

/**
 * Rows that are sums, cleaned, each key once; in one order everywhere, so that two processes never wait for one another's rows.
 * Cleaned means as every database can take it: whole minutes, whole or finite numbers, texts that both databases read back as they
 * were written.
 */
export function mergeRows<Row>(batch: readonly Row[], { clean, keyOf, add }: Merging<Row>): readonly Row[] {
  const merged = new Map<string, Row>();
  for (const given of batch) {
    const row = clean(given);
    const key = keyOf(row);
    const earlier = merged.get(key);
    merged.set(key, earlier === undefined ? row : add(earlier, row));
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

export function wholeMinute(timeMs: number): number {
  return Math.floor(timeMs / 60_000) * 60_000;
}

export function whole(number: number): number {
  return Number.isFinite(number) ? Math.round(number) : 0;
}
