import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RollingSum } from '../../../src/upstreams/model/rolling-sum.ts';
import { TargetState } from '../../../src/upstreams/model/target-state.ts';

test('whatever is added and taken back at whatever time, no window ever holds less than nothing', () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 40_000 }), amount: fc.integer({ min: -500, max: 500 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const sum = new RollingSum(60_000, 12);
      let nowMs = 1_000_000;
      for (const { waitMs, amount } of steps) {
        nowMs += waitMs;
        if (amount >= 0) sum.add(amount, nowMs);
        else sum.takeBack(-amount, nowMs);
        for (let later = 0; later <= 80_000; later += 5_000) expect(sum.total(nowMs)).toBeGreaterThanOrEqual(0);
      }
      expect(sum.total(nowMs + 80_000)).toBe(0);
    }),
  );
});

test('when so much is left of what is here is said to the slot, whatever came when', () => {
  const step = fc.record({ waitMs: fc.integer({ min: 0, max: 40_000 }), amount: fc.integer({ min: 1, max: 500 }) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), fc.integer({ min: 0, max: 2_000 }), (steps, amount) => {
      const sum = new RollingSum(60_000, 12);
      let nowMs = 1_000_000;
      for (const { waitMs, amount } of steps) {
        nowMs += waitMs;
        sum.add(amount, nowMs);
      }
      const isOver = sum.total(nowMs) > amount;
      const atMs = sum.fallsToAtMs(amount, nowMs);
      expect(atMs > nowMs).toBe(isOver);
      if (isOver) expect(sum.total(atMs - 1)).toBeGreaterThan(amount);
      expect(sum.total(atMs)).toBeLessThanOrEqual(amount);
    }),
  );
});

test('a call that used less than was thought long after it began leaves the limit of the next ones whole', () => {
  const failover = {
    ...{ errorRate: 1, minimumCalls: 10, windowMs: 60_000, consecutiveErrors: 3, latencyMs: undefined },
    ...{ firstByteMs: undefined, ejectMs: 1, longestEjectMs: 1 },
  };
  const state = new TargetState('a', { rpm: undefined, tpm: 1_000, concurrency: undefined }, failover);
  state.take(900, 1_000_000);
  state.correct(-800, 1_070_000);
  state.take(950, 1_071_000);
  expect(state.isFull(100, 1_072_000)).toBe(true);
  expect(state.isFull(50, 1_072_000)).toBe(false);
  state.correct(-800, 1_073_000);
  expect(state.isFull(850, 1_074_000)).toBe(false);
});
