import { afterEach, describe, expect, test } from 'vitest';
import { type Harness, overHttp, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';
import { startLegacyServer } from '../support/upstreams/legacy-server.ts';
import type { TestServer } from '../support/upstreams/listen-on.ts';
import { startModernServer } from '../support/upstreams/modern-server.ts';
import {
  discovered,
  initialized,
  oneTool,
  type RawRequest,
  reply,
  startModernRaw,
  startRawServer,
} from '../support/upstreams/raw-server.ts';

let harness: Harness;
const servers: TestServer[] = [];
afterEach(async () => {
  await harness?.upstream.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
const keep = <Server extends TestServer>(server: Server): Server => {
  servers.push(server);
  return server;
};

type Responder = (request: RawRequest) => void;
const status =
  (code: number, body = 'no'): Responder =>
  ({ response }) =>
    response.writeHead(code).end(body);
const rpcError =
  (code: number, httpStatus: number, data?: Record<string, never>): Responder =>
  (request) =>
    reply(request, { error: { code, message: 'no', ...(data === undefined ? {} : { data }) } }, httpStatus);

/** A server that answers the probe in one way and speaks plain legacy otherwise. */
async function probed(discover: Responder): Promise<Harness> {
  const server = keep(
    await startRawServer((request) => {
      const method = request.message?.method;
      if (method === 'server/discover') discover(request);
      else if (method === 'initialize') reply(request, { result: initialized });
      else if (method === 'tools/list') reply(request, { result: oneTool });
      else if (method === undefined) request.response.writeHead(405).end();
      else request.response.writeHead(202).end();
    }),
  );
  harness = await started(overHttp(server.url));
  return harness;
}

describe('which era an address speaks', () => {
  test.each<[string, Responder]>([
    ['400 without JSON-RPC', status(400)],
    ['404', status(404)],
    ['405', status(405)],
    ['400 with a legacy error', rpcError(-32000, 400)],
    ['method not found', rpcError(-32601, 404)],
    ['method not found, as HTTP 200', rpcError(-32601, 200)],
    ['invalid request', rpcError(-32600, 400)],
    [
      'an unknown version that names older ones',
      (request) => reply(request, { error: { code: -32022, message: 'no', data: { supported: ['2025-11-25'] } } }, 400),
    ],
    ['a result that describes nothing', (request) => reply(request, { result: {} })],
    ['a web page', ({ response }) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>')],
  ])('%s means legacy', async (_name, discover) => {
    await probed(discover);
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy', state: 'healthy' });
    expect(harness.upstream.offer().tools).toHaveLength(1);
  });

  test.each<[string, Responder, string]>([
    ['401', status(401), 'HTTP 401'],
    ['403', status(403), 'HTTP 403'],
    ['429', status(429), 'HTTP 429'],
    ['500', status(500), 'HTTP 500'],
    ['503 with a JSON-RPC error', rpcError(-32603, 503), 'HTTP 503'],
    ['a broken connection', ({ request }) => request.socket.resetAndDestroy(), 'broke off'],
    ['a header mismatch', rpcError(-32020, 400), 'server/discover was refused with code -32020'],
    ['a missing capability', rpcError(-32021, 400), 'server/discover was refused with code -32021'],
    ['a version nobody knows', rpcError(-32022, 400), 'server/discover was refused with code -32022'],
  ])('%s is an error and never taken for legacy', async (_name, discover, words) => {
    await probed(discover);
    expect(harness.upstream.health()).toMatchObject({ era: undefined, state: 'down' });
    expect(harness.upstream.health().lastError?.message).toContain(words);
    const [server] = servers;
    expect((server as { methods?: string[] }).methods).not.toContain('initialize');
  });

  test('a pinned era is not probed', async () => {
    const legacy = keep(await startLegacyServer());
    harness = await started(overHttp(legacy.url, { era: 'legacy' }));
    expect(harness.upstream.health().era).toBe('legacy');
    await harness.upstream.close();
    harness = await started(overHttp(legacy.url, { era: 'modern' }));
    expect(harness.upstream.health()).toMatchObject({ state: 'down', era: undefined });
    expect(harness.upstream.health().lastError?.message).toContain('does not speak MCP 2026-07-28');
  });

  test('an unknown protocol version is refused in words', async () => {
    const server = keep(
      await startRawServer((request) => {
        if (request.message?.method === 'initialize')
          reply(request, { result: { ...initialized, protocolVersion: '1999-01-01' } });
        else request.response.writeHead(404).end();
      }),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.health().lastError?.message).toContain('unknown protocol version 1999-01-01');
  });
});

describe('what is remembered', () => {
  test('of a modern upstream: it offers and answers at once, and is asked nothing first', async () => {
    const server = keep(await startModernServer());
    harness = await started(overHttp(server.url));
    const remembered = harness.saved.at(-1);
    await harness.upstream.close();

    harness = overHttp(server.url, { remembered });
    expect(harness.upstream.offer()).toMatchObject({ isStale: true });
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toContain('echo');
    harness.upstream.start();
    await harness.upstream.ready();
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'at once' })))).toBe('at once');
    await until(() => !harness.upstream.offer().isStale);
    expect(harness.upstream.health()).toMatchObject({ era: 'modern', state: 'healthy' });
  });

  test('of a modern upstream that is gone: its definitions, marked as stale', async () => {
    const server = await startModernServer();
    harness = await started(overHttp(server.url));
    const remembered = harness.saved.at(-1);
    await harness.upstream.close();
    await server.close();
    harness = await started(overHttp(server.url, { remembered }));
    await until(() => harness.upstream.health().state === 'down');
    expect(harness.upstream.offer()).toMatchObject({ isStale: true });
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toContain('echo');
  });

  test('of a legacy upstream: it is not probed again', async () => {
    const server = keep(await startLegacyServer());
    harness = await started(overHttp(server.url));
    const remembered = harness.saved.at(-1);
    const posts = server.seen.filter((method) => method === 'POST').length;
    await harness.upstream.close();
    const before = server.seen.filter((method) => method === 'POST').length;
    harness = await started(overHttp(server.url, { remembered }));
    await until(() => harness.upstream.health().state === 'healthy');
    const after = server.seen.filter((method) => method === 'POST').length;
    expect(after - before).toBe(posts - 1);
  });

  test('is asked for anew after a day, and not used for another address', async () => {
    const server = keep(await startLegacyServer());
    harness = await started(overHttp(server.url));
    const remembered = harness.saved.at(-1);
    if (remembered === undefined) throw new Error('nothing was saved');
    await harness.upstream.close();
    const modern = keep(await startModernServer());
    harness = overHttp(modern.url, { remembered });
    expect(harness.upstream.offer().tools).toEqual([]);
    await harness.upstream.close();
    const yesterday = { ...remembered, savedAtMs: Date.now() - 25 * 60 * 60_000 };
    harness = await started(overHttp(server.url, { remembered: yesterday }));
    expect(harness.upstream.offer().tools.length).toBeGreaterThan(0);
    await until(() => harness.upstream.health().state === 'healthy');
  });

  test.each(['{', '{}', '{"verdict":"modern","discover":{},"offer":7}'])(
    'is left alone when it cannot be read: %s',
    async (state) => {
      const server = keep(await startModernServer());
      harness = await started(overHttp(server.url));
      const remembered = harness.saved.at(-1);
      if (remembered === undefined) throw new Error('nothing was saved');
      await harness.upstream.close();
      harness = await started(overHttp(server.url, { remembered: { ...remembered, state } }));
      expect(harness.upstream.health().state).toBe('healthy');
    },
  );

  test('of an upstream that has changed its era is found out by the first call, which is sent once more', async () => {
    const modern = await startModernServer();
    harness = await started(overHttp(modern.url));
    await modern.close();
    const legacy = keep(await startLegacyServer({ port: modern.port }));
    // The connection that was open may break under the first call.
    await harness.upstream.call(toolCall('echo', { text: 'lost' })).catch(() => {});
    await until(() => harness.upstream.health().state !== 'down');
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'found' })))).toBe('found');
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy' });
    expect(legacy.state.echoed.filter((text) => text === 'found')).toHaveLength(1);
  });

  test('of a modern upstream that now refuses its version is found out as well', async () => {
    let isLegacy = false;
    const server = keep(
      await startRawServer((request) => {
        const { message, response } = request;
        const method = message?.method;
        const isModern = request.request.headers['mcp-method'] !== undefined;
        if (isLegacy && isModern)
          reply(request, { error: { code: -32022, message: 'no', data: { supported: ['2025-11-25'] } } }, 400);
        else if (method === 'server/discover') reply(request, { result: discovered });
        else if (method === 'initialize') reply(request, { result: initialized });
        else if (method === 'tools/list') reply(request, { result: oneTool });
        else if (method === 'tools/call')
          reply(request, { result: { content: [{ type: 'text', text: isModern ? 'modern' : 'legacy' }] } });
        else response.writeHead(message === undefined ? 405 : 202).end();
      }),
    );
    harness = await started(overHttp(server.url));
    expect(textOf(await harness.upstream.call(toolCall('poke')))).toBe('modern');
    isLegacy = true;
    expect((await Promise.all([1, 2, 3].map(() => harness.upstream.call(toolCall('poke'))))).map(textOf)).toEqual([
      'legacy',
      'legacy',
      'legacy',
    ]);
    expect(harness.upstream.health()).toMatchObject({ era: 'legacy', state: 'healthy' });
  });

  test('leaves calls in flight on the connection of before, and close ends them too', async () => {
    let isLegacy = false;
    const hanging = Promise.withResolvers<void>();
    const server = keep(
      await startRawServer((request) => {
        const { message, response } = request;
        const method = message?.method;
        if (isLegacy && request.request.headers['mcp-method'] !== undefined) response.writeHead(405).end();
        else if (method === 'server/discover') reply(request, { result: discovered });
        else if (method === 'initialize') reply(request, { result: initialized });
        else if (method === 'tools/list') reply(request, { result: oneTool });
        else if (method !== 'tools/call') response.writeHead(message === undefined ? 405 : 202).end();
        else if (isLegacy) reply(request, { result: { content: [] } });
        else hanging.resolve();
      }),
    );
    harness = await started(overHttp(server.url));
    const { upstream } = harness;
    const call = upstream.call(toolCall('poke'));
    const ended = expect(call).rejects.toMatchObject({ code: 'upstream_unavailable' });
    await hanging.promise;
    isLegacy = true;
    expect((await upstream.call(toolCall('poke'))).kind).toBe('result');
    expect(upstream.health()).toMatchObject({ era: 'legacy', callsInFlight: 1 });
    await upstream.close();
    await ended;
    expect(upstream.health().callsInFlight).toBe(0);
  });
});

