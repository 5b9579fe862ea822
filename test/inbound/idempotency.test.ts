import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { closeRawClients, connectRaw, rawEras } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';
import { chatReply, chatStream, type FarEnd, json, openStream, startFarEnd } from '../upstreams/model/far-end.ts';

let provider: FarEnd;
let upstream: StagedUpstream;
let gateway: AdminGateway;
let ann: string;
let bob: string;

beforeAll(async () => {
  [provider, upstream] = await Promise.all([startFarEnd(), startStagedUpstream({ tools: ['send', 'held'] })]);
  const target = `{ provider: openai-compatible, model: theirs, url: "${provider.url}" }`;
  gateway = await openAdminGateway({
    namespaces: {
      models: `namespace: models\nupstreams:\n  fast: { kind: model, breaker: { minimumCalls: 1000000 }, targets: [${target}] }\n`,
      desk: `namespace: desk\nupstreams:\n  desk: { kind: mcp, url: "${upstream.url}" }\npolicy: { gates: [{ match: desk/held, reason: "It is dear." }] }\n`,
    },
  });
  ann = await gateway.person('ann', [{ role: 'developer' }]);
  bob = await gateway.person('bob', [{ role: 'developer' }]);
});
beforeEach(() => {
  let n = 0;
  provider.does((_heard, response) => json(response, 200, chatReply(`answer ${++n}`, { id: `chatcmpl-${n}` })));
  upstream.arrivals.length = 0;
  upstream.behave = upstream.echo;
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([provider?.close(), upstream?.close(), closeRawClients()]);
});

let keys = 0;
const newKey = () => `key-${++keys}`;
const question = { model: 'models/fast', messages: [{ role: 'user', content: 'Say hello.' }] };

