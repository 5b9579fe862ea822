import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { codeOf, type Gated, ran, startGated } from '../support/gated.ts';
import { closeRawClients, connectRaw, rawEras } from '../support/raw-clients.ts';
import { until } from '../support/until.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';

// AP-09: the same gate at every door. And who hears of what waits.

let gated: Gated;
let hook: TestServer;
let directory: string;
const heard: { headers: Record<string, unknown>; body: string }[] = [];

beforeAll(async () => {
  hook = await listenOn(
    createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      heard.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(204).end();
    }),
  );
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-hook-'));
  const secret = `\${secret:HOOK}`;
  writeFileSync(join(directory, 'gatehouse.yaml'), `notify:\n  webhook: { url: "${hook.url}/x", secret: "${secret}" }\n`);
  gated = await startGated({ directory, settings: { HOOK: 'whsec_c2VjcmV0' } });
});
beforeEach(() => {
  gated.upstream.calls.length = 0;
});
afterAll(async () => {
  await closeRawClients();
  await gated?.stop();
  await hook?.close();
  rmSync(directory, { recursive: true, force: true });
});

const doors = ['/mcp', '/mcp/box', '/mcp/other'].flatMap((path) => rawEras.map((era) => [path, era] as const));

test.each(doors)('AP-09: the gate holds at %s in the %s era, and opens there too', async (path, era) => {
  const key = await gated.freshKey();
  const client = await connectRaw(era, { url: `${gated.gateway.url}${path}`, key });
  const call = async () => (await client.call('support__echo', { door: path })).message?.result;
  expect(codeOf({ body: { result: await call() } } as never)).toBe('approval_pending');
  expect(gated.upstream.calls).toEqual([]);
  const [waiting] = await gated.pending();
  await gated.decide(waiting?.id ?? '', 'approve');
  expect((await call())?.isError).toBeUndefined();
  expect(gated.upstream.calls).toHaveLength(1);
});

test('AP-09: several at once, and a batch, get nothing past it', async () => {
  const key = await gated.freshKey();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => gated.call({ n }, { key })));
  expect(new Set(answers.map(codeOf))).toEqual(new Set(['approval_pending']));
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'support__echo', arguments: {} } };
  const batch = await fetch(`${gated.gateway.url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify([message, message]),
  });
  expect(batch.status).toBe(400);
  expect(gated.upstream.calls).toEqual([]);
});

test('AP-09: what is the same to two callers is approved for one', async () => {
  const [one, two] = [await gated.freshKey(), await gated.freshKey()];
  await gated.call({ shared: 1 }, { key: one });
  const [waiting] = await gated.pending();
  await gated.decide(waiting?.id ?? '', 'approve');
  expect(codeOf(await gated.call({ shared: 1 }, { key: two }))).toBe('approval_pending');
  expect(ran(await gated.call({ shared: 1 }, { key: one }))).toBe(true);
});

test('actions of the administration can be gated too, over REST as well', async () => {
  const scope = 'PUT /policies/capability:admin%2Fcreate_consumer';
  await gated.gateway.ok(scope, { policy: { gates: [{ by: { role: 'admin' }, reason: 'Four eyes.' }] } });
  const consumer = { id: 'gated', title: 'x', kind: 'team' };
  const held = await gated.gateway.api('POST /consumers', consumer, gated.keys.dora);
  expect([held.status, held.body.error.code]).toEqual([403, 'approval_pending']);
  expect((await gated.decide(held.body.error.data.approval, 'approve', gated.keys.dora)).status).toBe(403);
  expect((await gated.decide(held.body.error.data.approval, 'approve', gated.gateway.key)).body.state).toBe('approved');
  expect((await gated.gateway.api('POST /consumers', consumer, gated.keys.dora)).status).toBe(200);
  await gated.gateway.ok(scope, { policy: null });
  const personal = await gated.gateway.api('PUT /policies/namespace:admin', {
    policy: { gates: [{ by: { members: ['dora'] } }] },
  });
  expect(personal.body.error.code).toBe('conflict');
});

test('whoever is to be told hears what waits and what was decided, signed, and without arguments', async () => {
  const key = await gated.freshKey();
  await gated.call({ canary: 'c4n4ry' }, { key });
  const [waiting] = await gated.pending();
  await gated.decide(waiting?.id ?? '', 'deny');
  const about = () => heard.filter(({ body }) => body.includes(waiting?.id ?? 'none'));
  await until('both were told', () => about().length === 2);
  expect(about().map(({ body }) => JSON.parse(body).type)).toEqual(['approval.requested', 'approval.decided']);
  for (const { headers, body } of about()) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
    expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', 'secret').update(signed).digest('base64')}`);
    expect(body).not.toContain('c4n4ry');
    expect(JSON.parse(body).data).toMatchObject({
      capability: 'support/echo',
      url: `${gated.gateway.url}/approvals/${waiting?.id}`,
    });
  }
});
