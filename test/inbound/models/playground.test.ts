import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ModelGateway, openModelGateway, type Place, startPlace } from '../../support/model-gateway.ts';
import { says } from '../../support/model-providers/script.ts';

// What a page needs on which somebody tries models out: text in, the answer, what it took, and all that holds other calls.

let openai: Place;
let anthropic: Place;
let gateway: ModelGateway;
const usage = { input: 30, output: 10, cacheRead: 0, cacheWrite: 0, reasoning: 0 };
const price = { input: 10, output: 20 };

beforeAll(async () => {
  [openai, anthropic] = await Promise.all([startPlace('openai'), startPlace('anthropic')]);
  gateway = await openModelGateway({
    models: {
      fast: { targets: [{ ...openai.target, price }], cache: { ttlMs: 60_000 } },
      other: { targets: [{ ...anthropic.target, price }] },
      strict: { targets: [{ ...openai.target, price }] },
      unpriced: { targets: [{ ...openai.target, model: 'nobody-knows' }] },
    },
    policy: { content: [{ match: ['models/*'], rules: ['secrets'], direction: 'in', do: 'block' }] },
    places: [openai, anthropic],
  });
});
afterAll(async () => {
  await gateway?.stop();
  await openai?.standIn.close();
  await anthropic?.standIn.close();
});

const messages = (content: string) => [{ role: 'user' as const, content }];

/** `ms=1.5, tokens-in=30` as an object. */
function figuresOf(text: string | null | undefined): Record<string, number> {
  const pairs = (text ?? '').split(', ').map((pair) => pair.split('=') as [string, string]);
  for (const [name, value] of pairs)
    expect([name, value]).toEqual([expect.stringMatching(/^[a-z-]+$/), expect.stringMatching(/^\d{1,12}(\.\d)?$/)]);
  return Object.fromEntries(pairs.map(([name, value]) => [name, Number(value)]));
}

