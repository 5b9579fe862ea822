import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { usageOf, warningsOf } from '../../src/alerts/alert.ts';
import { watchAlerts } from '../../src/alerts/alert-watch.ts';
import type { NotifyEvent } from '../../src/notify/notify.ts';
import type { AlertDocument } from '../../src/registry/documents.ts';
import { memoryModelRecords } from '../../src/store/memory/memory-model-records.ts';
import type { ModelCalls, ModelCallsSum } from '../../src/store/ports/model-records.ts';

const noon = Date.UTC(2026, 5, 16, 12);
const hourMs = 3_600_000;

const zero = {
  ...{ calls: 0, failed: 0, cached: 0, failovers: 0, totalMs: 0, totalSquare: 0, firstCalls: 0, firstMs: 0 },
  ...{ tokensIn: 0, tokensOut: 0, nanoUsd: 0, unpriced: 0 },
};
const sum = (model: string, consumer: string, key: string, numbers: Partial<ModelCallsSum>): ModelCallsSum => ({
  ...zero,
  group: [model, consumer, key],
  ...numbers,
});
const sums = [
  sum('labs/fast', 'billing', 'k1', { calls: 6, tokensIn: 600, tokensOut: 60, nanoUsd: 6e9 }),
  sum('labs/fast', 'search', 'k2', { calls: 3, tokensIn: 300, tokensOut: 30, nanoUsd: 3e9 }),
  sum('ops/big', 'billing', 'k1', { calls: 1, tokensIn: 100, tokensOut: 10, nanoUsd: 40e9 }),
];
const daily = (more: Partial<AlertDocument>): AlertDocument => ({
  ...{ per: 'model', unit: 'usd', amount: 10, window: 'day', ...more },
});

describe('US-M-A8: what has been used up', () => {
  test.each([
    [{ per: 'model' }, { 'labs/fast': 9, 'ops/big': 40 }],
    [{ per: 'consumer' }, { billing: 46, search: 3 }],
    [
      { per: 'key', unit: 'calls' },
      { k1: 7, k2: 3 },
    ],
    [{ per: 'all', unit: 'tokens' }, { '': 1100 }],
    [
      { per: 'consumer', match: ['labs/*'] },
      { billing: 6, search: 3 },
    ],
    [{ per: 'model', subject: 'ops/big' }, { 'ops/big': 40 }],
    [{ per: 'all', namespace: 'labs' }, { '': 9 }],
  ] as const)('is added up as the alert says: %j', (more, expected) => {
    const usage = usageOf(daily(more as Partial<AlertDocument>), sums, noon);
    expect(Object.fromEntries(usage.map(({ subject, used }) => [subject, used]))).toEqual(expected);
  });

  test('what it comes to at the present rate is said from a twentieth of the window on', () => {
    expect(usageOf(daily({}), sums, noon)[0]?.forecast).toBeCloseTo(18, 9);
    expect(usageOf(daily({}), sums, noon - 11 * hourMs)[0]?.forecast).toBeUndefined();
    expect(usageOf(daily({}), sums, noon - 10.5 * hourMs)[0]?.forecast).toBeCloseTo(144, 6);
  });
});

describe('US-M-A8: what is worth a word', () => {
  const marks = (more: Partial<AlertDocument>, used: number, forecast?: number) =>
    warningsOf(daily(more), { subject: 'labs/fast', used, forecast }).map(({ mark }) => mark);

  test('the highest threshold that is passed, and nothing below', () => {
    expect(marks({}, 7.99)).toEqual([]);
    expect(marks({}, 8)).toEqual(['0.8']);
    expect(marks({}, 10)).toEqual(['1']);
    expect(marks({ thresholds: [0.5, 2] }, 9)).toEqual(['0.5']);
  });

  test('what will be passed, as long as it is not', () => {
    expect(marks({}, 5, 9.9)).toEqual([]);
    expect(marks({}, 5, 10)).toEqual(['forecast']);
    expect(marks({}, 8, 16)).toEqual(['0.8', 'forecast']);
    expect(marks({}, 11, 22)).toEqual(['1']);
    expect(marks({ forecast: false }, 5, 20)).toEqual([]);
  });

  test('says whose it is, how much of what, and in which window', () => {
    const [warning] = warningsOf(daily({}), { subject: 'labs/fast', used: 8.5, forecast: undefined });
    expect(warning?.text).toBe('The model labs/fast used 8.50 USD of 10.00 USD this day (UTC) (85 %).');
  });
});

