import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startEverythingLegacy } from '../fixtures/everything-legacy.ts';
import { startEverythingModern } from '../fixtures/everything-modern.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { clientKinds, connectClient, textOf } from '../support/clients.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { fails, says } from '../support/model-providers/script.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';
import { startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

// An upstream asks its client for a model, and the client has none: a registered model answers, as one more call of the same caller.

const eras = ['legacy', 'modern'] as const;
let fixtures: readonly [Awaited<ReturnType<typeof startEverythingLegacy>>, Awaited<ReturnType<typeof startEverythingModern>>];
let provider: StandIn;
let gateway: AdminGateway;
let key: string;

beforeAll(async () => {
  provider = await startOpenai({ key: 'sk-1' });
  fixtures = [await startEverythingLegacy(), await startEverythingModern()];
  const policy = 'policy: { sampling: { model: models/fast, maxTokens: 50 } }\n';
  const namespace = (name: string, url: string) =>
    `namespace: ${name}\nupstreams:\n  fixture: { kind: mcp, url: "${url}" }\n${policy}`;
  gateway = await openAdminGateway({
    namespaces: {
      legacy: namespace('legacy', fixtures[0].url),
      modern: namespace('modern', fixtures[1].url),
      models: `namespace: models\nupstreams:\n  fast: { kind: model, targets: [{ provider: openai, model: m, key: "\${secret:KEY}", url: "${provider.url}/v1" }] }\n`,
    },
    settings: { KEY: 'sk-1' },
  });
  await gateway.ok('POST /consumers', { id: 'team', title: 'Team', kind: 'team' });
  key = (await gateway.ok('POST /keys', { id: 'sampled', title: 'x', consumer: 'team' })).secret;
});
beforeEach(() => provider.always(says('From the model.')));
afterAll(async () => {
  await gateway?.stop();
  for (const fixture of fixtures ?? []) await fixture.stop();
  await provider?.close();
});

const withoutModel = { capabilities: { elicitation: { form: {} } } };
const open = (kind: (typeof clientKinds)[number], withKey = key, options: object = withoutModel) =>
  connectClient(kind, { url: `${gateway.url}/mcp`, key: withKey }, options);

const pairings = clientKinds.flatMap((kind) => eras.map((era) => ({ kind, era })));

describe.each(pairings)('$kind client, $era upstream', ({ kind, era }) => {
  test('a client without a model gets an answer that a registered model helped with', async () => {
    const before = provider.journal.length;
    const client = await open(kind);
    const answer = await client.call(`${era}__test_sampling`, { prompt: 'Say something.' });
    expect(textOf(answer)).toBe('LLM response: From the model.');
    expect(provider.journal.slice(before).map(({ body }) => body)).toMatchObject([
      { messages: [{ role: 'user', content: 'Say something.' }] },
    ]);
    await client.close();
  });

  test('a client with a model of its own answers itself', async () => {
    const before = provider.journal.length;
    const client = await open(kind, key, {});
    expect(textOf(await client.call(`${era}__test_sampling`, { prompt: 'x' }))).toBe('LLM response: sampled');
    expect(provider.journal).toHaveLength(before);
    await client.close();
  });
});

describe.each(eras)('%s upstream', (era) => {
  const call = async (withKey = key) => {
    const client = await open('v2 auto', withKey);
    const answer = await client.call(`${era}__test_sampling`, { prompt: 'x' }).catch((error: Error) => error);
    await client.close();
    return answer instanceof Error ? answer.message : textOf(answer);
  };

  test('a call with an idempotency key has its questions answered as any other, and is made once', async () => {
    const before = provider.journal.length;
    const args = { name: `${era}__test_sampling`, arguments: { prompt: `keyed ${era}` } };
    for (let time = 0; time < 2; time++) {
      const { body } = await gateway.mcp('', 'tools/call', args, key, { 'idempotency-key': `keyed-${era}` });
      expect(textOf(body.result)).toBe('LLM response: From the model.');
    }
    expect(provider.journal).toHaveLength(before + 1);
  });

  test('each answer is a call of the model by the same caller, on record, as long as the policy lets it be', async () => {
    expect(await call()).toContain('From the model.');
    expect(provider.journal.at(-1)?.body).toMatchObject({ max_completion_tokens: 50 });
    const found = await until('the index has it', async () => {
      const { calls } = await gateway.ok('GET /audit?capability=models/fast');
      return calls.find(
        (one: { outcome: string | null; caller: string }) => one.outcome === 'done' && one.caller === 'key:sampled',
      );
    });
    expect(found).toMatchObject({ consumer: 'team' });
  });

  test('a caller that may not call the model gets no answer by it', async () => {
    const scope = { namespaces: [era] };
    const narrow = (await gateway.ok('POST /keys', { title: 'x', consumer: 'team', scope })).secret;
    const before = provider.journal.length;
    expect(await call(narrow)).not.toContain('From the model.');
    expect(provider.journal).toHaveLength(before);
  });

  test('the limits of the model hold, and what fails is no answer; the next one is', async () => {
    await gateway.ok('PUT /policies/capability:models%2Ffast', { policy: { limits: [{ per: 'key', rpm: 1 }] } });
    const fresh = (await gateway.ok('POST /keys', { title: 'x', consumer: 'team' })).secret;
    expect(await call(fresh)).toContain('From the model.');
    const before = provider.journal.length;
    expect(await call(fresh)).not.toContain('From the model.');
    expect(provider.journal).toHaveLength(before);
    await gateway.ok('PUT /policies/capability:models%2Ffast', { policy: null });
    provider.next(fails(400));
    expect(await call()).not.toContain('From the model.');
    expect(await call()).toContain('From the model.');
  });
});

test('a server that asks and asks gets so many answers in one call and no more', async () => {
  const upstream = await startStagedUpstream({ tools: ['greedy'] });
  const question = {
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: { type: 'text', text: 'More?' } }], maxTokens: 10 },
  };
  upstream.behave = () => ({
    result: {
      resultType: 'input_required',
      inputRequests: Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`q${n}`, question])),
      requestState: 'again',
    },
  });
  await gateway.ok('POST /namespaces', { namespace: 'greedy' });
  await gateway.ok('POST /upstreams', { namespace: 'greedy', name: 'server', entry: { url: upstream.url } });
  await gateway.ok('PUT /policies/namespace:greedy', { policy: { sampling: { model: 'models/fast' } } });
  const before = provider.journal.length;
  const { body } = await gateway.mcp('', 'tools/call', { name: 'greedy__greedy', arguments: {} }, key);
  expect(JSON.stringify(body)).toContain('more than 64 times');
  expect(provider.journal.length - before).toBe(64);
  upstream.behave = () => ({
    result: { resultType: 'input_required', inputRequests: { q: { ...question, params: { messages: [] } } }, requestState: 'x' },
  });
  const broken = await gateway.mcp('', 'tools/call', { name: 'greedy__greedy', arguments: {} }, key);
  expect(broken.body.result).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('needs an answer of a model') }],
  });
  await upstream.close();
});

test('without a policy that names a model nobody answers', async () => {
  await gateway.ok('POST /namespaces', { namespace: 'plain' });
  await gateway.ok('POST /upstreams', { namespace: 'plain', name: 'fixture', entry: { url: fixtures[1].url } });
  const before = provider.journal.length;
  const client = await open('v2 auto');
  const answer = await client.call('plain__test_sampling', { prompt: 'x' }).catch((error: Error) => error);
  expect(answer instanceof Error ? answer.message : textOf(answer)).not.toContain('LLM response: From');
  expect(provider.journal).toHaveLength(before);
  await client.close();
});
