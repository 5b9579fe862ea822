import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { Secret } from '../../src/secret.ts';
import { openCounters, openStore } from '../../src/store/open-store.ts';
import { Reach } from '../../src/store/reach.ts';
import { warnSeldom } from '../../src/store/warn-seldom.ts';
import { servicesTimeoutMs, startPostgres, startRedis } from '../support/services.ts';
import { until } from '../support/until.ts';

const said: { readonly fields: object; readonly message: string }[] = [];
const log = {
  info: (fields: object, message: string) => void said.push({ fields, message }),
  warn() {},
};

function options(more: { readonly databaseUrl?: string; readonly redisUrl?: string }) {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-reach-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const secretOf = (url: string | undefined) => (url === undefined ? undefined : new Secret(url));
  const masterKey = new Secret(Buffer.alloc(32, 7).toString('base64'));
  const { databaseUrl, redisUrl } = more;
  return { dataDir, databaseUrl: secretOf(databaseUrl), redisUrl: secretOf(redisUrl), masterKey, clock: systemClock, log };
}

test('says since when a server is away and why, and once how long it was', () => {
  const clock = { nowMs: () => nowMs };
  let nowMs = 1_000;
  said.length = 0;
  const reach = new Reach({ kind: 'redis', clock, log, back: 'It is back.' });
  expect(reach.status).toEqual({ kind: 'redis', isReachable: true, sinceMs: undefined, lastError: undefined });
  reach.lost(new Error('no route'));
  nowMs = 4_000;
  reach.lost(new Error('refused'));
  expect(reach.status).toEqual({ kind: 'redis', isReachable: false, sinceMs: 1_000, lastError: 'refused' });
  nowMs = 9_000;
  reach.found();
  reach.found();
  expect(reach.status).toEqual({ kind: 'redis', isReachable: true, sinceMs: 9_000, lastError: undefined });
  expect(said).toEqual([{ fields: { awayMs: 8_000, lastError: 'refused' }, message: 'It is back.' }]);
});

test('of one that comes and goes the log tells once in 10 seconds, and of each loss that it told the end', () => {
  const clock = { nowMs: () => nowMs };
  let nowMs = 0;
  const told: string[] = [];
  const warn = warnSeldom({ info() {}, warn: () => void told.push('lost') }, clock, 'It is lost.');
  const reach = new Reach({ kind: 'redis', clock, log: { info: () => void told.push('back') }, back: 'It is back.' });
  for (; nowMs < 25_000; nowMs += 330) {
    const error = new Error('late');
    warn(error);
    reach.lost(error);
    reach.found();
  }
  expect(told).toEqual(['lost', 'back', 'lost', 'back', 'lost', 'back']);
});

test('says why where a host has several addresses and none answers', () => {
  const reach = new Reach({ kind: 'redis', clock: systemClock, log, back: '' });
  reach.lost(new AggregateError([new Error('refused ::1'), new Error('refused 127.0.0.1')]));
  expect(reach.status.lastError).toBe('refused ::1; refused 127.0.0.1');
});

test('Redis: one that hangs at the start is away, and one that repeats its password is not repeated', async () => {
  const answers = { text: '' };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const _ of String(data).matchAll(/\*\d+\r\n/g)) socket.write(answers.text);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const counters = await openCounters({} as never, options({ redisUrl: `redis://:can%40ry@127.0.0.1:${port}/0` }));
  onTestFinished(async () => await counters.close());
  expect(counters.reach?.()).toMatchObject({ isReachable: false, lastError: 'Redis did not answer within 1000 ms.' });
  answers.text = "-ERR unknown command 'AUTH', with args beginning with: 'can@ry'\r\n";
  await until('it to be said why', () => counters.reach?.().lastError?.includes('AUTH'));
  expect(counters.reach?.().lastError).toContain("unknown command 'AUTH', with args beginning with: '***'");
});

test('Redis: known while it hangs, and while it is gone; back when it decides again', {
  timeout: servicesTimeoutMs,
}, async () => {
  const redis = await startRedis();
  onTestFinished(async () => await redis.stop());
  const counters = await openCounters({} as never, options({ redisUrl: redis.url }));
  onTestFinished(async () => await counters.close());
  const reach = () => counters.reach?.();
  expect(reach()).toMatchObject({ kind: 'redis', isReachable: true });
  said.length = 0;
  process.kill(redis.pid, 'SIGSTOP');
  await counters.usage([]).catch(() => []);
  await until('the loss to be seen', () => reach()?.isReachable === false);
  expect(reach()?.lastError).toMatch(/Redis did not answer/);
  process.kill(redis.pid, 'SIGCONT');
  await until('Redis to be back', () => reach()?.isReachable);
  expect(said).toMatchObject([{ message: 'Redis is back; limits are shared again.', fields: { awayMs: expect.any(Number) } }]);
  await redis.stop();
  await until('the end to be seen', () => /ECONNREFUSED/.test(reach()?.lastError ?? ''));
  expect(reach()?.isReachable).toBe(false);
});

test('PostgreSQL: known when it is gone; a store in a file has no server', { timeout: servicesTimeoutMs }, async () => {
  const postgres = await startPostgres();
  onTestFinished(async () => await postgres.stop());
  const store = await openStore(options({ databaseUrl: await postgres.createDatabase() }));
  onTestFinished(async () => await store.close());
  onTestFinished(store.registry.watch(() => {}));
  const reach = () => store.reach?.();
  expect(reach()).toMatchObject({ kind: 'postgresql', isReachable: true });
  await postgres.stop();
  await until('the loss to be seen', () => reach()?.isReachable === false);
  expect(reach()?.lastError).not.toBeUndefined();
  const own = await openStore(options({}));
  onTestFinished(async () => await own.close());
  expect(own.reach).toBeUndefined();
});
