import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';
import { until } from '../support/until.ts';

// A model whose secret is nowhere: its callers are told that it is not ready, its admins what is missing, and it becomes ready by itself.

const providerKey = 'sk-provider-0123456789';
let openai: StandIn;
let gateway: AdminGateway;
let developer: string;
let app: string;
let other: string;

const target = (secret: string, more = '') =>
  `{ provider: openai, model: gpt-5-mini, key: "\${secret:${secret}}", url: "${openai.url}/v1"${more} }`;

beforeAll(async () => {
  openai = await startOpenai({ key: providerKey });
  const models = ['slow', 'late', 'filed'].map((name) => {
    const secret = `NOWHERE_${name.toUpperCase()}`;
    return `  ${name}: { kind: model, aliases: [alias-of-${name}], targets: [${target(secret)}] }\n`;
  });
  const half = `  half: { kind: model, targets: [${target('NOWHERE_HALF', ', name: lacking')}, ${target('THERE', ', name: there')}] }\n`;
  const limits = '  limits: [{ per: consumer, tpm: 1000000 }]\n';
  gateway = await openAdminGateway({
    namespaces: { labs: `namespace: labs\nupstreams:\n${models.join('')}${half}policy:\n${limits}` },
    settings: { THERE: providerKey },
  });
  developer = await gateway.person('dev', [{ role: 'developer', namespace: 'labs' }]);
  await gateway.ok('POST /consumers', { id: 'app', title: 'App', kind: 'application' });
  app = (await gateway.ok('POST /keys', { id: 'app', title: 'App', consumer: 'app' })).secret;
  other = (await gateway.ok('POST /keys', { id: 'other', title: 'Other', consumer: 'app', scope: { models: ['labs/half'] } }))
    .secret;
});
afterAll(async () => {
  await gateway?.stop();
  await openai?.close();
});

const post = (path: string, body: object, key: string) =>
  fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const messages = [{ role: 'user', content: 'Hello' }];
const chat = (model: string, key = app) => post('/v1/chat/completions', { model, messages }, key);
const hidden = ['NOWHERE', 'gpt-5-mini', 'openai', '127.0.0.1', providerKey];

