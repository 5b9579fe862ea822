import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../../support/admin-gateway.ts';
import { startOpenai } from '../../support/model-providers/openai.ts';
import { says } from '../../support/model-providers/script.ts';
import type { StandIn } from '../../support/model-providers/stand-in.ts';

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
  limits: [{ per: key, rpm: 100 }, { per: capability, rpm: 3, tpm: 50000 }]
`,
      other: `namespace: other
upstreams:
  free:
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
  const refused = await ask('/v1/messages');
  expect(Number(refused.get('retry-after'))).toBeGreaterThanOrEqual(1);
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
