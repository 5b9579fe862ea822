import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { type Answered, closeRawClients, codeOf, connectRaw, type RawClient, toolText } from '../support/raw-clients.ts';
import { newMasterKey, placeSettings } from '../support/registrar.ts';
import { restDone } from '../support/rest.ts';
import { type PostgresService, type Service, servicesTimeoutMs, startPostgres, startRedis } from '../support/services.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

const isLong = process.env.TEST_LONG !== undefined;
/** What a replica may take to follow another one's change. */
const followWithinMs = 5_000;
const minuteMs = 60_000;

let postgres: PostgresService;
let redis: Service;
let upstream: StagedUpstream;
let directory: string;
let gateways: Gateway[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-replicas-'));
  [postgres, redis, upstream] = await Promise.all([
    startPostgres(),
    startRedis(),
    startStagedUpstream({ tools: ['echo', 'gated', 'steady', 'scarce'] }),
  ]);
  const databaseUrl = await postgres.createDatabase();
  const place = { databaseUrl, masterKey: newMasterKey() };
  const namespace = `namespace: demo\nupstreams:\n  staged: { kind: mcp, url: "${upstream.url}", concurrency: 2000 }\n`;
  gateways = await Promise.all(
    ['one', 'two', 'three'].map((name) =>
      startGateway([namespace], {
        ...placeSettings({ ...place, dataDir: join(directory, name) }),
        GATEHOUSE_REDIS_URL: redis.url,
        GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
        GATEHOUSE_LOG_LEVEL: 'warn',
      }),
    ),
  );
}, servicesTimeoutMs);