async function post(idempotencyKey: string | undefined, body: object = question, key = ann, path = 'chat/completions') {
  const response = await fetch(`${gateway.url}/v1/${path}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const asked = () => provider.heard.length;

describe('FO-05: a model', () => {
  test('that is asked again with the same key is asked once, and its answer is the same to the byte; without a key it is asked each time', async () => {
    const key = newKey();
    const first = await post(key);
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([200, null]);
    const again = await post(key);
    expect([again.status, again.text, again.headers.get('idempotent-replayed')]).toEqual([200, first.text, 'true']);
    // Quotes belong to the header.
    expect((await post(`"${key}"`)).text).toBe(first.text);
    expect(asked()).toBe(1);
    expect((await post(newKey())).text).not.toBe(first.text);
    await post(undefined);
    await post(undefined);
    expect(asked()).toBe(4);
  });

  test('that is asked something else with the same key refuses in the dialect of its client, and still knows the answer', async () => {
    const key = newKey();
    const first = await post(key);
    const other = await post(key, { ...question, temperature: 1 });
    expect([other.status, other.headers.get('x-should-retry')]).toEqual([422, 'false']);
    expect(JSON.parse(other.text).error).toMatchObject({ code: 'key_reused', type: 'invalid_request_error' });
    const asAnthropic = await post(key, { ...question, max_tokens: 9 }, ann, 'messages');
    expect([asAnthropic.status, JSON.parse(asAnthropic.text)]).toMatchObject([
      422,
      { type: 'error', error: { type: 'invalid_request_error', message: expect.stringContaining('take a new key') } },
    ]);
    expect((await post(key)).text).toBe(first.text);
    expect(asked()).toBe(1);
  });

  test('knows the keys of each caller apart', async () => {
    const key = newKey();
    const first = await post(key);
    const other = await post(key, question, bob);
    expect(other.status).toBe(200);
    expect(other.text).not.toBe(first.text);
    expect(asked()).toBe(2);
  });

  test.each([false, true])('that fifty ask at once is asked once for all of them (streams: %s)', async (stream) => {
    const waiting = Promise.withResolvers<void>();
    provider.does(async (_heard, response) => {
      await waiting.promise;
      if (stream) openStream(response).end(chatStream(['Hel', 'lo']).join(''));
      else json(response, 200, chatReply('hello'));
    });
    const key = newKey();
    const all = Array.from({ length: 50 }, () => post(key, { ...question, stream }));
    await until('it was asked', () => asked() > 0);
    waiting.resolve();
    const answers = await Promise.all(all);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect([answers[0]?.status, asked()]).toEqual([200, 1]);
    expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
  });

  test('a stream is given again as it went out, and one that is too long is refused and not begun anew', async () => {
    provider.does((_heard, response) => void openStream(response).end(chatStream(['Hel', 'lo']).join('')));
    const key = newKey();
    const first = await post(key, { ...question, stream: true });
    const again = await post(key, { ...question, stream: true });
    expect(again.text).toBe(first.text);
    expect(again.text).toContain('[DONE]');
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect((await post(key)).status).toBe(422);
    const words = Array.from({ length: 40 }, () => 'x'.repeat(30_000));
    provider.does((_heard, response) => void openStream(response).end(chatStream(words).join('')));
    const long = newKey();
    expect((await post(long, { ...question, stream: true })).status).toBe(200);
    const refused = await post(long, { ...question, stream: true });
    expect([refused.status, refused.headers.get('x-should-retry'), asked()]).toEqual([409, 'false', 1]);
    expect(refused.text).toContain('over 1 MiB');
  });

  test.each([false, true])('whose client leaves goes on, and answers it when it comes back (streams: %s)', async (stream) => {
    const waiting = Promise.withResolvers<void>();
    provider.does(async (_heard, response) => {
      if (stream) openStream(response).write(chatStream(['Hel']).slice(0, 2).join(''));
      await waiting.promise;
      if (stream) response.end(chatStream(['lo']).slice(1).join(''));
      else json(response, 200, chatReply('hello'));
    });
    const key = newKey();
    const leaving = new AbortController();
    const body = JSON.stringify({ ...question, stream });
    const headers = { authorization: `Bearer ${ann}`, 'content-type': 'application/json', 'idempotency-key': key };
    const first = fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body, signal: leaving.signal });
    await until('it was asked', () => asked() === 1);
    if (stream) await (await first).body?.getReader().read();
    leaving.abort();
    await first.then(
      () => {},
      () => {},
    );
    const again = post(key, { ...question, stream });
    waiting.resolve();
    const { status, text } = await again;
    expect([status, asked()]).toEqual([200, 1]);
    if (stream) expect(text).toMatch(/Hel[\s\S]*lo[\s\S]*\[DONE\]/);
    else expect(text).toContain('hello');
  });

  test('that is busy may be asked again with the same key; one that failed says so again', async () => {
    const key = newKey();
    provider.does((_heard, response) => json(response, 503, { error: { message: 'busy' } }));
    expect((await post(key)).status).toBe(503);
    provider.does((_heard, response) => json(response, 200, chatReply('hello')));
    expect((await post(key)).status).toBe(200);
    provider.does((_heard, response) => json(response, 400, { error: { message: 'no such thing' } }));
    const other = newKey();
    const failed = await post(other, { ...question, temperature: 0 });
    const again = await post(other, { ...question, temperature: 0 });
    expect([again.status, again.text, asked()]).toEqual([failed.status, failed.text, 1]);
    expect(failed.status).toBe(400);
  });

  test('serves the clients of OpenAI and Anthropic with a key of theirs', async () => {
    const openai = new OpenAI({ apiKey: ann, baseURL: `${gateway.url}/v1`, maxRetries: 0 });
    const options = { headers: { 'Idempotency-Key': newKey() } };
    const hello = { model: 'models/fast', messages: [{ role: 'user' as const, content: 'Hi.' }] };
    const first = await openai.chat.completions.create(hello, options);
    expect(await openai.chat.completions.create(hello, options)).toEqual(first);
    await expect(openai.chat.completions.create({ ...hello, n: 1 }, options)).rejects.toBeInstanceOf(
      OpenAI.UnprocessableEntityError,
    );
    const anthropic = new Anthropic({ apiKey: ann, authToken: null, baseURL: gateway.url, maxRetries: 0 });
    const more = { headers: { 'Idempotency-Key': newKey() } };
    const message = await anthropic.messages.create({ ...hello, max_tokens: 9 }, more);
    expect(await anthropic.messages.create({ ...hello, max_tokens: 9 }, more)).toEqual(message);
    await expect(anthropic.messages.create({ ...hello, max_tokens: 8 }, more)).rejects.toBeInstanceOf(
      Anthropic.UnprocessableEntityError,
    );
    expect(asked()).toBe(2);
  });

  test('takes no key that is none', async () => {
    for (const key of ['x'.repeat(256), 'two words', '""']) {
      const { status, text } = await post(key);
      expect([key, status, JSON.parse(text).error.message]).toMatchObject([
        key,
        400,
        expect.stringContaining('idempotency key cannot be used'),
      ]);
    }
    expect(asked()).toBe(0);
    expect((await post('x'.repeat(255))).status).toBe(200);
  });
});

describe('FO-05: what is given again', () => {
  async function policy(scope: string, body: object | null): Promise<void> {
    await gateway.ok(`PUT /policies/${encodeURIComponent(scope)}`, { policy: body });
  }

  test('is given by the rights and rules of now', async () => {
    provider.does((_heard, response) => json(response, 200, chatReply('Write to ann@example.org.')));
    const key = newKey();
    const first = await post(key);
    expect(first.text).toContain('ann@example.org');
    await policy('capability:models/fast', { content: [{ direction: 'out', rules: ['personal-data/email'], do: 'redact' }] });
    const again = await post(key);
    expect(again.status).toBe(200);
    expect(again.text).not.toContain('ann@example.org');
    await policy('capability:models/fast', { allow: [] });
    expect((await post(key)).status).toBe(404);
    await policy('capability:models/fast', null);
    expect((await post(key)).text).toBe(first.text);
    expect(asked()).toBe(1);
  });

  test('costs no tokens, counts as a call, and is on record as what it is', async () => {
    await gateway.ok('POST /consumers', {
      id: 'meter',
      title: 'Meter',
      kind: 'application',
      limits: [
        { per: 'consumer', budget: { amount: 1_000_000, unit: 'tokens', window: 'month' } },
        { per: 'consumer', budget: { amount: 1_000, unit: 'calls', window: 'month' } },
      ],
    });
    const { secret } = await gateway.ok('POST /keys', { id: 'meter', title: 'Meter', consumer: 'meter' });
    const used = async () => {
      const { limits } = await gateway.ok('GET /usage?consumer=meter');
      return Object.fromEntries(limits.map(({ unit, used }: { unit: string; used: number }) => [unit, used]));
    };
    const key = newKey();
    await post(key, question, secret);
    const before = await used();
    await post(key, question, secret);
    await post(key, question, secret);
    const after = await used();
    expect(after.tokens).toBe(before.tokens);
    expect(after.calls).toBe(before.calls + 2);
    await gateway.gateway.edge.calls.journal.flush();
    const lines = readJournal(gateway.dataDir).filter(({ principal }) => principal === 'key:meter');
    expect(lines.map(({ kind, decision, rule, outcome }) => `${kind} ${decision} ${rule} ${outcome}`)).toEqual([
      'intent allow default undefined',
      'outcome allow repeated done',
      'outcome allow repeated done',
    ]);
  });

  test('stands nowhere in the store as it was said', async () => {
    const marker = 'words-that-nobody-else-says';
    provider.does((_heard, response) => json(response, 200, chatReply(marker)));
    const key = newKey();
    expect((await post(`${key}-${marker}`, { ...question, user: marker })).text).toContain(marker);
    const store = Buffer.concat(['gatehouse.db', 'gatehouse.db-wal'].flatMap((name) => readIfThere(join(gateway.dataDir, name))));
    expect(store.length).toBeGreaterThan(1_000);
    expect(store.includes(marker)).toBe(false);
  });
});

function readIfThere(path: string): Buffer[] {
  try {
    return [readFileSync(path)];
  } catch {
    return [];
  }
}

describe('FO-05: a tool', () => {
  test.each(rawEras)(
    'of a %s client is called once for a key, in the header or in _meta, of which it sees nothing',
    async (era) => {
      const client = await connectRaw(era, { url: `${gateway.url}/mcp`, key: ann });
      const key = newKey();
      let n = 0;
      upstream.behave = () => ({ result: { content: [{ type: 'text', text: `done ${++n}` }] } });
      const headers = { 'idempotency-key': key };
      const meta = { 'dev.gatehouse/idempotency-key': key, 'example.com/other': 1 };
      const first = await client.call('desk__send', { to: 'a' }, { meta });
      for (const more of [{ headers }, { meta }, { headers, meta }])
        expect((await client.call('desk__send', { to: 'a' }, more)).message?.result).toEqual(first.message?.result);
      expect(upstream.callsOf('send')).toHaveLength(1);
      expect(JSON.stringify(upstream.callsOf('send')[0])).not.toContain(key);
      expect(upstream.callsOf('send')[0]?.params._meta).toMatchObject({ 'example.com/other': 1 });
      const other = await client.call('desk__send', { to: 'b' }, { headers });
      expect(other.message?.error).toMatchObject({ code: 42210 });
      expect(
        (await client.call('desk__send', { to: 'a' }, { headers: { 'idempotency-key': 'x' }, meta })).message?.error,
      ).toMatchObject({ message: expect.stringContaining('say different things') });
      await client.call('desk__send', { to: 'a' });
      expect(upstream.callsOf('send')).toHaveLength(2);
    },
  );

  test('that hung up is called once, and its client is told that nobody knows', async () => {
    const client = await connectRaw('modern', { url: `${gateway.url}/mcp`, key: ann });
    upstream.behave = () => undefined;
    const headers = { 'idempotency-key': newKey() };
    const first = await client.call('desk__send', { to: 'a' }, { headers });
    expect(first.message?.result?.isError).toBe(true);
    upstream.behave = upstream.echo;
    const again = await client.call('desk__send', { to: 'a' }, { headers });
    expect(again.text).toMatch(/not known/);
    expect(upstream.callsOf('send')).toHaveLength(1);
    const anew = await client.call('desk__send', { to: 'a' }, { headers: { 'idempotency-key': newKey() } });
    expect(anew.message?.result?.isError).toBeUndefined();
  });

  test('that a person has to agree to waits, runs once, and asks nobody for its answer again', async () => {
    const client = await connectRaw('modern', { url: `${gateway.url}/mcp`, key: ann });
    const headers = { 'idempotency-key': newKey() };
    const call = () => client.call('desk__held', { to: 'a' }, { headers });
    expect((await call()).message?.result?.isError).toBe(true);
    const { approvals } = await gateway.ok('GET /approvals');
    expect(approvals).toHaveLength(1);
    await gateway.ok(`POST /approvals/${approvals[0].id}/decision`, { decision: 'approve' });
    const done = await call();
    expect(done.message?.result?.isError).toBeUndefined();
    expect((await call()).message?.result).toEqual(done.message?.result);
    expect(upstream.callsOf('held')).toHaveLength(1);
    expect((await gateway.ok('GET /approvals')).approvals).toEqual([]);
  });
});

test('FO-05: an action of the administration is done once for a key, and what may hold a secret is not said twice', async () => {
  const create = async (id: string, key: string) => {
    const response = await fetch(`${gateway.url}/api/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify({ title: id, consumer: 'once' }),
    });
    return { status: response.status, text: await response.text() };
  };
  await gateway.ok('POST /consumers', { id: 'once', title: 'Once', kind: 'application' });
  const count = async () => (await gateway.ok('GET /keys?consumer=once')).keys.length;
  const key = newKey();
  const first = await create('a', key);
  expect([first.status, await count()]).toEqual([200, 1]);
  const again = await create('a', key);
  expect([again.status, await count()]).toEqual([409, 1]);
  expect(again.text).toContain('may hold a secret');
  expect(again.text).not.toContain(JSON.parse(first.text).secret);
  expect((await create('b', newKey())).status).toBe(200);
  expect(await count()).toBe(2);
});
