import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/clock.ts';
import { admitRating } from '../../../src/inbound/models/rate.ts';
import { openMemoryCounters } from '../../../src/store/memory/counters.ts';
import type { Counters } from '../../../src/store/ports/counters.ts';
import { openRedisCounters } from '../../../src/store/redis/counters.ts';
import { type Service, servicesTimeoutMs, startRedis } from '../../support/services.ts';

const warn = () => {};

/** How many of so many ratings of one caller are taken, by turns at each of these. */
async function taken(all: readonly Counters[], id: string, count: number): Promise<number> {
  const tries = Array.from({ length: count }, (_, n) => admitRating(all[n % all.length] as Counters, { id }));
  const answers = await Promise.allSettled(tries);
  const refused = answers.filter((answer) => answer.status === 'rejected');
  for (const { reason } of refused) {
    expect(reason).toMatchObject({ code: 'rate_limited' });
    expect(reason.retryAfterMs).toBeGreaterThan(0);
  }
  return count - refused.length;
}

test('ratings of one caller are taken up to a number in each minute, and those of others go on', async () => {
  const clock = { ms: 1_700_000_000_000, nowMs: () => clock.ms };
  const counters = await openMemoryCounters({ clock, warn });
  onTestFinished(() => counters.close());
  expect(await taken([counters], 'key:busy', 700)).toBe(600);
  expect(await taken([counters], 'key:other', 10)).toBe(10);
});

describe('with Redis', () => {
  let redis: Service;
  beforeAll(async () => {
    redis = await startRedis();
  }, servicesTimeoutMs);
  afterAll(() => redis?.stop());

  test('replicas hold one limit together', async () => {
    const replicas = await Promise.all([0, 1, 2].map(() => openRedisCounters({ url: redis.url, clock: systemClock, warn })));
    onTestFinished(async () => void (await Promise.all(replicas.map((one) => one.close()))));
    const together = await taken(replicas, 'key:busy', 900);
    // Of a rate at least 99 % are given out, and never more than its amount.
    expect(together).toBeGreaterThanOrEqual(594);
    expect(together).toBeLessThanOrEqual(600);
    expect(await taken(replicas, 'key:other', 9)).toBe(9);
  });
});