describe('a model that lacks its secret', () => {
  test.each([
    ['chat/completions', { messages }],
    ['chat/completions', { messages, stream: true }],
    ['responses', { input: 'Hello' }],
    ['messages', { messages, max_tokens: 10 }],
    ['messages', { messages, max_tokens: 10, stream: true }],
    ['messages/count_tokens', { messages }],
    ['embeddings', { input: 'Hello' }],
  ])('says at /v1/%s that it is not ready and whom to tell, and nothing of what it lacks', async (path, body) => {
    for (const model of ['labs/slow', 'alias-of-slow']) {
      const answer = await post(`/v1/${path}`, { model, ...body }, app);
      const text = await answer.text();
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([503, 'false']);
      expect(text).toContain('labs/slow is registered here and not ready');
      expect(text).toContain('whoever administers the namespace labs');
      for (const word of hidden) expect(text).not.toContain(word);
      const { error } = JSON.parse(text);
      if (path.startsWith('messages')) expect(error.type).toBe('api_error');
      else expect(error).toMatchObject({ type: 'server_error', code: 'model_not_ready' });
    }
    expect(openai.journal).toHaveLength(0);
  });

  test('as a tool it says the same; whoever may not see it is told that there is none', async () => {
    const { body } = await gateway.mcp('', 'tools/call', { name: 'labs__slow', arguments: { prompt: 'Hello' } }, app);
    expect(body.result).toMatchObject({ isError: true, _meta: { 'dev.gatehouse/error': { code: 'model_not_ready' } } });
    for (const word of hidden) expect(JSON.stringify(body)).not.toContain(word);
    const unseen = await chat('labs/slow', other);
    const nowhere = await chat('labs/none', other);
    expect([unseen.status, (await unseen.text()).replaceAll('slow', '')]).toEqual([
      404,
      (await nowhere.text()).replaceAll('none', ''),
    ]);
  });

  test('tells nobody what it lacks where it is described', async () => {
    const described = await gateway.ok('GET /capability?name=labs/slow', undefined, developer);
    expect(described.health.lastError.message).toBe('Its setup is not complete.');
    const page = await gateway.ok('GET /documentation?name=labs/slow', undefined, developer);
    expect(JSON.stringify([described, page])).not.toContain('NOWHERE');
  });

  test('is listed as not ready, for admins with the name of what it lacks', async () => {
    const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${app}` } });
    const listed = (await response.json()) as { data: { id: string; ready?: boolean }[] };
    const ready = Object.fromEntries(listed.data.map(({ id, ready: is }) => [id, is]));
    expect(ready).toMatchObject({ 'labs/slow': false, 'labs/half': undefined });
    const states = async (key?: string) => {
      const { models } = await gateway.ok('GET /models', undefined, key);
      return models.map(({ id, state, missingSecrets }: Record<string, unknown>) => [id, state, missingSecrets]);
    };
    const all = (of: (name: string) => string[] | undefined) => [
      ['labs/filed', 'not-ready', of('FILED')],
      ['labs/half', 'limited', of('HALF')],
      ['labs/late', 'not-ready', of('LATE')],
      ['labs/slow', 'not-ready', of('SLOW')],
    ];
    expect(await states()).toEqual(all((name) => [`NOWHERE_${name}`]));
    expect(await states(developer)).toEqual(all(() => undefined));
    const { models } = await gateway.ok('GET /models?state=not-ready');
    expect(models).toHaveLength(3);
    const half = await gateway.ok('GET /models/labs/half');
    expect(half.targets).toMatchObject([
      { name: 'lacking', state: 'out', reason: expect.stringContaining('not set'), missingSecrets: ['NOWHERE_HALF'] },
      { name: 'there', state: 'in' },
    ]);
    expect(half.targets[1]).not.toHaveProperty('missingSecrets');
    expect((await chat('labs/half')).status).toBe(200);
    for (const route of ['GET /health', 'GET /status']) {
      const seen = (await gateway.ok(route, undefined, developer)).upstreams;
      expect(JSON.stringify(seen)).not.toContain('NOWHERE');
      expect(seen.find(({ id }: { id: string }) => id === 'labs/slow')).toMatchObject({
        lastError: { message: 'Its setup is not complete.' },
        missingSecrets: [],
      });
      expect(JSON.stringify((await gateway.ok(route)).upstreams)).toContain('NOWHERE_HALF is not set');
    }
    const { upstreams } = await gateway.ok('GET /health');
    expect(upstreams.find(({ id }: { id: string }) => id === 'labs/slow')).toMatchObject({
      state: 'down',
      missingSecrets: ['NOWHERE_SLOW'],
    });
  });

  test('is ready by itself once the secret is set, for calls with an idempotency key that were refused before, too', async () => {
    const headers = { authorization: `Bearer ${app}`, 'content-type': 'application/json', 'idempotency-key': 'of-late' };
    const keyed = () =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ model: 'labs/late', messages }),
      });
    expect((await keyed()).status).toBe(503);
    await gateway.ok('PUT /secrets/NOWHERE_LATE', { value: providerKey });
    const answer = await until('it answers', async () => (await chat('labs/late')).status === 200);
    expect(answer).toBe(true);
    expect((await keyed()).status).toBe(200);
    expect(await gateway.ok('GET /models/labs/late')).toMatchObject({ state: 'available' });
    expect(await gateway.ok('GET /models/labs/late')).not.toHaveProperty('missingSecrets');
  });

  test('is ready by itself once the secret is there as a file, and so is a target among others', async () => {
    const directory = join(gateway.dataDir, '..', 'secrets');
    mkdirSync(directory, { recursive: true });
    for (const name of ['NOWHERE_FILED', 'NOWHERE_HALF']) writeFileSync(join(directory, name), `${providerKey}\n`);
    await until('it answers', async () => (await chat('labs/filed')).status === 200);
    const half = await until('both targets are in', async () => {
      const model = await gateway.ok('GET /models/labs/half');
      return model.state === 'available' && model;
    });
    expect(half.targets.map(({ state }: { state: string }) => state)).toEqual(['in', 'in']);
    expect((await chat('labs/slow')).status).toBe(503);
  });
});
