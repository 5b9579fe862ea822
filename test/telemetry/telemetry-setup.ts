import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { CallCourse } from '../../src/telemetry/course.ts';
import { openTelemetry, type Telemetry, type TelemetryOptions } from '../../src/telemetry/telemetry.ts';

export const noon = Date.UTC(2026, 10, 25, 12);

/** A call that went well, but for what a test is about. */
export function course(changes: Partial<CallCourse> = {}): CallCourse {
  return {
    capability: 'support/get_ticket',
    namespace: 'support',
    upstream: 'support/tickets',
    consumer: 'web',
    key: 'k1',
    member: undefined,
    door: 'http',
    era: 'modern',
    method: 'tools/call',
    outcome: 'done',
    code: undefined,
    ms: 12.5,
    upstreamMs: 10,
    bytesIn: 100,
    bytesOut: 2000,
    tokensIn: 0,
    tokensOut: 0,
    costMicros: 0,
    retries: 0,
    limitRefusals: 0,
    contentHits: 0,
    ...changes,
  };
}

/** What telemetry says to the log. */
export interface Said {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly fields: object;
}

/** Telemetry on a memory store, without traces, but for what a test is about. */
export function open(changes: Partial<TelemetryOptions> = {}, said: Said[] = []): Telemetry {
  return openTelemetry({
    store: memoryStore().rollUps,
    models: memoryStore().models,
    clock: { nowMs: () => noon },
    log: logInto(said),
    gauges: {
      version: '1.2.3',
      startedAtMs: noon,
      sessions: () => 3,
      streams: () => 2,
      journalLagMs: () => 40,
      upstreams: () => [],
    },
    otlpUrl: undefined,
    traceSampling: 1,
    metricsCapabilities: 0,
    ...changes,
  });
}

export function logInto(said: Said[]): TelemetryOptions['log'] {
  return {
    info: (fields, message) => said.push({ level: 'info', fields, message }),
    warn: (fields, message) => said.push({ level: 'warn', fields, message }),
  };
}

/** One call from begin to end. */
export function call(telemetry: Telemetry, changes: Partial<CallCourse> = {}): void {
  telemetry.ended(course(changes), telemetry.started(undefined, undefined));
}
