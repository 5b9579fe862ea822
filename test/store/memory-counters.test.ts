import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Demand } from '../../src/policy/compile-limits.ts';
import { LocalCounters } from '../../src/store/local-counters.ts';
import { openMemoryCounters } from '../../src/store/memory/counters.ts';
import type { BudgetRows, StoredBudget } from '../../src/store/ports/budgets.ts';
import type { Counters } from '../../src/store/ports/counters.ts';
import { admitted, countersContract, demandsOf, oneCall, refused, tokens, used } from '../contracts/counters.contract.ts';
import { until } from '../support/until.ts';

const noonMs = Date.UTC(2026, 6, 28, 12);

function fakeTime() {
  let steadyMs = 0;
  let wallMs = noonMs;
  return {
    nowMs: () => wallMs,
    steadyMs: () => steadyMs,
    async pass(durationMs: number) {
      wallMs += durationMs;
      steadyMs += durationMs;
    },
    setClock(atMs: number) {
      wallMs = atMs;
    },
  };
}

function fail(error: unknown): never {
  throw error;
}

async function open(budgets?: BudgetRows) {
  const time = fakeTime();
  return { time, counters: await openMemoryCounters({ clock: time, steady: time, budgets, warn: fail }) };
}

countersContract('Counters in memory', async () => {
  const time = fakeTime();
  return { open: () => openMemoryCounters({ clock: time, steady: time, warn: fail }), pass: time.pass };
});

function take(counters: Counters, demands: readonly Demand[], cost = oneCall): boolean {
  const taken = counters.take(demands, cost);
  if (taken instanceof Promise) throw new Error('Counters in memory know the answer at once.');
  return taken.kind === 'admitted';
}

