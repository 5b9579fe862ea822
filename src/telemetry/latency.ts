import { latencyBoundsMs } from '../store/ports/roll-ups.ts';

const bucketCount = latencyBoundsMs.length + 1;

/** The latency bucket of a duration: its place in `latencyBoundsMs`, or one past them. What is no duration counts as the shortest. */
export function bucketOf(ms: number): number {
  let bucket = 0;
  while (bucket < latencyBoundsMs.length && ms > (latencyBoundsMs[bucket] ?? 0)) bucket += 1;
  return bucket;
}

export function emptyBuckets(): number[] {
  return new Array<number>(bucketCount).fill(0);
}

/**
 * The duration that a share of all calls stayed below, in ms, from a histogram of `latencyBoundsMs`: 0.95 for the 95th percentile.
 * Within a bucket calls are taken as evenly spread; above the last bound there is no better answer than that bound.
 * Undefined without calls.
 */
export function latencyPercentile(latency: readonly number[], share: number): number | undefined {
  const total = latency.reduce((sum, calls) => sum + calls, 0);
  if (total === 0) return undefined;
  const wanted = Math.min(Math.max(share, 0), 1) * total;
  let below = 0;
  for (const [bucket, calls] of latency.entries()) {
    const from = latencyBoundsMs[bucket - 1] ?? 0;
    const to = latencyBoundsMs[bucket] ?? from;
    if (calls > 0 && below + calls >= wanted) return from + (to - from) * ((wanted - below) / calls);
    below += calls;
  }
  return latencyBoundsMs.at(-1);
}
