import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createEgressGuard } from '../../src/upstreams/egress.ts';
import { type Harness, overHttp, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';
import type { TestServer } from '../support/upstreams/listen-on.ts';
import { type RawRequest, reply, startLegacyRaw, startModernRaw, startRawServer } from '../support/upstreams/raw-server.ts';

const ok = { resultType: 'complete', content: [{ type: 'text', text: 'ok' }] };
let harness: Harness;
const servers: TestServer[] = [];
afterEach(async () => {
  await harness?.upstream.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function modern(
  answer: (request: RawRequest, how: string) => void,
  overrides: Parameters<typeof overHttp>[1] = {},
): Promise<void> {
  const server = await startModernRaw((request) => {
    const how = (request.message?.params.arguments as { how?: string } | undefined)?.how ?? '';
    if (how === 'ok') reply(request, { result: ok });
    else answer(request, how);
  });
  servers.push(server);
  harness = await started(overHttp(server.url, overrides));
  expect(harness.upstream.health()).toMatchObject({ era: 'modern', state: 'healthy' });
}
const poke = (how: string, overrides: Parameters<typeof toolCall>[2] = {}) =>
  harness.upstream.call(toolCall('poke', { how }, overrides));
const events = ({ response }: RawRequest, ...messages: unknown[]) => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const message of messages) response.write(`data: ${typeof message === 'string' ? message : JSON.stringify(message)}\n\n`);
};

describe('PR-07: an answer that is not one', () => {
  const broken: [string, string, (request: RawRequest) => void][] = [
    ['wrong id', 'answered a request that was not asked', (r) => reply(r, { id: 4711, result: ok })],
    ['id as a string', 'answered a request that was not asked', (r) => reply(r, { id: String(r.message?.id), result: ok })],
    [
      'no JSON',
      'not a JSON-RPC message',
      ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc"'),
    ],
    [
      'invalid UTF-8',
      'not valid UTF-8',
      ({ response }) => response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.from([0x7b, 0xff, 0x7d])),
    ],
    ['a request', 'sent a request', (r) => reply(r, { method: 'ping' })],
    [
      'HTML',
      'neither JSON nor an event stream',
      ({ response }) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
    ],
    ['accepted only', 'without an answer', ({ response }) => response.writeHead(202).end()],
    ['compressed', 'compressed', (r) => reply(r, { result: ok }, 200, { 'content-encoding': 'gzip' })],
    ['a kind not asked for', 'kind of result', (r) => reply(r, { result: { resultType: 'task', taskId: 't' } })],
    ['input without questions', 'without saying which', (r) => reply(r, { result: { resultType: 'input_required' } })],
    [
      'cut',
      'broke off',
      ({ response }) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{"json', () => response.destroy());
      },
    ],
    ['reset', 'broke off', ({ request }) => request.socket.resetAndDestroy()],
    [
      'events without an answer',
      'broke off',
      (r) => {
        events(r, { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 1 } });
        r.response.end();
      },
    ],
    [
      'events cut in the middle',
      'broke off',
      (r) => {
        events(r);
        r.response.write('data: {"jsonrpc":"2.0","id":', () => r.response.destroy());
      },
    ],
    ['events with garbage', 'not a JSON-RPC message', (r) => events(r, 'nonsense')],
    ['events with a wrong id', 'was not asked', (r) => events(r, { jsonrpc: '2.0', id: 99, result: ok })],
  ];
  test.each(broken)('%s: one error for that call, and the next one works', async (_name, words, answer) => {
    await modern(answer);
    await expect(poke('it')).rejects.toMatchObject({ code: 'upstream_failed', message: expect.stringContaining(words) });
    expect(harness.upstream.health()).toMatchObject({ state: 'failing', calls: { failed: 1 } });
    expect(textOf(await poke('ok'))).toBe('ok');
    expect(harness.upstream.health().state).toBe('healthy');
  });

  test('the second of two answers is not heard', async () => {
    await modern((r) => {
      const id = r.message?.id;
      events(r, { jsonrpc: '2.0', id, result: ok }, { jsonrpc: '2.0', id, result: { resultType: 'complete', content: [] } });
      r.response.end();
    });
    expect(textOf(await poke('it'))).toBe('ok');
    expect(textOf(await poke('ok'))).toBe('ok');
  });

  test.each([
    ['by its length', (r: RawRequest) => reply(r, { result: { ...ok, padding: 'x'.repeat(5_000) } })],
    [
      'in pieces',
      ({ response }: RawRequest) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        for (let i = 0; i < 50; i++) response.write('x'.repeat(100));
      },
    ],
    ['as an event', (r: RawRequest) => events(r, { jsonrpc: '2.0', id: r.message?.id, result: { padding: 'x'.repeat(5_000) } })],
  ])('one that is too large %s is cut off', async (_name, answer) => {
    await modern(answer);
    await expect(poke('it', { limitBytes: 1_000 })).rejects.toMatchObject({
      code: 'answer_too_large',
      message: expect.stringContaining('1000 bytes'),
    });
    expect(textOf(await poke('ok'))).toBe('ok');
  });
});

