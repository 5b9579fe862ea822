import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { startOpenai } from '../../support/model-providers/openai.ts';
import { fails, gate, says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';
import { until } from '../../support/until.ts';

let provider: StandIn;
let gateway: AdminGateway;

beforeAll(async () => {
  provider = await startOpenai({ key: 'provider-key' });
  provider.always(says('hello'));
  gateway = await openAdminGateway({
    settings: { PROVIDER: 'provider-key' },
    namespaces: {
      models: `namespace: models
upstreams:
  fast:
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }]
policy:
  limits: [{ per: key, rpm: 100 }, { per: key, match: models/fast, rpm: 3, tpm: 50000 }]
`,
      shared: `namespace: shared
upstreams:
  free:
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }]
policy:
  limits: [{ per: namespace, rpm: 100, tpm: 1000 }, { per: capability, rpm: 30 }]
`,
      other: `namespace: other
upstreams:
  free: &target
    kind: model
    targets: [{ provider: openai-compatible, url: "${provider.url}/v1", model: gpt-stand-in, key: "\${secret:PROVIDER}" }]
  alone: *target
  second: *target
  third: *target
`,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await provider.close();
});

async function ask(path: string, more: object = {}): Promise<Headers> {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'models/fast', max_tokens: 10, messages: [{ role: 'user', content: 'hi' }], ...more }),
  });
  await response.text();
  return response.headers;
}

test("US-M-A1: the headers about rates are ours, in the words of each dialect, and the provider's own never show", async () => {
  const whole = await ask('/v1/chat/completions');
  expect(whole.get('x-ratelimit-limit-requests')).toBe('3');
  expect(whole.get('x-ratelimit-remaining-requests')).toBe('2');
  expect(Number(whole.get('x-ratelimit-remaining-tokens'))).toBeLessThan(50_000);
  expect(whole.get('openai-version')).toBeNull();
  const parts = await ask('/v1/chat/completions', { stream: true });
  expect(parts.get('x-ratelimit-remaining-requests')).toBe('1');
  const anthropic = await ask('/v1/messages');
  expect(anthropic.get('anthropic-ratelimit-requests-limit')).toBe('3');
  expect(anthropic.get('anthropic-ratelimit-requests-remaining')).toBe('0');
  expect(Date.parse(anthropic.get('anthropic-ratelimit-requests-reset') ?? '')).toBeGreaterThan(0);
});

