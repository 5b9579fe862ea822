import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { JsonObject } from '../../src/wire/json.ts';
import { type Harness, overHttp, started } from '../support/upstreams/harness.ts';
import type { TestServer } from '../support/upstreams/listen-on.ts';
import { discovered, initialized, reply, startRawServer } from '../support/upstreams/raw-server.ts';

// What an upstream changes without a word is read again all the same: otherwise new tools would never show, and what was changed
// behind everybody's back would never be seen.

const minuteMs = 60_000;

let harness: Harness | undefined;
let server: (TestServer & { readonly methods: string[] }) | undefined;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});

afterEach(async () => {
  vi.useRealTimers();
  await harness?.upstream.close();
  await server?.close();
});

interface Behaviour {
  readonly era: 'legacy' | 'modern';
  readonly listChanged: boolean;
  /** Whether it lets itself be listened to. */
  readonly isHeard: boolean;
  readonly ttlMs?: number;
}

/** Offers `v1` until it is told to offer something else; says nothing of that. */
async function startQuiet({ era, listChanged, isHeard, ttlMs }: Behaviour) {
  const now = { tool: 'v1', fails: false };
  const capabilities = { tools: listChanged ? { listChanged } : {} };
  const caching = ttlMs === undefined ? {} : { ttlMs, cacheScope: 'private' };
  server = await startRawServer((request) => {
    const { message, response } = request;
    const stream = (first: string) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(first);
    switch (message?.method) {
      case 'server/discover':
        if (era === 'modern') return reply(request, { result: { ...discovered, capabilities } });
        return void response.writeHead(400).end('what?');
      case 'initialize':
        return reply(request, { result: { ...initialized, capabilities } });
      case 'tools/list':
        if (now.fails) return void response.writeHead(500).end();
        return reply(request, { result: { tools: [tool(now.tool)], ...caching } });
      case 'subscriptions/listen': {
        const _meta = { 'io.modelcontextprotocol/subscriptionId': message.id ?? 0 };
        const said = { jsonrpc: '2.0', method: 'notifications/subscriptions/acknowledged', params: { _meta } };
        return isHeard ? void stream(`data: ${JSON.stringify(said)}\n\n`) : void response.writeHead(404).end();
      }
      case undefined:
        return isHeard ? void stream(':\n\n') : void response.writeHead(405).end();
      default:
        response.writeHead(202).end();
    }
  });
  harness = await started(overHttp(server.url));
  return now;
}

function tool(name: string): JsonObject {
  return { name, inputSchema: { type: 'object' } };
}

function pass(minutes: number): void {
  vi.advanceTimersByTime(minutes * minuteMs);
}

// Timers stand still meanwhile.
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const offered = () => harness?.upstream.offer().tools[0]?.name;
const readings = () => server?.methods.filter((method) => method === 'tools/list').length;

describe('a change that its upstream says nothing of is seen within a minute', () => {
  const quiet: readonly (readonly [string, Behaviour])[] = [
    ['legacy, which promises nothing', { era: 'legacy', listChanged: false, isHeard: true }],
    ['legacy, which promises and cannot be heard', { era: 'legacy', listChanged: true, isHeard: false }],
    ['modern, which promises nothing and sets no time', { era: 'modern', listChanged: false, isHeard: true }],
    ['modern, which promises and cannot be heard', { era: 'modern', listChanged: true, isHeard: false }],
  ];

  test.each(quiet)('%s', async (_, behaviour) => {
    const now = await startQuiet(behaviour);
    expect(offered()).toBe('v1');
    now.tool = 'v2';
    pass(1);
    await until(() => offered() === 'v2');
    now.tool = 'v3';
    pass(1);
    await until(() => offered() === 'v3');
  });

  test('after a reading that failed, too', async () => {
    const now = await startQuiet({ era: 'legacy', listChanged: false, isHeard: false });
    now.fails = true;
    pass(1);
    await until(() => readings() === 2);
    Object.assign(now, { fails: false, tool: 'v2' });
    await until(() => harness?.upstream.health().state === 'failing');
    pass(1);
    await until(() => offered() === 'v2');
  });
});

describe('what promises to say so is believed for ten minutes', () => {
  test.each(['legacy', 'modern'] as const)('%s', async (era) => {
    const now = await startQuiet({ era, listChanged: true, isHeard: true });
    await until(() => server?.methods.some((method) => method === 'GET' || method === 'subscriptions/listen') === true);
    now.tool = 'v2';
    pass(9);
    expect([offered(), readings()]).toEqual(['v1', 1]);
    pass(1);
    await until(() => offered() === 'v2');
  });
});

test('a time that an upstream sets is kept to, up to ten minutes', async () => {
  const now = await startQuiet({ era: 'modern', listChanged: false, isHeard: true, ttlMs: 24 * 60 * minuteMs });
  now.tool = 'v2';
  pass(9);
  expect([offered(), readings()]).toEqual(['v1', 1]);
  pass(1);
  await until(() => offered() === 'v2');
});
