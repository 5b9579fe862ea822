import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seriesLimits } from '../../src/telemetry/call-meter.ts';
import type { CallCourse } from '../../src/telemetry/course.ts';
import type { Gauges } from '../../src/telemetry/gauges.ts';
import type { Telemetry } from '../../src/telemetry/telemetry.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { parsePrometheus, type Sample, sumOf } from './prometheus-text.ts';
import { call, course, noon, open } from './telemetry-setup.ts';

async function scrape(telemetry: Telemetry): Promise<readonly Sample[]> {
  return parsePrometheus(await telemetry.metricsText());
}

describe('metrics', () => {
  test('count calls by namespace, method, outcome and code', async () => {
    const telemetry = open();
    call(telemetry);
    call(telemetry);
    call(telemetry, { outcome: 'failed', code: 'upstream_timeout' });
    call(telemetry, { outcome: 'upstream-error' });
    call(telemetry, { namespace: undefined, capability: undefined, outcome: 'refused', code: 'unknown_capability' });
    const samples = (await scrape(telemetry)).filter(({ name }) => name === 'gatehouse_calls_total');
    expect(samples.map(({ labels, value }) => [...Object.values(labels), value])).toEqual([
      ['support', 'tools/call', 'done', '', 2],
      ['support', 'tools/call', 'failed', 'upstream_timeout', 1],
      ['support', 'tools/call', 'upstream-error', 'upstream_error', 1],
      ['(none)', 'tools/call', 'refused', 'unknown_capability', 1],
    ]);
  });

  test('say how long calls took, in the buckets of the MCP conventions', async () => {
    const telemetry = open();
    for (const ms of [0.5, 10, 10.01, 400_000]) call(telemetry, { ms, upstreamMs: undefined });
    const samples = await scrape(telemetry);
    const name = 'mcp_server_operation_duration_seconds';
    const at = (le: string) =>
      sumOf(samples, `${name}_bucket`, { le, mcp_method_name: 'tools/call', gatehouse_namespace: 'support' });
    expect(['0.001', '0.005', '0.01', '0.02', '300', '+Inf'].map(at)).toEqual([1, 1, 2, 3, 3, 4]);
    expect(sumOf(samples, `${name}_sum`)).toBeCloseTo(400.02051);
    expect(sumOf(samples, `${name}_count`)).toBe(4);
    expect(sumOf(samples, 'mcp_client_operation_duration_seconds_count')).toBe(0);
  });

  test('add up bytes, tokens, cost, refusals of limits and content rules per namespace', async () => {
    const telemetry = open();
    call(telemetry, { tokensIn: 7, tokensOut: 11, costMicros: 1_500_000, limitRefusals: 2, contentHits: 3 });
    call(telemetry, { namespace: 'hr' });
    const samples = await scrape(telemetry);
    const of = (name: string, labels = {}) => sumOf(samples, `gatehouse_${name}_total`, { namespace: 'support', ...labels });
    expect([of('bytes', { direction: 'in' }), of('bytes', { direction: 'out' })]).toEqual([100, 2000]);
    expect([of('tokens', { direction: 'in' }), of('tokens', { direction: 'out' }), of('cost')]).toEqual([7, 11, 1.5]);
    expect([of('limit_refusals'), of('content_hits')]).toEqual([2, 3]);
    expect(sumOf(samples, 'gatehouse_bytes_total', { direction: 'in' })).toBe(200);
  });

  test('show upstreams: their calls, failures, retries, health and breaker', async () => {
    const upstreams: ReturnType<Gauges['upstreams']> = [
      { id: 'support/tickets', isHealthy: true, breaker: 'closed' },
      { id: 'support/crm', isHealthy: false, breaker: 'open' },
      { id: 'hr/files', isHealthy: true, breaker: 'half-open' },
    ];
    const gauges: Gauges = { ...gaugesOf(0), upstreams: () => upstreams };
    const telemetry = open({ gauges });
    call(telemetry, { retries: 2 });
    call(telemetry, { outcome: 'failed', code: 'upstream_failed' });
    call(telemetry, { outcome: 'refused', code: 'breaker_open', upstreamMs: undefined });
    const samples = await scrape(telemetry);
    const upstream = 'support/tickets';
    expect(sumOf(samples, 'mcp_client_operation_duration_seconds_count', { gatehouse_upstream: upstream })).toBe(2);
    expect(sumOf(samples, 'gatehouse_upstream_failures_total', { upstream })).toBe(1);
    expect(sumOf(samples, 'gatehouse_retries_total', { upstream })).toBe(2);
    const states = samples.filter(({ name }) => name === 'gatehouse_breaker_state');
    expect(states.map(({ labels, value }) => [labels.upstream, value])).toEqual([
      ['support/tickets', 0],
      ['support/crm', 2],
      ['hr/files', 1],
    ]);
    expect(sumOf(samples, 'gatehouse_upstream_up', { upstream: 'support/crm' })).toBe(0);
    expect(sumOf(samples, 'gatehouse_upstream_up', { upstream })).toBe(1);
  });

  test('show what runs right now, and the process', async () => {
    const telemetry = open();
    const first = telemetry.started(undefined, undefined);
    telemetry.started(undefined, undefined);
    telemetry.ended(course(), first);
    const samples = await scrape(telemetry);
    expect(sumOf(samples, 'gatehouse_active_calls')).toBe(1);
    expect(sumOf(samples, 'gatehouse_sessions')).toBe(3);
    expect(sumOf(samples, 'gatehouse_streams')).toBe(2);
    expect(sumOf(samples, 'gatehouse_journal_lag_seconds')).toBe(0.04);
    expect(sumOf(samples, 'gatehouse_info', { version: '1.2.3' })).toBe(1);
    expect(sumOf(samples, 'gatehouse_calls_by_door_total', { door: 'http/modern' })).toBe(1);
    expect(sumOf(samples, 'process_start_time_seconds')).toBe(noon / 1000);
    for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'nodejs_heap_used_bytes'])
      expect(sumOf(samples, name)).toBeGreaterThan(0);
  });

  test('say which shared server cannot be reached; nothing of any where there is none', async () => {
    const stores = () => [
      { kind: 'postgresql', isReachable: true },
      { kind: 'redis', isReachable: false },
    ];
    const samples = await scrape(open({ gauges: { ...gaugesOf(0), stores } }));
    expect(sumOf(samples, 'gatehouse_store_up', { store: 'postgresql' })).toBe(1);
    expect(sumOf(samples, 'gatehouse_store_up', { store: 'redis' })).toBe(0);
    expect((await scrape(open())).filter(({ name }) => name === 'gatehouse_store_up')).toEqual([]);
  });

  test('leave the journal out where there is none', async () => {
    const telemetry = open({ gauges: { ...gaugesOf(0), journalLagMs: () => undefined } });
    expect((await scrape(telemetry)).filter(({ name }) => name === 'gatehouse_journal_lag_seconds')).toEqual([]);
  });

  test('are there per capability when asked for, up to a number; the rest share a series', async () => {
    const telemetry = open({ metricsCapabilities: 2 });
    for (const name of ['a', 'b', 'c', 'd']) call(telemetry, { capability: `support/${name}`, ms: 500 });
    call(telemetry, { capability: 'support/d', outcome: 'tool-error' });
    const samples = await scrape(telemetry);
    const calls = samples.filter(({ name }) => name === 'gatehouse_capability_calls_total');
    expect(calls.map(({ labels, value }) => [labels.capability, value])).toEqual([
      ['support/a', 1],
      ['support/b', 1],
      ['(other)', 3],
    ]);
    expect(sumOf(samples, 'gatehouse_capability_errors_total', { capability: '(other)' })).toBe(1);
    expect(sumOf(samples, 'gatehouse_capability_duration_seconds_total', { capability: 'support/a' })).toBe(0.5);
  });

  test('are not per capability when not asked for', async () => {
    const telemetry = open();
    call(telemetry);
    expect(await telemetry.metricsText()).not.toContain('get_ticket');
  });

  test('share one scrape among those who ask together, and count on for the next', async () => {
    const telemetry = open();
    call(telemetry);
    const [a, b] = [telemetry.metricsText(), telemetry.metricsText()];
    expect(a).toBe(b);
    await a;
    call(telemetry);
    expect(sumOf(await scrape(telemetry), 'gatehouse_calls_total')).toBe(2);
  });
});

