import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { hmac } from '../../src/hmac.ts';
import { deriveKeys } from '../../src/journal/chain.ts';
import { journalPath } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/verify-journal.ts';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { open } from '../store/store-setup.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { type Answered, closeRawClients, codeOf, connectRaw, type RawClient } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { newMasterKey, type Place, placeSettings } from '../support/registrar.ts';
import { rest } from '../support/rest.ts';
import {
  onPostgres,
  type PostgresService,
  type Service,
  servicesTimeoutMs,
  startPostgres,
  startRedis,
} from '../support/services.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until, within } from '../support/until.ts';

// What goes wrong at three in the morning, while people call.

/** Far above what is promised: a test machine may be busy. What must not happen is that anybody waits without end. */
const patienceMs = 20_000;

let upstream: StagedUpstream;
let directory: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-chaos-'));
  upstream = await startStagedUpstream({ tools: ['echo'], resources: ['res://one'] });
});
afterAll(async () => {
  await Promise.all([closeRawClients(), upstream?.close()]);
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

const namespace = () =>
  `namespace: demo\nupstreams:\n  staged: { kind: mcp, url: "${upstream.url}", breaker: { errorRate: 1, minimumCalls: 100000, windowMs: 1000, openMs: 100 } }\n`;
const isDone = ({ status, message }: Answered): boolean =>
  status === 200 && message?.result !== undefined && message.result.isError !== true;

async function keyFor(gateway: Gateway, id: string, limits: readonly object[] = [], more: object = {}): Promise<RawClient> {
  expect((await rest(gateway, 'POST /consumers', { id, title: id, kind: 'application', limits })).status).toBe(200);
  const { status, body } = await rest<{ secret: string }>(gateway, 'POST /keys', { id, title: id, consumer: id, ...more });
  expect([status, body.error]).toEqual([200, undefined]);
  return await connectRaw('modern', { url: gateway.mcpUrl(), key: body.secret });
}

/** Calls over and over, two at a time; `stop` resolves with what failed and the longest that anybody waited. */
function load(client: RawClient) {
  const seen = { done: 0, failed: [] as string[], longestMs: 0 };
  let isOver = false;
  const caller = async () => {
    while (!isOver) {
      const startedAtMs = performance.now();
      const answer = await client.call('demo__echo', { load: seen.done });
      seen.longestMs = Math.max(seen.longestMs, performance.now() - startedAtMs);
      if (isDone(answer)) seen.done += 1;
      else seen.failed.push(answer.text);
    }
  };
  const callers = [caller(), caller()];
  onTestFinished(async () => {
    isOver = true;
    await Promise.allSettled(callers);
  });
  const more = async (count: number) => {
    const wanted = seen.done + count;
    await until(`${count} more calls went through`, () => seen.done >= wanted, patienceMs);
  };
  return {
    more,
    async stop() {
      isOver = true;
      await Promise.all(callers);
      return seen;
    },
  };
}

describe('while calls go on over PostgreSQL and Redis,', () => {
  let postgres: PostgresService;
  let redis: Service;
  let gateway: Gateway;
  let steady: RawClient;

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    const place = {
      dataDir: join(directory, 'served'),
      databaseUrl: await postgres.createDatabase(),
      masterKey: newMasterKey(),
    };
    gateway = await startGateway([namespace()], {
      ...placeSettings(place),
      GATEHOUSE_REDIS_URL: redis.url,
      GATEHOUSE_LOG_LEVEL: 'warn',
    });
    steady = await keyFor(gateway, 'steady', [{ per: 'consumer', rpm: 1_000_000 }]);
    await until('the key is known', async () => isDone(await steady.call('demo__echo')));
  }, servicesTimeoutMs);
  afterAll(async () => {
    await gateway?.stop();
    await Promise.all([postgres?.stop(), redis?.stop()]);
  });

  test('a Redis that dies, hangs and comes back costs no call that its limit lets through, and opens none that it closes', {
    timeout: 120_000,
  }, async () => {
    const closed = await keyFor(gateway, 'closed', [{ per: 'consumer', rpm: 100_000, whenStoreGone: 'closed' }]);
    await until('it may call', async () => isDone(await closed.call('demo__echo')));
    const calls = load(steady);
    for (let round = 0; round < 2; round += 1) {
      await calls.more(20);
      process.kill(redis.pid, 'SIGKILL');
      await redis.stop();
      await until('what closes is closed', async () => codeOf(await closed.call('demo__echo')) !== undefined, patienceMs);
      await calls.more(20);
      const before = upstream.arrivals.length;
      const refused = await closed.call('demo__echo', { must: 'not arrive' });
      expect([refused.status, Number(refused.headers['retry-after']) >= 1]).toEqual([429, true]);
      expect(upstream.arrivals.slice(before).filter(({ params }) => params.arguments?.must !== undefined)).toEqual([]);
      redis = await startRedis(redis.port);
      await until('it is open again', async () => isDone(await closed.call('demo__echo')), patienceMs);
    }
    process.kill(redis.pid, 'SIGSTOP');
    await calls.more(20);
    process.kill(redis.pid, 'SIGCONT');
    await until('it is open again', async () => isDone(await closed.call('demo__echo')), patienceMs);
    const { failed, longestMs } = await calls.stop();
    expect(failed).toEqual([]);
    expect(longestMs).toBeLessThan(5_000);
  });

  test('a PostgreSQL that crashes and starts anew costs no call, and nothing that was acknowledged', {
    timeout: 120_000,
  }, async () => {
    const calls = load(steady);
    const acknowledged: string[] = [];
    const refusals = new Set<string>();
    const write = async (id: string) => {
      const { status, body } = await within(
        patienceMs,
        `${id} is answered`,
        rest(gateway, 'POST /consumers', { id, title: id, kind: 'team' }),
      );
      if (status === 200) acknowledged.push(id);
      else refusals.add(`${status} ${body.error?.code}`);
      return status === 200;
    };
    for (let round = 0; round < 3; round += 1) {
      await write(`before-${round}`);
      // A backend that dies takes the whole server through recovery, with every connection.
      const writes = Promise.all([0, 1, 2, 3].map((n) => write(`during-${round}-${n}`)));
      const [own] = await onPostgres(postgres.url, `select pid from pg_stat_activity where datname like 'test_%' limit 1`);
      process.kill(Number(own?.pid), 'SIGKILL');
      await writes;
      await calls.more(10);
      let n = 0;
      await until('changes are taken again', () => write(`after-${round}-${n++}`), patienceMs);
    }
    const { failed } = await calls.stop();
    expect(failed).toEqual([]);
    expect([...refusals].filter((refusal) => !/^503 store_unavailable$/.test(refusal))).toEqual([]);
    const { body } = await rest<{ consumers: readonly { id: string }[] }>(gateway, 'GET /consumers');
    const kept = new Set(body.consumers.map(({ id }) => id));
    expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
    expect(acknowledged.length).toBeGreaterThanOrEqual(6);
  });

  test('a PostgreSQL that hangs holds up changes for a while and nobody else, and takes them afterwards', {
    timeout: 120_000,
  }, async () => {
    const calls = load(steady);
    await calls.more(5);
    const all = [postgres.pid, ...childrenOf(postgres.pid)];
    for (const pid of all) process.kill(pid, 'SIGSTOP');
    try {
      const change = rest(gateway, 'POST /consumers', { id: 'hung', title: 'x', kind: 'team' });
      await calls.more(40);
      expect((await within(60_000, 'the change is answered', change)).status).toBe(503);
      await calls.more(5);
    } finally {
      for (const pid of all) process.kill(pid, 'SIGCONT');
    }
    let n = 0;
    const again = async () =>
      (await rest(gateway, 'POST /consumers', { id: `again-${n++}`, title: 'x', kind: 'team' })).status === 200;
    await until('changes are taken again', again, 60_000);
    expect((await calls.stop()).failed).toEqual([]);
  });
});

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]) === parent;
      } catch {
        return false;
      }
    })
    .map(Number);
}