describe('an HTTP refusal', () => {
  test.each([
    [401, 'upstream_failed', 'refused access (HTTP 401)'],
    [403, 'upstream_failed', 'refused access (HTTP 403)'],
    [500, 'upstream_failed', 'failed (HTTP 500)'],
    [503, 'upstream_busy', 'is busy (HTTP 503)'],
    [429, 'upstream_busy', 'is busy (HTTP 429)'],
  ])('%i fails the call in words', async (status, code, words) => {
    await modern(({ response }) => response.writeHead(status, { 'retry-after': '7' }).end('<stack trace> /srv/secret.js'));
    const failure = await poke('it').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code, message: expect.stringContaining(words) });
    expect((failure as Error).message).not.toContain('/srv');
    if (code === 'upstream_busy') expect(failure).toMatchObject({ retryAfterMs: 7_000 });
  });

  test("with a JSON-RPC error is the upstream's answer", async () => {
    await modern((r) => reply(r, { error: { code: -32601, message: 'no such method', data: { hint: 1 } } }, 404));
    expect(await poke('it')).toEqual({ kind: 'error', error: { code: -32601, message: 'no such method', data: { hint: 1 } } });
    expect(harness.upstream.health()).toMatchObject({ state: 'healthy', calls: { failed: 0 } });
  });
});

describe('a redirect', () => {
  const to =
    (location: string, status = 307) =>
    ({ response }: RawRequest) =>
      response.writeHead(status, { location }).end();

  test('within the origin is followed with the same request', async () => {
    let hops = 0;
    await modern((r, how) => (how === 'it' && hops++ === 0 ? to('/elsewhere', 308)(r) : reply(r, { result: ok })));
    expect(textOf(await poke('it'))).toBe('ok');
    expect(hops).toBe(2);
  });

  test('is followed three times at most', async () => {
    await modern(to('/again'));
    await expect(poke('it')).rejects.toMatchObject({ message: expect.stringContaining('redirects more than 3 times') });
  });

  test.each([301, 302, 303])('%i is refused, because the request would be lost', async (status) => {
    await modern(to('/elsewhere', status));
    await expect(poke('it')).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining(`HTTP ${status}`),
    });
  });

  test('to another origin is refused with credentials, refused to a private address, and followed when that is allowed', async () => {
    const other = await startRawServer((r) => reply(r, { result: ok }));
    servers.push(other);
    const allowed = createEgressGuard([{ kind: 'range', address: '127.0.0.1', prefix: 32, family: 'ipv4', port: other.port }]);
    const refusal = { code: 'upstream_failed', message: expect.stringContaining('another origin') };
    try {
      await modern(to(other.url), { headers: { authorization: 'Bearer x' }, egress: allowed });
      await expect(poke('it')).rejects.toMatchObject(refusal);
      await harness.upstream.close();
      await modern(to(other.url), { egress: createEgressGuard([]) });
      await expect(poke('it')).rejects.toMatchObject(refusal);
      expect(other.methods).toEqual([]);
      await harness.upstream.close();
      await modern(to(other.url), { egress: allowed });
      expect(textOf(await poke('it'))).toBe('ok');
      expect(other.methods).toEqual(['tools/call']);
    } finally {
      await allowed.close();
    }
  });
});

