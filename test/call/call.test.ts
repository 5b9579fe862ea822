import { afterEach, expect, test, vi } from 'vitest';
import type { Ask } from '../../src/call/ask.ts';
import { authenticateLocalUser } from '../../src/call/authenticate.ts';
import { call } from '../../src/call/call.ts';
import { silenceMs } from '../../src/call/call-upstream.ts';
import { buildCatalog } from '../../src/catalog/build.ts';
import type { UpstreamConfig } from '../../src/catalog/config.ts';
import { GatewayError } from '../../src/errors.ts';
import { buildPolicies } from '../../src/policy/policy.ts';
import type { Policy } from '../../src/policy/policy-schema.ts';
import type { Answer, UpstreamCall } from '../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { RawResult } from '../../src/wire/message.ts';
import { namespaceConfig, OfferingUpstream, toolboxConfig, upstreamConfig } from '../catalog/offering-upstream.ts';
import { askFor, callPorts } from '../support/call-ports.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  vi.useRealTimers();
});

type Behaviour = (call: UpstreamCall) => Promise<Answer>;

class AnsweringUpstream extends OfferingUpstream {
  behave: Behaviour = async () => result({ content: [{ type: 'text', text: 'ok' }] });
  readonly calls: UpstreamCall[] = [];
  override call(asked?: UpstreamCall): Promise<never> {
    if (asked === undefined) throw new Error('no call');
    this.calls.push(asked);
    return this.behave(asked) as Promise<never>;
  }
}

const result = (value: JsonObject): Answer => ({ kind: 'result', result: RawResult.from(value) });

const inputSchema = { type: 'object' };

async function setUp(overrides: Partial<UpstreamConfig> = {}, policy?: Policy) {
  const config = upstreamConfig('demo/echo', { answerLimitBytes: 1_000_000, ...overrides });
  const upstream = new AnsweringUpstream(config.id);
  upstream.show({
    tools: [
      { name: 'echo', inputSchema },
      { name: 'secret', inputSchema },
    ],
    resources: [{ uri: 'demo://a', name: 'a' }],
  });
  const member = { id: config.id, config, upstream };
  const box = toolboxConfig('box', ['demo/*'], { exclude: ['demo/secret'] });
  const catalog = buildCatalog(1, [namespaceConfig('demo', [config], [box])], new Map([[config.id, member]]));
  const policies = await buildPolicies(policy === undefined ? [] : [{ scope: { kind: 'namespace', namespace: 'demo' }, policy }]);
  const { ports, records, close } = await callPorts({ policies: () => policies });
  closing.push(close);
  // A schema is compiled at its first call, in a turn of its own, which fake time would hold back.
  await ports.checks.of(inputSchema).prepare();
  const run = (ask: Partial<Ask> = {}, caller = authenticateLocalUser('all')) => call(ports, catalog, caller, askOf(ask));
  return { upstream, run, ports, records: () => records };
}

const askOf = (overrides: Partial<Ask>): Ask =>
  askFor({ toolbox: 'box', params: { name: 'demo__echo', arguments: { a: 1 } }, ...overrides });

const failing =
  (code: ConstructorParameters<typeof GatewayError>[0]): Behaviour =>
  async () => {
    throw new GatewayError(code, 'no');
  };

test('a call reaches its upstream under the name that upstream knows, and leaves one line', async () => {
  const { upstream, run, records } = await setUp();
  expect(await run()).toMatchObject({ kind: 'result' });
  expect(upstream.calls[0]?.params).toEqual({ name: 'echo', arguments: { a: 1 } });
  expect(records()).toHaveLength(1);
  expect(records()[0]).toMatchObject({ capability: 'demo/echo', upstream: 'demo/echo', outcome: 'done', toolbox: 'box' });
});

test('what is not in the toolbox is unknown, sends nothing and is on record', async () => {
  const { upstream, run, records } = await setUp();
  for (const name of ['demo__secret', 'demo__nope', 'echo']) {
    await expect(run({ params: { name } })).rejects.toMatchObject({ code: 'unknown_capability' });
  }
  expect(await run({ toolbox: '', params: { name: 'demo__secret' } })).toMatchObject({ kind: 'result' });
  expect(upstream.calls).toHaveLength(1);
  expect(records().map(({ outcome }) => outcome)).toEqual(['refused', 'refused', 'refused', 'done']);
});

test('a caller held to one toolbox reaches no other, not even everything', async () => {
  const { run } = await setUp();
  const held = authenticateLocalUser(new Set(['box']));
  expect(await run({}, held)).toMatchObject({ kind: 'result' });
  await expect(run({ toolbox: 'nowhere' }, held)).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('no toolbox "nowhere" here'),
  });
  await expect(run({ toolbox: '' }, held)).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringContaining('a key for a toolbox works at /mcp/<toolbox>'),
  });
});

