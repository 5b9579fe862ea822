import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { askedQuestions } from '../../../src/models/cache/asked-questions.ts';
import { memoryReplies } from '../../../src/store/memory/memory-replies.ts';
import { openRedisReplies } from '../../../src/store/redis/redis-replies.ts';
import { servicesTimeoutMs, startRedis } from '../../support/services.ts';
import { until } from '../../support/until.ts';

const cache = memoryReplies({ nowMs: () => 0 }, 1_000_000);
const rest = 'AAAAAAAAAAAAAAAA';
const dimensions = 64;

function vector(n: number): Float32Array {
  const made = new Float32Array(dimensions);
  made[n % dimensions] = 1;
  made[(n >> 6) % dimensions] = (made[(n >> 6) % dimensions] ?? 0) + 0.5;
  return made;
}

it('holds no more than it may: in one scope the oldest questions go, of many the scopes that were used longest ago', async () => {
  const asked = askedQuestions(cache, { rows: 50_000, bytes: 300_000 });
  const add = (scope: string, n: number) =>
    asked.add(scope, { text: String(n), rest, reply: String(n), atMs: 0 }, vector(n), 1_000);
  const texts = async (scope: string, n: number) =>
    (await asked.find(scope, rest, vector(n), 0.9999)).map(({ asked: { text } }) => text);
  for (let n = 0; n < 3_000; n++) add('large', n);
  expect(await texts('large', 2_999)).toContain('2999');
  expect(await texts('large', 1)).not.toContain('1');
  for (let n = 0; n < 20; n++) add(`small ${n}`, n);
  expect(await texts('small 19', 19)).toEqual(['19']);
  expect(await texts('large', 2_999)).toEqual([]);
});

it('begins a scope anew when its vectors get another length', async () => {
  const asked = askedQuestions(cache);
  asked.add('s', { text: 'old', rest, reply: 'old', atMs: 0 }, Float32Array.of(1, 0), 1_000);
  asked.add('s', { text: 'new', rest, reply: 'new', atMs: 0 }, Float32Array.of(1, 0, 0), 1_000);
  expect(await asked.find('s', rest, Float32Array.of(1, 0), 0.9)).toEqual([]);
  expect((await asked.find('s', rest, Float32Array.of(1, 0, 0), 0.9)).map(({ asked: { text } }) => text)).toEqual(['new']);
});

it('finds nothing of another context, though its digest begins alike', async () => {
  const asked = askedQuestions(cache);
  asked.add('s', { text: 'a', rest, reply: 'a', atMs: 0 }, Float32Array.of(1, 0), 1_000);
  expect(await asked.find('s', `${rest.slice(0, 8)}BBBBBBBB`, Float32Array.of(1, 0), 0.9)).toEqual([]);
  expect(await asked.find('s', rest, Float32Array.of(1, 0), 0.9)).toHaveLength(1);
});

/** No two alike: of two dimensions, each its own angle. */
const at = (n: number, of: number): Float32Array => Float32Array.of(Math.cos((n / of) * 3), Math.sin((n / of) * 3));

it('holds 50,000 questions of one scope by name: the next takes the place of the oldest', async () => {
  const asked = askedQuestions(cache);
  const total = 50_003;
  const add = (n: number) => asked.add('s', { text: `t${n}`, rest, reply: `r${n}`, atMs: 0 }, at(n, total), 1_000);
  const find = async (n: number) =>
    (await asked.find('s', rest, at(n, total), 1 - 1e-7)).some(({ asked: { reply } }) => reply === `r${n}`);
  for (let n = 0; n < 50_000; n++) add(n);
  expect([await find(0), await find(2), await find(3), await find(49_999)]).toEqual([true, true, true, true]);
  for (let n = 50_000; n < total; n++) add(n);
  expect([await find(0), await find(2), await find(3), await find(total - 1)]).toEqual([false, false, true, true]);
});

it('counts the texts of questions, too', async () => {
  const bytes = 4 * 1024 * 1024;
  const asked = askedQuestions(cache, { rows: 50_000, bytes });
  const held = async (length: number, count: number) => {
    const scope = `s ${length} ${count}`;
    for (let n = 0; n < count; n++)
      asked.add(scope, { text: `${n} `.padEnd(length, 'x'), rest, reply: String(n), atMs: 0 }, at(n, count), 1_000);
    let found = 0;
    for (let n = 0; n < count; n++)
      if ((await asked.find(scope, rest, at(n, count), 1 - 1e-9)).some(({ asked: { reply } }) => reply === String(n))) found++;
    return { found, hasLast: (await asked.find(scope, rest, at(count - 1, count), 1 - 1e-9)).length > 0 };
  };
  const long = await held(2_000, 3_000);
  expect(long.hasLast).toBe(true);
  expect(long.found * 4_000).toBeLessThanOrEqual(bytes);
  expect(long.found * 4_000).toBeGreaterThan(bytes / 2);
  expect(await held(20, 3_000)).toEqual({ found: 3_000, hasLast: true });
});

// Ten thousand lines, each sealed and sent: too slow for every run.
it.skipIf(process.env.TEST_LONG === undefined)(
  'in Redis, a scope has the newest 10,000 questions, and whoever takes them up finds the newest and not the oldest',
  async () => {
    const redis = await startRedis();
    const client = new Redis(redis.url);
    const [ours, theirs] = await Promise.all(
      [0, 1].map(async () => await openRedisReplies({ url: redis.url, key: Buffer.alloc(32, 7), warn: () => {} })),
    );
    onTestFinished(async () => {
      await Promise.all([ours?.close(), theirs?.close()]);
      client.disconnect();
      await redis.stop();
    });
    const [writer, reader] = [askedQuestions(ours!), askedQuestions(theirs!)];
    const total = 10_600;
    const name = randomBytes(4).toString('hex');
    for (let n = 0; n < total; n++) {
      writer.add(name, { text: `t${n}`, rest, reply: `r${n}`, atMs: 0 }, at(n, total), 60_000);
      if (n % 500 === 0) await ours!.flush();
    }
    await ours!.flush();
    // Redis cuts a list by whole nodes.
    const length = await client.xlen(`gatehouse:asked:${name}`);
    expect(length).toBeGreaterThanOrEqual(10_000);
    expect(length).toBeLessThanOrEqual(10_200);
    const find = async (n: number) =>
      (await reader.find(name, rest, at(n, total), 1 - 1e-7)).some(({ asked: { reply } }) => reply === `r${n}`);
    // The oldest first, 10,000 lines a second.
    await until('the newest is known', async () => {
      await reader.catchUp(name);
      return await find(total - 1);
    });
    expect([await find(total - 1), await find(total - 9_999), await find(0), await find(100)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  },
  servicesTimeoutMs,
);
