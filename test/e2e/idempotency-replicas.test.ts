import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { closeRawClients, connectRaw } from '../support/raw-clients.ts';
import { newMasterKey, placeSettings } from '../support/registrar.ts';
import { onPostgres, type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';
import { chatReply, chatStream, type FarEnd, json, openStream, startFarEnd } from '../upstreams/model/far-end.ts';

let postgres: PostgresService;
let provider: FarEnd;
let upstream: StagedUpstream;
let databaseUrl: string;
let directory: string;
let gateways: Gateway[];
let app: string;
let other: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-once-'));
  [postgres, provider, upstream] = await Promise.all([startPostgres(), startFarEnd(), startStagedUpstream({ tools: ['send'] })]);
  databaseUrl = await postgres.createDatabase();
  const place = { databaseUrl, masterKey: newMasterKey() };
  const target = `{ provider: openai-compatible, model: theirs, url: "${provider.url}" }`;
  const namespaces = [
    `namespace: models\nupstreams:\n  fast: { kind: model, concurrency: 200, targets: [${target}] }\n`,
    `namespace: desk\nupstreams:\n  desk: { kind: mcp, url: "${upstream.url}", concurrency: 200 }\n`,
  ];
  gateways = await Promise.all(
    ['one', 'two', 'three'].map((name) =>
      startGateway(namespaces, {
        ...placeSettings({ ...place, dataDir: join(directory, name) }),
        GATEHOUSE_EGRESS_ALLOW: '127.0.0.1',
        GATEHOUSE_LOG_LEVEL: 'warn',
      }),
    ),
  );
  [app, other] = await Promise.all([newcomer('app'), newcomer('other')]);
}, servicesTimeoutMs);
beforeEach(() => {
  provider.does((_heard, response) => json(response, 200, chatReply('hello')));
  upstream.arrivals.length = 0;
  upstream.behave = upstream.echo;
});
afterAll(async () => {
  await Promise.all((gateways ?? []).map((gateway) => gateway.stop().catch(() => {})));
  await Promise.all([closeRawClients(), upstream?.close(), provider?.close(), postgres?.stop()]);
  rmSync(directory, { recursive: true, force: true });
  await expectNoneLeft();
});

async function newcomer(id: string): Promise<string> {
  const operate = async (path: string, body: object) => {
    const headers = { authorization: `Bearer ${gateways[0]?.key}`, 'content-type': 'application/json' };
    const response = await fetch(`${gateways[0]?.url}/api${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return (await response.json()) as { secret: string };
  };
  await operate('/consumers', { id, title: id, kind: 'application' });
  const { secret } = await operate('/keys', { id, title: id, consumer: id });
  const headers = { authorization: `Bearer ${secret}` };
  const isKnown = async ({ url }: Gateway) => (await fetch(`${url}/v1/models`, { headers })).status === 200;
  await until('every replica knows the key', async () => (await Promise.all(gateways.map(isKnown))).every((known) => known));
  return secret;
}

const question = { model: 'models/fast', messages: [{ role: 'user', content: 'Say hello.' }] };

async function ask(at: number, idempotencyKey: string, body: object = question, key = app) {
  const response = await fetch(`${gateways[at % gateways.length]?.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), retryAfter: response.headers.get('retry-after') };
}

test.each([false, true])(
  'FO-05: of fifty at once over three replicas a model is asked once, and all have its answer; another body is refused, another caller is not (streams: %s)',
  async (stream) => {
    const held = Promise.withResolvers<void>();
    provider.does(async (_heard, response) => {
      await held.promise;
      if (stream) openStream(response).end(chatStream(['Hel', 'lo']).join(''));
      else json(response, 200, chatReply('hello'));
    });
    const key = `fifty-${stream}`;
    const all = Array.from({ length: 50 }, (_, n) => ask(n, key, { ...question, stream }));
    await until('it was asked', () => provider.heard.length > 0);
    held.resolve();
    const answers = await Promise.all(all);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect([answers[0]?.status, provider.heard.length]).toEqual([200, 1]);
    const conflicts = await Promise.all([0, 1, 2].map((at) => ask(at, key, { ...question, stream, temperature: 0.5 })));
    expect(conflicts.map(({ status }) => status)).toEqual([422, 422, 422]);
    expect((await ask(1, key, { ...question, stream })).text).toBe(answers[0]?.text);
    expect(provider.heard.length).toBe(1);
    expect((await ask(2, key, { ...question, stream }, other)).status).toBe(200);
    expect(provider.heard.length).toBe(2);
  },
);

test('FO-05: of fifty at once over three replicas a tool is called once, and all have its answer', async () => {
  const clients = await Promise.all(gateways.map((gateway) => connectRaw('modern', { url: gateway.mcpUrl(), key: app })));
  let n = 0;
  upstream.behave = () => ({ result: { content: [{ type: 'text', text: `done ${++n}` }] } });
  const call = (at: number, args: object, key = 'a-tool') =>
    clients[at % 3]?.call('desk__send', args, { headers: { 'idempotency-key': key } });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => call(at, { to: 'a' })));
  expect(new Set(answers.map((answer) => JSON.stringify(answer?.message?.result))).size).toBe(1);
  expect(answers[0]?.text).toContain('done 1');
  expect(upstream.callsOf('send')).toHaveLength(1);
  expect((await call(1, { to: 'b' }))?.message?.error).toMatchObject({ code: 42210 });
  expect((await call(1, { to: 'b' }, 'another'))?.text).toContain('done 2');
});

test('FO-05: a replica that is killed in a call leaves a tool alone, and a model to the next', { timeout: 90_000 }, async () => {
  const never = new Promise<undefined>(() => {});
  provider.does(() => never);
  upstream.behave = () => never;
  const [dying, , staying] = gateways as [Gateway, Gateway, Gateway];
  const tool = async (gateway: Gateway) => {
    const client = await connectRaw('modern', { url: gateway.mcpUrl(), key: app });
    return await client.call('desk__send', { to: 'a' }, { headers: { 'idempotency-key': 'killed-tool' } });
  };
  const lost = [ask(0, 'killed').catch(() => {}), tool(dying).catch(() => {})];
  await until('both are under way', () => provider.heard.length === 1 && upstream.arrivals.length === 1);
  dying.process.child.kill('SIGKILL');
  await Promise.all(lost);
  // A lease is 20 seconds; who has the time sees it go by.
  if (process.env.TEST_LONG === undefined) await onPostgres(databaseUrl, 'update gatehouse.keyed_calls set leased_until_ms = 0');
  provider.does((_heard, response) => json(response, 200, chatReply('hello again')));
  upstream.behave = upstream.echo;
  const [model, unknown] = await Promise.all([ask(2, 'killed'), tool(staying)]);
  expect([model.status, provider.heard.length]).toEqual([200, 1]);
  expect(model.text).toContain('hello again');
  expect((await ask(1, 'killed')).text).toBe(model.text);
  expect(unknown.message?.error).toMatchObject({ code: 40901, message: expect.stringContaining('not known') });
  expect(upstream.callsOf('send')).toHaveLength(1);
});

test('FO-05: while the database is away no call with a key is made, and one without goes on', { timeout: 60_000 }, async () => {
  await postgres.stop();
  const refused = await ask(1, 'away');
  expect([refused.status, refused.retryAfter]).toEqual([503, '1']);
  expect(provider.heard).toHaveLength(0);
  const headers = { authorization: `Bearer ${app}`, 'content-type': 'application/json' };
  const plain = await fetch(`${gateways[1]?.url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify(question),
  });
  expect([plain.status, provider.heard.length]).toEqual([200, 1]);
});