test('neither arguments nor results are in the record', async () => {
  const { run, records } = await setUp();
  await run({ params: { name: 'demo__echo', arguments: { password: 'canary-4711' } } });
  expect(JSON.stringify(records())).not.toContain('canary-4711');
});

test('an upstream that fails often is paused; a user mistake or a cancel never counts', async () => {
  const breaker = { errorRate: 0.5, minimumCalls: 3, windowMs: 60_000, openMs: 30_000 };
  const { upstream, run } = await setUp({ breaker });
  for (const code of ['cancelled', 'answer_too_large'] as const) {
    upstream.behave = failing(code);
    for (let n = 0; n < 5; n++) await expect(run()).rejects.toMatchObject({ code });
  }
  upstream.behave = async () => ({ kind: 'error', error: { code: -32602, message: 'bad arguments' } });
  for (let n = 0; n < 5; n++) expect(await run()).toMatchObject({ kind: 'error' });
  upstream.behave = failing('upstream_failed');
  for (let n = 0; n < 40; n++) await run().catch(() => {});
  const sent = upstream.calls.length;
  await expect(run()).rejects.toMatchObject({ code: 'breaker_open', retryAfterMs: expect.closeTo(30_000, -4) });
  expect(upstream.calls).toHaveLength(sent);
});

test('time-outs count: an upstream that hangs is paused like one that fails', async () => {
  const { upstream, run } = await setUp({
    timeoutMs: 5,
    breaker: { errorRate: 0.5, minimumCalls: 3, windowMs: 60_000, openMs: 30_000 },
  });
  upstream.behave = ({ cancel }) =>
    new Promise((_resolve, reject) => cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason))));
  for (let n = 0; n < 4; n++) await expect(run()).rejects.toMatchObject({ code: expect.stringMatching(/timeout|breaker/) });
  await expect(run()).rejects.toMatchObject({ code: 'breaker_open' });
});

test('with two questions open the clock stands still until both are answered', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { upstream, run } = await setUp({ timeoutMs: 1000, maxDurationMs: 2000 });
  upstream.behave = async ({ conversation }) => {
    await Promise.all([conversation.ask('elicitation/create', { n: 10 }), conversation.ask('elicitation/create', { n: 60_000 })]);
    return result({ content: [] });
  };
  const ask = (_method: string, { n }: JsonObject) => new Promise<JsonObject>((resolve) => setTimeout(resolve, Number(n), {}));
  const asked = run({ conversation: { ...askOf({}).conversation, ask } });
  await vi.advanceTimersByTimeAsync(60_001);
  expect(await asked).toMatchObject({ kind: 'result' });
});

test('a call that waits for a person leaves its slot to others', async () => {
  const { upstream, run } = await setUp({ concurrency: 1, timeoutMs: 60_000 });
  const { promise: answered, resolve: answer } = Promise.withResolvers<JsonObject>();
  upstream.behave = async ({ conversation, params }) => {
    if ((params.arguments as JsonObject | undefined)?.a === 'asks') await conversation.ask('elicitation/create', {});
    return result({ content: [] });
  };
  const conversation = { ...askOf({}).conversation, ask: () => answered };
  const asking = run({ conversation, params: { name: 'demo__echo', arguments: { a: 'asks' } } });
  expect(await run()).toMatchObject({ kind: 'result' });
  answer({});
  expect(await asking).toMatchObject({ kind: 'result' });
});

test('a call that stays silent for too long is given up, one that reports progress is not', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { upstream, run } = await setUp({ timeoutMs: 1000, maxDurationMs: 10_000 });
  const untilCancelled: Behaviour = ({ cancel }) =>
    new Promise((_resolve, reject) => cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason))));
  upstream.behave = untilCancelled;
  const silent = expect(run()).rejects.toMatchObject({ code: 'upstream_timeout' });
  await vi.advanceTimersByTimeAsync(1001);
  await silent;

  let report: ((params: JsonObject) => void) | undefined;
  upstream.behave = ({ conversation }) => {
    report = conversation.progress;
    return new Promise((resolve) => setTimeout(resolve, 1800, result({ content: [] })));
  };
  const conversation = { ...askOf({}).conversation, progress: () => {} };
  const busy = run({ conversation });
  await vi.advanceTimersByTimeAsync(900);
  report?.({ progress: 1 });
  await vi.advanceTimersByTimeAsync(901);
  expect(await busy).toMatchObject({ kind: 'result' });
});

