import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { session, storeContract } from '../contracts/store.contract.ts';
import { type Service, servicesTimeoutMs, startRedis } from '../support/services.ts';
import { type Heard, open, refusal, temporaryDataDir } from './store-setup.ts';

let redis: Service;

beforeAll(async () => {
  redis = await startRedis();
}, servicesTimeoutMs);
afterAll(async () => await redis?.stop());

async function onRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

async function makePlace() {
  const { dataDir, remove } = temporaryDataDir();
  await onRedis(redis.url, (client) => client.flushall());
  return { open: () => open({ dataDir, redisUrl: redis.url }), remove: async () => remove() };
}

storeContract('SQLite with sessions in Redis', makePlace, { isShared: true, prunes: false });

async function openOn(redisUrl: string, heard: Heard[] = [], sessionTtlMs?: number) {
  const { dataDir, remove } = temporaryDataDir();
  const store = await open({ dataDir, redisUrl, sessionTtlMs }, heard);
  onTestFinished(async () => {
    await store.close();
    remove();
  });
  return store;
}

async function tookMs(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

describe('sessions in Redis', () => {
  it('are removed by Redis after their time', async () => {
    const { sessions } = await openOn(redis.url, [], 60_000);
    sessions.save(session('short'));
    await sessions.flush();
    const leftMs = await onRedis(redis.url, (client) => client.pttl('gatehouse:session:short'));
    expect(leftMs).toBeGreaterThan(50_000);
    expect(leftMs).toBeLessThanOrEqual(60_000);
    expect(await sessions.prune(Number.MAX_SAFE_INTEGER)).toBe(0);
  });

  it('do not keep a store from opening when nobody answers', async () => {
    const heard: Heard[] = [];
    const store = await openOn('redis://127.0.0.1:1/0', heard);
    expect(await tookMs(async () => expect(await store.sessions.load('s')).toBeUndefined())).toBeLessThan(1_500);
    store.sessions.save(session('s'));
    await store.sessions.flush();
    expect(await store.sessions.load('s')).toEqual(session('s'));
    expect(heard.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('are unknown within 250 ms while Redis hangs, and known again when it goes on', async () => {
    const own = await startRedis();
    onTestFinished(own.stop);
    const { sessions } = await openOn(own.url);
    sessions.save(session('s'));
    await sessions.flush();
    process.kill(own.pid, 'SIGSTOP');
    expect(await tookMs(async () => expect(await sessions.load('s')).toBeUndefined())).toBeLessThan(1_500);
    process.kill(own.pid, 'SIGCONT');
    await expect.poll(() => sessions.load('s'), { timeout: 10_000 }).toEqual(session('s'));
  });

  it('that were saved while Redis was away are written when it is back', async () => {
    const heard: Heard[] = [];
    const own = await startRedis();
    const { sessions } = await openOn(own.url, heard);
    await own.stop();
    sessions.save(session('s', { isEnded: true }));
    await sessions.flush();
    const again = await startRedis(own.port);
    onTestFinished(again.stop);
    const stored = () => onRedis(again.url, (client) => client.hget('gatehouse:session:s', 'ended'));
    await expect.poll(stored, { timeout: 10_000, interval: 200 }).toBe('1');
    expect(heard.filter(({ level }) => level === 'warn').length).toBeLessThanOrEqual(2);
  });

  it('survive a Redis that refuses writes', async () => {
    const own = await startRedis();
    onTestFinished(own.stop);
    const { sessions } = await openOn(own.url);
    await onRedis(own.url, (client) => client.config('SET', 'maxmemory', '1'));
    sessions.save(session('s'));
    await sessions.flush();
    expect(await sessions.load('s')).toEqual(session('s'));
    await onRedis(own.url, (client) => client.config('SET', 'maxmemory', '0'));
    await expect
      .poll(() => onRedis(own.url, (client) => client.exists('gatehouse:session:s')), { timeout: 10_000, interval: 200 })
      .toBe(1);
  });

  it('are refused at an address that is none, without repeating it', async () => {
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    const message = await refusal(open({ dataDir, redisUrl: 'http://canary' }));
    expect(message).toMatch(/REDIS_URL is not an address/);
    expect(message).not.toContain('canary');
  });
});
