import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Demand } from '../../src/policy/compile-limits.ts';
import { compileLimits, demandsFor } from '../../src/policy/compile-limits.ts';
import type { LimitRow } from '../../src/policy/limit-rules.ts';
import type { Admitted, Cost, Counters, Refused } from '../../src/store/ports/counters.ts';

interface CountersPlace {
  open(): Promise<Counters>;
  /** Lets so much time pass for the counters. */
  pass(durationMs: number): Promise<void>;
}

export const oneCall: Cost = { calls: 1, tokens: 0, nanoUsd: 0 };

export function tokens(amount: number): Cost {
  return { calls: 1, tokens: amount, nanoUsd: 0 };
}

let made = 0;

/** Demands of rows that nobody else counts for. */
export function demandsOf(...rows: LimitRow[]): readonly Demand[] {
  made += 1;
  return demandsFor([compileLimits(rows, `test ${made}`)], {
    namespace: 'support',
    capability: 'support/get_ticket',
    consumer: 'c',
    key: 'k',
    member: 'm',
  });
}

/** The same limit over a shorter window, so that a test can wait for it. */
export function within(windowMs: number, demands: readonly Demand[]): readonly Demand[] {
  return demands.map(({ key, limit }) => ({ key, limit: limit.kind === 'rate' ? { ...limit, windowMs } : limit }));
}

export async function admitted(counters: Counters, demands: readonly Demand[], cost = oneCall): Promise<Admitted> {
  const taken = await counters.take(demands, cost);
  if (taken.kind === 'refused') throw new Error(`Refused: ${JSON.stringify(taken)}`);
  return taken;
}

export async function refused(counters: Counters, demands: readonly Demand[], cost = oneCall): Promise<Refused> {
  const taken = await counters.take(demands, cost);
  if (taken.kind === 'admitted') throw new Error('Admitted.');
  return taken;
}

export async function used(counters: Counters, demands: readonly Demand[]): Promise<number[]> {
  return (await counters.usage(demands)).map((usage) => usage.used);
}

const longBudget = { window: 'month', unit: 'calls' } as const;

