import { expect, test } from 'vitest';
import { meanOf, shareOf } from '../../src/admin/statistics.ts';

// Against figures that others publish: R 4.4, prop.test(correct = FALSE) for Wilson's interval.
test.each([
  [0, 10, 0, 0.2775],
  [5, 10, 0.2366, 0.7634],
  [8, 10, 0.4902, 0.9433],
  [10, 10, 0.7225, 1],
  [1, 100, 0.0018, 0.0545],
  [15, 148, 0.0624, 0.1605],
])('of %d of %d the true share is between %d and %d in 95 of 100 cases', (hits, of, low, high) => {
  const estimate = shareOf(hits, of);
  expect(estimate?.value).toBe(hits / of);
  expect(estimate?.low).toBeCloseTo(low, 4);
  expect(estimate?.high).toBeCloseTo(high, 4);
});

test('a mean and its range come from the sum and the sum of squares', () => {
  expect(meanOf(15, 55, 5)).toEqual({ value: 3, low: expect.closeTo(1.6141, 4), high: expect.closeTo(4.3859, 4) });
});

test('of nothing nothing can be said, and of one its range', () => {
  expect([shareOf(0, 0), meanOf(0, 0, 0)]).toEqual([undefined, undefined]);
  expect(meanOf(7, 49, 1)).toEqual({ value: 7, low: 7, high: 7 });
});

test('rounding never makes a range that is none', () => {
  const thirds = 0.1 + 0.1 + 0.1;
  const estimate = meanOf(thirds, 0.03, 3);
  expect(estimate?.low).toBeLessThanOrEqual(estimate?.high ?? 0);
  expect(Number.isFinite(estimate?.low)).toBe(true);
});
