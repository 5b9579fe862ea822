import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { memorySightings } from '../../src/store/memory/memory-sightings.ts';
import type { SightingRows, Sightings } from '../../src/store/ports/sightings.ts';
import { openRedisSightings, type RedisSightingsOptions } from '../../src/store/redis/redis-sightings.ts';
import { noteAheadMs, openSightings } from '../../src/store/sightings.ts';
import { sightingsContract } from '../contracts/sightings.contract.ts';
import { type PostgresService, type Service, servicesTimeoutMs, startPostgres, startRedis } from '../support/services.ts';
import { until } from '../support/until.ts';
import { isLong, open, temporaryDataDir } from './store-setup.ts';

let postgres: PostgresService;
let redis: Service;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
}, servicesTimeoutMs);
afterAll(async () => {
  await Promise.all([postgres?.stop(), redis?.stop()]);
});

const warn = () => {};
const masterKey = Buffer.alloc(32, 1);

async function storeRows(options: Parameters<typeof open>[0]): Promise<SightingRows> {
  const store = await open(options);
  onTestFinished(() => store.close());
  return store.sightings;
}

function redisRows(url: string, options: Partial<RedisSightingsOptions> = {}) {
  // A busy machine may take its time; tests of outages ask for less patience.
  const rows = openRedisSightings({ url, warn, onReturn: () => {}, answerWithinMs: 5_000, ...options });
  onTestFinished(() => rows.close());
  return rows;
}

describe('in memory', () => {
  sightingsContract(async () => {
    const rows = memorySightings(systemClock);
    return { open: async () => rows };
  });
});

describe('in SQLite', () => {
  sightingsContract(async () => {
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    return { open: () => storeRows({ dataDir }) };
  });
});

describe('in PostgreSQL', () => {
  sightingsContract(async () => {
    const databaseUrl = await postgres.createDatabase();
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    return { open: () => storeRows({ dataDir, databaseUrl, masterKey }) };
  });
});

describe('in Redis', () => {
  sightingsContract(async () => {
    const client = new Redis(redis.url);
    await client.flushall();
    client.disconnect();
    return { open: async () => redisRows(redis.url) };
  });

  async function ownRedis(port?: number): Promise<Service> {
    const own = await startRedis(port);
    onTestFinished(own.stop);
    return own;
  }

  it('asks nothing of it before the first use, and holds no name there', async () => {
    const own = await ownRedis();
    const rows = redisRows(own.url);
    const client = new Redis(own.url);
    onTestFinished(() => client.disconnect());
    expect(await client.info('clients')).toContain('connected_clients:1');
    await rows.note([{ key: 'k', agoMs: -noteAheadMs }]);
    expect(await client.keys('*')).toEqual(['gatehouse:seen:k']);
    expect(await client.get('gatehouse:seen:k')).toBe('');
  });

  it('rejects while it is away or does not answer, and works again when it is there', { timeout: 30_000 }, async () => {
    const own = await ownRedis();
    const rows = redisRows(own.url, { answerWithinMs: 300, retoldWithinMs: 0 });
    await rows.note([{ key: 'a', agoMs: 0 }]);
    process.kill(own.pid, 'SIGSTOP');
    await expect(rows.note([{ key: 'a', agoMs: 0 }])).rejects.toThrow();
    await expect(rows.agesMs(['a'])).rejects.toThrow();
    process.kill(own.pid, 'SIGCONT');
    expect((await until('it answers', () => rows.agesMs(['a']).catch(() => undefined)))[0]).toBeLessThan(30_000);
  });

  it('that was never there rejects at once', async () => {
    const rows = redisRows('redis://127.0.0.1:1/0');
    await expect(rows.note([{ key: 'a', agoMs: 0 }])).rejects.toThrow();
    await expect(rows.agesMs(['a'])).rejects.toThrow();
  });

  it('that came back tells nobody anything before all could tell it again', { timeout: 30_000 }, async () => {
    const own = await startRedis();
    let returns = 0;
    const rows = redisRows(own.url, { onReturn: () => void returns++, retoldWithinMs: 60_000 });
    expect(await rows.agesMs(['a'])).toEqual([undefined]);
    await own.stop();
    await ownRedis(own.port);
    await until('it is there', () => returns > 0);
    await expect(rows.agesMs(['a'])).rejects.toThrow('is being told again');
    await rows.note([{ key: 'a', agoMs: 0 }]);
    expect(returns).toBe(1);
  });

  it('that lost what it knew is told again by all who know it, and tells nobody anything before', {
    timeout: 30_000,
  }, async () => {
    const own = await startRedis();
    const connect = (onReturn: () => void) => redisRows(own.url, { onReturn, retoldWithinMs: 1_500, answerWithinMs: 1_000 });
    const one = openSightings(connect, { clock: systemClock, warn });
    const other = openSightings(connect, { clock: systemClock, warn });
    await one.note(['a']);
    expect((await other.agesMs(['a'], 0))[0]).toBeLessThan(60_000);
    await own.stop();
    await until('it is away', () =>
      Promise.resolve(other.agesMs(['a'], 0)).then(
        () => false,
        () => true,
      ),
    );
    await ownRedis(own.port);
    const first = await until('it answers', () => Promise.resolve(other.agesMs(['a'], 0)).catch(() => undefined));
    expect(first[0]).toBeLessThan(60_000);
  });
});

