import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { RollUp, RollUps } from '../../src/store/ports/roll-ups.ts';
import { RollUpBuffer } from '../../src/telemetry/roll-up-buffer.ts';
import { course, logInto, noon, type Said } from './telemetry-setup.ts';

const minute = 60_000;
const day = { fromMs: noon - 12 * 60 * minute, toMs: noon + 12 * 60 * minute };

let nowMs: number;
let said: Said[];
let store: RollUps;
let batches: (readonly RollUp[])[];
let failure: Error | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  nowMs = noon;
  said = [];
  batches = [];
  failure = undefined;
  store = memoryStore().rollUps;
});
afterEach(() => vi.useRealTimers());

/** On a store that can be told to fail. */
function openBuffer(): RollUpBuffer {
  const sometimes: RollUps = {
    async add(batch) {
      if (failure !== undefined) throw failure;
      batches.push(batch);
      await store.add(batch);
    },
    query: (query) => store.query(query),
    prune: (beforeMs) => store.prune(beforeMs),
  };
  return new RollUpBuffer({ store: sometimes, clock: { nowMs: () => nowMs }, log: logInto(said), retentionMs: 60 * minute });
}

describe('calls', () => {
  test('are stored by themselves within ten seconds, added up', async () => {
    const buffer = openBuffer();
    for (const ms of [3, 4, 2500]) buffer.add(course({ ms, tokensIn: 1, tokensOut: 2, costMicros: 5 }));
    buffer.add(course({ outcome: 'failed', code: 'upstream_timeout', member: 'm', consumer: undefined }));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(batches.map(({ length }) => length)).toEqual([2]);
    const [sum] = await store.query({ ...day, by: 'capability' });
    expect(sum).toMatchObject({ group: 'support/get_ticket', calls: 4, errors: 1, bytesIn: 400, bytesOut: 8000 });
    expect(sum).toMatchObject({ tokensIn: 3, tokensOut: 6, costMicros: 15, totalMs: 2519.5 });
    expect(sum?.latency.slice(0, 13)).toEqual([0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
    expect(await store.query({ ...day, by: 'member' })).toMatchObject([
      { group: '', calls: 3 },
      { group: 'm', calls: 1 },
    ]);
  });

  test('of a minute stay in that minute, also when the clock is set back', async () => {
    const buffer = openBuffer();
    for (const at of [0, 59_999, minute, 61_000, 30_000]) {
      nowMs = noon + at;
      buffer.add(course());
    }
    await buffer.flush();
    const steps = await store.query({ ...day, stepMs: minute });
    expect(steps.map(({ atMs, calls }) => [(atMs - noon) / minute, calls])).toEqual([
      [0, 3],
      [1, 2],
    ]);
  });

  test('that nobody makes cost no timer', async () => {
    const buffer = openBuffer();
    expect(vi.getTimerCount()).toBe(0);
    buffer.add(course());
    buffer.add(course());
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of hostile names are bounded in memory, and none is lost from the totals', async () => {
    const buffer = openBuffer();
    for (let n = 0; n < 30_000; n += 1) {
      const outcome = n % 3 === 0 ? { outcome: 'failed' as const, code: `code${n}` } : {};
      buffer.add(course({ capability: `support/${n}-${'x'.repeat(1000)}`, key: `${n}`, ...outcome }));
    }
    await buffer.flush();
    const rows = batches.flat();
    expect(rows.length).toBeLessThan(10_200);
    expect(Math.max(...rows.map(({ capability }) => capability.length))).toBe(200);
    expect(await store.query(day)).toMatchObject([{ calls: 30_000, errors: 10_000 }]);
    const [most] = await store.query({ ...day, by: 'capability' });
    expect(most).toMatchObject({ group: '(other)', calls: 20_000 });
    expect(Math.max(...batches.map(({ length }) => length))).toBeLessThanOrEqual(50);
  });
});

describe('a store that fails', () => {
  test('is told again later, once of each call, and the log once of the failure', async () => {
    const buffer = openBuffer();
    failure = new Error('gone');
    for (let at = 0; at < 3; at += 1) {
      nowMs = noon + at * minute;
      buffer.add(course());
      await buffer.flush();
    }
    expect(said).toMatchObject([{ level: 'warn', fields: { reason: 'gone' } }]);
    failure = undefined;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await store.query(day)).toMatchObject([{ calls: 3 }]);
    expect(said.at(-1)).toMatchObject({ level: 'info', fields: { failures: 3 } });
    expect(vi.getTimerCount()).toBe(0);
  });

  test('for long costs the oldest minutes and no more memory', async () => {
    const buffer = openBuffer();
    failure = new Error('gone');
    for (let at = 0; at < 3; at += 1) {
      nowMs = noon + at * minute;
      for (let n = 0; n < 9000; n += 1) buffer.add(course({ key: `${n}` }));
      await buffer.flush();
    }
    expect(buffer.dropped).toBe(7000);
    failure = undefined;
    await buffer.flush();
    const steps = await store.query({ ...day, stepMs: minute });
    expect(steps.map(({ calls }) => calls)).toEqual([2000, 9000, 9000]);
  });

  test('or hangs does not keep the gateway from closing', async () => {
    const hanging: RollUps = { ...store, add: () => new Promise(() => {}) };
    const buffer = new RollUpBuffer({ store: hanging, clock: { nowMs: () => nowMs }, log: logInto(said), retentionMs: minute });
    buffer.add(course());
    const closing = buffer.close();
    await vi.advanceTimersByTimeAsync(3000);
    await closing;
    expect(vi.getTimerCount()).toBe(0);
  });
});

test('minutes beyond the retention are removed, once an hour', async () => {
  const buffer = openBuffer();
  const at = async (minutes: number) => {
    nowMs = noon + minutes * minute;
    buffer.add(course());
    await buffer.flush();
    return (await store.query({ ...day, stepMs: minute })).map(({ atMs }) => (atMs - noon) / minute);
  };
  expect(await at(0)).toEqual([0]);
  expect(await at(50)).toEqual([0, 50]);
  expect(await at(62)).toEqual([50, 62]);
  expect(await at(115)).toEqual([50, 62, 115]);
  expect(await at(125)).toEqual([115, 125]);
});

test('closing stores what is left', async () => {
  const buffer = openBuffer();
  buffer.add(course());
  await buffer.close();
  expect(await store.query(day)).toMatchObject([{ calls: 1 }]);
});