afterAll(async () => {
  await Promise.all((gateways ?? []).map((gateway) => gateway.stop()));
  await Promise.all([closeRawClients(), upstream?.close(), postgres?.stop(), redis?.stop()]);
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

function clientsOf(key: string, era: RawClient['era'] = 'modern'): Promise<RawClient[]> {
  return Promise.all(gateways.map((gateway) => connectRaw(era, { url: gateway.mcpUrl(), key })));
}

const isDone = ({ status, message }: Answered): boolean =>
  status === 200 && message?.result?.isError !== true && message?.error === undefined;

/** Resolves once every replica answers so; fails when one takes longer than it may. */
async function everywhere(
  what: string,
  clients: readonly RawClient[],
  look: (client: RawClient) => Promise<boolean>,
): Promise<number> {
  const startedAtMs = performance.now();
  await Promise.all(clients.map((client) => until(what, () => look(client), followWithinMs)));
  return performance.now() - startedAtMs;
}

/** What an operator does, at one of the replicas. */
async function operate<Body>(at: number, route: string, body: object = {}): Promise<Body> {
  const gateway = gateways[at % gateways.length];
  if (gateway === undefined) throw new Error('there is no replica yet');
  return await restDone(gateway, route, route.startsWith('DELETE') ? undefined : body);
}

let newcomers = 0;

/** A key and a consumer of its own, known to every replica. */
async function newcomer(id: string, limits: readonly object[]): Promise<string> {
  const at = newcomers++;
  await operate(at, 'POST /consumers', { id, title: id, kind: 'application', limits });
  const { secret } = await operate<{ secret: string }>(at, 'POST /keys', { id, title: id, consumer: id });
  const clients = await clientsOf(secret);
  await everywhere(`the key ${id} is known`, clients, async (client) => (await client.send('tools/list')).status === 200);
  return secret;
}

/** The largest and, over whole windows, the smallest number of arrivals in any window that begins or ends with one. */
function extremes(
  arrivals: readonly number[],
  windowMs: number,
  endMs: number,
): { readonly most: number; readonly fewest: number } {
  let most = 0;
  let fewest = arrivals.length;
  let from = 0;
  for (const [at, atMs] of arrivals.entries()) {
    while ((arrivals[from] ?? 0) <= atMs - windowMs) from += 1;
    most = Math.max(most, at - from + 1);
  }
  for (const [at, atMs] of arrivals.entries()) {
    if (atMs + windowMs > endMs) break;
    fewest = Math.min(fewest, arrivals.slice(at).filter((later) => later < atMs + windowMs).length);
  }
  return { most, fewest };
}

// A window of the limit and what follows it is long; the first part of one shows the same numbers.
const observationMs = isLong ? 5 * minuteMs : 12_000;
const leastAsked = 1_000;

test('RL-01: 600 calls a minute over three replicas: at most 606 of ten times as many in any minute, and no fewer than 594', {
  timeout: observationMs + 60_000,
}, async () => {
  const key = await newcomer('steady', [{ per: 'consumer', rpm: 600 }]);
  const clients = await clientsOf(key);
  const startedAtMs = performance.now();
  const endMs = startedAtMs + observationMs;
  const refusals = { right: 0, wrong: [] as string[] };
  const running: Promise<void>[] = [];
  for (let n = 0; performance.now() < endMs || n < leastAsked; n += 1) {
    const dueMs = startedAtMs + n * 10 - performance.now();
    if (dueMs > 0) await new Promise((resolve) => setTimeout(resolve, dueMs));
    const calling = clients[n % clients.length]?.call('demo__steady').then((answer) => {
      const wait = Number(answer.headers['retry-after']);
      // Who does not wait is told behind how many others they stand: of ten windows at most.
      const isRefused = answer.status === 429 && Number.isInteger(wait) && wait >= 1 && wait <= 11 * 61;
      if (isRefused) refusals.right += 1;
      else if (!isDone(answer)) refusals.wrong.push(answer.text);
    });
    if (calling !== undefined) running.push(calling);
  }
  await Promise.all(running);
  const arrivals = upstream.callsOf('steady').map(({ atMs }) => atMs);
  const { most, fewest } = extremes(arrivals, minuteMs, performance.now());
  expect(refusals.wrong).toEqual([]);
  expect(refusals.right + arrivals.length).toBe(running.length);
  expect(most).toBeLessThanOrEqual(606);
  // A machine so busy that Redis answers too late gives out shares meanwhile, and those may be fewer (docs/limits.md).
  const wasShared = gateways.some(({ process }) => process.stderr.some((line) => line.includes('Redis is not usable')));
  if (!wasShared) expect(fewest).toBeGreaterThanOrEqual(594);
});

test('RL-05: a limit that is changed under load is held to on every replica within 5 s, and keeps its count', async () => {
  const key = await newcomer('changing', [{ per: 'consumer', rpm: 20 }]);
  const clients = await clientsOf(key);
  let asked = 0;
  const ask = async () => isDone((await clients[asked++ % 3]?.call('demo__echo')) as Answered);
  const through = async (count: number) => {
    const answers = await Promise.all(Array.from({ length: count }, ask));
    return answers.filter((isThrough) => isThrough).length;
  };
  expect(await through(40)).toBe(20);
  const limited = (rpm: number) => operate(asked, 'PATCH /consumers/changing', { limits: [{ per: 'consumer', rpm }] });
  const changedAtMs = performance.now();
  await limited(30);
  // What was counted under 20 counts under 30: ten more, and not one beyond them on any replica.
  let more = 0;
  const askMore = async () => {
    more += await through(3);
    return more >= 10;
  };
  await until('ten more went through', askMore, followWithinMs);
  expect(performance.now() - changedAtMs).toBeLessThan(followWithinMs);
  await until('every replica refuses', async () => (await through(9)) === 0);
  expect(more).toBe(10);
  await limited(10);
  expect(await through(9)).toBe(0);
});

test.runIf(isLong)(
  'RL-02: of 150 callers that wait as they are told, at least 99 % come through then, on three replicas',
  {
    timeout: 4 * minuteMs,
  },
  async () => {
    const key = await newcomer('patient', [{ per: 'consumer', rpm: 50 }]);
    const clients = await clientsOf(key);
    const waits: number[] = [];
    let late = 0;
    const patient = async (n: number): Promise<'at once' | 'then' | 'not then'> => {
      const client = clients[n % 3] as RawClient;
      const first = await client.call('demo__echo');
      if (isDone(first)) return 'at once';
      const seconds = Number(first.headers['retry-after']);
      waits.push(seconds);
      const dueAtMs = performance.now() + seconds * 1_000;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
      const second = await client.call('demo__echo');
      if (performance.now() - dueAtMs > 50) late += 1;
      return isDone(second) ? 'then' : 'not then';
    };
    const came = await Promise.all(Array.from({ length: 150 }, (_, n) => patient(n)));
    const then = came.filter((how) => how === 'then').length;
    expect(came.filter((how) => how === 'at once')).toHaveLength(50);
    // Who is later than 50 ms is in the way of others (local-counter.ts): on a machine that is too busy that is nearly everybody.
    if (late === 0) expect(then / 100).toBeGreaterThanOrEqual(0.99);
    else expect(then).toBeGreaterThan(50);
    expect(waits.every((seconds) => Number.isInteger(seconds) && seconds >= 1)).toBe(true);
  },
);

test('RL-03: a budget of 100 lets exactly 100 of 1,000 racers through', async () => {
  const key = await newcomer('scarce', [{ per: 'consumer', budget: { amount: 100, unit: 'calls', window: 'month' } }]);
  const clients = await clientsOf(key);
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, n) => clients[n % 3]?.call('demo__scarce')));
  const through = answers.filter((answer) => answer !== undefined && isDone(answer));
  const refused = answers.filter((answer) => answer?.status === 429);
  expect(upstream.callsOf('scarce')).toHaveLength(100);
  expect({ through: through.length, refused: refused.length }).toEqual({ through: 100, refused: 900 });
});