describe('a refused call', () => {
  const clients = async (name: string, limits: readonly object[]) => {
    await gateway.ok('POST /consumers', { id: name, title: name, kind: 'team', limits });
    const { secret } = await gateway.ok('POST /keys', { id: name, title: name, consumer: name });
    const apiKey = String(secret);
    return {
      openai: new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries: 0 }),
      anthropic: new Anthropic({ baseURL: gateway.url, apiKey, maxRetries: 0 }),
    };
  };
  const messages = [{ role: 'user' as const, content: 'hi' }];
  const model = 'other/free';

  test('is told what an answered one is: nothing is left, and from when on; to clients of both dialects, as the error they know', async () => {
    const { openai, anthropic } = await clients('calls', [{ per: 'consumer', rpm: 2, tpm: 50_000 }]);
    const { response } = await openai.chat.completions.create({ model, messages, max_tokens: 10 }).withResponse();
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('1');
    await openai.chat.completions.create({ model, messages, max_tokens: 10 });

    for (const stream of [false, true] as const) {
      const refused = await openai.chat.completions.create({ model, messages, max_tokens: 10, stream }).catch((error) => error);
      expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
      const headers = refused.headers as Headers;
      expect(headers.get('x-ratelimit-limit-requests')).toBe('2');
      expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
      expect(headers.get('x-ratelimit-reset-requests')).toBe(`${headers.get('retry-after')}s`);
      expect(headers.get('x-ratelimit-limit-tokens')).toBe('50000');
      expect(Number(headers.get('x-ratelimit-remaining-tokens'))).toBeGreaterThan(40_000);
    }

    const refused = await anthropic.messages.create({ model, messages, max_tokens: 10 }).catch((error) => error);
    expect(refused).toBeInstanceOf(Anthropic.RateLimitError);
    const headers = refused.headers as Headers;
    expect(headers.get('anthropic-ratelimit-requests-limit')).toBe('2');
    expect(headers.get('anthropic-ratelimit-requests-remaining')).toBe('0');
    const waitMs = Date.parse(headers.get('anthropic-ratelimit-requests-reset') ?? '') - Date.now();
    expect(Math.abs(waitMs - Number(headers.get('retry-after')) * 1000)).toBeLessThan(5_000);
    expect(headers.get('anthropic-ratelimit-tokens-limit')).toBe('50000');
    expect(headers.get('x-ratelimit-limit-requests')).toBeNull();
  });

  test('sees what truly is left of the tokens that it wanted too many of', async () => {
    const { openai } = await clients('tokens', [{ per: 'consumer', tpm: 1_000 }]);
    await openai.chat.completions.create({ model, messages, max_tokens: 500 });
    const { headers } = await openai.chat.completions.create({ model, messages, max_tokens: 990 }).catch((error) => error);
    expect(Number(headers.get('x-ratelimit-remaining-tokens'))).toBeGreaterThan(0);
    expect(Number(headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(1_000);
    expect(headers.get('x-ratelimit-reset-tokens')).toBe(`${headers.get('retry-after')}s`);
  });

  test('hears of a budget that is used up until when it is; of money and of places nothing but when to come back', async () => {
    const budget = await clients('budget', [{ per: 'consumer', budget: { amount: 1, window: 'month', unit: 'calls' } }]);
    await budget.openai.chat.completions.create({ model, messages });
    const { headers } = await budget.openai.chat.completions.create({ model, messages }).catch((error) => error);
    expect(headers.get('x-ratelimit-limit-requests')).toBe('1');
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(headers.get('x-ratelimit-reset-requests')).toBe(`${headers.get('retry-after')}s`);

    const held = gate();
    provider.next(says('late', { before: held }));
    const slots = await clients('slots', [{ per: 'consumer', concurrency: 1 }]);
    const before = provider.journal.length;
    const first = slots.openai.chat.completions.create({ model, messages });
    await until('the provider has the first', () => provider.journal.length > before);
    const refused = await slots.openai.chat.completions.create({ model, messages }).catch((error) => error);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBeNull();
    held.open();
    await first;
  });

  test('hears of a limit that all share when to come back, and nothing of what others have used', async () => {
    const { openai } = await clients('shared', [{ per: 'consumer', rpm: 40 }]);
    const shared = (max_tokens: number) => openai.chat.completions.create({ model: 'shared/free', messages, max_tokens });
    const { response } = await shared(500).withResponse();
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('39');
    expect(response.headers.get('x-ratelimit-limit-tokens')).toBeNull();
    const { status, headers } = await shared(990).catch((error) => error);
    expect([status, headers.get('x-ratelimit-limit-tokens'), headers.get('x-ratelimit-remaining-tokens')]).toEqual([
      429,
      '1000',
      '0',
    ]);
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('39');
  });

  test("of a provider that has no more room is a 429 with what is left here, and nothing of the provider's own", async () => {
    const { openai, anthropic } = await clients('lent', [{ per: 'consumer', rpm: 40 }]);
    provider.next(fails(429, { retryAfterS: 7 }));
    const refused = await openai.chat.completions.create({ model: 'other/alone', messages }).catch((error) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    expect(refused.headers.get('retry-after')).toBe('7');
    expect(refused.headers.get('x-should-retry')).toBeNull();
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('40');
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('39');
    expect(refused.headers.get('x-ratelimit-limit-tokens')).toBeNull();

    provider.next(fails(429));
    const other = await anthropic.messages.create({ model: 'other/second', messages, max_tokens: 5 }).catch((error) => error);
    expect(other).toBeInstanceOf(Anthropic.RateLimitError);
    expect(other.headers.get('anthropic-ratelimit-requests-remaining')).toBe('38');
    expect(Number(other.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(other.headers.get('x-should-retry')).toBeNull();

    // One that is out of order is told as what it is.
    provider.next(fails(503));
    const down = await openai.chat.completions.create({ model: 'other/third', messages }).catch((error) => error);
    expect([down.status, down.headers.get('x-ratelimit-remaining-requests')]).toEqual([503, '37']);
  });
});

test('a call that is larger than a limit will ever let through is not repeated by SDKs; one that has to wait is', async () => {
  await gateway.ok('POST /consumers', { id: 'small', title: 'Small', kind: 'team', limits: [{ per: 'consumer', tpm: 1000 }] });
  const { secret } = await gateway.ok('POST /keys', { id: 'small', title: 'Small', consumer: 'small' });
  const status = async (tokens: number) => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'other/free', max_tokens: tokens, messages: [{ role: 'user', content: 'hi' }] }),
    });
    await response.text();
    return [response.status, response.headers.get('x-should-retry'), response.headers.get('retry-after') !== null];
  };
  expect(await status(2000)).toEqual([429, 'false', false]);
  expect(await status(900)).toEqual([200, null, false]);
  const more = await status(990);
  expect(more).toEqual([429, null, true]);
});