test('progress does not keep a call alive for ever', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { upstream, run } = await setUp({ timeoutMs: 1000, maxDurationMs: 3000 });
  let report: ((params: JsonObject) => void) | undefined;
  upstream.behave = ({ conversation, cancel }) => {
    report = conversation.progress;
    return new Promise((_resolve, reject) => cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason))));
  };
  const ended = expect(run({ conversation: { ...askOf({}).conversation, progress: () => {} } })).rejects.toMatchObject({
    code: 'upstream_timeout',
  });
  for (let n = 1; n <= 10; n++) {
    await vi.advanceTimersByTimeAsync(500);
    report?.({ progress: n });
  }
  await ended;
});

test('the time a person takes to answer does not count', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const { upstream, run } = await setUp({ timeoutMs: 1000 });
  upstream.behave = async ({ conversation }) => {
    await conversation.ask('elicitation/create', {});
    return result({ content: [] });
  };
  const conversation = {
    ...askOf({}).conversation,
    ask: () => new Promise<JsonObject>((resolve) => setTimeout(resolve, 60_000, {})),
  };
  const asked = run({ conversation });
  await vi.advanceTimersByTimeAsync(60_001);
  expect(await asked).toMatchObject({ kind: 'result' });
});

test('PR-08: an answer without what its method promises is refused, structured content alone is completed', async () => {
  const { upstream, run } = await setUp();
  upstream.behave = async () => result({ structuredContent: { a: 1 } });
  expect(await run()).toMatchObject({ kind: 'result', result: { value: { structuredContent: { a: 1 }, content: [] } } });
  upstream.behave = async () => result({ content: 'text' });
  await expect(run()).rejects.toMatchObject({ code: 'upstream_failed' });
  upstream.behave = async () => result({ something: 'else' });
  await expect(run({ method: 'resources/read', params: { uri: 'demo://a' } })).rejects.toMatchObject({ code: 'upstream_failed' });
});

test('URIs in answers are those of the toolbox, and come back to the upstream as its own', async () => {
  const { upstream, run } = await setUp();
  upstream.behave = async () =>
    result({
      content: [
        { type: 'resource_link', uri: 'demo://a', name: 'a' },
        { type: 'resource', resource: { uri: 'demo://b', text: 'demo://a stays in a text' } },
        { type: 'text', text: '"uri"' },
      ],
    });
  const outcome = await run();
  if (outcome.kind !== 'result') throw new Error('no result');
  const { content } = outcome.result.value as { content: { uri?: string; resource?: JsonObject }[] };
  expect(content[0]?.uri).toBe('demo://gh.demo.echo/a');
  expect(content[1]?.resource).toEqual({ uri: 'demo://gh.demo.echo/b', text: 'demo://a stays in a text' });
  upstream.behave = async () => result({ contents: [{ uri: 'demo://b', text: 'x' }] });
  const read = await run({ method: 'resources/read', params: { uri: 'demo://gh.demo.echo/b' } });
  expect(upstream.calls.at(-1)?.params).toEqual({ uri: 'demo://b' });
  expect(read).toMatchObject({ result: { value: { contents: [{ uri: 'demo://gh.demo.echo/b', text: 'x' }] } } });
});

test('of time-outs the nearest counts: the capability’s, the upstream’s own, its namespace’s or the gateway’s, then the usual one', async () => {
  const wide = { scope: { kind: 'global' as const }, policy: { timeoutMs: 4 } };
  const near = { scope: { kind: 'namespace' as const, namespace: 'hr' }, policy: { timeoutMs: 3 } };
  const nearest = { scope: { kind: 'capability' as const, capability: 'hr/find' }, policy: { timeoutMs: 1 } };
  const entry = upstreamConfig('hr/one', { timeoutMs: 2, own: { timeoutMs: 2 } });
  const silent = upstreamConfig('hr/one', { timeoutMs: 5 });
  const of = async (config: typeof entry, ...sources: Parameters<typeof buildPolicies>[0]) =>
    silenceMs((await buildPolicies(sources)).of('hr/find', 'hr'), config);
  expect(await of(entry, wide, near, nearest)).toBe(1);
  expect(await of(entry, wide, near)).toBe(2);
  expect(await of(silent, wide, near)).toBe(3);
  expect(await of(silent, wide)).toBe(4);
  expect(await of(silent)).toBe(5);
});

test('of a breaker’s numbers likewise: a namespace’s policy does not make an upstream stricter that says otherwise', async () => {
  const breaker = { errorRate: 0.5, minimumCalls: 10, windowMs: 60_000, openMs: 30_000 };
  const policy = { breaker: { minimumCalls: 2 } };
  const paused = async (own: { minimumCalls?: number }) => {
    const { upstream, run } = await setUp({ breaker, own: { breaker: own } }, policy);
    upstream.behave = failing('upstream_failed');
    for (let n = 0; n < 6; n++) await run().catch(() => {});
    return await run().then(
      () => 'done',
      (error: GatewayError) => error.code,
    );
  };
  expect(await paused({})).toBe('breaker_open');
  expect(await paused({ minimumCalls: 50 })).toBe('upstream_failed');
});
