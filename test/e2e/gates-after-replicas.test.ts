import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, type Answer, openAdminGateway } from '../support/admin-gateway.ts';
import {
  onPostgres,
  type PostgresService,
  type Service,
  servicesTimeoutMs,
  startPostgres,
  startRedis,
} from '../support/services.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

// PJ-03 on three gateways that share a PostgreSQL, with a Redis and without.

const minuteMs = 60_000;
const appCount = 6;
let postgres: PostgresService;
let upstream: StagedUpstream;
let redis: Service;

beforeAll(async () => {
  [postgres, redis, upstream] = await Promise.all([
    startPostgres(),
    startRedis(),
    startStagedUpstream({ tools: ['read', 'send', 'count'] }),
  ]);
}, servicesTimeoutMs);
afterAll(async () => {
  await Promise.all([postgres?.stop(), redis?.stop(), upstream?.close()]);
});

interface Replicas {
  readonly all: readonly AdminGateway[];
  readonly databaseUrl: string;
  /** Keys of applications that were handed nothing yet. */
  readonly apps: readonly string[];
  call(at: number, tool: string, key: string, args?: object): Promise<Answer>;
}

async function startReplicas(more: Readonly<Record<string, string>>): Promise<Replicas> {
  const databaseUrl = await postgres.createDatabase();
  const desk = `namespace: desk
upstreams:
  desk: { kind: mcp, url: "${upstream.url}" }
toolboxes:
  reading: { include: [desk/read] }
  writing: { include: [desk/send, desk/count] }
policy:
  labels: { untrusted-source: desk/read }
  gates: [{ match: desk/send, after: untrusted-source, withinMs: ${15 * minuteMs} }]
`;
  const options = { namespaces: { desk }, settings: { GATEHOUSE_DATABASE_URL: databaseUrl, ...more } };
  const all: AdminGateway[] = [];
  for (let n = 0; n < 3; n++) all.push(await openAdminGateway(options));
  const [first] = all as [AdminGateway];
  const apps: string[] = [];
  for (let n = 0; n < appCount; n++) {
    await first.ok('POST /consumers', { id: `app-${n}`, title: 'App', kind: 'application' });
    apps.push((await first.ok('POST /keys', { title: 'key', consumer: `app-${n}` })).secret);
  }
  const last = apps.at(-1) ?? '';
  await until('every replica knows every key', async () =>
    (await Promise.all(all.map((gateway) => gateway.mcp('', 'tools/list', {}, last)))).every(({ status }) => status === 200),
  );
  return {
    all,
    databaseUrl,
    apps,
    call(at, tool, key, args = {}) {
      const name = `desk__${tool}`;
      const toolbox = tool === 'read' ? 'reading' : 'writing';
      const gateway = all[at % all.length] as AdminGateway;
      return gateway.mcp(toolbox, 'tools/call', { name, arguments: args }, key, { 'mcp-name': name });
    },
  };
}

const codeOf = ({ body }: Answer): string | undefined => body.result?._meta?.['dev.gatehouse/error']?.code;

interface Place {
  readonly what: string;
  readonly settings: () => Readonly<Record<string, string>>;
  /** How many sightings are there. */
  count(replicas: Replicas): Promise<number>;
  /** Makes every sighting this much older. */
  age(replicas: Replicas, ms: number): Promise<void>;
  /** Takes it away; returns how it comes back. */
  takeAway(replicas: Replicas): Promise<() => Promise<void>>;
}

