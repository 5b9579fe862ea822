import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ModelCalls, type ModelRecords, modelBatchLimit } from '../../src/store/ports/model-records.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StorePlace } from './store.contract.ts';

const minute = 60_000;
const noon = Date.UTC(2026, 10, 25, 12);

/** What every store promises about models. */
export function modelRecordsContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${name} keeps what models did`, () => {
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
    function fresh(): {
      readonly records: ModelRecords;
      readonly atMs: number;
      readonly range: { fromMs: number; toMs: number };
    } {
      day += 1;
      const atMs = noon + day * 24 * 60 * minute;
      return { records: store.models, atMs, range: { fromMs: atMs, toMs: atMs + 60 * minute } };
    }

    it('has no sum of nothing', async () => {
      const { records, range } = fresh();
      await records.addCalls([]);
      expect(await records.sumCalls({ ...range, by: ['model'] })).toEqual([]);
      expect(await records.sumCalls({ ...range, by: [] })).toEqual([]);
    });

    it('adds the same key up, within a batch and over batches, every number of it', async () => {
      const { records, atMs, range } = fresh();
      const one = calls(atMs, { totalMs: 12.5, totalSquare: 156.25, firstCalls: 1, firstMs: 3.5, tokensIn: 7, nanoUsd: 2 ** 40 });
      const two = calls(atMs + 1000, {
        calls: 2,
        failed: 1,
        cached: 1,
        failovers: 3,
        tokensOut: 9,
        nanoUsd: 2 ** 50,
        unpriced: 1,
      });
      await records.addCalls([one, two]);
      await records.addCalls([one]);
      expect(await records.sumCalls({ ...range, by: ['model'] })).toEqual([
        {
          ...{ group: ['models/fast'], calls: 4, failed: 1, cached: 1, failovers: 3, totalMs: 25, totalSquare: 312.5 },
          ...{ firstCalls: 2, firstMs: 7, tokensIn: 14, tokensOut: 9, nanoUsd: 2 ** 50 + 2 ** 41, unpriced: 1 },
        },
      ]);
    });

    it('groups by several dimensions, the most calls first, and filters by each', async () => {
      const { records, atMs, range } = fresh();
      await records.addCalls([
        calls(atMs, { version: 'a', ending: 'stop', calls: 1 }),
        calls(atMs, { version: 'b', ending: 'stop', calls: 3 }),
        calls(atMs, { version: 'b', ending: 'length', calls: 2, consumer: 'billing' }),
        calls(atMs, { model: 'models/other', calls: 9 }),
      ]);
      const groups = await records.sumCalls({ ...range, by: ['version', 'ending'], filters: { model: 'models/fast' } });
      expect(groups.map(({ group, calls }) => [...group, calls])).toEqual([
        ['b', 'stop', 3],
        ['b', 'length', 2],
        ['a', 'stop', 1],
      ]);
      expect(await records.sumCalls({ ...range, by: [], filters: { consumer: 'billing' } })).toMatchObject([
        { group: [], calls: 2 },
      ]);
    });

    it('counts whole minutes from the first to before the last', async () => {
      const { records, atMs, range } = fresh();
      await records.addCalls([calls(range.fromMs - 1), calls(range.fromMs), calls(range.toMs - 1), calls(range.toMs)]);
      expect(await records.sumCalls({ ...range, by: [] })).toMatchObject([{ calls: 2 }]);
      expect(atMs).toBe(range.fromMs);
    });

    it('takes a batch of the largest size, and names that databases do not like', async () => {
      const { records, atMs, range } = fresh();
      const batch = Array.from({ length: modelBatchLimit }, (_, index) => calls(atMs, { target: `t\0${index}\ud800` }));
      await records.addCalls(batch);
      await records.addCalls(batch);
      expect(await records.sumCalls({ ...range, by: [] })).toMatchObject([{ calls: 2 * modelBatchLimit }]);
    });

    it('rates an answer once, and adds ratings up by version', async () => {
      const { records, atMs, range } = fresh();
      const answer = { atMs, model: 'models/fast', consumer: 'billing' };
      await records.addAnswers([
        { ...answer, id: `a${day}`, version: 'a' },
        { ...answer, id: `a${day}`, version: 'later' },
      ]);
      expect(await records.findAnswer(`a${day}`)).toEqual({ ...answer, id: `a${day}`, version: 'a' });
      expect(await records.findAnswer('nobody')).toBeUndefined();
      expect(await records.rate({ ...answer, id: `a${day}`, version: 'a', score: 1, note: 'good' })).toBe(true);
      expect(await records.rate({ ...answer, id: `a${day}`, version: 'a', score: 0, note: undefined })).toBe(false);
      expect(await records.rate({ ...answer, id: `b${day}`, version: 'b', score: 0.5, note: undefined })).toBe(true);
      expect(await records.sumRatings('models/fast', range.fromMs, range.toMs)).toEqual([
        { version: 'a', ratings: 1, total: 1, totalSquare: 1 },
        { version: 'b', ratings: 1, total: 0.5, totalSquare: 0.25 },
      ]);
    });

    it('lets one of many claim an alert', async () => {
      const { records, atMs } = fresh();
      const event = { id: `e${day}`, atMs, alert: 'spend', subject: 'models/fast', message: 'most of it', used: 8.5, amount: 10 };
      const claims = await Promise.all(Array.from({ length: 10 }, () => records.claimAlert(event)));
      expect(claims.filter(Boolean)).toHaveLength(1);
      expect(await records.listAlerts(atMs, 10)).toEqual([event]);
    });

    it('lists failovers, newest first, of one model or of all', async () => {
      const { records, atMs, range } = fresh();
      const event = { model: 'models/fast', from: 'one', reason: 'status-503', kind: 'failover' as const };
      const first = { ...event, id: `f1-${day}`, atMs, to: 'two' };
      const second = { ...event, id: `f2-${day}`, atMs: atMs + 5, to: undefined };
      await records.addFailovers([first, second]);
      await records.addFailovers([first, { ...event, id: `f3-${day}`, atMs, to: 'x', model: 'models/other' }]);
      expect(await records.listFailovers({ ...range, model: 'models/fast', limit: 10 })).toEqual([second, first]);
      expect(await records.listFailovers({ ...range, limit: 1 })).toEqual([second]);
      expect(await records.listFailovers({ ...range, limit: 10 })).toHaveLength(3);
      const targets = async (query: object) => (await records.listFailovers({ ...range, limit: 10, ...query })).length;
      expect(await targets({ target: 'x' })).toBe(1);
      expect(await targets({ target: event.from })).toBe(3);
      expect(await targets({ target: 'nobody' })).toBe(0);
      expect([await targets({ kind: event.kind }), await targets({ kind: 'refused' })]).toEqual([3, 0]);
      const spaces = async (...names: string[]) => targets({ namespaces: new Set(names) });
      expect([await spaces('models', 'x'), await spaces('model'), await spaces()]).toEqual([3, 0, 0]);
    });

    it('filters failovers by everything at once, as a list in memory would', async () => {
      const { records, atMs, range } = fresh();
      const pick = <T>(of: readonly T[], turn: number): T => of[turn % of.length]!;
      const events = Array.from({ length: 120 }, (_, turn) => ({
        id: `many-${day}-${String(turn).padStart(3, '0')}`,
        // Several at the same moment, one before and one behind the range.
        atMs: atMs - 1 + Math.floor(turn / 3) * 92_308,
        model: pick(['models/fast', 'models/fast-2', 'models-2/fast', 'MODELS/fast', 'modelsx/fast'], turn),
        from: pick(['one', 'two', 'One', 'on_', 'o%'], Math.floor(turn / 2)),
        to: pick(['two', undefined, 'three'], Math.floor(turn / 5)),
        reason: 'status-503',
        kind: pick(['failover', 'ejected', 'returned', 'refused'] as const, Math.floor(turn / 7)),
      }));
      await records.addFailovers(events);
      const newest = events.toSorted((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
      for (const model of [undefined, 'models/fast', 'models/FAST', 'models/%'])
        for (const kind of [undefined, 'ejected', 'refused'] as const)
          for (const target of [undefined, 'two', 'three', 'o%', 'on_', 'ONE', "o'ne"])
            for (const names of [undefined, [], ['models'], ['models-2', 'modelsx'], ['%'], ['model_']])
              for (const limit of [7, 1000]) {
                const namespaces = names === undefined ? undefined : new Set(names);
                const expected = newest
                  .filter((event) => event.atMs >= range.fromMs && event.atMs < range.toMs)
                  .filter((event) => model === undefined || event.model === model)
                  .filter((event) => kind === undefined || event.kind === kind)
                  .filter((event) => target === undefined || event.from === target || event.to === target)
                  .filter((event) => namespaces?.has(event.model.slice(0, event.model.indexOf('/'))) ?? true)
                  .slice(0, limit);
                const query = { ...range, model, kind, target, namespaces, limit };
                expect(await records.listFailovers(query), JSON.stringify({ ...query, names })).toEqual(expected);
              }
    });

    it('takes texts that databases do not like, of failovers and of ratings, and looks for them', async () => {
      const { records, atMs, range } = fresh();
      const odd = 'a\0b\ud800';
      const event = { id: `odd-${day}`, atMs, model: 'models/fast', kind: 'failover' as const };
      await records.addFailovers([{ ...event, from: odd, to: odd, reason: odd }]);
      const shown = 'a\u{FFFD}b\u{FFFD}';
      expect(await records.listFailovers({ ...range, limit: 10 })).toEqual([{ ...event, from: shown, to: shown, reason: shown }]);
      expect(await records.listFailovers({ ...range, target: odd, limit: 10 })).toHaveLength(1);
      expect(await records.listFailovers({ ...range, model: odd, limit: 10 })).toEqual([]);
      expect(await records.findAnswer(odd)).toBeUndefined();
      const rating = { id: `odd-${day}`, atMs, model: 'models/fast', version: odd, consumer: 'billing', score: 1, note: odd };
      expect(await records.rate(rating)).toBe(true);
      expect(await records.sumRatings('models/fast', range.fromMs, range.toMs)).toMatchObject([{ version: shown, ratings: 1 }]);
      expect(await records.sumCalls({ ...range, by: [], filters: { target: odd } })).toEqual([]);
    });

    it('forgets what is old', async () => {
      const { records, range } = fresh();
      await records.addCalls([calls(range.fromMs), calls(range.toMs)]);
      expect(await records.prune(range.toMs)).toBeGreaterThan(0);
      expect(await records.sumCalls({ fromMs: 0, toMs: range.toMs + minute, by: [] })).toMatchObject([{ calls: 1 }]);
    });
  });
}

function calls(minuteMs: number, changes: Partial<ModelCalls> = {}): ModelCalls {
  return {
    minuteMs,
    model: 'models/fast',
    version: '',
    target: '',
    consumer: '',
    key: '',
    ending: '',
    calls: 1,
    failed: 0,
    cached: 0,
    failovers: 0,
    totalMs: 0,
    totalSquare: 0,
    firstCalls: 0,
    firstMs: 0,
    tokensIn: 0,
    tokensOut: 0,
    nanoUsd: 0,
    unpriced: 0,
    ...changes,
  };
}
