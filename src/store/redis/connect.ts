import { Redis, type RedisOptions } from 'ioredis';
import { GatewayError } from '../../errors.ts';

type Differing = 'maxRetriesPerRequest' | 'autoResendUnfulfilledCommands' | 'connectTimeout' | 'commandTimeout';

/** A start, or the first that needs Redis, waits no longer for it than this, then goes on without. */
export const connectLimitMs = 1_000;

/** Not connected yet. Throws GatewayError `bad_configuration` for what is no address. `warn` hears of what Redis did not do. */
export function redisClient(
  url: string,
  longestPauseMs: number,
  warn: (error: unknown) => void,
  options: Pick<RedisOptions, Differing>,
): Redis {
  if (!/^rediss?:\/\//.test(url) || !URL.canParse(url))
    throw new GatewayError(
      'bad_configuration',
      'GATEHOUSE_REDIS_URL is not an address; write redis://user:password@host:6379/0.',
    );
  const redis = new Redis(url, {
    lazyConnect: true,
    // Calls that pile up behind a dead Redis would all wait for it; they fail at once instead.
    enableOfflineQueue: false,
    connectTimeout: 2_000,
    retryStrategy: (attempt) => Math.min(attempt * 100, longestPauseMs),
    // After a failover the old primary still answers, but only to reads.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...options,
  });
  const { password } = redis.options;
  redis.on('error', (error) => warn(withoutPassword(error, password ?? '')));
  return redis;
}

/** Where AUTH was renamed, Redis repeats what came with it. */
function withoutPassword(error: Error, password: string): Error {
  if (password === '' || !error.message.includes(password)) return error;
  return new Error(error.message.replaceAll(password, '***'));
}

/** Waits until Redis is there, or no longer; it is joined when it comes. */
export async function connect(redis: Redis, warn: (error: unknown) => void): Promise<void> {
  await within(connectLimitMs, redis.connect()).catch(warn);
}

export class LateError extends Error {}

/** Rejects with a LateError where the answer takes longer. */
export async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    // After a long turn of the event loop timers come first: the answer may have been there for a while, so it gets its turn.
    const refuse = () => setImmediate(() => reject(new LateError(`Redis did not answer within ${limitMs} ms.`)));
    timer = setTimeout(refuse, limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
