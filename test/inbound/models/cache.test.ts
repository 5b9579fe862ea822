import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { startOpenai } from '../../support/model-providers/openai.ts';
import { calls, fails, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';

let provider: StandIn;
let gateway: AdminGateway;

beforeAll(async () => {
  provider = await startOpenai({ key: 'provider-key' });
  gateway = await openAdminGateway({
    settings: { PROVIDER: 'provider-key' },
    namespaces: {
      models: `namespace: models
upstreams:
  kept:
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}", price: { input: 1, output: 2 } }]
    cache: { ttlMs: 60000, share: consumer }
  shared:
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }]
    cache: { ttlMs: 60000, share: all }
  ruled:
    kind: model
    targets:
      - { name: open, provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }
      - { name: own, provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }
    routing: { rules: [{ when: 'caller.consumer == "inner"', targets: [own] }] }
    cache: { ttlMs: 60000, share: all }
  plain:
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }]
`,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await provider.close();
});

interface Asked {
  readonly status: number;
  readonly cache: string | null;
  readonly age: string | null;
  readonly text: string;
}

async function ask(
  path: string,
  body: object,
  { key = gateway.key, headers = {} }: { key?: string; headers?: object } = {},
): Promise<Asked> {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const { headers: got } = response;
  return { status: response.status, cache: got.get('x-gatehouse-cache'), age: got.get('age'), text: await response.text() };
}

function question(content: string, more: object = {}): object {
  return { model: 'models/kept', messages: [{ role: 'user', content }], ...more };
}

const heard = () => provider.journal.length;

describe('answers that are given again', () => {
  test('US-M-A6: the same request is answered without the provider, and the answer says so', async () => {
    provider.next(says('forty-two'));
    const first = await ask('/v1/chat/completions', question('how many?'));
    const before = heard();
    const again = await ask('/v1/chat/completions', question('how many?'));
    expect(first).toMatchObject({ status: 200, cache: null });
    expect(again).toMatchObject({ status: 200, cache: 'hit; kind=exact', age: '0' });
    expect(JSON.parse(again.text).choices[0].message.content).toBe('forty-two');
    expect(heard()).toBe(before);
  });

  test('what is shared by all is given to nobody who may not go to the target that said it', async () => {
    await gateway.ok('POST /consumers', { id: 'inner', title: 'Inner', kind: 'team' });
    const { secret: key } = await gateway.ok('POST /keys', { id: 'inner', title: 'Inner', consumer: 'inner' });
    const ruled = question('what do we plan?', { model: 'models/ruled' });
    provider.next(says('inner plans'), says('nothing that is known'));
    expect((await ask('/v1/chat/completions', ruled, { key })).text).toContain('inner plans');
    const outer = await ask('/v1/chat/completions', ruled);
    expect([outer.cache, outer.text.includes('inner plans')]).toEqual([null, false]);
    for (const [of, said] of [
      [key, 'inner plans'],
      [gateway.key, 'nothing that is known'],
    ] as const) {
      const again = await ask('/v1/chat/completions', ruled, { key: of });
      expect([again.cache, again.text.includes(said)]).toEqual(['hit; kind=exact', true]);
    }
  });

  test('what was kept whole is given in parts, and what was kept in parts whole', async () => {
    provider.next(says('one two three'));
    await ask('/v1/chat/completions', question('count', { stream: true }));
    const whole = await ask('/v1/chat/completions', question('count'));
    expect(whole.cache).toBe('hit; kind=exact');
    expect(JSON.parse(whole.text).choices[0].message.content).toBe('one two three');
    const parts = await ask('/v1/chat/completions', question('count', { stream: true }));
    expect(parts.cache).toBe('hit; kind=exact');
    expect(parts.text).toContain('one two three');
    expect(parts.text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  });

  test('another question, another model, another dialect, no-store and tools are asked anew', async () => {
    provider.always(says('fresh'));
    await ask('/v1/chat/completions', question('one of a kind'));
    const before = heard();
    const messages = { model: 'models/kept', max_tokens: 50, messages: [{ role: 'user', content: 'one of a kind' }] };
    const tool = { type: 'function', function: { name: 'look', parameters: { type: 'object', properties: {} } } };
    const anew = [
      await ask('/v1/chat/completions', question('two of a kind')),
      await ask('/v1/chat/completions', question('one of a kind', { model: 'models/plain' })),
      await ask('/v1/messages', messages),
      await ask('/v1/chat/completions', question('one of a kind'), { headers: { 'cache-control': 'no-store' } }),
      await ask('/v1/chat/completions', question('one of a kind', { tools: [tool] })),
    ];
    expect(anew.map(({ status, cache }) => [status, cache])).toEqual(anew.map(() => [200, null]));
    expect(heard() - before).toBe(anew.length);
  });

  test('a consumer gets nothing that another one was answered, unless the model shares', async () => {
    await gateway.ok('POST /consumers', { id: 'red', title: 'Red', kind: 'team' });
    await gateway.ok('POST /consumers', { id: 'blue', title: 'Blue', kind: 'team' });
    const red = (await gateway.ok('POST /keys', { title: 'red', consumer: 'red' })).secret;
    const blue = (await gateway.ok('POST /keys', { title: 'blue', consumer: 'blue' })).secret;
    provider.always(says('secret of red'));
    await ask('/v1/chat/completions', question('whose?'), { key: red });
    await ask('/v1/chat/completions', question('whose?', { model: 'models/shared' }), { key: red });
    expect((await ask('/v1/chat/completions', question('whose?'), { key: blue })).cache).toBeNull();
    expect((await ask('/v1/chat/completions', question('whose?'), { key: red })).cache).toBe('hit; kind=exact');
    const shared = await ask('/v1/chat/completions', question('whose?', { model: 'models/shared' }), { key: blue });
    expect(shared.cache).toBe('hit; kind=exact');
  });

  test('a failure, a broken stream and a call of a tool are not kept', async () => {
    provider.next(fails(500));
    await ask('/v1/chat/completions', question('fails'));
    provider.next(says('half of it', { fault: { after: 1, kind: 'cut' } }));
    await ask('/v1/chat/completions', question('breaks', { stream: true })).catch(() => undefined);
    provider.next(calls('look', {}));
    await ask('/v1/chat/completions', question('calls'));
    provider.always(says('well'));
    for (const content of ['fails', 'breaks', 'calls'])
      expect(await ask('/v1/chat/completions', question(content))).toMatchObject({ status: 200, cache: null });
  });

  test('embeddings are given again', async () => {
    const body = { model: 'models/kept', input: ['a', 'b'] };
    const first = await ask('/v1/embeddings', body);
    const again = await ask('/v1/embeddings', body);
    expect([first.status, first.cache, again.cache]).toEqual([200, null, 'hit; kind=exact']);
    expect(JSON.parse(again.text).data).toEqual(JSON.parse(first.text).data);
  });

  test('a hit is on record as one, and costs nothing', async () => {
    provider.always(says('priced'));
    await ask('/v1/chat/completions', question('what does it cost?'));
    await ask('/v1/chat/completions', question('what does it cost?'));
    // The index follows the journal.
    const found = async () => JSON.stringify(await gateway.ok('GET /audit?capability=models/kept&limit=2'));
    await expect.poll(found, { timeout: 20_000 }).toMatch(/"nanoUsd":0,[^{}]*"cache":"exact|"cache":"exact"[^{}]*"nanoUsd":0\b/);
  });
});
