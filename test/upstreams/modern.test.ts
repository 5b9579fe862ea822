import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cancel } from '../../src/wire/cancel.ts';
import { type Harness, overHttp, started, textOf, toolCall, until } from '../support/upstreams/harness.ts';
import { type ModernServer, startModernServer } from '../support/upstreams/modern-server.ts';

describe('a modern upstream over HTTP', () => {
  let server: ModernServer;
  let harness: Harness;
  beforeEach(async () => {
    server = await startModernServer();
    harness = await started(overHttp(server.url));
  });
  afterEach(async () => {
    await harness.upstream.close();
    await server.close();
  });

  test('is recognised as modern and offers what it has', () => {
    const { upstream } = harness;
    expect(upstream.health()).toMatchObject({
      era: 'modern',
      protocolVersion: '2026-07-28',
      state: 'healthy',
      transport: 'http',
    });
    expect(upstream.health().server).toBe('modern-peer 2.0.0');
    const offer = upstream.offer();
    expect(offer.tools.map(({ name }) => name)).toContain('echo');
    expect(offer.resources.map(({ uri }) => uri)).toEqual(['test://note']);
    expect(offer.prompts.map(({ name }) => name)).toEqual(['greet']);
    expect(offer).toMatchObject({ isStale: false, instructions: 'Ask nicely.', can: { log: true, subscribe: true } });
    expect(offer.caching).toBeDefined();
  });

  test('answers a call', async () => {
    expect(textOf(await harness.upstream.call(toolCall('echo', { text: 'grüße' })))).toBe('grüße');
    expect(harness.upstream.health().calls).toEqual({ succeeded: 1, failed: 0 });
  });

  test('reads resources and gets prompts', async () => {
    const read = await harness.upstream.call(toolCall('', {}, { method: 'resources/read', params: { uri: 'test://note' } }));
    expect(read.kind === 'result' && read.result.value.contents).toMatchObject([{ text: 'noted' }]);
    const prompt = await harness.upstream.call(toolCall('', {}, { method: 'prompts/get', params: { name: 'greet' } }));
    expect(prompt.kind === 'result' && prompt.result.value.messages).toHaveLength(1);
  });

  test('gets the headers that a tool mirrors from its arguments', async () => {
    const tool = harness.upstream.offer().tools.find(({ name }) => name === 'regional');
    expect(textOf(await harness.upstream.call(toolCall('regional', { region: 'Zürich ' }, { tool })))).toBe('in Zürich ');
    const without = await harness.upstream.call(toolCall('regional', { region: 'Bern' }));
    expect(without).toMatchObject({ kind: 'error', error: { code: -32020 } });
  });

  test('passes progress to the caller who asked for it, without our token', async () => {
    const seen: unknown[] = [];
    const answer = await harness.upstream.call(toolCall('count', { to: 3 }, { progress: (params) => seen.push(params) }));
    expect(textOf(answer)).toBe('counted to 3');
    expect(seen).toMatchObject([
      { progress: 1, total: 3, message: 'step 1' },
      { progress: 2, total: 3 },
      { progress: 3, total: 3 },
    ]);
    expect(JSON.stringify(seen)).not.toContain('progressToken');
  });

  test('passes log messages at the level the caller asked for', async () => {
    const seen: unknown[] = [];
    await harness.upstream.call(toolCall('log', {}, { logLevel: 'warning', log: (params) => seen.push(params.data) }));
    expect(seen).toEqual(['loud']);
    await harness.upstream.call(toolCall('log', {}, { log: () => seen.push('unwanted') }));
    expect(seen).toEqual(['loud']);
  });

  test('hears that a call was cancelled', async () => {
    const cancel = new Cancel();
    const call = harness.upstream.call(toolCall('hang', {}, { cancel }));
    const outcome = expect(call).rejects.toMatchObject({ code: 'cancelled', message: 'the user changed their mind' });
    await harness.upstream.call(toolCall('echo', { text: 'x' }));
    cancel.cancel('the user changed their mind');
    await outcome;
    await until(() => server.state.cancelled.length === 1);
    expect(harness.upstream.health().state).toBe('healthy');
  });

  test('sees the capabilities of the caller, without tasks', async () => {
    const capabilities = {
      elicitation: { form: {} },
      extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.modelcontextprotocol/ui': {} },
    };
    const answer = await harness.upstream.call(
      toolCall('capabilities', {}, { capabilities, meta: { traceparent: '00-1-2-01' } }),
    );
    const envelope = JSON.parse(textOf(answer)) as Record<string, unknown>;
    expect(envelope['io.modelcontextprotocol/clientCapabilities']).toEqual({
      elicitation: { form: {} },
      extensions: { 'io.modelcontextprotocol/ui': {} },
    });
    expect(envelope['io.modelcontextprotocol/clientInfo']).toEqual({ name: 'gatehouse', version: '0.0.0-test' });
  });

  test('gets its question to a client that takes rounds, and its answer in the second one', async () => {
    const client = { capabilities: { elicitation: { form: {} } }, takesRounds: true };
    const first = await harness.upstream.call(toolCall('ask', {}, client));
    expect(first).toMatchObject({
      kind: 'input-required',
      inputRequests: { who: { method: 'elicitation/create', params: { message: 'Who are you?' } } },
      requestState: 'round-1',
    });
    const retry = { inputResponses: { who: { action: 'accept', content: { name: 'Ada' } } }, requestState: 'round-1' };
    expect(textOf(await harness.upstream.call(toolCall('ask', {}, { ...client, retry })))).toBe('hello Ada');
  });

  test('gets its question asked while the call waits, where the client takes no rounds', async () => {
    const asked: string[] = [];
    const answer = await harness.upstream.call(
      toolCall(
        'ask',
        {},
        {
          capabilities: { elicitation: {} },
          ask: async (method) => {
            asked.push(method);
            return { action: 'accept', content: { name: 'Grace' } };
          },
        },
      ),
    );
    expect(asked).toEqual(['elicitation/create']);
    expect(textOf(answer)).toBe('hello Grace');
  });

  test('is told in words which capability a caller lacks', async () => {
    const answer = await harness.upstream.call(toolCall('ask'));
    expect(answer).toMatchObject({ kind: 'error', error: { code: -32021 } });
    expect(textOf(answer)).toContain('The tool ask of the upstream support/crm needs a client that supports: elicitation');
  });

  test('has its lists read again when it says that they changed', async () => {
    const before = harness.upstream.offer();
    server.state.extra.push('later');
    await until(() => {
      server.toolsChanged();
      return harness.upstream.offer() !== before;
    });
    expect(harness.upstream.offer().tools.map(({ name }) => name)).toContain('later');
    const after = harness.upstream.offer();
    const { lastSuccessAtMs } = harness.upstream.health();
    await until(() => {
      server.toolsChanged();
      return harness.upstream.health().lastSuccessAtMs !== lastSuccessAtMs;
    });
    expect(harness.upstream.offer()).toBe(after);
  });

  test('is listened to for the resources somebody subscribed to', async () => {
    await harness.upstream.subscribe('test://note');
    const changed = harness.next('resource-updated');
    let isSeen = false;
    const seen = changed.then((change) => {
      isSeen = true;
      return change;
    });
    await until(() => {
      server.resourceUpdated('test://note');
      return isSeen;
    });
    expect(await seen).toEqual({ kind: 'resource-updated', uri: 'test://note' });
    await harness.upstream.unsubscribe('test://note');
  });
});