describe('a list', () => {
  const listing = (pages: (cursor: string | undefined) => Record<string, unknown>) =>
    startRawServer((request) => {
      const { method, params } = request.message ?? { method: '', params: {} };
      if (method === 'server/discover') reply(request, { result: discovered });
      else if (method === 'tools/list') reply(request, { result: pages(params.cursor as string | undefined) as never });
      else request.response.writeHead(404).end();
    });
  const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: 'object' }, ...more });

  test('is read to its last page', async () => {
    const server = keep(
      await listing((cursor) => (cursor === undefined ? { tools: [tool('a')], nextCursor: 'p2' } : { tools: [tool('b')] })),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  test('PO-07: that goes round in circles ends', async () => {
    const server = keep(
      await listing((cursor) => ({ tools: [tool(cursor ?? 'first')], nextCursor: cursor === 'x' ? 'y' : 'x' })),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toEqual(['first', 'x', 'y']);
    expect(harness.upstream.offer().problems).toMatchObject([
      { subject: 'tools/list', message: expect.stringContaining('repeats a cursor') },
    ]);
  });

  test('PO-07: that never ends is cut after 10,000 entries', async () => {
    let page = 0;
    const server = keep(
      await listing(() => ({
        tools: Array.from({ length: 900 }, (_, index) => tool(`t${page}-${index}`)),
        nextCursor: `c${page++}`,
      })),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.offer().tools).toHaveLength(10_000);
    expect(page).toBeLessThan(250);
  });

  test('PR-03: loses only the definitions that are no good, and says why', async () => {
    const server = keep(
      await listing(() => ({
        tools: [
          tool('good'),
          tool('good', { description: 'again' }),
          { inputSchema: { type: 'object' } },
          { name: 'bare' },
          { name: 'list', inputSchema: { type: 'array' } },
          'text',
          null,
          tool('headers', { inputSchema: { type: 'object', properties: { a: { type: 'object', 'x-mcp-header': 'A' } } } }),
          tool('tasks', { execution: { taskSupport: 'required' } }),
        ],
      })),
    );
    harness = await started(overHttp(server.url));
    const { tools, problems } = harness.upstream.offer();
    expect(tools).toEqual([tool('good'), tool('tasks')]);
    expect(problems.map(({ subject }) => subject)).toEqual([
      'good',
      'tools/list',
      'bare',
      'list',
      'tools/list',
      'tools/list',
      'headers',
    ]);
    expect(problems.at(-1)?.message).toContain('x-mcp-header');
  });

  test('that fails leaves what was known and says so', async () => {
    let isBroken = false;
    let sayChanged = () => {};
    const server = keep(
      await startRawServer((request) => {
        const { message, response } = request;
        const method = message?.method;
        if (method === 'server/discover')
          reply(request, { result: { ...discovered, capabilities: { tools: { listChanged: true } } } });
        else if (method === 'subscriptions/listen') {
          const _meta = { 'io.modelcontextprotocol/subscriptionId': message?.id ?? 0 };
          const say = (notification: string) =>
            response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: notification, params: { _meta } })}\n\n`);
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          say('notifications/subscriptions/acknowledged');
          sayChanged = () => say('notifications/tools/list_changed');
        } else if (isBroken) reply(request, { error: { code: -32603, message: 'database gone' } });
        else reply(request, { result: oneTool });
      }),
    );
    harness = await started(overHttp(server.url));
    isBroken = true;
    await until(() => {
      sayChanged();
      return harness.upstream.offer().problems.length > 0;
    });
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toEqual(['poke']);
    expect(harness.upstream.offer().problems).toMatchObject([
      { subject: 'tools/list', message: expect.stringContaining('database gone') },
    ]);
    isBroken = false;
    await until(() => {
      sayChanged();
      return harness.upstream.offer().problems.length === 0;
    });
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toEqual(['poke']);
  });

  test('that hangs or breaks off does not hide the others', async () => {
    const server = keep(
      await startRawServer((request) => {
        const method = request.message?.method;
        if (method === 'server/discover') reply(request, { result: { ...discovered, capabilities: { tools: {}, prompts: {} } } });
        else if (method === 'tools/list') reply(request, { result: oneTool });
        else request.request.socket.resetAndDestroy();
      }),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.health().state).toBe('healthy');
    expect(harness.upstream.offer().tools).toHaveLength(1);
    expect(harness.upstream.offer().problems).toMatchObject([
      { subject: 'prompts/list', message: expect.stringContaining('broke off') },
    ]);
  });

  test('PO-07: that changes in bursts is read once per burst', async () => {
    let lists = 0;
    const server = keep(
      await startRawServer((request) => {
        const { message, response } = request;
        const method = message?.method;
        const capabilities = { tools: { listChanged: true } };
        if (method === 'server/discover') reply(request, { result: { ...discovered, capabilities } });
        else if (method === 'tools/list') {
          lists++;
          reply(request, { result: { tools: [tool(`n${lists}`)] } });
        } else if (method === 'subscriptions/listen') {
          const _meta = { 'io.modelcontextprotocol/subscriptionId': message?.id ?? 0 };
          const say = (notification: string) =>
            response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method: notification, params: { _meta } })}\n\n`);
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          say('notifications/subscriptions/acknowledged');
          for (let burst = 0; burst < 500; burst++) say('notifications/tools/list_changed');
        }
      }),
    );
    harness = await started(overHttp(server.url));
    await until(() => harness.upstream.offer().tools[0]?.name === 'n2');
    expect(lists).toBe(2);
  });

  test('keeps how long it may be cached: the shortest time, private if any is', async () => {
    const server = keep(
      await startRawServer((request) => {
        const method = request.message?.method;
        if (method === 'server/discover') reply(request, { result: { ...discovered, capabilities: { tools: {}, prompts: {} } } });
        else if (method === 'tools/list') reply(request, { result: { ...oneTool, ttlMs: 5_000, cacheScope: 'public' } });
        else reply(request, { result: { prompts: [], ttlMs: 9_000, cacheScope: 'private' } });
      }),
    );
    harness = await started(overHttp(server.url));
    expect(harness.upstream.offer().caching).toEqual({ ttlMs: 5_000, cacheScope: 'private' });
  });
});

