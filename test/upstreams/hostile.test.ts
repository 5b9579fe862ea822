import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { BoundedLog } from '../../src/upstreams/bounded-log.ts';
import { HttpEndpoint, HttpLink } from '../../src/upstreams/mcp/http.ts';
import { LineReader } from '../../src/upstreams/mcp/line-reader.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { measureHeld } from '../support/held-memory.ts';
import {
  closedEgress,
  type Harness,
  overHttp,
  overStdio,
  started,
  textOf,
  toolCall,
  until,
} from '../support/upstreams/harness.ts';
import { listenOn, type TestServer } from '../support/upstreams/listen-on.ts';
import { discovered, initialized, oneTool, reply, startLegacyRaw, startRawServer } from '../support/upstreams/raw-server.ts';

const raw = (...args: string[]) => [
  process.execPath,
  fileURLToPath(new URL('../support/upstreams/stdio-raw.ts', import.meta.url)),
  ...args,
];
const interactive: JsonObject = { elicitation: { form: {} } };
const ok = { content: [{ type: 'text', text: 'ok' }] };

let harness: Harness;
const servers: TestServer[] = [];
afterEach(async () => {
  vi.useRealTimers();
  await harness?.upstream.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
const keep = <Kept extends TestServer>(server: Kept): Kept => {
  servers.push(server);
  return server;
};
const poke = (how: string, overrides: Parameters<typeof toolCall>[2] = {}, more: JsonObject = {}) =>
  harness.upstream.call(toolCall('poke', { how, ...more }, overrides));

describe('on a connection that all share, a message that does not name its call', () => {
  const asked: string[] = [];
  const person = (principal: string) => ({
    principal,
    capabilities: interactive,
    ask: async (): Promise<JsonObject> => {
      asked.push(principal);
      return { action: 'accept', content: { from: principal } };
    },
  });
  const giveUp = async (principal: string) => {
    const cancel = new Cancel();
    const call = poke('hang', { ...person(principal), cancel }).catch(() => {});
    cancel.cancel('left');
    await call;
  };

  test('is a question for the call in flight as long as one principal uses it', async () => {
    asked.length = 0;
    harness = await started(overStdio(raw()));
    await giveUp('ada');
    expect(textOf(await poke('ask', person('ada')))).toContain('"from":"ada"');
    expect(asked).toEqual(['ada']);
  });

  test('is refused after a second principal, even if one call only is in flight, and leads to processes of their own', async () => {
    asked.length = 0;
    harness = await started(overStdio(raw()));
    await giveUp('key:ada');
    expect(textOf(await poke('ask', person('local:user')))).toContain('refused');
    expect(asked).toEqual([]);
    expect(harness.saved.at(-1)?.state).toContain('"needsEach":true');
    expect(textOf(await poke('ask', person('local:user')))).toContain('"from":"local:user"');
    expect(asked).toEqual(['local:user']);
  });

  test.each(['legacy', 'modern'])('is a log line that reaches one principal, and nobody after a second one (%s)', async (era) => {
    harness = await started(overStdio(raw(era)));
    expect(harness.upstream.health().era).toBe(era);
    const seen: unknown[] = [];
    const listening = (principal: string) => ({ principal, logLevel: 'debug', log: ({ data }: JsonObject) => seen.push(data) });
    await poke('log', listening('ada'), { marker: 'for ada' });
    expect(seen).toEqual(['for ada']);
    await poke('log', listening('bob'), { marker: 'for whom?' });
    await poke('log', listening('ada'), { marker: 'for whom?' });
    expect(seen).toEqual(['for ada']);
  });
});

describe('a list', () => {
  const listing = (page: (number: number) => JsonObject) => {
    let pages = 0;
    return startRawServer((request) => {
      const method = request.message?.method;
      if (method === 'server/discover') reply(request, { result: discovered });
      else if (method === 'tools/list') reply(request, { result: page(++pages) });
      else request.response.writeHead(404).end();
    });
  };
  const tool = (name: string) => ({ name, inputSchema: { type: 'object' } });
  const tools = (count: number) => Array.from({ length: count }, (_, index) => tool(`t${index}`));

  test('with pages full of padding ends at 32 MB', async () => {
    const padding = 'x'.repeat(8 * 1024 * 1024);
    const server = keep(await listing((page) => ({ tools: [tool(`t${page}`)], padding, nextCursor: `c${page}` })));
    harness = await started(overHttp(server.url));
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toEqual(['t1', 't2', 't3']);
    expect(harness.upstream.offer().problems).toMatchObject([{ message: expect.stringContaining('larger than 33554432 bytes') }]);
    expect(server.methods.filter((method) => method === 'tools/list')).toHaveLength(4);
  });

  test('with as many entries as allowed is taken whole; with a page more it is not asked for', async () => {
    const whole = keep(await listing(() => ({ tools: tools(10_000) })));
    harness = await started(overHttp(whole.url));
    expect(harness.upstream.offer()).toMatchObject({ tools: { length: 10_000 }, problems: [] });
    await harness.upstream.close();
    const endless = keep(await listing((page) => ({ tools: tools(10_000), nextCursor: `c${page}` })));
    harness = await started(overHttp(endless.url));
    expect(harness.upstream.offer().tools).toHaveLength(10_000);
    expect(harness.upstream.offer().problems).toMatchObject([{ message: expect.stringContaining('more than 10000 entries') }]);
    expect(endless.methods.filter((method) => method === 'tools/list')).toHaveLength(1);
  });
});

describe('an upstream that asks without end', () => {
  async function asking(pings: number, takesAnswers: boolean): Promise<() => number> {
    let answers = 0;
    const server = keep(
      await startLegacyRaw((request) => {
        const { message, response } = request;
        if (message?.method === 'tools/call') {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          for (let id = 1; id <= pings; id++) response.write(`data: {"jsonrpc":"2.0","id":"p${id}","method":"ping"}\n\n`);
          response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id: message.id, result: ok })}\n\n`);
        } else if (message === undefined) {
          response.writeHead(405).end();
        } else {
          answers++;
          if (takesAnswers) response.writeHead(202).end();
        }
      }),
    );
    harness = await started(overHttp(server.url));
    return () => answers;
  }

  test('and takes no answer gets 32 of them, and its calls still end', async () => {
    const answers = await asking(2_000, false);
    expect(textOf(await poke('x'))).toBe('ok');
    expect(textOf(await poke('x'))).toBe('ok');
    await until(() => answers() === 32);
    const dropped = harness.logged.filter((line) => line.includes('a message to it is dropped'));
    expect(dropped).toHaveLength(20);
    expect(answers()).toBe(32);
  });

  test('and takes the answers gets all of them', async () => {
    const answers = await asking(30, true);
    await poke('x');
    await until(() => answers() === 30);
    await poke('x');
    await until(() => answers() === 60);
    expect(harness.logged.some((line) => line.includes('is dropped'))).toBe(false);
  });

  test('is not waited for longer than 15 seconds, and one that answers is', async () => {
    const arrived = Promise.withResolvers<void>();
    const server: Server = createServer((request, response) => {
      if (request.url === '/ok') response.writeHead(202).end();
      else arrived.resolve();
    });
    const { port } = keep(await listenOn(server));
    const links = ['ok', 'silent'].map((path) => {
      const endpoint = new HttpEndpoint({
        url: new URL(`http://127.0.0.1:${port}/${path}`),
        headers: {},
        secrets: [],
        isAuthorized: false,
        subject: 'The upstream x/y',
        userAgent: 'test',
        egress: closedEgress,
        hop: undefined,
        isGuarded: false,
        log: new BoundedLog(pino({ level: 'silent' }), { nowMs: Date.now }),
        concurrency: 1,
      });
      return { endpoint, link: new HttpLink(endpoint) };
    });
    const [good, silent] = links;
    await good?.link.send('{}', good.link.headers);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const sending = expect(silent?.link.send('{}', silent.link.headers)).rejects.toMatchObject({ code: 'upstream_timeout' });
    await arrived.promise;
    vi.advanceTimersByTime(15_000);
    await sending;
    vi.useRealTimers();
    await Promise.all(links.map(({ endpoint }) => endpoint.close()));
  });
});

