import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { startOpenai } from '../../support/model-providers/openai.ts';
import { says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';

// The whole way: a registered model makes the vectors, the guard reads the questions, the answer comes from the cache or from its provider.

let provider: StandIn;
let embedder: Server;
/** What the embeddings model was asked for. */
let embedded: string[] = [];
let embedderFails = false;
let gateway: AdminGateway;

/** Finds all questions for a capital alike, as embeddings do. */
async function startEmbedder(): Promise<Server> {
  const server = createServer(async (request, response) => {
    const body = JSON.parse((await request.setEncoding('utf8').toArray()).join(''));
    const texts: string[] = [body.input].flat();
    embedded.push(...texts);
    if (embedderFails) return void response.writeHead(500).end('{}');
    const data = texts.map((text, index) => {
      const vector = Float32Array.from(/capital/i.test(text) ? [1, 0, 0, 0] : [0, 1, 0, 0]);
      const embedding = body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector];
      return { object: 'embedding', index, embedding };
    });
    const usage = { prompt_tokens: 4, total_tokens: 4 };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data, model: body.model, usage }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

beforeAll(async () => {
  provider = await startOpenai({ key: 'provider-key' });
  embedder = await startEmbedder();
  const { port } = embedder.address() as AddressInfo;
  const target = `provider: openai-compatible, key: "\${secret:PROVIDER}"`;
  gateway = await openAdminGateway({
    settings: { PROVIDER: 'provider-key' },
    namespaces: {
      models: `namespace: models
upstreams:
  fast:
    kind: model
    targets: [{ ${target}, url: "${provider.url}/v1", model: gpt-stand-in }]
    cache: { ttlMs: 60000, semantic: { model: models/embed, threshold: 0.9 } }
  embed:
    kind: model
    can: [embeddings]
    targets: [{ ${target}, url: "http://127.0.0.1:${port}/v1", model: small-embed }]
`,
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await provider?.close();
  embedder?.close();
});

async function ask(content: string, key = gateway.key): Promise<{ readonly cache: string | null; readonly said: string }> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'models/fast', messages: [{ role: 'user', content }] }),
  });
  expect(response.status).toBe(200);
  const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
  return { cache: response.headers.get('x-gatehouse-cache'), said: choices[0]?.message.content ?? '' };
}

test('US-M-A6: a question that means the same as one before is answered without the provider, and the answer says so', async () => {
  provider.next(says('Paris.'));
  expect(await ask('What is the capital of France?')).toEqual({ cache: null, said: 'Paris.' });
  const heard = provider.journal.length;
  expect(await ask("What's the capital city of France?")).toEqual({ cache: 'hit; kind=semantic', said: 'Paris.' });
  expect(provider.journal.length).toBe(heard);
  expect(embedded).toContain("What's the capital city of France?");
});

test('a question that only sounds the same goes to the provider', async () => {
  provider.next(says('Madrid.'));
  expect(await ask('What is the capital of Spain?')).toEqual({ cache: null, said: 'Madrid.' });
});

test('another consumer is not given the answer, however alike the questions are', async () => {
  await gateway.ok('POST /consumers', { id: 'other', title: 'Other', kind: 'team' });
  const { secret } = await gateway.ok('POST /keys', { id: 'other', title: 'Other', consumer: 'other' });
  provider.next(says('Paris, asked anew.'));
  expect(await ask("What's the capital city of France?", secret)).toEqual({ cache: null, said: 'Paris, asked anew.' });
});

test('without the embeddings model every question is a new one, and the same request still is not', async () => {
  embedderFails = true;
  embedded = [];
  provider.next(says('Rome.'));
  expect(await ask('What is the capital of Italy?')).toEqual({ cache: null, said: 'Rome.' });
  expect(embedded.length).toBeGreaterThan(0);
  expect(await ask('What is the capital of Italy?')).toEqual({ cache: 'hit; kind=exact', said: 'Rome.' });
  embedderFails = false;
});
