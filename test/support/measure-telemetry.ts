// Started by test/telemetry/cost.test.ts, in a process of its own: a test runner's import wrappers cost more than what is measured.
import { Secret } from '../../src/secret.ts';
import { type CallTrace, metaWithTrace } from '../../src/telemetry/call-trace.ts';
import type { Telemetry, TelemetryOptions } from '../../src/telemetry/telemetry.ts';
import { course, open } from '../telemetry/telemetry-setup.ts';

const rounds = 10_000;
const batches = 12;
const nowhere = new Secret('http://127.0.0.1:1');
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';

// As many different calls as a busy gateway sees.
const courses = Array.from({ length: 1000 }, (_, n) =>
  course({
    namespace: `ns${n % 10}`,
    capability: `ns${n % 10}/tool_${n % 50}`,
    upstream: `ns${n % 10}/up`,
    key: `key${n % 20}`,
    consumer: `consumer${n % 20}`,
    ms: (n * 7) % 300,
    ...(n % 50 === 0 && { outcome: 'failed', code: 'upstream_timeout' }),
  }),
);

/** What the path does with telemetry during one call. */
function follow(telemetry: Telemetry, n: number, meta: { traceparent: string } | undefined): void {
  const trace: CallTrace = telemetry.started(meta, undefined);
  trace.step('resolve');
  trace.step('authorize');
  trace.step('limit');
  trace.step('screen');
  metaWithTrace(meta, trace);
  trace.step('upstream');
  trace.step('inspect');
  telemetry.ended(courses[n % courses.length] ?? course(), trace);
}

/** The best of some batches, in CPU time of this process: what else the machine does counts for little. ns per call. */
function measure(work: (n: number) => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < batches; batch += 1) {
    const before = process.cpuUsage();
    for (let n = 0; n < rounds; n += 1) work(n);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, ((user + system) * 1000) / rounds);
  }
  return Math.round(best);
}

function ofCalls(options: Partial<TelemetryOptions>, meta?: { traceparent: string }): number {
  const telemetry = open(options);
  return measure((n) => follow(telemetry, n, meta));
}

const { meter, rollUps } = open();
const figures = {
  'counting for metrics': measure((n) => meter.ended(courses[n % courses.length] ?? course())),
  'adding up per minute': measure((n) => rollUps.add(courses[n % courses.length] ?? course())),
  'a whole call, tracing off': ofCalls({ otlpUrl: undefined }),
  'tracing on, none sampled': ofCalls({ otlpUrl: nowhere, traceSampling: 0 }),
  'tracing on, a tenth sampled': ofCalls({ otlpUrl: nowhere, traceSampling: 0.1 }),
  'tracing on, all sampled': ofCalls({ otlpUrl: nowhere, traceSampling: 1 }),
  'tracing on, the client says no': ofCalls({ otlpUrl: nowhere, traceSampling: 1 }, { traceparent }),
};
process.stdout.write(JSON.stringify(figures));
process.exit();
