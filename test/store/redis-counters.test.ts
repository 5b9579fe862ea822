import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { windowAt } from '../../src/policy/calendar.ts';
import type { Demand } from '../../src/policy/compile-limits.ts';
import type { LimitRow } from '../../src/policy/limit-rules.ts';
import { RateCounter } from '../../src/store/local-counter.ts';
import type { Cost, Counters } from '../../src/store/ports/counters.ts';
import { calendarLua, takeScript } from '../../src/store/redis/counter-scripts.ts';
import { openRedisCounters } from '../../src/store/redis/counters.ts';
import { admitted, countersContract, demandsOf, oneCall, refused, tokens, used, within } from '../contracts/counters.contract.ts';
import { type Service, servicesTimeoutMs, startRedis } from '../support/services.ts';
import { slowReplies } from '../support/slow-replies.ts';
import { until } from '../support/until.ts';

let redis: Service;

beforeAll(async () => {
  redis = await startRedis();
}, servicesTimeoutMs);
afterAll(async () => await redis?.stop());

type Options = Partial<Parameters<typeof openRedisCounters>[0]>;

async function openAt(url: string, options: Options = {}): Promise<Counters> {
  // A busy machine may take its time; tests of outages ask for less patience.
  return await openRedisCounters({ url, clock: systemClock, answerWithinMs: 5_000, warn: () => {}, ...options });
}

async function replica(url: string, options: Options = {}): Promise<Counters> {
  const counters = await openAt(url, options);
  onTestFinished(async () => await counters.close());
  return counters;
}

async function replicas(url: string, count: number, options: Options = {}): Promise<Counters[]> {
  return await Promise.all(Array.from({ length: count }, async () => await replica(url, options)));
}

async function onRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

async function ownRedis(): Promise<Service> {
  const own = await startRedis();
  onTestFinished(own.stop);
  return own;
}