const row = (minuteMs: number, nanoUsd: number): ModelCalls => ({
  ...zero,
  ...{
    minuteMs,
    model: 'labs/fast',
    version: 'v1',
    target: 't',
    consumer: 'billing',
    key: 'k1',
    ending: 'stop',
    calls: 1,
    nanoUsd,
  },
});

/** Two replicas that look at the same records. */
function replicasOn(records: ReturnType<typeof memoryModelRecords>, alert: AlertDocument) {
  const told: NotifyEvent[] = [];
  let nowMs = noon;
  let body = alert;
  const look = () =>
    watchAlerts({
      registry: { list: () => [{ id: 'spend', revision: 1, body }] as never },
      records,
      flush: async () => {},
      notifier: { notify: (event) => void told.push(event) },
      ownUrl: () => 'https://gatehouse.example.com',
      clock: { nowMs: () => nowMs },
      log: pino({ level: 'silent' }),
    });
  return {
    told,
    look: async () => void (await Promise.all([look(), look()])),
    at: (ms: number) => {
      nowMs = ms;
    },
    change: (more: Partial<AlertDocument>) => {
      body = { ...body, ...more };
    },
  };
}

describe('US-M-A8: telling', () => {
  test('each threshold once in its window, whatever the number of replicas and looks; again in the next window', async () => {
    const records = memoryModelRecords();
    const replicas = replicasOn(records, daily({ forecast: false }));
    await records.addCalls([row(noon - hourMs, 7e9)]);
    await replicas.look();
    expect(replicas.told).toEqual([]);
    await records.addCalls([row(noon - hourMs, 1.5e9)]);
    await replicas.look();
    await replicas.look();
    expect(replicas.told.map(({ kind, data }) => [kind, data.subject, data.used])).toEqual([['alert.passed', 'labs/fast', 8.5]]);
    await records.addCalls([row(noon, 10e9)]);
    await replicas.look();
    expect(replicas.told).toHaveLength(2);
    expect(replicas.told[1]).toMatchObject({
      title: 'Alert spend: The model labs/fast used 18.50 USD of 10.00 USD this day (UTC) (185 %).',
      url: 'https://gatehouse.example.com/api/alerts',
      audience: { role: 'admin', namespace: '', members: [] },
    });
    replicas.at(noon + 24 * hourMs);
    await replicas.look();
    expect(replicas.told).toHaveLength(2);
    await records.addCalls([row(noon + 23 * hourMs, 9e9)]);
    await replicas.look();
    expect(replicas.told).toHaveLength(3);
  });

  test('who passes several thresholds between two looks is told of once', async () => {
    const records = memoryModelRecords();
    const replicas = replicasOn(records, daily({ forecast: false, thresholds: [0.5, 0.8, 1] }));
    await records.addCalls([row(noon, 40e9)]);
    await replicas.look();
    await replicas.look();
    expect(replicas.told.map(({ text }) => text)).toEqual([expect.stringContaining('(400 %)')]);
  });

  test('what was raised may be passed again', async () => {
    const records = memoryModelRecords();
    const replicas = replicasOn(records, daily({ forecast: false, namespace: 'labs' }));
    await records.addCalls([row(noon, 8e9)]);
    await replicas.look();
    replicas.change({ amount: 100 });
    await replicas.look();
    expect(replicas.told).toHaveLength(1);
    await records.addCalls([row(noon, 80e9)]);
    await replicas.look();
    expect(replicas.told.map(({ audience, data }) => [audience.namespace, data.amount])).toEqual([
      ['labs', 10],
      ['labs', 100],
    ]);
  });

  test('nobody is told twice of a forecast, and of what is passed after it all the same', async () => {
    const records = memoryModelRecords();
    const replicas = replicasOn(records, daily({}));
    await records.addCalls([row(noon - hourMs, 6e9)]);
    await replicas.look();
    await replicas.look();
    expect(replicas.told.map(({ text }) => text)).toEqual([expect.stringContaining('will use about 12.00 USD')]);
    await records.addCalls([row(noon, 2e9)]);
    await replicas.look();
    expect(replicas.told.map(({ data }) => data.used)).toEqual([6, 8]);
  });
});