/** From a page of the gateway itself, in a browser. */
const page = (path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.appKey}`, 'content-type': 'application/json', origin: gateway.url, ...headers },
    body: JSON.stringify(body),
  });

describe('US-M-D3: a prompt is answered, with what it took', () => {
  test.each([
    ['chat/completions', { model: 'models/fast', messages: messages('one') }],
    ['responses', { model: 'models/fast', input: 'two' }],
    ['messages', { model: 'models/fast', max_tokens: 50, messages: messages('three') }],
    ['chat/completions', { model: 'models/other', messages: messages('four') }],
    ['messages', { model: 'models/other', max_tokens: 50, messages: messages('five') }],
  ])('tokens, latency and cost stand in a header of %s', async (path, body) => {
    const { standIn } = body.model === 'models/other' ? anthropic : openai;
    standIn.next({ ...says('As asked.'), usage });
    const response = await page(path, body);
    expect(await response.text()).toContain('As asked.');
    const figures = figuresOf(response.headers.get('x-gatehouse-figures'));
    expect(figures).toMatchObject({ 'tokens-in': 30, 'tokens-out': 10, 'nano-usd': 500_000 });
    expect(figures.ms).toBeGreaterThan(0);
    expect(figures['upstream-ms']).toBeLessThanOrEqual(figures.ms as number);
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{24}$/);
  });

  test('a page may read these headers, and send the ones that the official clients send', async () => {
    openai.standIn.next({ ...says('Yes.'), usage });
    const response = await page('chat/completions', { model: 'models/fast', messages: messages('may I?') });
    await response.text();
    const exposed = (response.headers.get('access-control-expose-headers') ?? '').toLowerCase().split(', ');
    for (const name of [
      'x-request-id',
      'x-gatehouse-figures',
      'x-gatehouse-cache',
      'age',
      'retry-after',
      'x-ratelimit-remaining-tokens',
    ])
      expect(exposed).toContain(name);
    const wanted = 'authorization,content-type,x-gatehouse-figures,x-gatehouse-conversation,x-stainless-os';
    const preflight = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin: gateway.url, 'access-control-request-method': 'POST', 'access-control-request-headers': wanted },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-headers')]).toEqual([204, wanted]);
    expect((await page('chat/completions', {}, { origin: 'https://elsewhere.example.com' })).status).toBe(403);
  });

  test.each(['chat/completions', 'responses', 'messages'])(
    'a stream of %s says it at its end where it is asked to',
    async (path) => {
      openai.standIn.next({ ...says('In parts.'), usage });
      const of = { model: 'models/fast', max_tokens: 50, messages: messages(path), stream: true };
      const body = path === 'responses' ? { model: 'models/fast', input: path, stream: true } : of;
      const response = await page(path, body, { 'x-gatehouse-figures': '1' });
      expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{24}$/);
      const text = await response.text();
      const [, figures] = /\n\n: x-gatehouse-figures ([^\n]+)\n\n$/.exec(text) ?? [];
      expect(figuresOf(figures)).toMatchObject({ 'tokens-in': 30, 'tokens-out': 10, 'nano-usd': 500_000 });
      expect(figuresOf(figures)['first-token-ms']).toBeGreaterThan(0);
      // Its twin that did not ask gets the same without.
      openai.standIn.next({ ...says('In parts.'), usage });
      const plain = await page(path, body, { 'cache-control': 'no-cache' });
      expect(await plain.text()).not.toContain('x-gatehouse');
    },
  );

  test('the official client takes a stream with figures for what it is', async () => {
    const dangerously = { dangerouslyAllowBrowser: true, defaultHeaders: { 'x-gatehouse-figures': '1', origin: gateway.url } };
    const client = new OpenAI({ apiKey: gateway.appKey, baseURL: `${gateway.url}/v1`, maxRetries: 0, ...dangerously });
    openai.standIn.next({ ...says('Hello there.'), usage });
    const stream = await client.chat.completions.create({
      ...{ model: 'models/strict', messages: messages('hello'), stream: true },
      stream_options: { include_usage: true },
    });
    let text = '';
    let used: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      used = chunk.usage?.total_tokens ?? used;
    }
    expect([text, used]).toEqual(['Hello there.', 40]);
    openai.standIn.next({ ...says('Hello again.'), usage });
    const { data, response, request_id } = await client.chat.completions
      .create({ model: 'models/strict', messages: messages('hello') })
      .withResponse();
    expect(request_id).toBe(response.headers.get('x-request-id'));
    expect(figuresOf(response.headers.get('x-gatehouse-figures'))).toMatchObject({ 'tokens-in': data.usage?.prompt_tokens });
  });

  test('an answer from the cache took no tokens and no provider; one without a price names no cost', async () => {
    const body = { model: 'models/fast', messages: messages('once more') };
    openai.standIn.next({ ...says('Kept.'), usage });
    await (await page('chat/completions', body)).text();
    const again = await page('chat/completions', body);
    expect(again.headers.get('x-gatehouse-cache')).toBe('hit; kind=exact');
    const figures = figuresOf(again.headers.get('x-gatehouse-figures'));
    expect(figures).toEqual({ ms: expect.any(Number), 'tokens-in': 0, 'tokens-out': 0, 'nano-usd': 0 });
    openai.standIn.next({ ...says('For what?'), usage });
    const unpriced = await page('chat/completions', { ...body, model: 'models/unpriced' });
    expect(figuresOf(unpriced.headers.get('x-gatehouse-figures'))).not.toHaveProperty('nano-usd');
  });
});

describe('US-M-D3: what governs other calls governs these', () => {
  test('content that is not allowed is refused in the dialect, and nothing is sent', async () => {
    const before = openai.standIn.journal.length;
    const secret = `ghp_${'a1B2c3D4e5'.repeat(4).slice(0, 36)}`;
    const response = await page('chat/completions', { model: 'models/strict', messages: messages(`My token is ${secret}`) });
    expect([response.status, await response.json()]).toMatchObject([400, { error: { code: 'content_policy_violation' } }]);
    expect(openai.standIn.journal).toHaveLength(before);
  });

  test('a person calls with a key of their own what they may call, and nothing else', async () => {
    const developer = await gateway.person('dev', [{ role: 'developer' }]);
    const { secret } = await gateway.ok('POST /keys/request', { title: 'Playground', models: ['models/strict'] }, developer);
    const as = (model: string) =>
      page('chat/completions', { model, messages: messages('hi') }, { authorization: `Bearer ${secret}` });
    openai.standIn.next({ ...says('Hi.'), usage });
    expect([(await as('models/strict')).status, (await as('models/other')).status]).toEqual([200, 404]);
  });
});

describe('US-M-D3: a conversation goes on', () => {
  test('by the messages so far, and by the response before', async () => {
    const client = gateway.openai();
    openai.standIn.next({ ...says('Ann.'), usage });
    const history = [...messages('My name is Ann.'), { role: 'assistant' as const, content: 'Noted.' }, ...messages('Who am I?')];
    await client.chat.completions.create({ model: 'models/strict', messages: history });
    expect(openai.standIn.journal.at(-1)?.body).toMatchObject({ messages: history });
    openai.standIn.next({ ...says('Noted.'), usage });
    const first = await client.responses.create({ model: 'models/strict', input: 'My name is Ann.' });
    openai.standIn.next({ ...says('Ann.'), usage });
    await client.responses.create({ model: 'models/strict', input: 'Who am I?', previous_response_id: first.id });
    expect(openai.standIn.journal.at(-1)?.body).toMatchObject({ previous_response_id: expect.stringMatching(/^resp_(?!gh)/) });
    openai.standIn.next({ ...says('Ann.'), usage });
    await client.responses.create({
      model: 'models/strict',
      input: [{ role: 'user', content: 'My name is Ann.' }, ...first.output, { role: 'user', content: 'Who am I?' }] as never,
    });
    const { input } = openai.standIn.journal.at(-1)?.body ?? {};
    expect(JSON.stringify(input)).toContain('Noted.');
    expect(JSON.stringify(input)).toMatch(/"id":"msg_(?!gh)/);
  });
});
