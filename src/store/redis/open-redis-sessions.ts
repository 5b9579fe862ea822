import type { Redis } from 'ioredis';
import { bufferSessions, type SessionRows } from '../buffered-sessions.ts';
import type { SessionStore, StoredSession } from '../ports/sessions.ts';
import { connect, redisClient } from './connect.ts';

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
  const redis = redisClient(url, 2_000, warn, { maxRetriesPerRequest: 1, commandTimeout: commandLimitMs });
  await connect(redis, warn);
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