describe('what an upstream says that is not for us', () => {
  test('is logged as text when it is no JSON, and without its contents when it is', async () => {
    harness = await started(overStdio(raw()));
    await poke('noise');
    await poke('twice');
    await poke('ok');
    const log = harness.logged.join('');
    expect(log).toContain('starting up...');
    expect(log).toContain('"kind":"result"');
    expect(log).toContain('it answers no request that is open');
    expect(log).not.toContain('half');
    expect(log).not.toContain('second');
  });
});

test('a line in pieces of one byte costs about what it holds', async () => {
  const lines: number[] = [];
  const reader = new LineReader(1_000_000, (line) => lines.push(line.length));
  const heldIsBelow = measureHeld();
  for (let count = 0; count < 200_000; count++) reader.push(Buffer.from('x'));
  await heldIsBelow(4_000_000);
  reader.push(Buffer.from('\n'));
  expect(lines).toEqual([200_000]);
});

test('an answer in pieces of one byte is read', async () => {
  const server = keep(
    await startRawServer((request) => {
      const { message, response } = request;
      if (message?.method === 'server/discover') return reply(request, { result: discovered });
      if (message?.method === 'tools/list') return reply(request, { result: oneTool });
      response.writeHead(200, { 'content-type': 'application/json' });
      const text = JSON.stringify({ jsonrpc: '2.0', id: message?.id, result: { resultType: 'complete', ...ok } });
      for (const byte of Buffer.from(text)) response.write(Buffer.of(byte));
      response.end();
    }),
  );
  harness = await started(overHttp(server.url));
  expect(textOf(await poke('x'))).toBe('ok');
});

test('a call whose session is lost while none can be opened fails at once; while one can be opened it is answered', async () => {
  let opened = 0;
  let canOpen = true;
  let lost = '';
  const server = keep(
    await startRawServer((request) => {
      const { message, response, request: http } = request;
      const session = http.headers['mcp-session-id'];
      if (message === undefined) response.writeHead(http.method === 'DELETE' ? 204 : 405).end();
      else if (message.method === 'server/discover') response.writeHead(400).end();
      else if (message.method === 'initialize' && !canOpen) response.writeHead(500).end();
      else if (message.method === 'initialize')
        reply(request, { result: initialized }, 200, { 'mcp-session-id': `s-${++opened}` });
      else if (message.method === 'tools/list') reply(request, { result: oneTool });
      else if (message.method !== 'tools/call') response.writeHead(202).end();
      else if (session === lost) response.writeHead(404).end();
      else reply(request, { result: ok });
    }),
  );
  harness = await started(overHttp(server.url, { sessions: 'each' }));
  const call = (session: string) => poke('x', { session, principal: session });
  await call('ada');
  lost = `s-${opened}`;
  expect(textOf(await call('ada'))).toBe('ok');
  lost = `s-${opened}`;
  canOpen = false;
  await expect(call('bob')).rejects.toMatchObject({ code: 'upstream_failed' });
  await expect(call('ada')).rejects.toMatchObject({
    code: 'upstream_unavailable',
    message: expect.stringContaining('cannot open a session for this client'),
  });
});
