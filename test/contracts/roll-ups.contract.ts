import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { latencyBoundsMs, type RollUp, type RollUps, rollUpDimensions } from '../../src/store/ports/roll-ups.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StorePlace } from './store.contract.ts';

const minute = 60_000;
const noon = Date.UTC(2026, 10, 25, 12);
const isLong = process.env.TEST_LONG === '1';

/** What every store promises about calls that were added up. */
export function rollUpsContract(name: string, makePlace: () => Promise<StorePlace>, { isShared }: { isShared: boolean }): void {
  describe(`${name} adds calls up`, () => {
    let place: StorePlace;
    let store: Store;
    let day = 0;

    beforeAll(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterAll(async () => {
      await store.close();
      await place.remove?.();
    });

    /** A day of its own for each test, so that one store serves them all. */
    function fresh(): { readonly rollUps: RollUps; readonly atMs: number; readonly range: { fromMs: number; toMs: number } } {
      day += 1;
      const atMs = noon + day * 24 * 60 * minute;
      return { rollUps: store.rollUps, atMs, range: { fromMs: atMs, toMs: atMs + 60 * minute } };
    }

    it('is empty at first', async () => {
      const { rollUps, range } = fresh();
      expect(await rollUps.query(range)).toEqual([]);
      expect(await rollUps.query({ ...range, by: 'capability', stepMs: minute })).toEqual([]);
      await rollUps.add([]);
    });

    it('adds the same key up, within a batch and over batches, every number of it', async () => {
      const { rollUps, atMs, range } = fresh();
      const one = rollUp(atMs, { latency: latencyOf(3), totalMs: 12.345, bytesIn: 10, bytesOut: 20, tokensIn: 3, tokensOut: 4 });
      const two = rollUp(atMs, { calls: 2, latency: latencyOf(3, 17), totalMs: 400_000, costMicros: 2_500_000 });
      await rollUps.add([one, two]);
      await rollUps.add([one]);
      const [sum, ...others] = await rollUps.query({ ...range, by: 'capability' });
      expect(others).toEqual([]);
      expect(sum).toEqual({
        ...{ group: 'support/get_ticket', atMs, calls: 4, errors: 0, latency: latencyOf(3, 3, 3, 17), totalMs: 400_024.69 },
        ...{ bytesIn: 20, bytesOut: 40, tokensIn: 6, tokensOut: 8, costMicros: 2_500_000 },
      });
    });

    it('keeps sums beyond 32 bits', async () => {
      const { rollUps, atMs, range } = fresh();
      const bytesOut = 2 ** 51;
      await rollUps.add([rollUp(atMs, { bytesOut })]);
      await rollUps.add([rollUp(atMs, { bytesOut })]);
      expect(await rollUps.query(range)).toMatchObject([{ bytesOut: 2 ** 52 }]);
    });

    it.each(rollUpDimensions)('groups by %s and filters by it', async (dimension) => {
      const { rollUps, atMs, range } = fresh();
      await rollUps.add([
        rollUp(atMs, { [dimension]: 'a', calls: 2 }),
        rollUp(atMs + minute, { [dimension]: 'b', calls: 5 }),
        rollUp(atMs + 2 * minute, { [dimension]: 'a' }),
      ]);
      const groups = await rollUps.query({ ...range, by: dimension });
      expect(groups.map(({ group, calls }) => [group, calls])).toEqual([
        ['b', 5],
        ['a', 3],
      ]);
      expect(await rollUps.query({ ...range, filters: { [dimension]: 'a' } })).toMatchObject([{ group: '', calls: 3 }]);
      expect(await rollUps.query({ ...range, by: 'namespace', filters: { [dimension]: 'none such' } })).toEqual([]);
    });

    it('counts calls with a code as errors, and says how many of each code', async () => {
      const { rollUps, atMs, range } = fresh();
      await rollUps.add([rollUp(atMs, { calls: 7 }), rollUp(atMs, { code: 'breaker_open', calls: 2 })]);
      await rollUps.add([rollUp(atMs, { code: 'upstream_timeout' })]);
      expect(await rollUps.query({ ...range, by: 'capability' })).toMatchObject([{ calls: 10, errors: 3 }]);
      const codes = await rollUps.query({ ...range, by: 'code' });
      expect(codes.map(({ group, calls, errors }) => [group, calls, errors])).toEqual([
        ['', 7, 0],
        ['breaker_open', 2, 2],
        ['upstream_timeout', 1, 1],
      ]);
    });

    it('counts from the first minute to the one before the last', async () => {
      const { rollUps, atMs } = fresh();
      for (const at of [0, 1, 2, 3]) await rollUps.add([rollUp(atMs + at * minute + 59_999)]);
      expect(await rollUps.query({ fromMs: atMs + minute, toMs: atMs + 3 * minute })).toMatchObject([{ calls: 2 }]);
    });

    it('gives no more than 3,000 steps of all groups together: those with the most calls', async () => {
      const { rollUps, atMs, range } = fresh();
      const keys = Array.from({ length: 200 }, (_, at) => rollUp(atMs, { key: `key-${at}`, calls: 1000 - at }));
      await rollUps.add(keys);
      expect(await rollUps.query({ ...range, by: 'key' })).toHaveLength(200);
      const steps = await rollUps.query({ ...range, by: 'key', stepMs: minute });
      expect([steps.length, steps[0]?.group, steps.at(-1)?.group]).toEqual([50, 'key-0', 'key-49']);
    });

    it('splits time into steps', async () => {
      const { rollUps, atMs, range } = fresh();
      for (const at of [0, 4, 5, 11]) await rollUps.add([rollUp(atMs + at * minute)]);
      await rollUps.add([rollUp(atMs, { capability: 'support/other', calls: 9 })]);
      const steps = await rollUps.query({ ...range, by: 'capability', stepMs: 5 * minute });
      expect(steps.map(({ group, atMs: at, calls }) => [group, (at - atMs) / minute, calls])).toEqual([
        ['support/other', 0, 9],
        ['support/get_ticket', 0, 2],
        ['support/get_ticket', 5, 1],
        ['support/get_ticket', 10, 1],
      ]);
      const total = await rollUps.query({ ...range, stepMs: 10 * minute });
      expect(total.map(({ calls }) => calls)).toEqual([12, 1]);
    });

    it('returns the groups with the most calls when there are more than asked for', async () => {
      const { rollUps, atMs, range } = fresh();
      await rollUps.add(Array.from({ length: 20 }, (_, n) => rollUp(atMs, { key: `k${n}`, calls: n + 1 })));
      const top = await rollUps.query({ ...range, by: 'key', limit: 2 });
      expect(top.map(({ group }) => group)).toEqual(['k19', 'k18']);
      const steps = await rollUps.query({ ...range, by: 'key', limit: 2, stepMs: minute });
      expect(steps.map(({ group }) => group)).toEqual(['k19', 'k18']);
    });

    it.each([
      { limit: 0 },
      { limit: 1.5 },
      { limit: 1e9 },
      { stepMs: 0 },
      { stepMs: 90_000 },
      { stepMs: minute, toMs: noon * 2 },
      { fromMs: Number.NaN },
    ])('refuses the query %j', async (wrong) => {
      const { rollUps, range } = fresh();
      await expect(rollUps.query({ ...range, ...wrong })).rejects.toMatchObject({ code: 'invalid_params' });
    });

    it('takes names that a database chokes on, and goes on adding to them', async () => {
      const { rollUps, atMs, range } = fresh();
      const names = ['a\0b', '\u{D800}', "'; drop table roll_ups; --", '__proto__', '\u{1F600}', 'x'.repeat(100_000)];
      for (const _ of [1, 2]) await rollUps.add(names.map((capability) => rollUp(atMs, { capability })));
      const groups = await rollUps.query({ ...range, by: 'capability' });
      expect(groups.map(({ calls }) => calls)).toEqual([2, 2, 2, 2, 2, 2]);
      expect(groups.map(({ group }) => group)).toEqual(expect.arrayContaining(['__proto__', '\u{1F600}', 'x'.repeat(300)]));
    });

    it('takes numbers that are none as nothing', async () => {
      const { rollUps, atMs, range } = fresh();
      await rollUps.add([rollUp(atMs, { totalMs: Number.NaN, bytesIn: Number.POSITIVE_INFINITY, tokensIn: 1.4 })]);
      expect(await rollUps.query(range)).toMatchObject([{ calls: 1, totalMs: 0, bytesIn: 0, tokensIn: 1 }]);
    });

    it('takes the largest batch in one go', async () => {
      const { rollUps, atMs, range } = fresh();
      await rollUps.add(Array.from({ length: 500 }, (_, n) => rollUp(atMs, { capability: `support/t${n}` })));
      expect(await rollUps.query(range)).toMatchObject([{ calls: 500 }]);
    });

    it('prunes whole minutes before a time, and nothing else', async () => {
      const { rollUps } = fresh();
      const longAgo = Date.UTC(2001, 0, 1);
      for (const at of [0, 1, 90, 300]) await rollUps.add([rollUp(longAgo + at * minute)]);
      const range = { fromMs: longAgo, toMs: longAgo + 24 * 60 * minute };
      expect(await rollUps.prune(longAgo + minute - 1)).toBe(0);
      expect(await rollUps.prune(longAgo + 299 * minute)).toBe(3);
      expect(await rollUps.query(range)).toMatchObject([{ calls: 1 }]);
      expect(await rollUps.prune(longAgo + 301 * minute)).toBe(1);
      expect(await rollUps.query(range)).toEqual([]);
    });

    it('sums are those of a plain loop over what was added', async () => {
      const { rollUps, atMs } = fresh();
      let at = atMs;
      const entry = fc.record({
        minute: fc.nat(3),
        capability: fc.constantFrom<string>('a/x', 'a/y', 'b/x'),
        key: fc.constantFrom('', 'k1', 'k2'),
        code: fc.constantFrom('', 'internal'),
        calls: fc.integer({ min: 1, max: 5 }),
        bucket: fc.nat(17),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 4 }), async (batches) => {
          at += 10 * minute;
          for (const batch of batches) {
            await rollUps.add(
              batch.map(({ minute: n, bucket, ...entry }) => rollUp(at + n * minute, { ...entry, latency: latencyOf(bucket) })),
            );
          }
          const all = batches.flat();
          const sums = await rollUps.query({ fromMs: at, toMs: at + 10 * minute, by: 'capability', filters: { key: 'k1' } });
          const expected = Map.groupBy(
            all.filter(({ key }) => key === 'k1'),
            ({ capability }) => capability,
          );
          expect(new Set(sums.map(({ group }) => group))).toEqual(new Set(expected.keys()));
          for (const { group, calls, errors, latency } of sums) {
            const entries = expected.get(group) ?? [];
            expect(calls).toBe(entries.reduce((sum, entry) => sum + entry.calls, 0));
            expect(errors).toBe(entries.reduce((sum, entry) => sum + (entry.code === '' ? 0 : entry.calls), 0));
            expect(latency).toEqual(latencyOf(...entries.map(({ bucket }) => bucket)));
          }
        }),
        { numRuns: isLong ? 200 : 15 },
      );
    });

    describe.runIf(isShared)('from several processes', () => {
      it('adds up what all of them add at the same time', async () => {
        const { rollUps, atMs, range } = fresh();
        const others = [await place.open(), await place.open()];
        const replicas = [rollUps, ...others.map((other) => other.rollUps)];
        const capabilities = Array.from({ length: 60 }, (_, n) => `support/t${n}`);
        const rounds = Array.from({ length: 5 }, async () => {
          for (const [n, replica] of replicas.entries()) {
            // Each in another order: rows that are locked in different orders would block one another.
            const order = n === 1 ? capabilities.toReversed() : capabilities;
            await replica.add(order.map((capability) => rollUp(atMs, { capability, latency: latencyOf(n) })));
          }
        });
        await Promise.all(rounds);
        const [sum] = await rollUps.query(range);
        for (const other of others) await other.close();
        expect(sum?.calls).toBe(60 * 5 * 3);
        expect(sum?.latency.slice(0, 3)).toEqual([300, 300, 300]);
      });

      it('is there for whoever opens it next', async () => {
        const { rollUps, atMs, range } = fresh();
        await rollUps.add([rollUp(atMs)]);
        const next = await place.open();
        expect(await next.rollUps.query(range)).toMatchObject([{ calls: 1 }]);
        await next.close();
      });
    });
  });
}

function latencyOf(...buckets: number[]): number[] {
  return Array.from({ length: latencyBoundsMs.length + 1 }, (_, bucket) => buckets.filter((one) => one === bucket).length);
}

function rollUp(minuteMs: number, changes: Partial<RollUp> = {}): RollUp {
  return {
    ...{ minuteMs, namespace: 'support', capability: 'support/get_ticket', consumer: 'web', key: 'k', member: '', code: '' },
    ...{ upstream: 'support/tickets', calls: 1, latency: [], totalMs: 0, bytesIn: 0, bytesOut: 0, tokensIn: 0, tokensOut: 0 },
    ...{ costMicros: 0, ...changes },
  };
}
