import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ReplyCache } from '../../src/store/ports/reply-cache.ts';
import { openRedisReplies } from '../../src/store/redis/redis-replies.ts';
import { replyCacheContract } from '../contracts/reply-cache.contract.ts';
import { type Service, servicesTimeoutMs, startRedis } from '../support/services.ts';

let redis: Service;
let client: Redis;
beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.url);
}, servicesTimeoutMs);
afterAll(async () => {
  client?.disconnect();
  await redis?.stop();
});

const key = randomBytes(32);

async function openOn(url: string, heard: unknown[] = [], withKey = key): Promise<ReplyCache> {
  return await openRedisReplies({ url, key: withKey, warn: (error) => heard.push(error) });
}

replyCacheContract(
  'Redis',
  async () => {
    await client.flushall();
    return {
      open: async () => await openOn(redis.url),
      // Its own clock cannot be set: what it still has goes when it would have gone.
      pass: async (durationMs) => {
        for (const name of await client.keys('*')) {
          const leftMs = await client.pttl(name);
          if (leftMs <= durationMs) await client.del(name);
        }
      },
    };
  },
  { isShared: true },
);

async function tookMs(work: () => unknown): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

describe('a reply cache in Redis', () => {
  it('holds nothing there that can be read, and each entry for its time', async () => {
    const cache = await openOn(redis.url);
    onTestFinished(async () => await cache.close());
    cache.keep('k', Buffer.from('canary of a person'), 60_000);
    cache.append('l', Buffer.from('canary of a question'), 60_000);
    await cache.flush();
    expect((await client.getBuffer('gatehouse:reply:k'))?.toString('latin1')).not.toContain('canary');
    expect(JSON.stringify(await client.xrange('gatehouse:asked:l', '-', '+'))).not.toContain('canary');
    for (const name of ['gatehouse:reply:k', 'gatehouse:asked:l']) {
      const leftMs = await client.pttl(name);
      expect(leftMs > 50_000 && leftMs <= 60_000).toBe(true);
    }
  });

  it('takes nothing that was changed, put in the place of another, or sealed by somebody else', async () => {
    const cache = await openOn(redis.url);
    const stranger = await openOn(redis.url, [], randomBytes(32));
    onTestFinished(async () => {
      await cache.close();
      await stranger.close();
    });
    cache.keep('a', Buffer.from('of a'), 60_000);
    await cache.flush();
    expect(await stranger.find('a')).toBeUndefined();
    await client.copy('gatehouse:reply:a', 'gatehouse:reply:b');
    expect(await cache.find('b')).toBeUndefined();
    expect((await cache.find('a'))?.toString()).toBe('of a');
    await client.setrange('gatehouse:reply:a', 14, 'x');
    expect(await cache.find('a')).toBeUndefined();
    await client.set('gatehouse:reply:c', 'no');
    expect(await cache.find('c')).toBeUndefined();
    await client.lpush('gatehouse:reply:d', 'no');
    expect(await cache.find('d')).toBeUndefined();
  });

  it('that nobody answers for knows nothing, at once', async () => {
    const heard: unknown[] = [];
    const cache = await openOn('redis://127.0.0.1:1/0', heard);
    onTestFinished(async () => await cache.close());
    cache.keep('a', Buffer.from('x'), 1_000);
    expect(cache.find('a')).toBeUndefined();
    expect(await cache.linesAfter('l', undefined, 1)).toEqual({ lines: [], position: undefined });
    expect(await tookMs(() => cache.flush())).toBeLessThan(50);
    expect(heard.length).toBeGreaterThan(0);
  });

  it('that hangs is waited for once and shortly, then is not asked until it is back', async () => {
    const own = await startRedis();
    onTestFinished(own.stop);
    const cache = await openOn(own.url);
    onTestFinished(async () => await cache.close());
    cache.keep('a', Buffer.from('x'), 60_000);
    await cache.flush();
    process.kill(own.pid, 'SIGSTOP');
    // 50 ms, and what a busy machine adds to any timer.
    expect(await tookMs(async () => expect(await cache.find('a')).toBeUndefined())).toBeLessThan(500);
    expect(cache.find('a')).toBeUndefined();
    cache.keep('b', Buffer.from('y'), 60_000);
    process.kill(own.pid, 'SIGCONT');
    await expect.poll(async () => (await cache.find('a'))?.toString(), { timeout: 10_000 }).toBe('x');
  });

  it('survives a Redis that takes nothing any more', async () => {
    const own = await startRedis();
    onTestFinished(own.stop);
    const heard: unknown[] = [];
    const cache = await openOn(own.url, heard);
    onTestFinished(async () => await cache.close());
    const other = new Redis(own.url);
    await other.config('SET', 'maxmemory', '1');
    other.disconnect();
    cache.keep('a', Buffer.from('x'), 60_000);
    await cache.flush();
    expect(await cache.find('a')).toBeUndefined();
    expect(heard.length).toBe(1);
  });

  it('is refused at an address that is none, without repeating it', async () => {
    await expect(openOn('http://canary')).rejects.toThrow(/REDIS_URL is not an address/);
    await expect(openOn('http://canary')).rejects.not.toThrow(/canary/);
  });
});