function pass(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

countersContract('Counters in Redis', async () => ({ open: () => openAt(redis.url), pass }));

const patience = { answerWithinMs: 100 };

function budgetOf(amount: number, row: Partial<LimitRow> = {}): readonly Demand[] {
  return demandsOf({ per: 'key', budget: { amount, window: 'month', unit: 'calls' }, ...row });
}

describe('counters that replicas share', () => {
  it('RL-03: give out a budget of 100 exactly 100 times to 1,000 racers on three replicas', async () => {
    const three = await replicas(redis.url, 3);
    const demands = budgetOf(100);
    const races = Array.from({ length: 1_000 }, async (_, n) => await three[n % 3]!.take(demands, oneCall));
    const taken = await Promise.all(races);
    expect(taken.filter(({ kind }) => kind === 'admitted')).toHaveLength(100);
  });

  it.each([
    ['evenly on three replicas', (n: number) => n % 3],
    ['all on one replica', () => 0],
    ['on another replica in each half second', () => Math.floor(Date.now() / 500) % 3],
  ])('RL-01: keep a rate to within one in a hundred in any window, when ten times as much is asked %s', async (_, choose) => {
    const three = await replicas(redis.url, 3);
    const [limit, windowMs, durationMs] = [200, 1_000, 2_600];
    const demands = within(windowMs, demandsOf({ per: 'key', rpm: limit }));
    const { calls, refusals } = await offer(three, choose, demands, { perMs: (limit * 10) / windowMs, durationMs });
    expect(calls.length).toBeGreaterThan(limit);
    expect(refusals.length).toBeGreaterThan(limit * 5);
    // Redis decided at some moment between question and answer: these were in one window for certain, and those may have been.
    for (const { answeredMs: fromMs } of calls) {
      const certain = calls.filter(({ askedMs, answeredMs }) => askedMs >= fromMs && answeredMs < fromMs + windowMs);
      expect(certain.length).toBeLessThanOrEqual(limit * 1.01);
    }
    for (const refusal of refusals) {
      const possible = calls.filter(
        ({ askedMs, answeredMs }) => answeredMs >= refusal.askedMs - windowMs && askedMs <= refusal.answeredMs,
      );
      expect(possible.length).toBeGreaterThanOrEqual(limit * 0.99);
    }
  });

  it('RL-04: free what a crashed replica held, and nothing of the living', async () => {
    const living = await replica(redis.url, { leaseMs: 600 });
    const demands = demandsOf(
      { per: 'key', concurrency: 4 },
      { per: 'key', budget: { amount: 100, window: 'month', unit: 'tokens' } },
      { per: 'key', budget: { amount: 10, window: 'month', unit: 'calls' } },
    );
    const kept = await admitted(living, demands, tokens(20));
    const killed = await hold(redis.url, 600, demands, tokens(25), 3);
    await refused(living, demands, tokens(1));
    killed.kill('SIGKILL');
    expect(await used(living, demands)).toEqual([4, 95, 4]);
    await until('the lease to run out', async () => (await used(living, demands))[0] === 1);
    // Calls may have been made; estimates and slots are free.
    expect(await used(living, demands)).toEqual([1, 20, 4]);
    await pass(700);
    expect(await used(living, demands)).toEqual([1, 20, 4]);
    kept.reservation.settle(tokens(5));
    kept.reservation.release();
    expect(await used(living, demands)).toEqual([0, 5, 4]);
  });

  it('free at once what a replica held that is closed', async () => {
    const [living, leaving] = [await replica(redis.url), await openAt(redis.url)];
    const demands = demandsOf({ per: 'key', concurrency: 1 });
    await admitted(leaving, demands);
    await refused(living, demands);
    await leaving.close();
    await admitted(living, demands);
  });

  it('keep every key under one hash tag, and none for ever', async () => {
    const own = await ownRedis();
    const counters = await replica(own.url);
    const demands = demandsOf(
      { per: 'key', rpm: 5, tpm: 500, concurrency: 2, budget: { amount: 5, window: 'day', unit: 'calls' } },
      { per: 'key', budget: { amount: 500, window: 'minute', unit: 'tokens' } },
    );
    const { reservation } = await admitted(counters, demands, tokens(50));
    await admitted(counters, demands, tokens(50));
    reservation.settle(tokens(5));
    reservation.release();
    await used(counters, demands);
    const keys = await onRedis(own.url, async (client) => {
      const names = await client.keys('*');
      return await Promise.all(names.map(async (key) => [key, await client.pttl(key)] as const));
    });
    expect(keys.length).toBe(7);
    for (const [key, ttlMs] of keys) {
      expect(key).toMatch(/^\{gatehouse\}:limits:/);
      expect(ttlMs).toBeGreaterThan(0);
    }
  });

  it('keep a budget until its window ends, whatever is held of it', async () => {
    const counters = await replica(redis.url);
    const demands = demandsOf({ per: 'key', budget: { amount: 100, window: 'month', unit: 'tokens' } });
    const leftMs = () => onRedis(redis.url, async (client) => await client.pttl(`{gatehouse}:limits:${demands[0]?.key}`));
    const { reservation } = await admitted(counters, demands, tokens(5));
    const [usage] = await counters.usage(demands);
    expect(await leftMs()).toBeGreaterThan(usage!.resetsInMs);
    reservation.settle(tokens(3));
    expect(await used(counters, demands)).toEqual([3]);
    expect(await leftMs()).toBeGreaterThan(usage!.resetsInMs);
  });

  it('decide on a rate as counters in memory do, call by call, also when the clock of the server is set back', async () => {
    const script = takeScript.replace("redis.call('TIME')", "redis.call('LRANGE', '{test}:time', 0, 1)");
    await onRedis(redis.url, async (client) => {
      let runs = 0;
      const step = fc.record({ passMs: fc.integer({ min: 0, max: 400 }), amount: fc.integer({ min: 1, max: 90 }) });
      const cases = fc.record({
        steps: fc.array(step, { maxLength: 40 }),
        limit: fc.constantFrom(1, 7, 250, 1_000, 12_345),
        setBackAt: fc.nat({ max: 40 }),
      });
      const property = fc.asyncProperty(cases, async ({ steps, limit, setBackAt }) => {
        runs += 1;
        const memory = new RateCounter(2_000);
        let [steadyMs, serverMs] = [5_000, 1_800_000_000_000];
        for (const [at, { passMs, amount }] of steps.entries()) {
          steadyMs += passMs;
          serverMs += passMs;
          // Time that passes while the clock is set back is lost to both.
          if (at === setBackAt) [serverMs, steadyMs] = [serverMs - passMs - 3_600_000, steadyMs - passMs];
          const waitMs = memory.waitMs(amount, limit, steadyMs);
          if (waitMs === 0) memory.take(amount, limit, steadyMs);
          else memory.promise(amount, waitMs, limit, steadyMs);
          await client
            .multi()
            .del('{test}:time')
            .rpush('{test}:time', Math.floor(serverMs / 1_000), (serverMs % 1_000) * 1_000)
            .exec();
          const values = ['h', 'e', 1_000, 'e', 'take', 'rate', limit, 2_000, amount, 0, -1, 0, 0];
          const reply = await client.eval(script, 3, '{test}:replicas', '{test}:epoch', `{test}:${runs}`, ...values);
          expect(reply).toMatchObject({ 2: waitMs === 0 ? 0 : 1, 3: waitMs, 4: memory.used(steadyMs) });
        }
      });
      await fc.assert(property, { numRuns: process.env.TEST_LONG ? 500 : 30 });
    });
  });

  it.each([
    [10, 95],
    [60, 240],
  ])('RL-02: of a crowd that waits as it is told, nearly all are let in then (%i a minute, %i callers)', async (rpm, callers) => {
    const script = takeScript.replace("redis.call('TIME')", "redis.call('LRANGE', '{crowd}:time', 0, 1)");
    await onRedis(redis.url, async (client) => {
      const startMs = 1_800_000_000_000;
      const due = Array.from({ length: callers }, (_, at) => ({ atMs: startMs + (at % 7), isSecond: false }));
      const seen = { waited: 0, admitted: 0, lastMs: 0 };
      for (let next = due.shift(); next !== undefined; next = due.sort((a, b) => a.atMs - b.atMs).shift()) {
        const { atMs, isSecond } = next;
        await client
          .multi()
          .del('{crowd}:time')
          .rpush('{crowd}:time', Math.floor(atMs / 1_000), (atMs % 1_000) * 1_000)
          .exec();
        const values = ['h', 'e', 1_000, 'e', 'take', 'rate', rpm, 60_000, 1, 0, -1, 0, 0];
        const keys = ['{crowd}:replicas', '{crowd}:epoch', `{crowd}:${rpm}`];
        const [, , refusing, waitMs] = (await client.eval(script, 3, ...keys, ...values)) as [string, number, number, number];
        if (isSecond) seen.waited += 1;
        if (refusing === 0) {
          if (isSecond) seen.admitted += 1;
          seen.lastMs = atMs - startMs;
        } else due.push({ atMs: atMs + Math.max(1, Math.ceil(waitMs / 1_000)) * 1_000 + (due.length % 40), isSecond: true });
      }
      expect(seen.waited).toBeGreaterThanOrEqual(callers - rpm);
      expect(seen.admitted / seen.waited).toBeGreaterThanOrEqual(0.99);
      expect(seen.lastMs).toBeLessThanOrEqual(Math.ceil(callers / rpm - 1) * 62_000);
      // What was promised lasts as long as its key.
      expect(await client.pttl(`{crowd}:${rpm}`)).toBeGreaterThan(60_000);
    });
  });

  it('have the same calendar as counters in memory', async () => {
    const days = [
      0,
      1e12,
      Date.UTC(2024, 1, 29, 23, 59, 59, 999),
      Date.UTC(2026, 11, 31, 23, 59, 59, 999),
      Date.UTC(2100, 1, 28),
    ];
    const moments = days.concat(Array.from({ length: 300 }, (_, n) => Math.floor(n * 86_400_000 * 11.37)));
    const lua = `${calendarLua} local found = {} for _, ms in ipairs(ARGV) do for _, window in ipairs({'minute','hour','day','month'}) do
      local first, last = windowAt(window, tonumber(ms)) found[#found+1] = first found[#found+1] = last end end return found`;
    const found = await onRedis(redis.url, async (client) => await client.eval(lua, 0, ...moments));
    const expected = moments.flatMap((atMs) =>
      (['minute', 'hour', 'day', 'month'] as const).flatMap((window) => Object.values(windowAt(window, atMs))),
    );
    expect(found).toEqual(expected);
  });
});

describe('when Redis loses its data', () => {
  it('no budget is filled again, and none is counted more than once', async () => {
    const own = await ownRedis();
    const three = await replicas(own.url, 3);
    const demands = budgetOf(90);
    for (let n = 0; n < 60; n += 1) await admitted(three[n % 3]!, demands);
    await onRedis(own.url, async (client) => await client.flushall());
    for (let n = 0; n < 15; n += 1) await admitted(three[n % 3]!, demands);
    // The replicas knew of 58, 59 and 60 calls: the most counts, in whichever order they come back.
    expect(await used(three[0]!, demands)).toEqual([75]);
    const rest = await Promise.all(Array.from({ length: 60 }, async (_, n) => await three[n % 3]!.take(demands, oneCall)));
    expect(rest.filter(({ kind }) => kind === 'admitted')).toHaveLength(15);
  });

  it('a rate goes on from what was seen last', async () => {
    const own = await ownRedis();
    const counters = await replica(own.url);
    const demands = demandsOf({ per: 'key', rpm: 100 });
    for (let n = 0; n < 90; n += 1) await admitted(counters, demands);
    await onRedis(own.url, async (client) => await client.flushall());
    const taken = await Promise.all(Array.from({ length: 100 }, async () => await counters.take(demands, oneCall)));
    const count = taken.filter(({ kind }) => kind === 'admitted').length;
    // A tenth of what was seen is taken to have left the window meanwhile.
    expect(count).toBeGreaterThanOrEqual(10);
    expect(count).toBeLessThanOrEqual(30);
  });

  it('slots that are held stay held', async () => {
    const own = await ownRedis();
    const [a, b] = await replicas(own.url, 2, { leaseMs: 600 });
    const demands = demandsOf({ per: 'key', concurrency: 2 });
    const first = await admitted(a!, demands);
    await admitted(b!, demands);
    await onRedis(own.url, async (client) => await client.flushall());
    await until('both to tell what they hold', async () => (await used(a!, demands).catch(() => []))[0] === 2);
    await refused(b!, demands);
    first.reservation.release();
    await until('the slot to be free', async () => (await used(b!, demands).catch(() => []))[0] === 1);
    await admitted(b!, demands);
  });
});

describe('while Redis is away', () => {
  it('each limit goes its own way, at once', async () => {
    const counters = await replica('redis://127.0.0.1:1/0', { expectedReplicas: 3 });
    const opens = demandsOf({ per: 'key', rpm: 1, whenStoreGone: 'open' });
    const closes = demandsOf({ per: 'key', rpm: 1_000, whenStoreGone: 'closed' });
    const shares = demandsOf({ per: 'key', rpm: 30, concurrency: 30 });
    for (let n = 0; n < 5; n += 1) expect(counters.take(opens, oneCall)).toMatchObject({ kind: 'admitted' });
    expect(counters.take(closes, oneCall)).toMatchObject({ kind: 'refused', reason: 'store-gone', retryAfterMs: 1_000 });
    const taken = Array.from({ length: 30 }, () => counters.take(shares, oneCall));
    expect(taken.filter((one) => 'kind' in one && one.kind === 'admitted')).toHaveLength(10);
    await expect(counters.usage(shares)).rejects.toThrow(/Redis/);
  });

  it('a budget is shared as it was seen last, and one that was never seen is refused', async () => {
    const own = await startRedis();
    const three = await replicas(own.url, 3, patience);
    await expect.poll(async () => (await admitted(three[0]!, budgetOf(1))).kind).toBe('admitted');
    const seen = budgetOf(100);
    for (let n = 0; n < 40; n += 1) await admitted(three[0]!, seen);
    await used(three[1]!, seen);
    await own.stop();
    const onFirst = await takeMany(three[0]!, seen, 100);
    expect(onFirst).toBe(20);
    expect((await refused(three[1]!, seen)).reason).toBe('store-gone');
  });

  it('RL-07: three replicas together stay within a rate that was asked of all of them', async () => {
    const own = await startRedis();
    const three = await replicas(own.url, 3, patience);
    const demands = demandsOf({ per: 'key', rpm: 300 });
    for (let n = 0; n < 150; n += 1) await admitted(three[n % 3]!, demands);
    await own.stop();
    const after = await Promise.all(three.map(async (counters) => await takeMany(counters, demands, 300)));
    expect(after).toEqual([50, 50, 50]);
  });

  it('a call waits no longer than was agreed, and those after it not at all', async () => {
    const own = await ownRedis();
    const counters = await replica(own.url, patience);
    const demands = demandsOf({ per: 'key', rpm: 1_000 });
    await admitted(counters, demands);
    process.kill(own.pid, 'SIGSTOP');
    const startMs = performance.now();
    await admitted(counters, demands);
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(counters.take(demands, oneCall)).toMatchObject({ kind: 'admitted' });
    process.kill(own.pid, 'SIGCONT');
    await until('Redis to decide again', () => counters.take(demands, oneCall) instanceof Promise);
  });

  it.each([
    ['refused is not counted', 3, 2],
    ['let through counts once', 1, 4],
  ])('what is decided without it, because its answer came late, and %s', async (_, expectedReplicas, counted) => {
    const own = await ownRedis();
    const counters = await replica(own.url, { ...patience, expectedReplicas });
    const demands = demandsOf({ per: 'key', rpm: 6, budget: { amount: 600, window: 'month', unit: 'calls' } });
    const late = { admitted: 0, refused: 0 };
    const ask = async () => {
      late[(await counters.take(demands, oneCall)).kind] += 1;
    };
    await Promise.all([ask(), ask()]);
    process.kill(own.pid, 'SIGSTOP');
    const first = ask();
    // Its answer may come in time, when Redis counts as lost already.
    await pass(60);
    const second = ask();
    await first;
    process.kill(own.pid, 'SIGCONT');
    await second;
    await until('Redis to decide again', () => counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise);
    expect((await used(counters, demands))[0]).toBe(late.admitted);
    expect(late.admitted).toBeGreaterThanOrEqual(counted);
    expect(await used(counters, demands)).toEqual([late.admitted, late.admitted]);
  });

  it('what was let through before is not told again when it is back', async () => {
    const own = await ownRedis();
    const counters = await replica(own.url, patience);
    // Its entries hold up to 100 calls each.
    const demands = demandsOf({ per: 'key', rpm: 10_000 });
    for (let n = 0; n < 60; n += 1) await admitted(counters, demands);
    process.kill(own.pid, 'SIGSTOP');
    for (let n = 0; n < 5; n += 1) await admitted(counters, demands);
    process.kill(own.pid, 'SIGCONT');
    await until('Redis to decide again', () => counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise);
    expect(await used(counters, demands)).toEqual([65]);
  });

  it('what it was told when it came back is not told again, where its answer to that came late', async () => {
    const own = await ownRedis();
    const slow = await slowReplies(own.port);
    const counters = await replica(`redis://127.0.0.1:${slow.port}/0`, patience);
    const demands = demandsOf({ per: 'key', rpm: 150, budget: { amount: 600, window: 'month', unit: 'calls' } });
    await admitted(counters, demands);
    const goOn = slow.hold();
    for (let n = 0; n < 5; n += 1) await admitted(counters, demands);
    slow.holdAfter('spend', 300);
    goOn();
    await until('Redis to decide again', () => counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise);
    expect(await used(counters, demands)).toEqual([6, 6]);
    await admitted(counters, demands);
    expect(await used(counters, demands)).toEqual([7, 7]);
  });

  it('of a call that was let through before, what it used beyond its estimate is told, and no more', async () => {
    const own = await ownRedis();
    const counters = await replica(own.url, patience);
    // Its entries hold up to 100 tokens each.
    const demands = demandsOf({ per: 'key', tpm: 10_000 });
    const before = await admitted(counters, demands, tokens(60));
    process.kill(own.pid, 'SIGSTOP');
    await admitted(counters, demandsOf({ per: 'key', rpm: 9 }));
    before.reservation.settle(tokens(80));
    process.kill(own.pid, 'SIGCONT');
    await until('Redis to decide again', () => counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise);
    expect(await used(counters, demands)).toEqual([80]);
  });

  it('what happened meanwhile counts when it is back', async () => {
    const own = await startRedis();
    const counters = await replica(own.url, patience);
    const calls = budgetOf(100);
    const mixed = demandsOf(
      { per: 'key', rpm: 100, concurrency: 5 },
      { per: 'key', budget: { amount: 1_000, window: 'month', unit: 'tokens' } },
    );
    await admitted(counters, calls);
    const before = await admitted(counters, mixed, tokens(10));
    await own.stop();
    await until('the loss to be seen', () => !(counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise));
    for (let n = 0; n < 7; n += 1) await admitted(counters, calls);
    const during = await admitted(counters, mixed, tokens(20));
    const open = await admitted(counters, mixed, tokens(40));
    before.reservation.settle(tokens(11));
    before.reservation.release();
    during.reservation.settle(tokens(22));
    during.reservation.release();
    const again = await startRedis(own.port);
    onTestFinished(again.stop);
    await until('Redis to decide again', () => counters.take(demandsOf({ per: 'key', rpm: 9 }), oneCall) instanceof Promise);
    await admitted(counters, calls);
    expect(await used(counters, calls)).toEqual([9]);
    await admitted(counters, mixed, tokens(1));
    const [rate, slots, spent] = await used(counters, mixed);
    expect(slots).toBe(2);
    expect(rate).toBeGreaterThanOrEqual(3);
    expect(rate).toBeLessThanOrEqual(4);
    expect(spent).toBe(11 + 22 + 40 + 1);
    open.reservation.settle(tokens(44));
    open.reservation.release();
    await until('all to be told', async () => (await used(counters, mixed))[1] === 1);
    expect((await used(counters, mixed))[2]).toBe(11 + 22 + 44 + 1);
  });

  it.each([
    ['is full', 'maxmemory', '1', '0'],
    ['is a replica that cannot be written to', 'min-replicas-to-write', '1', '0'],
  ])('or %s, calls are decided without it', async (_, setting, bad, good) => {
    const own = await ownRedis();
    const counters = await replica(own.url, patience);
    const demands = demandsOf({ per: 'key', rpm: 100 });
    await admitted(counters, demands);
    await onRedis(own.url, async (client) => await client.config('SET', setting, bad));
    for (let n = 0; n < 5; n += 1) await admitted(counters, demands);
    await until('it to be left alone', () => !(counters.take(demands, oneCall) instanceof Promise));
    await onRedis(own.url, async (client) => await client.config('SET', setting, good));
    await until('Redis to decide again', () => counters.take(demands, oneCall) instanceof Promise);
  });

  it('an address that is none is refused, without repeating it', async () => {
    const error = await openAt('http://canary').catch((thrown: Error) => thrown);
    expect(String(error)).toMatch(/REDIS_URL is not an address/);
    expect(String(error)).not.toContain('canary');
  });
});

/** Another process that holds what it took. */
async function hold(url: string, leaseMs: number, demands: readonly Demand[], cost: Cost, count: number): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('hold-limits.ts', import.meta.url));
  const values = [url, String(leaseMs), JSON.stringify(demands), JSON.stringify(cost), String(count)];
  const child = spawn(process.execPath, [program, ...values], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  for await (const chunk of child.stdout) if (String(chunk).includes('held')) return child;
  throw new Error('It ended before it held anything.');
}