describe('what this process notes', () => {
  interface Counting {
    readonly sightings: Sightings;
    readonly writes: string[][];
    readonly reads: string[][];
    readonly clock: { ms: number; nowMs(): number };
    fail: Error | undefined;
  }

  function counting(): Counting {
    const clock = { ms: 1_000_000, nowMs: () => clock.ms };
    const rows = memorySightings(clock);
    const made: Omit<Counting, 'sightings'> = { writes: [], reads: [], clock, fail: undefined };
    const watched: SightingRows = {
      ...rows,
      async note(batch) {
        made.writes.push(batch.map(({ key }) => key));
        if (made.fail) throw made.fail;
        await rows.note(batch);
      },
      async agesMs(keys) {
        made.reads.push([...keys]);
        if (made.fail) throw made.fail;
        return await rows.agesMs(keys);
      },
    };
    return Object.assign(made, { sightings: openSightings(() => watched, { clock, warn }) });
  }

  it('it writes once in a while, however often it is handed', async () => {
    const { sightings, writes, clock } = counting();
    await sightings.note(['a']);
    for (let n = 0; n < 100; n++) expect(sightings.note(['a'])).toBeUndefined();
    clock.ms += noteAheadMs - 1;
    expect(sightings.note(['a'])).toBeUndefined();
    clock.ms += 1;
    await sightings.note(['a']);
    expect(writes).toEqual([['a'], ['a']]);
  });

  it('at once goes in one write, and what comes while that is on its way in the next', async () => {
    const { sightings, writes } = counting();
    const [one, two] = [sightings.note(['a']), sightings.note(['b', 'a'])];
    await one;
    const three = sightings.note(['c']);
    await Promise.all([two, three]);
    expect(writes).toEqual([['a', 'b'], ['c']]);
  });

  it('counts as not noted where it could not be written, for each who waited, and is tried again', async () => {
    const made = counting();
    const { sightings, writes } = made;
    made.fail = new Error('away');
    const both = await Promise.allSettled([sightings.note(['a']), sightings.note(['b'])]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    made.fail = undefined;
    await sightings.note(['a']);
    expect(writes.at(-1)).toEqual(['a']);
  });

  it('is known without a question; what it did not note, or not lately enough, is asked for', async () => {
    const made = counting();
    const { sightings, reads, clock } = made;
    await sightings.note(['a']);
    clock.ms += 60_000;
    expect(sightings.agesMs(['a'], 60_000)).toEqual([60_000 - noteAheadMs]);
    expect(reads).toEqual([]);
    expect(await sightings.agesMs(['a', 'b'], 60_000)).toEqual([60_000 - noteAheadMs, undefined]);
    expect(await sightings.agesMs(['a'], 1_000)).toEqual([60_000 - noteAheadMs]);
    expect(reads).toHaveLength(2);
    made.fail = new Error('away');
    expect(sightings.agesMs(['a'], 60_000)).toEqual([60_000 - noteAheadMs]);
    await expect(sightings.agesMs(['b'], 60_000)).rejects.toThrow('away');
  });

  it('grows no older when the clock is set back, and is written again', async () => {
    const { sightings, writes, clock } = counting();
    await sightings.note(['a']);
    clock.ms -= 3_600_000;
    expect(sightings.agesMs(['a'], 0)).toEqual([-noteAheadMs]);
    await sightings.note(['a']);
    expect(writes).toHaveLength(2);
  });

  it('is as old for every process as it is for one that writes down each of them, and never older', async () => {
    const step = fc.record({
      passMs: fc.nat({ max: 9_000 }),
      who: fc.integer({ min: 0, max: 2 }),
      key: fc.constantFrom('a', 'b'),
      isNote: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = { ms: 1_000_000, nowMs: () => clock.ms };
        const rows = memorySightings(clock);
        const processes = [0, 1, 2].map(() => openSightings(() => rows, { clock, warn }));
        const last = new Map<string, number>();
        for (const { passMs, who, key, isNote } of steps) {
          clock.ms += passMs;
          const sightings = processes[who] as Sightings;
          if (isNote) {
            await sightings.note([key]);
            last.set(key, clock.ms);
            continue;
          }
          const [ageMs] = await sightings.agesMs([key], 0);
          const atMs = last.get(key);
          if (atMs === undefined) expect(ageMs).toBeUndefined();
          else {
            // Held for at least as long as it is due, and for `noteAheadMs` more at most.
            expect(ageMs).toBeLessThanOrEqual(clock.ms - atMs);
            expect(ageMs).toBeGreaterThanOrEqual(clock.ms - atMs - noteAheadMs);
          }
        }
      }),
      { numRuns: isLong ? 2_000 : 100 },
    );
  });
});
