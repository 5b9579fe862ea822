import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RpcFailure } from '../../src/upstreams/upstream.ts';
import { Cancel } from '../../src/wire/cancel.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { type Harness, overHttp, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';
import { type LegacyHttpServer, startLegacyServer } from '../support/upstreams/legacy-server.ts';
import { reply, startLegacyRaw } from '../support/upstreams/raw-server.ts';

const interactive: JsonObject = { elicitation: { form: {} }, sampling: {}, roots: {} };
const accept = (name: string) => async (): Promise<JsonObject> => ({ action: 'accept', content: { name } });

describe.each([{ json: false }, { json: true }])('a legacy upstream over Streamable HTTP (JSON answers: $json)', ({ json }) => {
  let server: LegacyHttpServer;
  let harness: Harness;
  beforeEach(async () => {
    server = await startLegacyServer({ json });
    harness = await started(overHttp(server.url));
  });
  afterEach(async () => {
    await harness.upstream.close();
    await server.close();
  });

  test('is recognised as legacy and offers what it has', () => {
    const { upstream } = harness;
    expect(upstream.health()).toMatchObject({
      era: 'legacy',
      protocolVersion: '2025-11-25',
      server: 'legacy-peer 1.0.0',
      connections: 1,
    });
    const offer = upstream.offer();
    expect(offer.tools.map(({ name }) => name)).toContain('ask-loosely');
    expect(offer.resourceTemplates.map(({ uriTemplate }) => uriTemplate)).toEqual(['test://page/{id}']);
    expect(offer).toMatchObject({
      isStale: false,
      instructions: 'Legacy.',
      caching: undefined,
      can: { log: true, subscribe: true },
    });
    expect(JSON.stringify(offer.tools)).not.toContain('taskSupport');
  });

  test('answers calls of clients that cannot be asked in one shared session', async () => {
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((text) => harness.upstream.call(toolCall('echo', { text }, { principal: text }))),
    );
    expect(answers.map(textOf)).toEqual(['a', 'b', 'c']);
    expect(server.opened()).toBe(1);
    const failed = await harness.upstream.call(toolCall('fail'));
    expect(failed.kind === 'result' && failed.result.value.isError).toBe(true);
    const unknown = await harness.upstream.call(
      toolCall('', {}, { method: 'resources/read', params: { uri: 'test://nothing' } }),
    );
    expect(unknown).toMatchObject({ kind: 'error', error: { code: -32602 } });
    expect(harness.upstream.health()).toMatchObject({ state: 'healthy', calls: { succeeded: 5, failed: 0 } });
  });

  test('hears of a cancellation', async () => {
    const cancel = new Cancel();
    const call = harness.upstream.call(toolCall('hang', {}, { cancel }));
    const outcome = expect(call).rejects.toMatchObject({ code: 'cancelled' });
    await harness.upstream.call(toolCall('echo', { text: 'x' }));
    cancel.cancel('enough');
    await outcome;
    await until(() => server.state.cancelled.length === 1);
  });

  test('forgets its sessions and gets the same call once more in a new one', async () => {
    server.forget();
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'again' })))).toBe('again');
    expect(server.state.echoed).toEqual(['again']);
    expect(server.opened()).toBe(2);
    expect(harness.upstream.health().state).toBe('healthy');
  });

  test('forgets its sessions while many call: one new session serves them all, each once', async () => {
    server.forget();
    const texts = ['a', 'b', 'c', 'd', 'e'];
    const answers = await Promise.all(texts.map((text) => harness.upstream.call(toolCall('echo', { text }))));
    expect(answers.map(textOf)).toEqual(texts);
    expect([...server.state.echoed].sort()).toEqual(texts);
    expect(server.opened()).toBe(2);
  });

  test('is told when its sessions end', async () => {
    await harness.upstream.call(toolCall('echo', { text: 'x' }, { session: 's1', capabilities: interactive }));
    await until(() => server.sessions.size === 2);
    harness.upstream.endSession('s1');
    await until(() => server.sessions.size === 1);
    await harness.upstream.close();
    expect(server.sessions.size).toBe(0);
  });
});