async function takeMany(counters: Counters, demands: readonly Demand[], count: number): Promise<number> {
  const taken = await Promise.all(Array.from({ length: count }, async () => await counters.take(demands, oneCall)));
  return taken.filter(({ kind }) => kind === 'admitted').length;
}

interface Asked {
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** Asks evenly over time; returns when it asked and was answered. */
async function offer(
  three: readonly Counters[],
  choose: (n: number) => number,
  demands: readonly Demand[],
  { perMs, durationMs }: { readonly perMs: number; readonly durationMs: number },
): Promise<{ readonly calls: readonly Asked[]; readonly refusals: readonly Asked[] }> {
  const startMs = performance.now();
  const nowMs = () => performance.now() - startMs;
  const calls: Asked[] = [];
  const refusals: Asked[] = [];
  const running: Promise<void>[] = [];
  async function ask(counters: Counters): Promise<void> {
    const askedMs = nowMs();
    const { kind } = await counters.take(demands, oneCall);
    (kind === 'admitted' ? calls : refusals).push({ askedMs, answeredMs: nowMs() });
  }
  while (nowMs() < durationMs) {
    // Once per turn: on a machine that cannot ask this fast, asking must not keep the answers out.
    const due = Math.floor(nowMs() * perMs);
    while (running.length < due) running.push(ask(three[choose(running.length)]!));
    await pass(2);
  }
  await Promise.all(running);
  return { calls, refusals };
}
