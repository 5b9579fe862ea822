import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { chatReply, type FarEnd, json, startFarEnd } from '../../upstreams/model/far-end.ts';

let provider: FarEnd;
let gateway: AdminGateway;

const question = { model: 'models/fast', messages: [{ role: 'user', content: 'Say hello.' }] };

beforeAll(async () => {
  provider = await startFarEnd();
});
beforeEach(() => provider.does((_heard, response) => json(response, 200, chatReply('hello'))));
afterEach(() => gateway.stop());
afterAll(() => provider.close());

async function open(policy = '', more = ''): Promise<void> {
  const target = `{ provider: openai-compatible, model: theirs, url: "${provider.url}"${more} }`;
  const models = `namespace: models\nupstreams:\n  fast: { kind: model, targets: [${target}] }\n  other: { kind: model, targets: [${target}] }\n${policy}`;
  gateway = await openAdminGateway({ namespaces: { models } });
}

async function post(
  path: string,
  body: object,
  key = gateway.key,
  more: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${gateway.url}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...more },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

const chat = (more: object = {}, key?: string, headers?: Record<string, string>) =>
  post('chat/completions', { ...question, ...more }, key, headers);
const asTool = (args: object, more: object = {}) =>
  gateway.mcp('', 'tools/call', { name: 'models__fast', arguments: args, ...more });

describe('a gate', () => {
  const gate = 'policy: { gates: [{ match: models/fast, reason: "It is dear." }] }\n';

  test.each(['models/fast', 'models__fast'])(
    'holds a model that is called as %s at its own address, as it does as a tool',
    async (name) => {
      await open(gate);
      const held = await chat({ model: name });
      expect(held).toMatchObject({ status: 403, body: { error: { code: 'approval_pending' } } });
      expect((await asTool({ prompt: 'hello' })).body.result).toMatchObject({ isError: true });
      expect(provider.heard).toEqual([]);
    },
  );

  test('lets a request through once that was approved, and no other', async () => {
    await open(gate);
    await gateway.ok('POST /members', { id: 'ann', title: 'ann', roles: [{ role: 'developer' }] });
    const ann = (await gateway.ok('POST /keys', { id: 'ann', title: 'ann', member: 'ann' })).secret;
    await chat({}, ann);
    const { approvals } = await gateway.ok('GET /approvals');
    expect(approvals).toMatchObject([{ capability: 'models/fast' }]);
    const [{ id }] = approvals;
    expect(await gateway.api(`POST /approvals/${id}/decision`, { decision: 'approve' })).toMatchObject({ status: 200 });
    expect((await chat({ temperature: 1 }, ann)).status).toBe(403);
    expect(await chat({}, ann)).toMatchObject({ status: 200, body: { choices: [{ message: { content: 'hello' } }] } });
    expect((await chat({}, ann)).status).toBe(403);
    expect(provider.heard).toHaveLength(1);
  });

  test('is for the models that it names', async () => {
    await open(gate);
    expect(await chat({ model: 'models/other' })).toMatchObject({ status: 200 });
  });
});

describe('a client that asks for what cannot be', () => {
  test('does not close a model to others: as a tool without a question', async () => {
    await open();
    for (let round = 0; round < 40; round++) await asTool({});
    expect((await asTool({ prompt: 'hello' })).body.result).toMatchObject({ structuredContent: { text: 'hello' } });
    expect(await chat()).toMatchObject({ status: 200 });
  });

  test.each(['true', 1, {}])(
    'is told that stream cannot be %j, before a provider hears of it that may see it otherwise',
    async (stream) => {
      await open();
      provider.does(({ body }, response) => {
        if (!body.stream) json(response, 200, chatReply('hello'));
        else response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {}\n\n');
      });
      for (let round = 0; round < 40; round++) expect(await chat({ stream })).toMatchObject({ status: 400 });
      expect(provider.heard).toEqual([]);
      expect(await chat({ stream: false })).toMatchObject({ status: 200 });
      expect(await chat({ stream: null })).toMatchObject({ status: 200 });
    },
  );

  test('leaves the limits of a target to others', async () => {
    await open('', ', limits: { rpm: 2 }');
    for (let round = 0; round < 4; round++) expect((await chat({ stream: 'x' })).status).toBe(400);
    expect((await chat()).status).toBe(200);
    expect((await chat()).status).toBe(200);
    expect((await chat()).status).toBe(503);
  });

  test('gets no answer in the background, which nobody could inspect or account for', async () => {
    await open('', ', dialects: [responses]');
    provider.does((_heard, response) => json(response, 200, { id: 'r', object: 'response', status: 'queued', output: [] }));
    expect((await post('responses', { model: 'models/fast', input: 'hi', background: true })).status).toBe(400);
    expect(provider.heard).toEqual([]);
    expect((await post('responses', { model: 'models/fast', input: 'hi', background: false })).status).toBe(200);
  });
});

test('what a model is asked as a tool counts as what it is, whatever a client says beside the arguments', async () => {
  await open('policy: { limits: [{ per: capability, tpm: 1500 }] }\n');
  const long = { prompt: 'one two three four '.repeat(200) };
  const refused = await asTool(long, { dialect: 'embeddings', cacheControl: 'no-cache' });
  expect(refused.body.result).toMatchObject({ isError: true });
  expect(provider.heard).toEqual([]);
  expect((await asTool({ prompt: 'hello' }, { dialect: 'embeddings' })).body.result).toMatchObject({
    structuredContent: { text: 'hello' },
  });
});

test('requests of one conversation go to one target, as the header says', async () => {
  const targets = ['a', 'b', 'c', 'd'].map(
    (name) => `{ name: ${name}, provider: openai-compatible, model: ${name}, url: "${provider.url}" }`,
  );
  gateway = await openAdminGateway({
    namespaces: {
      models: `namespace: models\nupstreams:\n  fast: { kind: model, targets: [${targets}], routing: { mode: round-robin, sticky: conversation } }\n`,
    },
  });
  const say = (content: string, conversation: string) =>
    chat({ messages: [{ role: 'user', content }] }, undefined, { 'x-gatehouse-conversation': conversation });
  for (let round = 0; round < 8; round++) await say(`${round}`, 'one');
  expect(new Set(provider.heard.map(({ body }) => body.model)).size).toBe(1);
  for (let round = 0; round < 30; round++) await say('the same', `${round}`);
  expect(new Set(provider.heard.map(({ body }) => body.model)).size).toBeGreaterThan(1);
});