test('a revoked key is refused by every replica within 5 s, and its open streams end', async () => {
  const key = await newcomer('leaving', []);
  const staying = await newcomer('staying', []);
  const [modern, legacy] = await Promise.all([clientsOf(key), clientsOf(key, 'legacy')]);
  const all = [...modern, ...legacy];
  const streams = await Promise.all(all.map((client) => client.stream()));
  const others = await Promise.all((await clientsOf(staying)).map((client) => client.stream()));
  expect([...streams, ...others].map(({ status }) => status)).toEqual([...streams, ...others].map(() => 200));
  const open = new Set(streams);
  for (const stream of streams) void stream.ended.then(() => open.delete(stream));
  let othersEnded = 0;
  for (const stream of others) void stream.ended.then(() => (othersEnded += 1));

  await operate(1, 'POST /keys/leaving/revoke');
  const tookMs = await everywhere('the key is refused', all, async (client) => (await client.call('demo__echo')).status === 401);
  await until('its streams have ended', () => open.size === 0, followWithinMs);
  expect(tookMs).toBeLessThan(followWithinMs);
  expect(othersEnded).toBe(0);
  for (const stream of others) stream.close();
});

test('AZ-03: a changed policy holds on every replica within 5 s, and so does its end', async () => {
  const clients = await clientsOf(await newcomer('governed', []));
  const canCall = async (client: RawClient) => isDone(await client.call('demo__gated'));
  const lists = async (client: RawClient) => (await client.send('tools/list')).text.includes('demo__gated');
  expect(await Promise.all(clients.map(canCall))).toEqual([true, true, true]);
  const scope = encodeURIComponent('capability:demo/gated');
  await operate(0, `PUT /policies/${scope}`, { policy: { allow: [] } });
  await everywhere('nobody may call it', clients, async (client) => !(await canCall(client)) && !(await lists(client)));
  await operate(2, `PUT /policies/${scope}`, { policy: null });
  await everywhere('it is back', clients, async (client) => (await canCall(client)) && (await lists(client)));
});

test('AZ-03: a new upstream is served by every replica within 5 s, and a removed one by none', async () => {
  const clients = await clientsOf(await newcomer('newest', []));
  const canCall = async (client: RawClient) => isDone(await client.call('extra__echo'));
  expect(await Promise.all(clients.map(canCall))).toEqual([false, false, false]);
  await operate(0, 'POST /namespaces', { namespace: 'extra' });
  await operate(0, 'POST /upstreams', { namespace: 'extra', name: 'fresh', entry: { kind: 'mcp', url: upstream.url } });
  await everywhere('it can be called', clients, canCall);
  await operate(1, 'DELETE /upstreams/extra/fresh');
  await everywhere('it is gone', clients, async (client) => !(await canCall(client)));
});

