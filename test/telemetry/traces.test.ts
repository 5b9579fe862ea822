import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { type CallTrace, metaWithTrace } from '../../src/telemetry/call-trace.ts';
import type { CallCourse } from '../../src/telemetry/course.ts';
import type { Telemetry, TelemetryOptions } from '../../src/telemetry/telemetry.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import { course, noon, open } from './telemetry-setup.ts';

const clientTrace = '4bf92f3577b34da6a3ce929d0e0e4736';
const clientSpan = '00f067aa0ba902b7';
const recorded = `00-${clientTrace}-${clientSpan}-01`;
const unrecorded = `00-${clientTrace}-${clientSpan}-00`;

let receiver: OtlpReceiver;
let telemetry: Telemetry | undefined;

beforeEach(async () => {
  receiver = await startOtlpReceiver();
});
afterEach(async () => {
  await telemetry?.close();
  await receiver.close();
});

function openTraced(changes: Partial<TelemetryOptions> = {}): Telemetry {
  telemetry = open({ otlpUrl: new Secret(receiver.url), ...changes });
  return telemetry;
}

/** A call that takes every step. */
function callThrough(of: Telemetry, trace: CallTrace, changes: Partial<CallCourse> = {}): void {
  for (const step of ['resolve', 'authorize', 'limit', 'screen', 'upstream', 'inspect'] as const) trace.step(step);
  of.ended(course(changes), trace);
}

async function spansOfOne(changes: Partial<CallCourse>, meta = {}): Promise<readonly ReceivedSpan[]> {
  const traced = openTraced();
  callThrough(traced, traced.started(meta, undefined), changes);
  await traced.close();
  return receiver.spans;
}

describe('a traced call', () => {
  test('is one span with a child per step, the upstream hop being the one of kind client', async () => {
    const [root, ...steps] = await spansOfOne({ retries: 1, limitRefusals: 1, contentHits: 2, tokensIn: 3, tokensOut: 4 });
    expect(root).toMatchObject({ name: 'tools/call support/get_ticket', kind: 'SERVER', parentSpanId: '', status: 'UNSET' });
    expect(steps.map(({ name, kind }) => [name, kind])).toEqual([
      ['resolve', 'INTERNAL'],
      ['authorize', 'INTERNAL'],
      ['limit', 'INTERNAL'],
      ['screen', 'INTERNAL'],
      ['tools/call support/get_ticket', 'CLIENT'],
      ['inspect', 'INTERNAL'],
    ]);
    for (const step of steps) expect([step.traceId, step.parentSpanId]).toEqual([root?.traceId, root?.spanId]);
    expect(new Set(receiver.spans.map(({ spanId }) => spanId)).size).toBe(7);
    expect(root?.attributes).toEqual({
      'mcp.method.name': 'tools/call',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'support/get_ticket',
      'gen_ai.usage.input_tokens': 3,
      'gen_ai.usage.output_tokens': 4,
      'network.transport': 'tcp',
      'gatehouse.namespace': 'support',
      'gatehouse.capability': 'support/get_ticket',
      'gatehouse.upstream': 'support/tickets',
      'gatehouse.consumer': 'web',
      'gatehouse.key': 'k1',
      'gatehouse.door': 'http',
      'gatehouse.era': 'modern',
      'gatehouse.outcome': 'done',
      'gatehouse.bytes_in': 100,
      'gatehouse.bytes_out': 2000,
      'gatehouse.retries': 1,
      'gatehouse.limit_refusals': 1,
      'gatehouse.content_hits': 2,
    });
    expect(receiver.requests).toMatchObject([{ path: '/v1/traces', type: 'application/x-protobuf' }]);
    expect(receiver.resource).toMatchObject({ 'service.name': 'gatehouse', 'service.version': '1.2.3' });
  });

  test('has its steps one after another within it, at the time of day', async () => {
    const [root, ...steps] = await spansOfOne({});
    if (root === undefined) throw new Error('no span');
    expect(Math.abs(root.endMs - noon)).toBeLessThan(60_000);
    let at = root.startMs;
    for (const { startMs, endMs } of steps) {
      expect(startMs).toBeGreaterThanOrEqual(at);
      expect(endMs).toBeGreaterThanOrEqual(startMs);
      at = endMs;
    }
    expect(at).toBe(root.endMs);
  });

  test('that failed has the error on it and on the step that it ended in', async () => {
    const traced = openTraced();
    const trace = traced.started(undefined, undefined);
    trace.step('authorize');
    trace.step('limit');
    traced.ended(course({ outcome: 'refused', code: 'rate_limited', capability: undefined, upstream: undefined }), trace);
    await traced.close();
    const seen = receiver.spans.map(({ name, status, attributes }) => [name, status, attributes['error.type']]);
    expect(seen).toEqual([
      ['tools/call', 'ERROR', 'rate_limited'],
      ['authorize', 'UNSET', undefined],
      ['limit', 'ERROR', 'rate_limited'],
    ]);
  });

  test('of a prompt names the prompt, over stdio a pipe', async () => {
    const [root] = await spansOfOne({ method: 'prompts/get', capability: 'support/greet', door: 'stdio' });
    expect(root?.attributes).toMatchObject({ 'gen_ai.prompt.name': 'support/greet', 'network.transport': 'pipe' });
    expect(root?.attributes).not.toHaveProperty('gen_ai.tool.name');
    expect(root?.attributes).not.toHaveProperty('gen_ai.operation.name');
  });

  test('carries no member, no meta and no names beyond a length', async () => {
    const long = 'x'.repeat(5000);
    await spansOfOne({ member: 'canary@example.com', capability: long, code: long, outcome: 'failed' }, { secret: 'canary' });
    const text = JSON.stringify(receiver.spans);
    expect(text).not.toContain('canary');
    expect(text).not.toContain('x'.repeat(101));
  });

  test('ends once', async () => {
    const traced = openTraced();
    const trace = traced.started(undefined, undefined);
    trace.ended(course());
    trace.ended(course());
    await traced.close();
    expect(receiver.spans).toHaveLength(1);
  });
});