describe('a disk', () => {
  const canMount = process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;

  test.runIf(canMount)(
    'AU-02: that is full closes what changes something, lets read, and opens again by itself with the record whole',
    { timeout: 120_000 },
    async ({ skip }) => {
      const disk = join(directory, 'disk');
      mkdirSync(disk);
      if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]).status !== 0) skip('may not mount here');
      onTestFinished(() => void spawnSync('umount', ['-l', disk]));
      const place: Place = { dataDir: join(disk, 'data'), masterKey: newMasterKey() };
      const gateway = await startGateway([namespace()], { ...placeSettings(place), GATEHOUSE_LOG_LEVEL: 'warn' });
      const before = upstream.arrivals.length;
      try {
        const client = await connectRaw('modern', { url: gateway.mcpUrl(), key: gateway.key });
        for (let round = 0; round < 2; round += 1) {
          expect(isDone(await client.call('demo__echo', { round, before: true }))).toBe(true);
          fill(join(disk, 'filler'));
          let n = 0;
          const isRefused = async () => codeOf(await client.call('demo__echo', { round, n: n++ })) === 'audit_unavailable';
          await until('calls are refused', isRefused, patienceMs);
          const heard = upstream.arrivals.length;
          expect(codeOf(await client.call('demo__echo', { round, full: true }))).toBe('audit_unavailable');
          expect(upstream.arrivals).toHaveLength(heard);
          expect(isDone(await client.send('resources/read', { uri: 'res://gh.demo.staged/one' }))).toBe(true);
          const change = await rest(gateway, 'POST /consumers', { id: `full-${round}`, title: 'x', kind: 'team' });
          expect(change.status).toBe(503);
          rmSync(join(disk, 'filler'));
          await until('calls go on', async () => isDone(await client.call('demo__echo', { round, after: true })), patienceMs);
          const again = () => rest(gateway, 'POST /consumers', { id: `space-${round}`, title: 'x', kind: 'team' });
          await until('changes go on', async () => [200, 409].includes((await again()).status), patienceMs);
        }
      } finally {
        await gateway.stop();
      }
      const heard = upstream.arrivals.slice(before).filter(({ method }) => method === 'tools/call');
      await expectRecorded(
        place,
        heard.map(({ params }) => params.arguments),
      );
    },
  );
});