test('no call fails while a key is replaced, and the old one ends with its grace', async () => {
  const graceS = 3;
  const old = await newcomer('rotating', []);
  const before = await clientsOf(old);
  const failures: string[] = [];
  let isOver = false;
  const keepCalling = async (client: RawClient): Promise<void> => {
    while (!isOver) {
      const answer = await client.call('demo__echo');
      if (!isDone(answer)) failures.push(answer.text);
    }
  };
  const calling = before.map(keepCalling);
  const rotatedAtMs = Date.now();
  const { secret: next } = await operate<{ secret: string }>(2, 'POST /keys/rotating/rotate', { graceS });
  const endsAtMs = rotatedAtMs + graceS * 1000;
  const after = await clientsOf(next);
  await everywhere('the new key is known', after, async (client) => isDone(await client.call('demo__echo')));
  expect(Date.now()).toBeLessThan(endsAtMs - 500);
  calling.push(...after.map(keepCalling));
  await new Promise((resolve) => setTimeout(resolve, endsAtMs - 300 - Date.now()));
  isOver = true;
  await Promise.all(calling);
  expect(failures).toEqual([]);
  await everywhere('the old key has ended', before, async (client) => (await client.call('demo__echo')).status === 401);
  expect(Date.now()).toBeGreaterThanOrEqual(endsAtMs);
  expect(await Promise.all(after.map(async (client) => isDone(await client.call('demo__echo'))))).toEqual([true, true, true]);
});

describe('while Redis is away', () => {
  const keys = new Map<string, string>();
  const counts = async (name: string, callsEach: number) => {
    const clients = await clientsOf(keys.get(name) ?? '');
    return await Promise.all(
      clients.map(async (client) => {
        const answers = await Promise.all(Array.from({ length: callsEach }, () => client.call('demo__echo')));
        return answers.filter(isDone).length;
      }),
    );
  };

  beforeAll(async () => {
    const rows = { open: 'open', closed: 'closed', share: 'share' } as const;
    for (const whenStoreGone of Object.values(rows))
      keys.set(whenStoreGone, await newcomer(whenStoreGone, [{ per: 'consumer', rpm: 30, whenStoreGone }]));
    const budget = { amount: 31, unit: 'calls', window: 'month' } as const;
    keys.set('seen', await newcomer('seen', [{ per: 'consumer', budget }]));
    keys.set('unseen', await newcomer('unseen', [{ per: 'consumer', budget }]));
    // Every replica has had a look at it: 28 are left.
    expect(await counts('seen', 1)).toEqual([1, 1, 1]);
    await redis.stop();
    await until('every replica has noticed', async () => (await counts('closed', 1)).every((through) => through === 0));
  });

  test('"open" lets everybody through', async () => {
    expect(await counts('open', 40)).toEqual([40, 40, 40]);
  });

  test('"closed" lets nobody through, and says that the limit cannot be checked', async () => {
    expect(await counts('closed', 5)).toEqual([0, 0, 0]);
    const [client] = await clientsOf(keys.get('closed') ?? '');
    const refused = await client?.call('demo__echo');
    expect(refused?.status).toBe(429);
    expect(refused?.message?.error?.message).toContain('cannot be checked right now');
  });

  test('RL-07: "share" gives out a third on each, and no more', async () => {
    expect(await counts('share', 20)).toEqual([10, 10, 10]);
  });

  test('a budget gives out its part of what was left where it was seen, and nothing where it was not', async () => {
    const through = await counts('seen', 20);
    expect(through.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(28);
    expect(Math.min(...through)).toBeGreaterThanOrEqual(9);
    expect(await counts('unseen', 2)).toEqual([0, 0, 0]);
  });

  test('lists and the beginning of a session are answered all the same', async () => {
    const key = keys.get('closed') ?? '';
    for (const client of [...(await clientsOf(key)), ...(await clientsOf(key, 'legacy'))])
      expect((await client.send('tools/list')).status).toBe(200);
  });

  test('it decides again when it is back, and knows what was spent meanwhile', async () => {
    redis = await startRedis(redis.port);
    // Each is asked until its first call goes through: those that are back sooner must not use up the minute meanwhile.
    const clients = await clientsOf(keys.get('closed') ?? '');
    await Promise.all(
      clients.map((client) =>
        until('every replica lets calls through again', async () => isDone(await client.call('demo__echo'))),
      ),
    );
    const before = await counts('seen', 20);
    expect(before.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(1);
    const [client] = await clientsOf(keys.get('seen') ?? '');
    const refused = await client?.call('demo__echo');
    expect(refused === undefined ? undefined : [refused.status, codeOf(refused)]).toEqual([429, 42900]);
    expect(refused === undefined ? '' : toolText(refused)).toContain('is used up');
  });
});
