/** Keeps one statement below SQLite's and PostgreSQL's limits on parameters. */
const batchSize = 500;

export function* batches<T>(rows: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < rows.length; start += batchSize) yield rows.slice(start, start + batchSize);
}