describe('hostile names', () => {
  test('100,000 random names make a bounded number of series, totals stay right, and a scrape takes less than a second', async () => {
    const telemetry = open({ metricsCapabilities: 500 });
    const calls = 100_000;
    for (let n = 0; n < calls; n += 1) {
      const random = `n${n}-${(n * 2_654_435_761) % 4_294_967_296}`;
      call(telemetry, {
        namespace: `ns-${random}`,
        capability: `ns-${random}/tool-${random}`,
        upstream: `ns-${random}/up`,
        consumer: random,
        key: random,
        member: `${random}@example.com`,
        door: random,
        era: random,
        method: `method/${random}`,
        outcome: n % 2 === 0 ? 'done' : 'failed',
        code: n % 2 === 0 ? undefined : `code_${random}`,
      });
      telemetry.meter.routed(`ns-${random}/model`, 'failover');
    }
    // CPU time, so that what else the machine does counts for nothing.
    await telemetry.metricsText();
    const beforeMs = cpuMs();
    const text = await telemetry.metricsText();
    const tookMs = cpuMs() - beforeMs;
    const samples = parsePrometheus(text);
    const bound = 28_400 + 3 * 500;
    process.stdout.write(
      `100,000 names: ${samples.length} series (bound ${bound}), ${Math.round(text.length / 1024)} KB, ${tookMs.toFixed(0)} ms of CPU per scrape\n`,
    );
    expect(samples.length).toBeLessThan(bound);
    expect(tookMs).toBeLessThan(1000);
    expect(sumOf(samples, 'gatehouse_calls_total')).toBe(calls);
    expect(sumOf(samples, 'gatehouse_calls_total', { outcome: 'failed' })).toBe(calls / 2);
    expect(sumOf(samples, 'gatehouse_capability_calls_total')).toBe(calls);
    expect(sumOf(samples, 'gatehouse_calls_by_door_total')).toBe(calls);
    expect(sumOf(samples, 'gatehouse_bytes_total', { direction: 'in' })).toBe(calls * 100);
    expect(sumOf(samples, 'mcp_client_operation_duration_seconds_count')).toBe(calls);
    expect(sumOf(samples, 'gatehouse_upstream_failures_total')).toBe(calls / 2);
  });

  test('more upstreams than series are shown up to the limit', async () => {
    const ids = Array.from({ length: 500 }, (_, n) => ({ id: `ns/u${n}`, isHealthy: true, breaker: 'closed' as const }));
    const telemetry = open({ gauges: { ...gaugesOf(0), upstreams: () => ids } });
    expect(sumOf(await scrape(telemetry), 'gatehouse_upstream_up')).toBe(seriesLimits.upstreams);
  });

  test('names that would break the format, or be the same after it, stay in their place', async () => {
    const nasty = [
      'a"} 1\n# TYPE x counter\nx 1',
      'a\\',
      '\u2028',
      '\u{D800}',
      '\u{DFFF}',
      'a\r\nb',
      'a\0b',
      'a\u0001b',
      '(other)',
      '(none)',
      '',
    ];
    const telemetry = open({ metricsCapabilities: 100 });
    for (const name of nasty)
      call(telemetry, {
        namespace: name,
        capability: name,
        upstream: name,
        method: name,
        door: name,
        era: name,
        outcome: 'failed',
        code: name,
      });
    const samples = await scrape(telemetry);
    expect(sumOf(samples, 'gatehouse_calls_total')).toBe(nasty.length);
    expect(sumOf(samples, 'gatehouse_capability_calls_total')).toBe(nasty.length);
  });

  test('whatever the names are, the text is of the grammar and the totals are right', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('__proto__', 'constructor', 'x'.repeat(150)),
    );
    const some = fc.record({
      namespace: fc.option(text, { nil: undefined }),
      capability: fc.option(text, { nil: undefined }),
      upstream: fc.option(text, { nil: undefined }),
      method: text,
      door: text,
      era: text,
      code: fc.option(text, { nil: undefined }),
      outcome: fc.constantFrom<CallCourse['outcome']>(
        'done',
        'input-required',
        'tool-error',
        'upstream-error',
        'refused',
        'failed',
      ),
      ms: fc.double({ min: 0, max: 1e6, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(some, { maxLength: 30 }), async (calls) => {
        const telemetry = open({ metricsCapabilities: 5 });
        for (const one of calls) call(telemetry, one);
        const samples = await scrape(telemetry);
        expect(sumOf(samples, 'gatehouse_calls_total')).toBe(calls.length);
        expect(sumOf(samples, 'mcp_server_operation_duration_seconds_count')).toBe(calls.length);
      }),
      { numRuns: process.env.TEST_LONG === '1' ? 500 : 25 },
    );
  });

  test('SK-07: who called, with what and by which key is in no label', async () => {
    const telemetry = open({ metricsCapabilities: 10 });
    call(telemetry, { consumer: 'canary-consumer', key: 'canary-key', member: 'canary@example.com' });
    expect(await telemetry.metricsText()).not.toContain('canary');
  });
});

test('nothing of OpenTelemetry is loaded before the first scrape', () => {
  const program = `
    import { registerHooks } from 'node:module';
    const asked = [];
    registerHooks({ resolve: (specifier, context, next) => { asked.push(specifier); return next(specifier, context); } });
    const isLoaded = () => asked.some((name) => name.startsWith('@opentelemetry/'));
    const { call, open } = await import('./telemetry-setup.ts');
    const telemetry = open();
    call(telemetry);
    const before = isLoaded();
    await telemetry.metricsText();
    process.stdout.write([before, isLoaded()].join());
  `;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    encoding: 'utf8',
  });
  expect(stdout + stderr).toBe('false,true');
});

function gaugesOf(count: number): Gauges {
  return {
    version: '1.2.3',
    startedAtMs: noon,
    sessions: () => count,
    streams: () => count,
    journalLagMs: () => count,
    upstreams: () => [],
  };
}
