import { Redis } from 'ioredis';
import { GatewayError } from '../../errors.ts';
import { bufferSessions, type SessionRows } from '../buffered-sessions.ts';
import type { SessionStore, StoredSession } from '../ports/sessions.ts';

/** A start waits no longer for Redis than this, then goes on without. */
const connectLimitMs = 1_000;
const commandLimitMs = 2_000;

/**
 * Sessions in Redis, each removed by Redis itself `ttlMs` after its last save, so `prune` has nothing to do. Redis may come
 * and go: meanwhile nothing is known of older sessions, and what is saved waits in memory.
 */
export async function openRedisSessions(
  url: string,
  ttlMs: number,
  warn: (error: unknown) => void,
): Promise<SessionStore & { close(): Promise<void> }> {
  const redis = new Redis(checked(url), {
    lazyConnect: true,
    // Calls that pile up behind a dead Redis would all wait for it; they fail at once instead.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: commandLimitMs,
    commandTimeout: commandLimitMs,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
    // After a failover the old primary still answers, but only to reads.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  redis.on('error', warn);
  await Promise.race([redis.connect().catch(warn), pause(connectLimitMs)]);
  const sessions = bufferSessions(redisSessions(redis, ttlMs), warn);
  return {
    ...sessions,
    async close() {
      await sessions.close();
      redis.disconnect();
    },
  };
}

function redisSessions(redis: Redis, ttlMs: number): SessionRows {
  return {
    async read(id) {
      const { state, lastUsedAtMs, ended } = await redis.hgetall(redisKey(id));
      if (state === undefined) return undefined;
      return { id, isEnded: ended !== undefined, state, lastUsedAtMs: Number(lastUsedAtMs) };
    },

    async write(batch) {
      const pipeline = redis.pipeline();
      for (const session of batch) {
        pipeline.hset(redisKey(session.id), toFields(session));
        pipeline.pexpire(redisKey(session.id), ttlMs);
      }
      const results = await pipeline.exec();
      const failed = results?.find(([error]) => error)?.[0];
      if (failed) throw failed;
    },

    async prune() {
      return 0;
    },
  };
}

/** The field `ended` is only ever added: a replica that has not heard of the end cannot undo it. */
function toFields({ isEnded, state, lastUsedAtMs }: StoredSession): Record<string, string | number> {
  return isEnded ? { state, lastUsedAtMs, ended: 1 } : { state, lastUsedAtMs };
}

function redisKey(id: string): string {
  return `gatehouse:session:${id}`;
}

function checked(url: string): string {
  if (/^rediss?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new GatewayError('bad_configuration', 'GATEHOUSE_REDIS_URL is not an address; write redis://user:password@host:6379/0.');
}

async function pause(durationMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, durationMs).unref());
}
