import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { afterAll, describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/wire/json.ts';
import { startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { closeRawClients, connectRaw, type RawClient, rawEras } from '../support/raw-clients.ts';
import { until } from '../support/until.ts';
import { discovered, initialized, reply, startRawServer } from '../support/upstreams/raw-server.ts';

// An upstream that says a thousand times a second that its list has changed, and whose list never ends.

const isLong = process.env.TEST_LONG !== undefined;
const noticesPerS = 1_000;
const pageSize = 1_000;
/** As many as are read: no list has more than ten thousand entries. */
const pagesAtOnce = 10;
const longestRestMs = 30_000;
/** Of one core. */
const mostCpu = 0.2;

afterAll(async () => {
  await closeRawClients();
  await expectNoneLeft();
});

interface Restless {
  readonly url: string;
  /** Pages that were asked for. */
  pages: number;
  notices: number;
  /** Part of every definition from now on. */
  revision: number;
  /** Another revision with every page. */
  isChanging: boolean;
  close(): Promise<void>;
}

/** A hundred thousand tools and a cursor behind them, again and again. */
async function startRestless(era: RawClient['era']): Promise<Restless> {
  const streams = new Set<ServerResponse>();
  const server = await startRawServer((request) => {
    const { message, response } = request;
    const kind = era === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {};
    const capabilities = { tools: { listChanged: true } };
    if (message === undefined) openStream(response, undefined);
    else if (message.method === 'server/discover' && era === 'modern')
      reply(request, { result: { ...discovered, capabilities } });
    else if (message.method === 'server/discover') response.writeHead(400).end('what?');
    else if (message.method === 'initialize')
      reply(request, { result: { ...initialized, capabilities } }, 200, { 'mcp-session-id': 's' });
    else if (message.method === 'notifications/initialized') response.writeHead(202).end();
    else if (message.method === 'subscriptions/listen') openStream(response, message.id);
    else if (message.method === 'tools/call') reply(request, { result: { content: [{ type: 'text', text: 'here' }], ...kind } });
    else if (message.method === 'tools/list') reply(request, { result: { ...page(message.params), ...kind } });
    else response.writeHead(404).end();
  });

  function page({ cursor }: JsonObject): JsonObject {
    restless.pages += 1;
    if (restless.isChanging) restless.revision += 1;
    const from = cursor === undefined ? 0 : Number(cursor);
    const tools = Array.from({ length: pageSize }, (_, n) => ({
      name: `tool_${(from + n) % 100_000}`,
      description: `Does number ${from + n}, in revision ${restless.revision}`,
      inputSchema: { type: 'object', properties: { of: { type: 'string' } } },
    }));
    return { tools, nextCursor: String(from + pageSize) };
  }

  function openStream(response: ServerResponse, id: number | undefined): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const _meta = { 'io.modelcontextprotocol/subscriptionId': id ?? 0 };
    if (id !== undefined) response.write(event('notifications/subscriptions/acknowledged', { _meta }));
    response.write(':\n\n');
    const notice = event('notifications/tools/list_changed', id === undefined ? {} : { _meta });
    let sent = 0;
    const sinceMs = performance.now();
    // As many as are due: on a busy machine a timer comes late.
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - sinceMs) * noticesPerS) / 1_000) - sent;
      response.write(notice.repeat(due));
      sent += due;
      restless.notices += due;
    }, 10);
    streams.add(response);
    response.once('close', () => {
      clearInterval(timer);
      streams.delete(response);
    });
  }

  const restless: Restless = {
    url: server.url,
    pages: 0,
    notices: 0,
    revision: 0,
    isChanging: false,
    async close() {
      for (const stream of streams) stream.destroy();
      await server.close();
    },
  };
  return restless;
}

function event(method: string, params: object): string {
  return `data: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`;
}

/** What a process has used up of processors, in seconds: `utime` and `stime` of its /proc/<pid>/stat, in hundredths. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const cases = rawEras
  .flatMap((era) =>
    [false, true].map((isChanging) => ({ era, isChanging, runMs: isLong ? 60_000 : isChanging ? 15_000 : 8_000 })),
  )
  .filter(({ era, isChanging }) => isLong || isChanging === (era === 'legacy'));

// Each has a gateway of its own, whose processor time alone is measured: they need not wait for each other.
describe.concurrent.each(cases)('PO-07: an upstream without rest ($era, changing: $isChanging)', ({ era, isChanging, runMs }) => {
  test(`costs less than ${mostCpu * 100} % of a core, and is served all the same`, {
    timeout: 120_000 + 2 * runMs,
  }, async ({ onTestFinished }) => {
    const restless = await startRestless(era);
    onTestFinished(() => restless.close());
    const namespace = JSON.stringify({
      namespace: 'restless',
      upstreams: { one: { kind: 'mcp', url: restless.url, era, review: { changes: 'take', additions: 'take' } } },
    });
    const gateway = await startGateway([namespace], { GATEHOUSE_EGRESS_ALLOW: '127.0.0.1', GATEHOUSE_LOG_LEVEL: 'warn' });
    onTestFinished(() => gateway.stop());
    const client = await connectRaw('modern', { url: gateway.mcpUrl(), key: gateway.key });
    const called = async () => (await client.call('restless__tool_7')).message?.result?.content?.[0]?.text;
    await until('its tools are there', async () => (await called()) === 'here', longestRestMs);
    // The first reading is a connection's, the next one the first that a notice has caused.
    await until('it was read again', () => restless.pages >= 2 * pagesAtOnce);
    restless.isChanging = isChanging;
    await until('it was read once more', () => restless.pages >= 3 * pagesAtOnce, longestRestMs);
    const before = { cpuS: cpuSeconds(gateway.pid), atMs: performance.now(), notices: restless.notices, pages: restless.pages };
    let calledAtMs = 0;
    await until(
      'the run is over',
      async () => {
        if (performance.now() - calledAtMs > 500) {
          expect(await called()).toBe('here');
          calledAtMs = performance.now();
        }
        return performance.now() - before.atMs >= runMs;
      },
      2 * runMs + 20_000,
    );
    const seconds = (performance.now() - before.atMs) / 1000;
    const used = (cpuSeconds(gateway.pid) - before.cpuS) / seconds;
    expect(used).toBeLessThan(mostCpu);
    expect(restless.notices - before.notices).toBeGreaterThan((noticesPerS * seconds) / 2);
    if (isChanging) return;
    // What has really changed is there after its rest.
    restless.revision += 1;
    const isThere = async () => (await client.send('tools/list')).text.includes(`in revision ${restless.revision}`);
    await until('a change is there', isThere, longestRestMs + 10_000);
  });
});
