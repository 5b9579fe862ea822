import { pino } from 'pino';
import { AnswerChecks } from '../../src/arguments/answer-check.ts';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import type { Ask } from '../../src/call/ask.ts';
import type { CallPorts } from '../../src/call/call.ts';
import { Lanes } from '../../src/call/call-upstream.ts';
import { Once } from '../../src/call/once.ts';
import { systemClock } from '../../src/clock.ts';
import type { CallEntry, Journal } from '../../src/journal/journal.ts';
import { Policies } from '../../src/policy/policy.ts';
import { openMemoryCounters } from '../../src/store/memory/counters.ts';
import { memorySightings } from '../../src/store/memory/memory-sightings.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { openSightings } from '../../src/store/sightings.ts';
import { openTelemetry } from '../../src/telemetry/telemetry.ts';
import { Cancel } from '../../src/wire/cancel.ts';

/** What a call left behind: the facts of its record together with what became of it. */
export type RecordedCall = Readonly<Record<string, unknown>>;

/** A journal that keeps its records where a test can read them. */
export function readableJournal(records: RecordedCall[]): Journal {
  const facts = new Map<CallEntry, object>();
  let calls = 0;
  return {
    isWritable: true,
    lagMs: 0,
    describe(described) {
      calls += 1;
      const entry = { call: `1.${calls}`, fields: '', hasIntent: false };
      facts.set(entry, described);
      return entry;
    },
    intent(entry) {
      entry.hasIntent = true;
      return undefined;
    },
    outcome: (entry, result) => void records.push({ ...facts.get(entry), ...result, hasIntent: entry.hasIntent }),
    change: async () => {},
    digest: (text) => `digest of ${text.length}`,
    digestPieces: () => Promise.resolve('x'.repeat(43)),
    head: () => ({ chain: '', seq: 0, hash: '' }),
    flush: async () => {},
    close: async () => {},
  };
}

/** Everything the path of a call needs, in this process; what is given takes the place of the usual. */
export async function callPorts(overrides: Partial<CallPorts> = {}) {
  const records: RecordedCall[] = [];
  const log = pino({ level: 'silent' });
  const clock = systemClock;
  const gauges = { version: '', startedAtMs: 0, sessions: () => 0, streams: () => 0, journalLagMs: () => 0, upstreams: () => [] };
  const telemetry = openTelemetry({
    store: memoryStore().rollUps,
    models: memoryStore().models,
    clock,
    log,
    gauges,
    otlpUrl: undefined,
    traceSampling: 0,
    metricsCapabilities: 0,
  });
  const counters = await openMemoryCounters({ clock, warn: () => {} });
  const checks = new ArgumentChecks();
  const answers = new AnswerChecks((details, message) => log.warn(details, message));
  const ports: CallPorts = {
    lanes: new Lanes(),
    log,
    journal: readableJournal(records),
    telemetry,
    counters,
    sightings: openSightings(() => memorySightings(clock), { clock, warn: () => {} }),
    checks,
    answers,
    clock,
    once: new Once({ rows: memoryStore().keyedCalls, key: Buffer.alloc(32, 1), warn: () => {} }),
    policies: () => noPolicies,
    approvals: { pass: () => Promise.reject(new Error('nothing waits here')), ended() {} },
    maySeeAction: () => false,
    ...overrides,
  };
  const close = async () => {
    ports.lanes.keep(new Map());
    await Promise.all([telemetry.close(), counters.close(), checks.close(), answers.close()]);
  };
  return { ports, records, close };
}

const noPolicies = new Policies([]);

/** A call of a modern client over HTTP; what is given takes the place of the usual. */
export function askFor(overrides: Partial<Ask> = {}): Ask {
  return {
    door: 'http',
    era: 'modern',
    toolbox: '',
    method: 'tools/call',
    params: {},
    meta: undefined,
    client: { principal: 'p', session: undefined, capabilities: {} },
    conversation: {
      progress: undefined,
      logLevel: undefined,
      takesRounds: false,
      log() {},
      notify() {},
      ask: async () => ({}),
    },
    retry: undefined,
    cancel: new Cancel(),
    bytesIn: 10,
    ip: '',
    traceHeaders: undefined,
    ...overrides,
  };
}
