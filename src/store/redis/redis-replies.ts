import { sealBytes, unsealBytes } from '../../seal.ts';
import { type ListedLines, longestListLines, longestReplyBytes, type ReplyCache } from '../ports/reply-cache.ts';
import { connect, LateError, redisClient, within } from './connect.ts';

interface RedisRepliesOptions {
  readonly url: string;
  /** The same for all replicas. */
  readonly key: Buffer;
  /** Hears of what Redis did not do. */
  warn(error: unknown): void;
}

const answerWithinMs = 50;
/** What may be on its way to a Redis that takes its time. */
const waitingLimitBytes = 16 * 1024 * 1024;

/**
 * In Redis, for all replicas; each entry is removed by Redis itself when its time is over. Answers may hold what people wrote and
 * what is known about them, and Redis is often shared, unencrypted and in a dump somewhere: they are sealed, each for its own key,
 * so that none can be read there, changed, or put in another's place. While Redis is away nothing is there and nothing is kept.
 */
export async function openRedisReplies({ url, key, warn }: RedisRepliesOptions): Promise<ReplyCache> {
  const redis = redisClient(url, 2_000, warn, { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false });
  let isLate = false;
  redis.on('ready', () => {
    isLate = false;
  });
  await connect(redis, warn);
  const writes = new Set<Promise<unknown>>();
  let waitingBytes = 0;
  let isClosed = false;

  const isReady = () => redis.status === 'ready' && !isLate && !isClosed;

  /** Of a connection that answers late nothing more is asked: until another one is there, nothing is known at once. */
  async function ask<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await within(answerWithinMs, work);
    } catch (error) {
      if (isClosed) return undefined;
      warn(error);
      if (error instanceof LateError && isReady()) {
        isLate = true;
        redis.disconnect(true);
      }
      return undefined;
    }
  }

  function write(bytes: number, send: () => Promise<unknown>): void {
    if (!isReady() || waitingBytes + bytes > waitingLimitBytes) return;
    waitingBytes += bytes;
    const sent: Promise<unknown> = send()
      .catch((error: unknown) => (isClosed ? undefined : warn(error)))
      .finally(() => {
        waitingBytes -= bytes;
        writes.delete(sent);
      });
    writes.add(sent);
  }

  return {
    isShared: true,
    find(name) {
      if (!isReady()) return undefined;
      const at = replyKey(name);
      return ask(redis.getBuffer(at)).then((sealed) => (sealed ? unsealBytes(key, at, sealed) : undefined));
    },
    keep(name, reply, ttlMs) {
      const at = replyKey(name);
      if (reply.length > longestReplyBytes) write(0, () => redis.del(at));
      else write(reply.length, () => redis.set(at, sealBytes(key, at, reply), 'PX', Math.max(1, Math.ceil(ttlMs))));
    },
    append(list, line, ttlMs) {
      if (line.length > longestReplyBytes) return;
      const at = listKey(list);
      write(line.length, async () => {
        const pipeline = redis.pipeline();
        pipeline.xadd(at, 'MAXLEN', '~', longestListLines, '*', 'line', sealBytes(key, at, line));
        pipeline.pexpire(at, Math.max(1, Math.ceil(ttlMs)));
        const failed = (await pipeline.exec())?.find(([error]) => error)?.[0];
        if (failed) throw failed;
      });
    },
    async linesAfter(list, position, limit) {
      if (!isReady()) return { lines: [], position };
      const at = listKey(list);
      const entries = await ask(redis.xrangeBuffer(at, position === undefined ? '-' : `(${position}`, '+', 'COUNT', limit));
      return opened(entries ?? [], at, position);
    },
    async flush() {
      await Promise.all(writes);
    },
    async close() {
      isClosed = true;
      redis.disconnect();
    },
  };

  function opened(entries: readonly [Buffer, Buffer[]][], at: string, position: string | undefined): ListedLines {
    const lines = entries.flatMap(([, [, sealed]]) => (sealed && unsealBytes(key, at, sealed)) || []);
    return { lines, position: entries.at(-1)?.[0].toString() ?? position };
  }
}

function replyKey(name: string): string {
  return `gatehouse:reply:${name}`;
}

function listKey(name: string): string {
  return `gatehouse:asked:${name}`;
}