/** Takes all the space there is, to the last byte. */
function fill(file: string): void {
  for (const bytes of [65_536, 4_096, 1]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOSPC') throw error;
    }
  }
}

/** What the upstream heard of has an intent, and the journal is whole. */
async function expectRecorded({ dataDir, masterKey }: Place, calls: readonly object[]): Promise<void> {
  const store = await open({ dataDir, masterKey: Buffer.from(masterKey, 'base64') });
  const key = await store.sealing.get('journal');
  await store.close();
  expect(await verifyJournal(journalPath(dataDir), { key })).toMatchObject({ isIntact: true, hasCheckedSeals: true });
  const { digest } = deriveKeys(key);
  const intents = new Set(
    readJournal(dataDir).flatMap(({ kind, argumentsDigest }) => (kind === 'intent' ? [argumentsDigest] : [])),
  );
  expect(calls.length).toBeGreaterThan(0);
  expect(calls.filter((args) => !intents.has(hmac(digest, canonicalJson(args as never), 'base64url')))).toEqual([]);
}

describe('a clock that is set', () => {
  const hourMs = 3_600_000;

  test('an hour or a day forward or back fills no limit, wakes no ended key and breaks no record', {
    timeout: 60_000,
  }, async () => {
    const clockFile = join(directory, 'clock');
    const shim = new URL('../support/skewed-clock.ts', import.meta.url).href;
    const place: Place = { dataDir: join(directory, 'clock-data'), masterKey: newMasterKey() };
    const gateway = await startGateway([namespace()], {
      ...placeSettings(place),
      NODE_OPTIONS: `--import ${shim}`,
      TEST_CLOCK_FILE: clockFile,
      GATEHOUSE_LOG_LEVEL: 'warn',
    });
    const before = upstream.arrivals.length;
    const set = async (offsetMs: number) => {
      writeFileSync(clockFile, String(offsetMs));
      process.kill(gateway.pid, 'SIGUSR2');
      const isSet = () => existsSync(`${clockFile}.set`) && readFileSync(`${clockFile}.set`, 'utf8') === String(offsetMs);
      await until('the clock is set', isSet, patienceMs);
    };
    try {
      const rated = await keyFor(gateway, 'rated', [{ per: 'consumer', rpm: 3 }]);
      const daily = await keyFor(gateway, 'daily', [{ per: 'consumer', budget: { amount: 2, unit: 'calls', window: 'day' } }]);
      const ending = await keyFor(gateway, 'ending', [], { expiresInS: 1_800 });
      const free = await keyFor(gateway, 'free');
      for (let n = 0; n < 3; n += 1) expect(isDone(await rated.call('demo__echo'))).toBe(true);
      for (let n = 0; n < 2; n += 1) expect(isDone(await daily.call('demo__echo'))).toBe(true);
      expect(isDone(await ending.call('demo__echo'))).toBe(true);
      // Waits count those who were told to wait before: two minutes for the fifth of three a minute.
      const expectHeld = async () => {
        const refused = await rated.call('demo__echo');
        const wait = Number(refused.headers['retry-after']);
        expect([refused.status, Number.isInteger(wait) && wait >= 1 && wait <= 130]).toEqual([429, true]);
        expect(isDone(await free.call('demo__echo'))).toBe(true);
      };
      await expectHeld();
      expect((await daily.call('demo__echo')).status).toBe(429);
      await set(hourMs);
      await expectHeld();
      expect((await ending.call('demo__echo')).status).toBe(401);
      await set(-hourMs);
      await expectHeld();
      const back = await daily.call('demo__echo');
      expect([back.status, Number(back.headers['retry-after']) <= 26 * 3_600]).toEqual([429, true]);
      await set(24 * hourMs);
      await expectHeld();
      // The day that comes has its budget once; the one before does not come back with another.
      expect(await Promise.all([1, 2, 3].map(async () => isDone(await daily.call('demo__echo'))))).toEqual([true, true, false]);
      await set(0);
      expect((await daily.call('demo__echo')).status).toBe(429);
      await expectHeld();
    } finally {
      await gateway.stop();
    }
    const heard = upstream.arrivals.slice(before).filter(({ method }) => method === 'tools/call');
    await expectRecorded(
      place,
      heard.map(({ params }) => params.arguments ?? {}),
    );
  });
});