describe('a rate in memory', () => {
  const windowMs = 60_000;

  it('lets through 594 to 600 of 600 calls a minute in any minute, whenever more is asked', async () => {
    const bursts = fc.record({
      afterMs: fc.nat({ max: 9_000 }),
      count: fc.integer({ min: 1, max: 700 }),
      everyMs: fc.nat({ max: 20 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(bursts, { minLength: 1, maxLength: 25 }), async (all) => {
        const { counters, time } = await open();
        const demands = demandsOf({ per: 'key', rpm: 600 });
        const letThrough: number[] = [];
        for (const { afterMs, count, everyMs } of all) {
          await time.pass(afterMs);
          for (let n = 0; n < count; n += 1) {
            await time.pass(everyMs);
            const inWindow = countSince(letThrough, time.steadyMs() - windowMs);
            if (take(counters, demands)) {
              expect(inWindow).toBeLessThan(600);
              letThrough.push(time.steadyMs());
            } else expect(inWindow).toBeGreaterThanOrEqual(594);
          }
        }
      }),
      { numRuns: process.env.TEST_LONG ? 300 : 15 },
    );
  });

  it('is exact below 200', async () => {
    const gaps = fc.array(fc.nat({ max: 1_500 }), { minLength: 1, maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(gaps, fc.integer({ min: 1, max: 199 }), async (all, rpm) => {
        const { counters, time } = await open();
        const demands = demandsOf({ per: 'key', rpm });
        const letThrough: number[] = [];
        for (const gapMs of all) {
          await time.pass(gapMs);
          const fits = countSince(letThrough, time.steadyMs() - windowMs) < rpm;
          expect(take(counters, demands)).toBe(fits);
          if (fits) letThrough.push(time.steadyMs());
        }
      }),
    );
  });

  it('never lets through more tokens in any minute than it says, and holds back less than 1 % of them', async () => {
    const asks = fc.array(fc.record({ gapMs: fc.nat({ max: 2_000 }), amount: fc.integer({ min: 1, max: 900 }) }), {
      maxLength: 300,
    });
    await fc.assert(
      fc.asyncProperty(asks, async (all) => {
        const { counters, time } = await open();
        const demands = demandsOf({ per: 'key', tpm: 10_000 });
        const spent: { readonly atMs: number; readonly amount: number }[] = [];
        for (const { gapMs, amount } of all) {
          await time.pass(gapMs);
          const fromMs = time.steadyMs() - windowMs;
          const inWindow = spent.filter(({ atMs }) => atMs > fromMs).reduce((sum, one) => sum + one.amount, 0);
          if (take(counters, demands, tokens(amount))) {
            expect(inWindow + amount).toBeLessThanOrEqual(10_000);
            spent.push({ atMs: time.steadyMs(), amount });
          } else expect(inWindow + amount).toBeGreaterThan(9_900);
        }
      }),
    );
  });

  it('admits whoever waits as many whole seconds as was said', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', rpm: 600 });
    let waits = 0;
    for (let calls = 0; calls < 3_000; calls += 1) {
      await time.pass(calls % 7);
      const taken = await counters.take(demands, oneCall);
      if (taken.kind === 'admitted') continue;
      waits += 1;
      const seconds = Math.ceil(taken.retryAfterMs / 1_000);
      expect(seconds).toBeGreaterThanOrEqual(1);
      await time.pass(seconds * 1_000);
      expect(take(counters, demands)).toBe(true);
    }
    expect(waits).toBeGreaterThan(3);
  });

  // What a crowd does that does as it is told: all call at once, and whoever is refused comes back after exactly that long.
  async function crowd(rpm: number, callers: number, latenessMs = 0) {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', rpm });
    const due = Array.from({ length: callers }, (_, at) => ({ atMs: at % 3, isSecond: false }));
    const seen = { waited: 0, admitted: 0, lastMs: 0, secondsTold: [] as number[] };
    for (let next = due.shift(); next !== undefined; next = due.sort((a, b) => a.atMs - b.atMs).shift()) {
      await time.pass(next.atMs - time.steadyMs());
      const taken = await counters.take(demands, oneCall);
      if (next.isSecond) seen.waited += 1;
      if (taken.kind === 'admitted') {
        if (next.isSecond) seen.admitted += 1;
        seen.lastMs = time.steadyMs();
        continue;
      }
      const seconds = Math.max(1, Math.ceil(taken.retryAfterMs / 1_000));
      seen.secondsTold.push(seconds);
      due.push({ atMs: time.steadyMs() + seconds * 1_000 + ((due.length * 7) % (latenessMs + 1)), isSecond: true });
    }
    return seen;
  }

  it.each([
    [10, 95, 0],
    [10, 95, 40],
    [60, 400, 40],
    [600, 2_400, 40],
  ])(
    'RL-02: of a crowd that waits as it is told, nearly all are let through then (%i a minute, %i callers)',
    async (rpm, callers, lateMs) => {
      const { waited, admitted, lastMs, secondsTold } = await crowd(rpm, callers, lateMs);
      expect(waited).toBeGreaterThanOrEqual(callers - rpm);
      expect(admitted / waited).toBeGreaterThanOrEqual(0.99);
      expect(secondsTold.every((seconds) => Number.isInteger(seconds) && seconds >= 1)).toBe(true);
      // And nobody waits longer than the limit makes them, but for the seconds that waits are told in.
      expect(lastMs).toBeLessThanOrEqual(Math.ceil(callers / rpm - 1) * 62_000);
    },
  );

  it('RL-02: a caller that does not wait is told no more than what ten windows let through, and is let in as ever', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', rpm: 5 });
    for (let n = 0; n < 5; n += 1) expect(take(counters, demands)).toBe(true);
    let longestMs = 0;
    for (let n = 0; n < 1_000; n += 1) longestMs = Math.max(longestMs, (await refused(counters, demands)).retryAfterMs);
    expect(longestMs).toBeLessThanOrEqual(11 * 61_000);
    await time.pass(60_000);
    for (let n = 0; n < 5; n += 1) expect(take(counters, demands)).toBe(true);
    expect(take(counters, demands)).toBe(false);
  });

  it('takes no notice of a clock that is set forward or back', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', rpm: 3 });
    for (let n = 0; n < 3; n += 1) take(counters, demands);
    for (const offMs of [3_600_000, -3_600_000, 86_400_000]) {
      time.setClock(noonMs + offMs);
      const { retryAfterMs } = await refused(counters, demands);
      expect(retryAfterMs).toBe(60_000);
    }
    await time.pass(60_000);
    expect(take(counters, demands)).toBe(true);
  });
});