describe('an upstream that cannot be reached', () => {
  test('fails calls fast, in words without credentials, and is taken up again when it is back', async () => {
    const gone = await startRawServer(() => {});
    await gone.close();
    harness = await started(overHttp(`http://user:hunter2@127.0.0.1:${gone.port}/mcp?token=hunter2`));
    expect(harness.upstream.health().state).toBe('down');
    const failure = (await poke('it').catch((error: unknown) => error)) as Error;
    expect(failure.message).toMatch(
      new RegExp(
        `^The upstream support/crm cannot be reached \\(connection refused to 127\\.0\\.0\\.1:${gone.port}\\); (the next attempt is in \\d+ s|it is being tried again right now)\\.$`,
      ),
    );
    expect(failure).toMatchObject({ code: 'upstream_unavailable', retryAfterMs: expect.any(Number) });
    expect(JSON.stringify(harness.upstream.health()) + harness.logged.join('')).not.toContain('hunter2');
    const back = await startRawServer((r) => {
      if (r.message?.method === 'server/discover') reply(r, { result: { supportedVersions: ['2026-07-28'], capabilities: {} } });
      else reply(r, { result: ok });
    }, gone.port);
    servers.push(back);
    await until(() => harness.upstream.health().state === 'healthy');
    expect(textOf(await poke('it'))).toBe('ok');
  });

  test('keeps its definitions, marked as stale, and is down for calls made after the first one that noticed', async () => {
    await modern(() => {});
    const [server] = servers.splice(0);
    await server?.close();
    const offer = harness.upstream.offer();
    // The first one may still find a connection that is only just closing.
    await poke('ok').catch(() => {});
    await expect(poke('ok')).rejects.toMatchObject({ code: 'upstream_unavailable' });
    expect(harness.upstream.offer()).toMatchObject({ isStale: true });
    expect(harness.upstream.offer().tools).toBe(offer.tools);
    await expect(poke('ok')).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });

  test('is given up within the time a cancelled call waits for its first connection', async () => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    harness = overHttp(`http://127.0.0.1:${(silent.address() as { port: number }).port}/mcp`);
    harness.upstream.start();
    const { Cancel } = await import('../../src/wire/cancel.ts');
    const cancel = new Cancel();
    const call = expect(poke('it', { cancel })).rejects.toMatchObject({ code: 'cancelled', message: 'left' });
    cancel.cancel('left');
    await call;
    await harness.upstream.close();
    silent.close();
  });
});

describe('a legacy stream that breaks', () => {
  const id = (r: RawRequest) => r.message?.id;

  test('is taken up again by its last event, and the call is answered', async () => {
    let resumedFrom: string | undefined;
    let asked: number | undefined;
    const server = await startLegacyRaw((r) => {
      const { request, response } = r;
      if (request.method === 'GET') {
        const last = request.headers['last-event-id'];
        if (last === undefined) return response.writeHead(405).end();
        resumedFrom = String(last);
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.end(`id: e-2\ndata: ${JSON.stringify({ jsonrpc: '2.0', id: asked, result: ok })}\n\n`);
        return;
      }
      asked = id(r);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end('retry: 10\nid: e-1\ndata: \n\n');
    });
    servers.push(server);
    harness = await started(overHttp(server.url));
    expect(textOf(await poke('it'))).toBe('ok');
    expect(resumedFrom).toBe('e-1');
    expect(server.methods.filter((method) => method === 'tools/call')).toHaveLength(1);
  });

  test('without an event id is an error: the call may have been carried out', async () => {
    const server = await startLegacyRaw((r) => {
      if (r.request.method === 'GET') r.response.writeHead(405).end();
      else r.response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': nothing\n\n');
    });
    servers.push(server);
    harness = await started(overHttp(server.url));
    await expect(poke('it')).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('Whether the call was carried out is not known.'),
    });
    expect(server.methods.filter((method) => method === 'tools/call')).toHaveLength(1);
  });
});
