import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { startOpenai } from '../support/model-providers/openai.ts';
import { says } from '../support/model-providers/script.ts';
import type { StandIn } from '../support/model-providers/stand-in.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

// Two gateways on one database, one webhook.

const heard: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
let postgres: PostgresService;
let provider: StandIn;
let hook: TestServer;
let gateways: readonly [AdminGateway, AdminGateway];

beforeAll(async () => {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    heard.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.end();
  });
  [postgres, provider, hook] = await Promise.all([startPostgres(), startOpenai({ key: 'sk-provider' }), listenOn(server)]);
  const databaseUrl = await postgres.createDatabase();
  const open = () =>
    openAdminGateway({
      namespaces: {
        models: `namespace: models\nupstreams:\n  fast:\n    kind: model\n    targets:\n      - { provider: openai, model: m, key: "\${secret:KEY}", url: "${provider.url}/v1", price: { input: 1000, output: 1000 } }\n`,
      },
      file: `notify:\n  webhook: { url: "${hook.url}/x", secret: "\${secret:HOOK}" }\n`,
      settings: { GATEHOUSE_DATABASE_URL: databaseUrl, KEY: 'sk-provider', HOOK: 'hook-secret' },
    });
  gateways = [await open(), await open()];
}, servicesTimeoutMs);
afterAll(async () => {
  for (const gateway of gateways ?? []) await gateway.stop();
  await Promise.all([provider?.close(), hook?.close(), postgres?.stop()]);
});

const call = async ({ url }: AdminGateway, key: string) => {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'models/fast', messages: [{ role: 'user', content: 'Hello' }] }),
  });
  await response.text();
  return response.status;
};

test('US-M-A8: costs of all replicas count together, and a threshold is told once, by a signed webhook', async () => {
  const [first, second] = gateways;
  // 1.5 US dollars a call.
  provider.always(says('Hi.', { usage: { input: 1000, output: 500, cacheRead: 0, cacheWrite: 0, reasoning: 0 } }));
  await first.ok('POST /consumers', { id: 'billing', title: 'Billing', kind: 'team' });
  const { secret } = await first.ok('POST /keys', { title: 'x', consumer: 'billing' });
  await until('both know the key', async () => (await call(second, secret)) === 200);
  for (const gateway of [first, second, first]) expect(await call(gateway, secret)).toBe(200);
  const alert = { per: 'consumer', unit: 'usd', amount: 7, window: 'month', forecast: false };
  // What the other has not stored yet is stored when somebody looks there.
  await second.ok('GET /alerts');
  await first.ok('PUT /alerts/spend', { alert });
  await until('the webhook heard of it', () => heard.length > 0);
  await Promise.all([first, second].map((gateway) => gateway.ok('PUT /alerts/spend', { alert })));
  const { alerts, told } = await second.ok('GET /alerts');
  expect(alerts).toMatchObject([{ id: 'spend', amount: 7, usage: [{ subject: 'billing', used: 6 }] }]);
  expect(told).toMatchObject([{ alert: 'spend', subject: 'billing', used: 6, amount: 7 }]);
  expect(heard).toHaveLength(1);
  const [{ headers, body } = { headers: {}, body: '' }] = heard;
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', 'hook-secret').update(signed).digest('base64')}`);
  expect(JSON.parse(body)).toMatchObject({ type: 'alert.passed', data: { subject: 'billing', used: 6, amount: 7, unit: 'usd' } });
  const inbox = await second.ok('GET /notifications');
  expect(inbox.notifications).toMatchObject([{ alert: 'spend', event: 'alert', title: expect.stringContaining('6.00 USD of 7.00 USD') }]);
  const elsewhere = await second.person('elsewhere', [{ role: 'admin', namespace: 'models' }]);
  expect((await second.ok('GET /notifications', undefined, elsewhere)).notifications).toEqual([]);
  await second.ok('DELETE /alerts/spend', {});
  await until('the other knows', async () => (await first.ok('GET /alerts')).alerts.length === 0);
});