describe('a budget in memory', () => {
  it('is full again when its calendar window ends', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', budget: { amount: 2, window: 'month', unit: 'calls' } });
    take(counters, demands);
    take(counters, demands);
    const { retryAfterMs } = await refused(counters, demands);
    expect(retryAfterMs).toBe(Date.UTC(2026, 7, 1) - noonMs);
    await time.pass(retryAfterMs - 1);
    expect((await refused(counters, demands)).retryAfterMs).toBe(1);
    await time.pass(1);
    expect(take(counters, demands)).toBe(true);
  });

  it('is neither refilled nor stuck when the clock is set back', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', budget: { amount: 2, window: 'hour', unit: 'calls' } });
    time.setClock(noonMs + 5 * 86_400_000);
    take(counters, demands);
    take(counters, demands);
    time.setClock(noonMs);
    const { retryAfterMs } = await refused(counters, demands);
    expect(retryAfterMs).toBeLessThanOrEqual(3_600_000);
    await time.pass(retryAfterMs);
    expect(take(counters, demands)).toBe(true);
  });

  it('counts a call that ends in a later window there', async () => {
    const { counters, time } = await open();
    const demands = demandsOf({ per: 'key', budget: { amount: 100, window: 'minute', unit: 'tokens' } });
    const { reservation } = await admitted(counters, demands, tokens(90));
    await time.pass(60_000);
    expect(await used(counters, demands)).toEqual([90]);
    reservation.settle(tokens(30));
    expect(await used(counters, demands)).toEqual([30]);
  });

  it('is as it was after a restart', async () => {
    const rows = keptRows();
    const demands = demandsOf(
      { per: 'key', budget: { amount: 10, window: 'day', unit: 'calls' } },
      { per: 'key', budget: { amount: 100, window: 'day', unit: 'tokens' } },
    );
    const before = await open(rows);
    for (let n = 0; n < 9; n += 1) take(before.counters, demands, tokens(1));
    const { reservation } = await admitted(before.counters, demands, tokens(50));
    reservation.settle(tokens(20));
    await until('the budgets to be written', () => rows.kept.size === 2);
    await before.counters.close();
    const after = await open(rows);
    // Nine estimates of 1 were never settled: a crash frees them, and so does this.
    expect(await used(after.counters, demands)).toEqual([10, 20]);
    await refused(after.counters, demands);
    await after.time.pass(86_400_000);
    expect(take(after.counters, demands)).toBe(true);
  });

  it('is written when the database is back', async () => {
    const rows = keptRows();
    const heard: unknown[] = [];
    const time = fakeTime();
    const counters = await openMemoryCounters({ clock: time, steady: time, budgets: rows, warn: (error) => heard.push(error) });
    const demands = demandsOf({ per: 'key', budget: { amount: 10, window: 'day', unit: 'calls' } });
    rows.isBroken = true;
    take(counters, demands);
    await until('the failure to be heard of', () => heard.length > 0);
    rows.isBroken = false;
    take(counters, demands);
    await until('the budget to be written', () => [...rows.kept.values()].some(({ spent }) => spent === 2));
    await counters.close();
  });

  it('keeps a start from succeeding when it cannot be read', async () => {
    const rows = { ...keptRows(), load: async () => Promise.reject(new Error('disk')) };
    await expect(open(rows)).rejects.toThrow('disk');
  });
});

describe('the memory that counters take', () => {
  it('is bounded by what is in use, not by what ever was', async () => {
    const time = fakeTime();
    const counters = new LocalCounters({ clock: time, steady: time });
    for (let n = 0; n < 5_000; n += 1) {
      const demands = demandsOf({ per: 'key', rpm: 5, concurrency: 5, budget: { amount: 5, window: 'minute', unit: 'calls' } });
      const taken = counters.take(demands, oneCall);
      if (taken.kind === 'admitted') taken.reservation.release();
      await time.pass(600);
    }
    // Some 100 callers a minute, with three counters each.
    expect(counters.size).toBeLessThan(1_500);
  });

  it('keeps a counter that a running call will settle', async () => {
    const time = fakeTime();
    const counters = new LocalCounters({ clock: time, steady: time });
    const demands = demandsOf({ per: 'key', tpm: 100, budget: { amount: 100, window: 'minute', unit: 'tokens' } });
    const taken = counters.take(demands, tokens(60));
    await time.pass(600_000);
    for (let n = 0; n < 100; n += 1) counters.take(demandsOf({ per: 'key', rpm: 1 }), oneCall);
    if (taken.kind === 'admitted') taken.reservation.settle(tokens(70));
    expect(counters.usage(demands).map((usage) => usage.used)).toEqual([10, 70]);
  });
});

function countSince(times: readonly number[], fromMs: number): number {
  let count = 0;
  for (let at = times.length - 1; at >= 0 && times[at]! > fromMs; at -= 1) count += 1;
  return count;
}

function keptRows() {
  const kept = new Map<string, StoredBudget>();
  return {
    kept,
    isBroken: false,
    async load() {
      return [...kept.values()];
    },
    async save(batch: readonly StoredBudget[]) {
      if (this.isBroken) throw new Error('disk');
      for (const row of batch) kept.set(row.key, row);
    },
    async prune() {
      return 0;
    },
  };
}