describe('the client as parent', () => {
  test('is the span in _meta, with its state; headers of another trace become a link', async () => {
    const traced = openTraced();
    const header = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const meta = { traceparent: recorded, tracestate: 'vendor=1, other=2' };
    const trace = traced.started(meta, { traceparent: header, tracestate: 'ignored=1' });
    expect(trace.traceId).toBe(clientTrace);
    callThrough(traced, trace);
    await traced.close();
    const [root] = receiver.spans;
    expect(root).toMatchObject({ traceId: clientTrace, parentSpanId: clientSpan, traceState: 'vendor=1,other=2' });
    expect(root?.links).toEqual([{ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }]);
  });

  test.each([
    ['nothing', undefined],
    ['garbage', { traceparent: 'garbage', tracestate: 'a=1' }],
    ['a number', { traceparent: 5 }],
    ['an object', { traceparent: {} }],
  ])('is the span in the headers where _meta has %s', async (_, meta) => {
    const traced = openTraced();
    const trace = traced.started(meta, { traceparent: recorded, tracestate: 'vendor=1' });
    callThrough(traced, trace);
    await traced.close();
    expect(receiver.spans[0]).toMatchObject({
      traceId: clientTrace,
      parentSpanId: clientSpan,
      traceState: 'vendor=1',
      links: [],
    });
  });

  test('is nobody where both are garbage', async () => {
    const traced = openTraced();
    callThrough(traced, traced.started({ traceparent: 'x' }, { traceparent: 'y', tracestate: undefined }));
    await traced.close();
    expect(receiver.spans[0]).toMatchObject({ parentSpanId: '', traceState: '' });
    expect(receiver.spans[0]?.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  test('decides: what it records is recorded, what it does not is not', async () => {
    const traced = openTraced({ traceSampling: 0 });
    callThrough(traced, traced.started({ traceparent: recorded }, undefined));
    await traced.close();
    expect(receiver.spans).toHaveLength(7);
    receiver.spans.length = 0;
    const other = openTraced({ traceSampling: 1 });
    callThrough(other, other.started({ traceparent: unrecorded }, undefined));
    await other.close();
    expect(receiver.spans).toHaveLength(0);
  });
});

describe('the far end', () => {
  test('is told of our hop as its parent, in a header and in _meta, and the rest of _meta stays', async () => {
    const traced = openTraced();
    const meta = { traceparent: recorded, tracestate: 'vendor=1', 'com.example/x': { a: 1 }, baggage: 'a=b' };
    const trace = traced.started(meta, undefined);
    const sent = metaWithTrace(meta, trace);
    const { outgoing } = trace;
    callThrough(traced, trace);
    await traced.close();
    const hop = receiver.spans.find(({ kind }) => kind === 'CLIENT');
    expect(outgoing).toEqual({ traceparent: `00-${clientTrace}-${hop?.spanId}-01`, tracestate: 'vendor=1' });
    expect(sent).toEqual({ ...meta, traceparent: outgoing?.traceparent });
    expect(meta.traceparent).toBe(recorded);
  });

  test('of a client without a trace is told of ours', async () => {
    const traced = openTraced();
    const trace = traced.started(undefined, undefined);
    expect(metaWithTrace(undefined, trace)).toEqual({
      traceparent: `00-${trace.traceId}-${trace.outgoing?.traceparent.slice(36, 52)}-01`,
    });
  });

  test('is not told a state that was garbage', async () => {
    const traced = openTraced();
    const meta = { traceparent: recorded, tracestate: 'no state' };
    expect(metaWithTrace(meta, traced.started(meta, undefined))).not.toHaveProperty('tracestate');
  });

  test.each([
    ['when nothing is traced', { otlpUrl: undefined }, { traceparent: recorded }],
    ['when this call is not', { traceSampling: 0 }, { 'com.example/x': 1 }],
    ['when the client does not record', {}, { traceparent: unrecorded }],
  ])("gets the client's own _meta, the same object, %s", (_, options, meta) => {
    const traced = openTraced(options);
    const trace = traced.started(meta, undefined);
    expect(metaWithTrace(meta, trace)).toBe(meta);
    expect(trace.outgoing).toBeUndefined();
  });
});

describe('sampling', () => {
  test('records the share of calls that was asked for', () => {
    const traced = openTraced({ traceSampling: 0.25 });
    let sampled = 0;
    for (let n = 0; n < 4000; n += 1) if (traced.started(undefined, undefined).outgoing !== undefined) sampled += 1;
    expect(sampled).toBeGreaterThan(850);
    expect(sampled).toBeLessThan(1150);
  });

  test('keeps calls that failed or were slow, whatever was drawn, and no others', async () => {
    const traced = openTraced({ traceSampling: 0 });
    const end = (changes: Partial<CallCourse>) => callThrough(traced, traced.started(undefined, undefined), changes);
    end({ capability: 'a/fine' });
    end({ capability: 'a/asks', outcome: 'input-required' });
    end({ capability: 'a/failed', outcome: 'failed', code: 'upstream_timeout' });
    end({ capability: 'a/refused', outcome: 'refused', code: 'breaker_open' });
    end({ capability: 'a/tool', outcome: 'tool-error' });
    end({ capability: 'a/slow', ms: 5000 });
    end({ capability: 'a/nearly', ms: 4999 });
    await traced.close();
    const kept = receiver.spans
      .filter(({ kind }) => kind === 'SERVER')
      .map(({ attributes }) => attributes['gatehouse.capability']);
    expect(kept).toEqual(['a/failed', 'a/refused', 'a/tool', 'a/slow']);
  });
});

test('addresses: a base gets the path of traces, a full one stays', async () => {
  for (const [base, path] of [
    ['', '/v1/traces'],
    ['/', '/v1/traces'],
    ['/otlp/', '/otlp/v1/traces'],
    ['/v1/traces', '/v1/traces'],
  ]) {
    const traced = open({ otlpUrl: new Secret(receiver.url + base) });
    callThrough(traced, traced.started(undefined, undefined));
    await traced.close();
    expect(receiver.requests.at(-1)?.path).toBe(path);
  }
});
