import type { Clock } from '../clock.ts';
import type { Secret } from '../secret.ts';
import type { RollUps } from '../store/ports/roll-ups.ts';
import type { JsonObject } from '../wire/json.ts';
import { CallMeter } from './call-meter.ts';
import { type CallTrace, type GivenContext, type KeptTrace, startTrace, UnfollowedCall } from './call-trace.ts';
import type { CallCourse } from './course.ts';
import type { Gauges } from './gauges.ts';
import { ModelBuffer, type ModelBufferOptions } from './model-buffer.ts';
import type { TelemetryLog } from './outage.ts';
import { RollUpBuffer } from './roll-up-buffer.ts';
import { TraceExport } from './trace-export.ts';

const dayMs = 86_400_000;
/** A call that took this long is recorded whatever the sampling says. */
const slowMs = 5000;

export interface TelemetryOptions {
  readonly store: RollUps;
  readonly models: ModelBufferOptions['store'];
  readonly clock: Clock;
  readonly log: TelemetryLog;
  readonly gauges: Gauges;
  /** An OTLP receiver; without one no call is traced. */
  readonly otlpUrl: Secret | undefined;
  /** Share of calls to trace where the client does not say, 0 to 1. */
  readonly traceSampling: number;
  /** Most capabilities with metrics of their own; 0: none. */
  readonly metricsCapabilities: number;
  /** How long calls per minute are kept; 35 days when left out. */
  readonly rollUpRetentionMs?: number;
}

/** What watches the calls. Nothing in here can make a call fail or wait. */
export interface Telemetry {
  readonly meter: CallMeter;
  readonly rollUps: RollUpBuffer;
  readonly models: ModelBuffer;
  /**
   * A call begins: follows it in a trace, where traces are on. `meta` is the message's `_meta`, `headers` those of its HTTP
   * request.
   */
  started(meta: JsonObject | undefined, headers: GivenContext | undefined): CallTrace;
  /** The call has ended, however it did. Once for each that began; `course` belongs to telemetry from then on. */
  ended(course: CallCourse, trace: CallTrace): void;
  /** The body of `GET /metrics`: Prometheus text format, `metricsContentType`. */
  metricsText(): Promise<string>;
  /** Hands over what is left, for three seconds at most. */
  close(): Promise<void>;
}

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Opens nothing and loads nothing: OpenTelemetry comes with the first scrape and the first trace that is kept. */
export function openTelemetry(options: TelemetryOptions): Telemetry {
  const {
    store,
    models: modelStore,
    clock,
    log,
    gauges,
    otlpUrl,
    traceSampling,
    metricsCapabilities,
    rollUpRetentionMs = 35 * dayMs,
  } = options;
  const meter = new CallMeter({ capabilities: metricsCapabilities });
  const rollUps = new RollUpBuffer({ store, clock, log, retentionMs: rollUpRetentionMs });
  const models = new ModelBuffer({ store: modelStore, clock, log, retentionMs: rollUpRetentionMs });
  const traces = otlpUrl && new TraceExport({ url: otlpUrl, version: gauges.version, clock, log });
  const rules = { sampling: traceSampling, slowMs };
  const keep = (trace: KeptTrace): void => traces?.offer(trace);
  const sources = {
    meter,
    gauges,
    traces: () => ({ exported: traces?.exported ?? 0, dropped: traces?.dropped ?? 0 }),
    rollUpsDropped: () => rollUps.dropped,
  };
  let scrape: Promise<string> | undefined;

  async function write(): Promise<string> {
    const { writeMetrics } = await import('./metrics-text.ts');
    return await writeMetrics(sources);
  }

  return {
    meter,
    rollUps,
    models,
    started(meta, headers) {
      meter.started();
      return traces === undefined ? new UnfollowedCall(meta, headers) : startTrace(rules, keep, meta, headers);
    },
    ended(course, trace) {
      meter.ended(course);
      rollUps.add(course);
      models.add(course);
      trace.ended(course);
    },
    metricsText() {
      // Scrapes that come together share one: they cannot pile up.
      scrape ??= write().finally(() => {
        scrape = undefined;
      });
      return scrape;
    },
    async close() {
      await Promise.all([rollUps.close(), models.close(), traces?.close()]);
    },
  };
}