describe('a legacy upstream over Streamable HTTP', () => {
  let server: LegacyHttpServer;
  let harness: Harness;
  beforeEach(async () => {
    server = await startLegacyServer();
    harness = await started(overHttp(server.url));
  });
  afterEach(async () => {
    await harness.upstream.close();
    await server.close();
  });

  test('reports progress to the call it belongs to', async () => {
    const seen: Record<string, unknown[]> = { a: [], b: [] };
    await Promise.all(
      ['a', 'b'].map((key, index) =>
        harness.upstream.call(toolCall('count', { to: index + 2 }, { progress: (params) => seen[key]?.push(params) })),
      ),
    );
    expect(seen).toEqual({
      a: [1, 2].map((progress) => ({ progress, total: 2 })),
      b: [1, 2, 3].map((progress) => ({ progress, total: 3 })),
    });
  });

  test('asks the caller on whose stream it asks, and gets a session per client for it', async () => {
    const ask = (name: string) =>
      harness.upstream.call(
        toolCall('ask', {}, { principal: name, session: name, capabilities: interactive, ask: accept(name) }),
      );
    expect((await Promise.all([ask('ada'), ask('bob'), ask('cyd')])).map(textOf)).toEqual([
      'accept: ada',
      'accept: bob',
      'accept: cyd',
    ]);
    expect(server.opened()).toBe(4);
    expect(harness.upstream.health().connections).toBe(4);
    const declared = [...server.sessions.keys()].map((id) => JSON.stringify(server.capabilitiesOf(id)));
    expect(declared.filter((capabilities) => capabilities.includes('"roots"'))).toHaveLength(3);
  });

  test('asks loosely, and the question still reaches the one client of that session', async () => {
    const asked: string[] = [];
    const call = (name: string) =>
      harness.upstream.call(
        toolCall(
          'ask-loosely',
          { marker: name },
          {
            principal: name,
            session: name,
            capabilities: interactive,
            ask: async (_method, params) => {
              asked.push(`${name} was asked ${String(params.message)}`);
              return { action: 'accept', content: { name } };
            },
          },
        ),
      );
    expect((await Promise.all([call('ada'), call('bob')])).map(textOf)).toEqual(['accept: ada', 'accept: bob']);
    expect(asked.sort()).toEqual(['ada was asked ada', 'bob was asked bob']);
  });

  test('is lent a session per call for modern clients, never one that another principal used', async () => {
    const call = (principal: string) =>
      harness.upstream.call(toolCall('ask', {}, { principal, capabilities: interactive, ask: accept(principal) }));
    await Promise.all([call('ada'), call('ada')]);
    expect(server.opened()).toBe(3);
    await call('ada');
    expect(server.opened()).toBe(3);
    await call('bob');
    expect(server.opened()).toBe(4);
  });

  test('samples and asks for roots through the caller', async () => {
    const asked: string[] = [];
    const client = {
      session: 's',
      capabilities: interactive,
      ask: async (method: string): Promise<JsonObject> => {
        asked.push(method);
        return method === 'roots/list'
          ? { roots: [{ uri: 'file:///work' }] }
          : { model: 'm', role: 'assistant', content: { type: 'text', text: 'hi' } };
      },
    };
    expect(textOf(await harness.upstream.call(toolCall('sample', {}, client)))).toBe('hi');
    expect(textOf(await harness.upstream.call(toolCall('roots', {}, client)))).toBe('file:///work');
    expect(asked).toEqual(['sampling/createMessage', 'roots/list']);
  });

  test('hears the error of a client that refuses', async () => {
    const answer = await harness.upstream.call(
      toolCall(
        'ask',
        {},
        {
          session: 's',
          capabilities: interactive,
          ask: () => Promise.reject(new RpcFailure({ code: -32000, message: 'not now' })),
        },
      ),
    );
    expect(textOf(answer)).toContain('not now');
  });

  test('sends log lines to the call on whose stream they come, at the level it asked for', async () => {
    const seen: unknown[] = [];
    await harness.upstream.call(toolCall('log', {}, { logLevel: 'warning', log: (params) => seen.push(params.data) }));
    expect(seen).toEqual(['error line']);
  });

  test('sends a log line of nobody to nobody while two callers are in flight', async () => {
    const seen: unknown[] = [];
    const cancel = new Cancel();
    const log = (params: JsonObject) => seen.push(params.data);
    const other = harness.upstream
      .call(toolCall('hang', {}, { principal: 'bob', logLevel: 'debug', log, cancel }))
      .catch(() => {});
    await harness.upstream.call(toolCall('log-loosely', {}, { principal: 'ada', logLevel: 'debug', log }));
    await until(() => harness.logged.some((line) => line.includes('belongs to no call')));
    cancel.cancel('done');
    await other;
    expect(seen).toEqual([]);
  });

  test('passes on updates of subscribed resources, also after its session was lost', async () => {
    await harness.upstream.subscribe('test://note');
    await until(() => server.state.subscribed.length === 1);
    await harness.upstream.call(toolCall('touch'));
    expect(await harness.next('resource-updated')).toEqual({ kind: 'resource-updated', uri: 'test://note' });
    server.forget();
    await harness.upstream.call(toolCall('echo', { text: 'x' }));
    await until(() => server.state.subscribed.length === 2);
    await harness.upstream.unsubscribe('test://note');
    await until(() => server.state.subscribed.length === 1);
  });

  test('has its lists read again when they change', async () => {
    await harness.upstream.call(toolCall('grow'));
    await until(() => harness.upstream.offer().tools.some(({ name }) => name === 'grown'));
  });

  test('opens no session of its own where the configuration says shared', async () => {
    await harness.upstream.close();
    harness = await started(overHttp(server.url, { sessions: 'shared' }));
    const before = server.opened();
    const call = (name: string) =>
      harness.upstream.call(
        toolCall('ask', {}, { principal: name, session: name, capabilities: interactive, ask: accept(name) }),
      );
    expect((await Promise.all([call('ada'), call('bob')])).map(textOf)).toEqual(['accept: ada', 'accept: bob']);
    expect(server.opened()).toBe(before);
  });

  test('opens one for everybody where the configuration says each', async () => {
    await harness.upstream.close();
    harness = await started(overHttp(server.url, { sessions: 'each' }));
    const before = server.opened();
    await harness.upstream.call(toolCall('echo', { text: 'x' }, { session: 's1' }));
    await harness.upstream.call(toolCall('echo', { text: 'x' }, { session: 's2' }));
    await harness.upstream.call(toolCall('echo', { text: 'x' }, { session: 's2' }));
    expect(server.opened()).toBe(before + 2);
  });
});

