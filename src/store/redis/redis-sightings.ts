import type { Redis } from 'ioredis';
import { longestWithinMs } from '../../policy/gate-schema.ts';
import type { SightingRows } from '../ports/sightings.ts';
import { connect, redisClient } from './connect.ts';

export interface RedisSightingsOptions {
  readonly url: string;
  /** Redis was away and is there again, perhaps without what it knew: what this process knows is to be noted once more. */
  onReturn(): void;
  /** Hears of what Redis did not do. */
  warn(error: unknown): void;
  readonly answerWithinMs?: number;
  /** So long after Redis came back every process that lives has told it again what it knew; before that, nothing can be told. */
  readonly retoldWithinMs?: number;
}

const longestPauseMs = 1_000;

/**
 * In Redis, for all replicas, by the clock of Redis: what is kept of a key is how long it still lives, always counted from the
 * longest time that anybody may ask for. It is connected at the first use. While Redis is away, everything rejects; when it is back,
 * it may have lost what it knew, and nobody is told anything before those who noted it could tell it again.
 */
export function openRedisSightings({
  url,
  onReturn,
  warn,
  answerWithinMs = 500,
  retoldWithinMs = 3_000,
}: RedisSightingsOptions): SightingRows & { close(): Promise<void> } {
  const redis = redisClient(url, longestPauseMs, warn, {
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: 1_000,
    commandTimeout: answerWithinMs,
  });
  let wasThere = false;
  let knowsFromMs = Number.NEGATIVE_INFINITY;
  redis.on('ready', () => {
    if (wasThere) {
      knowsFromMs = performance.now() + retoldWithinMs;
      onReturn();
    }
    wasThere = true;
  });
  let connecting: Promise<unknown> | undefined;
  const connected = (): Promise<unknown> => {
    connecting ??= connect(redis, warn);
    return connecting;
  };

  /** A connection that lost its packets on the way is given up, rather than waited for until TCP finds out. */
  async function ask(pipeline: ReturnType<Redis['pipeline']>): Promise<readonly unknown[]> {
    try {
      return await answersOf(pipeline);
    } catch (error) {
      if (error instanceof Error && error.message === 'Command timed out') redis.disconnect(true);
      throw error;
    }
  }

  return {
    async note(batch) {
      await connected();
      const pipeline = redis.pipeline();
      for (const { key, agoMs } of batch) {
        const livesMs = Math.round(longestWithinMs - agoMs);
        if (livesMs <= 0) continue;
        // What counts from now on is the latest there is; what is told again may not be.
        if (agoMs < 0) pipeline.set(redisKey(key), '', 'PX', livesMs);
        else pipeline.set(redisKey(key), '', 'PX', livesMs, 'NX');
      }
      await ask(pipeline);
    },
    async agesMs(keys) {
      await connected();
      if (performance.now() < knowsFromMs) throw new Error('Redis was away, and is being told again what it may have lost.');
      const pipeline = redis.pipeline();
      for (const key of keys) pipeline.pttl(redisKey(key));
      return (await ask(pipeline)).map((leftMs) => {
        const left = Number(leftMs);
        return left < 0 ? undefined : longestWithinMs - left;
      });
    },
    async prune() {
      return 0;
    },
    async close() {
      redis.disconnect();
    },
  };
}

async function answersOf(pipeline: ReturnType<Redis['pipeline']>): Promise<readonly unknown[]> {
  const answers = await pipeline.exec();
  if (answers === null) throw new Error('Redis did not answer.');
  return answers.map(([error, answer]) => {
    if (error !== null) throw error;
    return answer;
  });
}

function redisKey(key: string): string {
  return `gatehouse:seen:${key}`;
}