/** What every place where limits are counted promises. */
export function countersContract(name: string, makePlace: () => Promise<CountersPlace>): void {
  describe(`${name} keep the promises of counters`, () => {
    const opened: Counters[] = [];

    async function open(): Promise<Counters & Pick<CountersPlace, 'pass'>> {
      const place = await makePlace();
      const counters = await place.open();
      opened.push(counters);
      return { ...bound(counters), pass: place.pass };
    }

    afterEach(async () => {
      for (const counters of opened.splice(0)) await counters.close();
    });

    it('let a call through that no limit concerns', async () => {
      const { reservation } = await admitted(await open(), []);
      reservation.settle(tokens(5));
      reservation.release();
    });

    it('let through as many calls as a rate allows, and then say how long to wait', async () => {
      const counters = await open();
      const demands = within(1_000, demandsOf({ per: 'key', rpm: 3 }));
      for (let n = 0; n < 3; n += 1) await admitted(counters, demands);
      const refusal = await refused(counters, demands);
      expect(refusal).toMatchObject({ demand: demands[0], reason: 'used-up', used: 3 });
      expect(refusal.retryAfterMs).toBeGreaterThanOrEqual(1);
      expect(refusal.retryAfterMs).toBeLessThanOrEqual(1_000);
      expect(await used(counters, demands)).toEqual([3]);
      await counters.pass(refusal.retryAfterMs);
      await admitted(counters, demands);
    });

    it('never fill a window at its edge twice', async () => {
      const counters = await open();
      const demands = within(600, demandsOf({ per: 'key', rpm: 4 }));
      await counters.pass(500);
      for (let n = 0; n < 4; n += 1) await admitted(counters, demands);
      await counters.pass(200);
      expect((await refused(counters, demands)).used).toBe(4);
      await counters.pass(450);
      await admitted(counters, demands);
    });

    it('RL-05: take nothing anywhere when one level refuses', async () => {
      const counters = await open();
      const wide = demandsOf(
        { per: 'global', rpm: 100, concurrency: 50 },
        { per: 'consumer', budget: { amount: 100, ...longBudget } },
      );
      const narrow = demandsOf({ per: 'key', rpm: 1 });
      const all = [...wide, ...narrow];
      await admitted(counters, all);
      const before = await used(counters, all);
      expect(before).toEqual([1, 1, 1, 1]);
      expect((await refused(counters, all)).demand).toBe(narrow[0]);
      expect((await refused(counters, [...narrow, ...wide])).demand).toBe(narrow[0]);
      expect(await used(counters, all)).toEqual(before);
      await admitted(counters, wide);
    });

    it('name the limit with the longest wait when several refuse', async () => {
      const counters = await open();
      const short = within(500, demandsOf({ per: 'key', rpm: 1 }));
      const long = within(20_000, demandsOf({ per: 'consumer', rpm: 1 }));
      for (const order of [
        [...short, ...long],
        [...long, ...short],
      ]) {
        await counters.take(order, oneCall);
        const refusal = await refused(counters, order);
        expect(refusal.demand).toBe(long[0]);
        expect(refusal.retryAfterMs).toBeGreaterThan(500);
      }
    });

    it('hold slots until they are released, once', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', concurrency: 2 });
      const first = await admitted(counters, demands);
      await admitted(counters, demands);
      expect(await refused(counters, demands)).toMatchObject({ used: 2, retryAfterMs: 1_000 });
      first.reservation.release();
      first.reservation.release();
      await admitted(counters, demands);
      expect(await refused(counters, demands)).toMatchObject({ used: 2 });
    });

    it('free slots alone where a call leaves them, once; the rest stays held and is settled as ever', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', concurrency: 1, budget: { amount: 100, window: 'month', unit: 'tokens' } });
      const taken = await counters.take(demands, tokens(60));
      if (taken.kind === 'refused') throw new Error('it was refused');
      taken.reservation.leave();
      expect(await used(counters, demands)).toEqual([0, 60]);
      const next = await counters.take(demands, tokens(40));
      if (next.kind === 'refused') throw new Error('it was refused');
      taken.reservation.leave();
      taken.reservation.settle(tokens(10));
      taken.reservation.release();
      expect(await used(counters, demands)).toEqual([1, 50]);
      next.reservation.release();
      expect(await used(counters, demands)).toEqual([0, 50]);
    });

    it('give out a budget exactly, however many race for it', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', budget: { amount: 100, ...longBudget } });
      const taken = await Promise.all(Array.from({ length: 1_000 }, async () => counters.take(demands, oneCall)));
      expect(taken.filter(({ kind }) => kind === 'admitted')).toHaveLength(100);
      const refusal = await refused(counters, demands);
      expect(refusal.used).toBe(100);
      expect(refusal.retryAfterMs).toBeGreaterThanOrEqual(1);
      expect(refusal.retryAfterMs).toBeLessThanOrEqual(31 * 86_400_000);
    });

    it('put what was used in the place of an estimate, once', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 100, budget: { amount: 100, window: 'month', unit: 'tokens' } });
      const first = await admitted(counters, demands, tokens(80));
      expect(await used(counters, demands)).toEqual([80, 80]);
      expect((await refused(counters, demands, tokens(30))).used).toBe(80);
      first.reservation.settle(tokens(10));
      first.reservation.settle(tokens(0));
      first.reservation.release();
      expect(await used(counters, demands)).toEqual([10, 10]);
      const second = await admitted(counters, demands, tokens(90));
      second.reservation.settle(tokens(150));
      expect(await used(counters, demands)).toEqual([160, 160]);
      expect((await refused(counters, demands, tokens(1))).used).toBe(160);
    });

    it('count what was asked for when nobody says what was used', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 100, budget: { amount: 1, window: 'month', unit: 'usd' } });
      const { reservation } = await admitted(counters, demands, { calls: 1, tokens: 60, nanoUsd: 400_000_000 });
      reservation.release();
      reservation.settle(tokens(1));
      expect(await used(counters, demands)).toEqual([60, 400_000_000]);
    });

    it('take a call back that did not happen', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', rpm: 1, budget: { amount: 1, ...longBudget } });
      const { reservation } = await admitted(counters, demands);
      await refused(counters, demands);
      reservation.settle({ calls: 0, tokens: 0, nanoUsd: 0 });
      reservation.release();
      expect(await used(counters, demands)).toEqual([0, 0]);
      await admitted(counters, demands);
      await refused(counters, demands);
    });

    it('do not hold back a call that uses no tokens for want of tokens', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 10 });
      await admitted(counters, demands, tokens(10));
      await refused(counters, demands, tokens(1));
      const { reservation } = await admitted(counters, demands, tokens(0));
      reservation.settle(tokens(7));
      expect(await used(counters, demands)).toEqual([17]);
    });

    it('say of a call that is larger than the limit that it never fits', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 10 });
      expect(await refused(counters, demands, tokens(11))).toMatchObject({ reason: 'too-large', used: 0 });
      await admitted(counters, demands, tokens(10));
    });

    it.each([Number.NaN, -5, Number.NEGATIVE_INFINITY])('are not confused by a cost of %s', async (amount) => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 10 });
      await admitted(counters, demands, tokens(4));
      const { reservation } = await admitted(counters, demands, tokens(amount));
      reservation.settle(tokens(amount));
      expect(await used(counters, demands)).toEqual([4]);
    });

    it('refuse an endless cost, and survive its settlement', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', tpm: 10 });
      expect((await refused(counters, demands, tokens(Number.POSITIVE_INFINITY))).reason).toBe('too-large');
      const { reservation } = await admitted(counters, demands, tokens(1.5));
      expect(await used(counters, demands)).toEqual([2]);
      reservation.settle(tokens(Number.POSITIVE_INFINITY));
      expect((await refused(counters, demands, tokens(1))).retryAfterMs).toBeLessThanOrEqual(60_000);
    });

    it('report with a shadow limit what it would have refused, and refuse nothing', async () => {
      const counters = await open();
      const rows: LimitRow[] = [{ per: 'key', rpm: 2, concurrency: 2, budget: { amount: 2, ...longBudget } }];
      const shadow = demandsOf(...rows.map((row) => ({ ...row, shadow: true })));
      const real = demandsOf(...rows);
      for (let n = 0; n < 2; n += 1) {
        expect((await admitted(counters, shadow)).wouldRefuse).toEqual([]);
        await admitted(counters, real);
      }
      expect((await admitted(counters, shadow)).wouldRefuse).toEqual(shadow);
      await refused(counters, real);
      expect(await used(counters, shadow)).toEqual(await used(counters, real));
    });

    it('RL-05: keep a count when its limit is raised or lowered', async () => {
      const counters = await open();
      const source = `edited ${Math.random()}`;
      const demandsWith = (rpm: number) =>
        demandsFor([compileLimits([{ per: 'key', rpm }], source)], { namespace: 'n', capability: 'n/t', key: 'k' });
      for (let n = 0; n < 3; n += 1) await admitted(counters, demandsWith(3));
      await refused(counters, demandsWith(3));
      await admitted(counters, demandsWith(4));
      expect((await refused(counters, demandsWith(2))).used).toBe(4);
      await admitted(counters, demandsWith(5));
    });

    it('say until when a budget is used up', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', rpm: 5, budget: { amount: 9, window: 'hour', unit: 'calls' } });
      const [rate, budget] = await counters.usage(demands);
      expect(rate).toEqual({ demand: demands[0], used: 0, resetsInMs: 0 });
      expect(budget).toMatchObject({ demand: demands[1], used: 0 });
      expect(budget?.resetsInMs).toBeGreaterThan(0);
      expect(budget?.resetsInMs).toBeLessThanOrEqual(3_600_000);
    });

    it('say at once how the counters stand that were just asked, whether they let the call in or not', async () => {
      const counters = await open();
      const demands = demandsOf({ per: 'key', rpm: 2, budget: { amount: 9, window: 'hour', unit: 'calls' } });
      const used = () => counters.usageNow(demands).map((usage) => usage.used);
      await admitted(counters, demands);
      expect(used()).toEqual([1, 1]);
      await admitted(counters, demands);
      expect(used()).toEqual([2, 2]);
      await refused(counters, demands);
      expect(used()).toEqual([2, 2]);
      expect(counters.usageNow(demands)[1]?.resetsInMs).toBeGreaterThan(0);
    });

    it('agree with a model on budgets and slots', { timeout: 60_000 }, async () => {
      const counters = await open();
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
          await compareWithModel(counters, steps);
        }),
        { numRuns: process.env.TEST_LONG ? 1_000 : 40 },
      );
    });
  });
}

