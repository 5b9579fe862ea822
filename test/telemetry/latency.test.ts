import fc from 'fast-check';
import { expect, test } from 'vitest';
import { latencyBoundsMs } from '../../src/store/ports/roll-ups.ts';
import { bucketOf, emptyBuckets, latencyPercentile } from '../../src/telemetry/latency.ts';

function histogramOf(durations: readonly number[]): number[] {
  const histogram = emptyBuckets();
  for (const ms of durations) histogram[bucketOf(ms)] = (histogram[bucketOf(ms)] ?? 0) + 1;
  return histogram;
}

test('a duration is in the first bucket whose bound is not below it', () => {
  expect([0, 1, 1.01, 2, 300_000, 300_001, Number.POSITIVE_INFINITY].map(bucketOf)).toEqual([0, 0, 1, 1, 16, 17, 17]);
  expect([-1, Number.NaN].map(bucketOf)).toEqual([0, 0]);
});

test('a percentile of nothing is nothing', () => {
  expect(latencyPercentile(emptyBuckets(), 0.5)).toBeUndefined();
});

test('a percentile is in the bucket of the true one, whatever the durations', () => {
  const durations = fc.array(fc.double({ min: 0, max: 400_000, noNaN: true }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(durations, fc.double({ min: 0.01, max: 1, noNaN: true }), (all, share) => {
      const sorted = all.toSorted((a, b) => a - b);
      const truth = sorted[Math.ceil(share * all.length) - 1] ?? 0;
      const bucket = bucketOf(truth);
      const answer = latencyPercentile(histogramOf(all), share) ?? Number.NaN;
      expect(answer).toBeGreaterThanOrEqual(latencyBoundsMs[bucket - 1] ?? 0);
      expect(answer).toBeLessThanOrEqual(latencyBoundsMs[bucket] ?? 300_000);
    }),
  );
});

test('percentiles of sums are those of all calls together', () => {
  const a = histogramOf([1, 1, 1, 1, 1]);
  const b = histogramOf([1000, 1000, 1000, 1000, 1000]);
  const both = a.map((calls, bucket) => calls + (b[bucket] ?? 0));
  expect(latencyPercentile(both, 0.5)).toBeLessThanOrEqual(1);
  expect(latencyPercentile(both, 0.9)).toBeGreaterThan(500);
});