describe('sessions of their own', () => {
  const own = (session: string, overrides: Parameters<typeof toolCall>[2] = {}) =>
    toolCall('poke', {}, { session, principal: session, ...overrides });
  let server: Awaited<ReturnType<typeof startLegacyRaw>>;
  let harness: Harness;
  let isHanging = false;
  let nowMs = Date.now();
  beforeEach(async () => {
    isHanging = false;
    server = await startLegacyRaw((request) => {
      if (request.message === undefined) request.response.writeHead(405).end();
      else if (!isHanging) reply(request, { result: { content: [] } });
    });
  });
  afterEach(async () => {
    vi.useRealTimers();
    await harness.upstream.close();
    await server.close();
  });

  test('are limited: the one idle longest makes room, and with none idle the upstream is busy', async () => {
    harness = await started(overHttp(server.url, { sessions: 'each' }));
    for (let n = 0; n < 256; n++) await harness.upstream.call(own(`s${n}`));
    expect(harness.upstream.health().connections).toBe(257);
    await harness.upstream.call(own('one more'));
    expect(harness.upstream.health().connections).toBe(257);
    await until(() => server.methods.includes('DELETE'));
    isHanging = true;
    const cancels = Array.from({ length: 256 }, () => new Cancel());
    const hanging = cancels.map((cancel, n) =>
      harness.upstream.call(own(n === 0 ? 'one more' : `s${n}`, { cancel })).catch(() => {}),
    );
    await expect(harness.upstream.call(own('too many'))).rejects.toMatchObject({ code: 'upstream_busy', retryAfterMs: 1_000 });
    for (const cancel of cancels) cancel.cancel('done');
    await Promise.all(hanging);
  });

  test('are closed when nobody used them for ten minutes', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    harness = await started(overHttp(server.url, { sessions: 'each', now: () => nowMs }));
    await harness.upstream.call(own('quiet'));
    await harness.upstream.call(own('busy'));
    nowMs += 9 * 60_000;
    await harness.upstream.call(own('busy'));
    nowMs += 2 * 60_000;
    vi.advanceTimersByTime(60_000);
    expect(harness.upstream.health().connections).toBe(2);
    await until(() => server.methods.filter((method) => method === 'DELETE').length === 1);
  });

  test('that are still opening do not hold up a caller who gives up', async () => {
    harness = await started(overHttp(server.url, { sessions: 'each' }));
    const cancel = new Cancel();
    const call = expect(harness.upstream.call(own('s', { cancel }))).rejects.toMatchObject({
      code: 'cancelled',
      message: 'left',
    });
    cancel.cancel('left');
    await call;
    await harness.upstream.call(own('s'));
    expect(server.methods.filter((method) => method === 'initialize')).toHaveLength(2);
  });
});