function bound(counters: Counters): Counters {
  return {
    take: (demands, cost) => counters.take(demands, cost),
    usage: (demands) => counters.usage(demands),
    usageNow: (demands) => counters.usageNow(demands),
    close: () => counters.close(),
  };
}

type Step =
  | { readonly kind: 'take'; readonly tokens: number }
  | { readonly kind: 'settle' | 'release'; readonly which: number; readonly tokens: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('take' as const), tokens: fc.integer({ min: 0, max: 60 }) }),
  fc.record({
    kind: fc.constantFrom('settle' as const, 'release' as const),
    which: fc.nat({ max: 9 }),
    tokens: fc.integer({ min: 0, max: 60 }),
  }),
);

/** Slots 3, calls 8, tokens 100, tokens a minute 120 (long enough that nothing leaves the window while a case runs). */
async function compareWithModel(counters: Counters, steps: readonly Step[]): Promise<void> {
  const demands = demandsOf(
    { per: 'key', concurrency: 3, tpm: 120, budget: { amount: 8, ...longBudget } },
    { per: 'key', budget: { amount: 100, window: 'month', unit: 'tokens' } },
  );
  const calls: { taken: Admitted; tokens: number; isSettled: boolean; isReleased: boolean }[] = [];
  const model = { rate: 0, slots: 0, calls: 0, tokens: 0 };
  function settle(call: (typeof calls)[number], actual: number): void {
    if (call.isSettled) return;
    call.isSettled = true;
    model.rate += actual - call.tokens;
    model.tokens += actual - call.tokens;
  }
  for (const next of steps) {
    if (next.kind === 'take') {
      const fits =
        model.slots < 3 &&
        model.calls < 8 &&
        (next.tokens === 0 || (model.rate + next.tokens <= 120 && model.tokens + next.tokens <= 100));
      const taken = await counters.take(demands, tokens(next.tokens));
      expect(taken.kind).toBe(fits ? 'admitted' : 'refused');
      if (taken.kind === 'refused') continue;
      calls.push({ taken, tokens: next.tokens, isSettled: false, isReleased: false });
      model.slots += 1;
      model.calls += 1;
      model.rate += next.tokens;
      model.tokens += next.tokens;
    } else {
      const call = calls[next.which];
      if (call === undefined) continue;
      if (next.kind === 'settle') {
        call.taken.reservation.settle(tokens(next.tokens));
        settle(call, next.tokens);
      } else {
        call.taken.reservation.release();
        settle(call, call.tokens);
        if (!call.isReleased) model.slots -= 1;
        call.isReleased = true;
      }
    }
    expect(await used(counters, demands)).toEqual([model.rate, model.slots, model.calls, model.tokens]);
  }
  for (const { taken } of calls) taken.reservation.release();
}
