import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { type CallOptions, codeOf, type Gated, ran, startGated } from '../support/gated.ts';
import { onPostgres, type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { until } from '../support/until.ts';

// Three gateways on one database.

const isLong = process.env.TEST_LONG !== undefined;
let postgres: PostgresService;
let upstream: CountingUpstream;
let replicas: Gated[];
let databaseUrl: string;
let key: string;

beforeAll(async () => {
  [postgres, upstream] = await Promise.all([startPostgres(), startCountingUpstream()]);
  databaseUrl = await postgres.createDatabase();
  const settings = { GATEHOUSE_DATABASE_URL: databaseUrl };
  const first = await startGated({ settings, upstream });
  const { keys } = first;
  replicas = [first, await startGated({ settings, upstream, keys }), await startGated({ settings, upstream, keys })];
}, servicesTimeoutMs);

beforeEach(async () => {
  upstream.calls.length = 0;
  key = (await replicas[0]?.freshKey()) ?? '';
  await until('every replica knows the key', async () =>
    (await Promise.all(replicas.map(({ gateway }) => gateway.mcp('', 'tools/list', {}, key)))).every(
      ({ status }) => status === 200,
    ),
  );
});

afterAll(async () => {
  for (const replica of replicas ?? []) await replica.stop();
  await Promise.all([upstream?.close(), postgres?.stop()]);
});

const at = (n: number): Gated => replicas[n % replicas.length] as Gated;
const callAt = (n: number, args: object, options: CallOptions = {}) => at(n).call(args, { key, ...options });

async function asked(n: number, args: object): Promise<string> {
  const answer = await callAt(n, args);
  expect(codeOf(answer)).toBe('approval_pending');
  return answer.body.result._meta['dev.gatehouse/error'].approval;
}

describe('AP-02: one approval', () => {
  test.each(Array.from({ length: isLong ? 20 : 3 }, (_, n) => n))(
    'makes one call of fifty at once, on three replicas (%d)',
    async (n) => {
      const id = await asked(n, { once: n });
      await at(n + 1).decide(id, 'approve');
      const answers = await Promise.all(Array.from({ length: 50 }, (_, m) => callAt(m, { once: n })));
      expect(answers.filter(ran)).toHaveLength(1);
      expect(upstream.calls).toHaveLength(1);
      const others = answers.filter((answer) => !ran(answer)).map(codeOf);
      expect(others.every((code) => code === 'approval_pending' || code === 'approval_unavailable')).toBe(true);
      const [row] = await onPostgres(databaseUrl, `select state, outcome from gatehouse.approvals where id = '${id}'`);
      expect(row?.state).toBe('consumed');
    },
  );
});

describe('AP-02: one task', () => {
  test('makes one call, whichever replicas its client asks at once', async () => {
    const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
    const { taskId } = (await callAt(0, { task: 1 }, { capabilities })).body.result;
    const get = async (n: number) =>
      (await at(n).gateway.mcp('', 'tasks/get', { taskId }, key, { 'mcp-name': taskId }, capabilities)).body.result;
    expect(await Promise.all([get(0), get(1), get(2)])).toMatchObject(Array(3).fill({ status: 'working' }));
    const [waiting] = await at(1).pending();
    await at(1).decide(waiting?.id ?? '', 'approve');
    await Promise.all(Array.from({ length: 50 }, (_, n) => get(n)));
    await until('every replica says so', async () =>
      (await Promise.all([get(0), get(1), get(2)])).every(({ status }) => status === 'completed'),
    );
    expect((await get(2)).result.content[0].text).toBe('{"task":1}');
    expect(upstream.calls).toHaveLength(1);
  });
});

describe('AP-08: two decide at the same instant on two replicas', () => {
  test.each(Array.from({ length: isLong ? 30 : 5 }, (_, n) => n))('and one decision stands (%d)', async (n) => {
    const id = await asked(0, { both: n });
    const [approve, deny] = await Promise.all([
      at(1).decide(id, 'approve', at(1).keys.bob),
      at(2).decide(id, 'deny', at(2).keys.carl),
    ]);
    expect([approve.status, deny.status].sort()).toEqual([200, 409]);
    const answer = await callAt(n, { both: n });
    expect([ran(answer), codeOf(answer)]).toEqual(approve.status === 200 ? [true, undefined] : [false, 'approval_denied']);
    expect(upstream.calls).toHaveLength(approve.status === 200 ? 1 : 0);
  });

  test('one request is made of the same call on all of them', async () => {
    const ids = await Promise.all([0, 1, 2, 0, 1, 2].map((n) => asked(n, { same: 1 })));
    expect(new Set(ids).size).toBe(1);
  });

  test('a call that waits on one goes on when another one was told', async () => {
    const capabilities = { elicitation: { url: {} } };
    const asking = await callAt(0, { waits: 1 }, { capabilities });
    const { requestState, inputRequests } = asking.body.result;
    const id = inputRequests.approval.params.url.split('/').at(-1);
    const retry = { requestState, inputResponses: { approval: { action: 'accept' } } };
    const running = callAt(1, { waits: 1 }, { capabilities, retry });
    await at(2).decide(id, 'approve');
    expect(ran(await running)).toBe(true);
    expect(codeOf(await callAt(2, { waits: 1 }, { retry }))).toBe('approval_pending');
    expect(codeOf(await callAt(2, { waits: 2 }, { retry }))).toBeUndefined();
    expect(upstream.calls).toHaveLength(1);
  });
});

describe('AP-08: while the database is away', () => {
  test('nothing that needs consent is called, and afterwards it is', { timeout: 60_000 }, async () => {
    await at(0).decide(await asked(0, { away: 1 }), 'approve');
    const name = new URL(databaseUrl).pathname.slice(1);
    await onPostgres(postgres.url, `alter database ${name} allow_connections false`);
    await onPostgres(postgres.url, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
    const answers = await Promise.all([0, 1, 2].map((n) => callAt(n, { away: 1 })));
    expect(answers.map(codeOf)).toEqual(Array(3).fill('approval_unavailable'));
    expect(upstream.calls).toEqual([]);
    await onPostgres(postgres.url, `alter database ${name} allow_connections true`);
    await until('it is called', async () => ran(await callAt(1, { away: 1 })), 20_000);
    expect(upstream.calls).toHaveLength(1);
  });
});