describe('the older HTTP+SSE transport', () => {
  test('is not used when it names another origin to send messages to', async () => {
    const other = keep(await startRawServer(({ response }) => response.writeHead(202).end()));
    const server = keep(
      await startRawServer(({ request, response }) => {
        if (request.method !== 'GET') response.writeHead(405).end();
        else response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`event: endpoint\ndata: ${other.url}\n\n`);
      }),
    );
    harness = await started(overHttp(server.url, { headers: { authorization: 'Bearer x' } }));
    expect(harness.upstream.health().state).toBe('down');
    expect(other.methods).toEqual([]);
  });
});

test('a header that would break the request is refused before anything is sent', async () => {
  const server = keep(await startModernServer());
  harness = await started(overHttp(server.url, { headers: { 'X-Key': 'a\r\nX-Evil: 1' } }));
  expect(harness.upstream.health()).toMatchObject({ state: 'down' });
  expect(harness.upstream.health().lastError?.message).toContain('"X-Key", which cannot be sent');
  expect(harness.upstream.health().lastError?.message).not.toContain('Evil');
});

test('a raw modern server stands for the shape of the fixtures', async () => {
  const server = keep(await startModernRaw((request) => reply(request, { result: { content: [] } })));
  harness = await started(overHttp(server.url));
  expect((await harness.upstream.call(toolCall('poke'))).kind).toBe('result');
});