async function onRedis<T>(work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(redis.url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

const seen = 'gatehouse:seen:*';
const countRows = async ({ databaseUrl }: Replicas) =>
  Number((await onPostgres(databaseUrl, 'select count(*) as n from gatehouse.sightings'))[0]?.n);

const places: readonly Place[] = [
  {
    what: 'PostgreSQL',
    settings: () => ({}),
    count: countRows,
    age: async ({ databaseUrl }, ms) =>
      void (await onPostgres(databaseUrl, `update gatehouse.sightings set seen_ms = seen_ms - ${ms}`)),
    async takeAway({ databaseUrl }) {
      const name = new URL(databaseUrl).pathname.slice(1);
      await onPostgres(postgres.url, `alter database ${name} allow_connections false`);
      await onPostgres(postgres.url, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
      return async () => void (await onPostgres(postgres.url, `alter database ${name} allow_connections true`));
    },
  },
  {
    what: 'Redis',
    settings: () => ({ GATEHOUSE_REDIS_URL: redis.url }),
    async count(replicas) {
      expect(await countRows(replicas)).toBe(0);
      return await onRedis(async (client) => (await client.keys(seen)).length);
    },
    age: (_replicas, ms) =>
      onRedis(async (client) => {
        for (const key of await client.keys(seen)) await client.pexpire(key, (await client.pttl(key)) - ms);
      }),
    async takeAway() {
      const { port } = redis;
      await redis.stop();
      return async () => {
        redis = await startRedis(port);
      };
    },
  },
];

describe.each(places)('PJ-03: with sightings in $what', ({ settings, count, age, takeAway }) => {
  let replicas: Replicas;
  beforeAll(async () => {
    replicas = await startReplicas(settings());
  }, servicesTimeoutMs);
  afterAll(async () => {
    await Promise.all((replicas?.all ?? []).map((gateway) => gateway.stop()));
  });

  test('what one replica handed over, every other one knows at once; other callers stay free', async () => {
    const [reader = '', other = ''] = replicas.apps;
    expect(codeOf(await replicas.call(1, 'send', reader))).toBeUndefined();
    expect(await count(replicas)).toBe(0);
    expect(codeOf(await replicas.call(0, 'read', reader))).toBeUndefined();
    const held = await Promise.all([0, 1, 2].map((at) => replicas.call(at, 'send', reader, { x: 1 })));
    expect(held.map(codeOf)).toEqual(Array(3).fill('approval_pending'));
    expect(codeOf(await replicas.call(2, 'count', reader))).toBeUndefined();
    expect(codeOf(await replicas.call(1, 'send', other, { x: 1 }))).toBeUndefined();
    expect(await count(replicas)).toBe(2);
  });

  test('that holds for callers that read on all of them at the same time', async () => {
    const readers = replicas.apps.slice(2, 5);
    const codes = await Promise.all(
      readers.map(async (key, at) => {
        await replicas.call(at, 'read', key);
        return (await Promise.all([0, 1, 2].map((n) => replicas.call(n, 'send', key)))).map(codeOf);
      }),
    );
    expect(codes.flat()).toEqual(Array(9).fill('approval_pending'));
  });

  test('until its time is over', async () => {
    const [reader = ''] = replicas.apps;
    await age(replicas, 14 * minuteMs);
    expect(codeOf(await replicas.call(1, 'send', reader, { x: 2 }))).toBe('approval_pending');
    await age(replicas, minuteMs + 5_000);
    expect(codeOf(await replicas.call(1, 'send', reader, { x: 2 }))).toBeUndefined();
  });

  test('while it is away, whoever asks is held and what is labelled is refused; all else goes on', {
    timeout: 60_000,
  }, async () => {
    const fresh = replicas.apps.at(-1) ?? '';
    expect(codeOf(await replicas.call(1, 'send', fresh))).toBeUndefined();
    const before = upstream.arrivals.length;
    const bringBack = await takeAway(replicas);
    const held = await until('it is away', async () => {
      const answer = await replicas.call(1, 'send', fresh, { x: 3 });
      return codeOf(answer) === undefined ? undefined : answer;
    });
    expect(codeOf(held)).toMatch(/^approval_(pending|unavailable)$/);
    expect(codeOf(await replicas.call(0, 'read', fresh))).toBe('approval_unavailable');
    expect(upstream.arrivals.slice(before).filter(({ name }) => name === 'read')).toEqual([]);
    expect(codeOf(await replicas.call(0, 'count', fresh))).toBeUndefined();
    await bringBack();
    await until('it is there', async () => codeOf(await replicas.call(1, 'send', fresh, { x: 4 })) === undefined, 30_000);
    await until('what is labelled runs', async () => codeOf(await replicas.call(0, 'read', fresh)) === undefined, 30_000);
    expect(codeOf(await replicas.call(2, 'send', fresh, { x: 5 }))).toBe('approval_pending');
  });
});
