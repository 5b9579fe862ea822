import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { startOpenai } from '../../support/model-providers/openai.ts';
import { says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';

// What answers from the cache use up of limits, as policies say.

let provider: StandIn;
let embedder: Server;
let gateway: AdminGateway;

/** All questions are alike to it. */
async function startEmbedder(): Promise<Server> {
  const server = createServer(async (request, response) => {
    const { input, model } = JSON.parse((await request.setEncoding('utf8').toArray()).join(''));
    const data = [input].flat().map((_, index) => ({ object: 'embedding', index, embedding: [1, 0, 0, 0] }));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ object: 'list', data, model, usage: { prompt_tokens: 4, total_tokens: 4 } }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

const policies: Readonly<Record<string, readonly string[] | undefined>> = {
  usual: undefined,
  free: [],
  whole: ['calls', 'tokens', 'money'],
  tokens: ['tokens'],
};

beforeAll(async () => {
  provider = await startOpenai({ key: 'provider-key' });
  embedder = await startEmbedder();
  const { port } = embedder.address() as AddressInfo;
  const target = `provider: openai-compatible, key: "\${secret:PROVIDER}", price: { input: 10, output: 20 }`;
  const models = Object.keys(policies).flatMap((name) => [
    `  ${name}: { kind: model, targets: [{ ${target}, url: "${provider.url}/v1", model: stand-in }], cache: { ttlMs: 60000 } }`,
    `  ${name}-alike: { kind: model, targets: [{ ${target}, url: "${provider.url}/v1", model: stand-in }], cache: { ttlMs: 60000, semantic: { model: models/embed, threshold: 0.9 } } }`,
  ]);
  const embed = `  embed: { kind: model, can: [embeddings], targets: [{ ${target}, url: "http://127.0.0.1:${port}/v1", model: small }] }`;
  gateway = await openAdminGateway({
    settings: { PROVIDER: 'provider-key' },
    namespaces: { models: `namespace: models\nupstreams:\n${[...models, embed].join('\n')}\n` },
  });
  const limits = [
    { per: 'capability', rpm: 100, tpm: 1_000_000 },
    { per: 'capability', budget: { amount: 10, window: 'day', unit: 'usd' } },
    { per: 'capability', budget: { amount: 100, window: 'day', unit: 'calls' } },
  ];
  for (const [name, cacheHits] of Object.entries(policies))
    for (const model of [name, `${name}-alike`]) {
      const policy = { limits, ...(cacheHits === undefined ? {} : { cacheHits }) };
      await gateway.ok(`PUT /policies/${encodeURIComponent(`capability:models/${model}`)}`, { policy });
    }
});
afterAll(async () => {
  await gateway?.stop();
  await provider?.close();
  embedder?.close();
});

async function ask(model: string, content: string, more: object = {}): Promise<string | null> {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: `models/${model}`, messages: [{ role: 'user', content }], ...more }),
  });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get('x-gatehouse-cache');
}

/** Calls a minute, tokens a minute, dollars and calls a day. */
async function used(model: string): Promise<number[]> {
  const { limits } = await gateway.ok(`GET /usage?capability=models/${model}`);
  const of = (pattern: RegExp): number => {
    const found = limits.filter(({ limit }: { limit: string }) => pattern.test(limit));
    expect(found).toHaveLength(1);
    return found[0].used;
  };
  return [of(/calls a minute/), of(/tokens a minute/), of(/(USD|dollar).* a day/i), of(/calls a day/)];
}

const usage = { input: 30, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
const kinds = [
  ['exact', '', 'How many are there?'],
  ['semantic', '-alike', 'Tell me how many there are.'],
] as const;

describe.each(kinds)('US-M-A6: hits of kind %s', (kind, suffix, again) => {
  test.each([
    ['usual', 'as calls, where no policy says anything', 1, 0],
    ['free', 'as nothing, where a policy says so', 0, 0],
    ['whole', 'as what the answer used up when it was made, where a policy says so', 1, 1],
    ['tokens', 'as tokens alone, where a policy says so', 0, 1],
  ] as const)('count in limits of %s %s', async (name, _what, calls, tokens) => {
    const model = `${name}${suffix}`;
    provider.next({ ...says('Seven.'), usage });
    expect(await ask(model, 'How many are there?')).toBeNull();
    const [rate = 0, spentTokens = 0, money = 0, budget = 0] = await used(model);
    expect([rate, spentTokens, budget]).toEqual([1, 40, 1]);
    expect(money).toBeGreaterThan(0);
    for (const stream of [false, true]) expect(await ask(model, again, { stream })).toBe(`hit; kind=${kind}`);
    const isMoney = policies[name]?.includes('money') === true;
    expect(await used(model)).toEqual([
      rate + 2 * calls,
      spentTokens + 80 * tokens,
      isMoney ? expect.closeTo(3 * money, 9) : money,
      budget + 2 * calls,
    ]);
  });
});

test('of several scopes that say something, all of it counts', async () => {
  await gateway.ok('PUT /policies/global', { policy: { cacheHits: ['calls'] } });
  provider.next({ ...says('Eight.'), usage });
  await ask('free', 'How many were there?');
  const [before = 0] = await used('free');
  expect(await ask('free', 'How many were there?')).toBe('hit; kind=exact');
  expect((await used('free'))[0]).toBe(before + 1);
  const refused = await gateway.api('PUT /policies/global', { policy: { cacheHits: ['answers'] } });
  expect(refused.status).toBe(400);
});
