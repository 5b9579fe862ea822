import type { Agent } from 'node:http';
import type { Clock } from '../clock.ts';
import type { Secret } from '../secret.ts';
import type { KeptTrace } from './call-trace.ts';
import { Outage, type TelemetryLog } from './outage.ts';

/** Calls that wait to be exported; what comes on top is dropped. */
const queueLimit = 2048;
/** Most calls kept per second, whatever clients ask for: their spans cost us about 33 us each. */
const perSecondLimit = 1000;
/** Calls per request: making and encoding their spans holds up the event loop for about two milliseconds. */
const batchSize = 64;

export interface TraceTimes {
  /** Between a trace and the batch that it goes out with, at most. */
  readonly exportEveryMs: number;
  /** For one batch, repeated attempts included. */
  readonly exportWithinMs: number;
  /** For the last batches. */
  readonly closeWithinMs: number;
}

const usualTimes: TraceTimes = { exportEveryMs: 2000, exportWithinMs: 5000, closeWithinMs: 3000 };

interface TraceExportOptions {
  /** Base address of an OTLP receiver over HTTP, or its full address for traces. */
  readonly url: Secret;
  readonly version: string;
  readonly clock: Clock;
  readonly log: TelemetryLog;
  readonly times?: TraceTimes;
}

/**
 * Sends kept traces to an OTLP receiver, in batches, one after another. A receiver that fails, hangs or is gone costs the
 * traces that do not fit into the queue, and nothing else. OpenTelemetry is loaded at the first batch.
 */
export class TraceExport {
  exported = 0;
  dropped = 0;
  readonly #options: TraceExportOptions;
  readonly #times: TraceTimes;
  readonly #outage: Outage;
  readonly #queue: KeptTrace[] = [];
  #sender: Promise<Sender> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;
  #second = 0;
  #inSecond = 0;
  #inFlight = 0;

  constructor(options: TraceExportOptions) {
    this.#options = options;
    this.#times = options.times ?? usualTimes;
    this.#outage = new Outage(options.log, 'Traces cannot be exported; those that do not fit into memory are dropped.');
  }

  /** Takes a trace into the queue, if there is room. Never throws. */
  offer(trace: KeptTrace): void {
    if (this.#isClosed || this.#queue.length >= queueLimit || !this.#mayKeep(trace.endedAtMs)) {
      this.dropped += 1;
      return;
    }
    this.#queue.push(trace);
    if (this.#timer !== undefined || this.#running !== undefined) return;
    this.#timer = setTimeout(() => void this.flush(), this.#times.exportEveryMs).unref();
  }

  /** Exports what is queued. Never throws; resolves when all of it is out, given up, or left for later after a failure. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running ??= this.#exportAll().finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0 && !this.#isClosed) {
        this.#timer ??= setTimeout(() => void this.flush(), this.#times.exportEveryMs).unref();
      }
    });
    return this.#running;
  }

  /** A last flush of limited time; what is left then is dropped. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await within(this.#times.closeWithinMs, this.flush()).catch(() => {});
    this.dropped += this.#queue.length + this.#inFlight;
    this.#queue.length = 0;
    this.#inFlight = 0;
    const sender = await this.#sender?.catch(() => undefined);
    sender?.close();
  }

  #mayKeep(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#inSecond = 0;
    }
    this.#inSecond += 1;
    return this.#inSecond <= perSecondLimit;
  }

  async #exportAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, batchSize);
      this.#inFlight = batch.length;
      try {
        this.#sender ??= openSender(this.#options, this.#times);
        const sender = await this.#sender;
        await within(this.#times.exportWithinMs + 1000, sender.send(batch));
        this.exported += this.#inFlight;
        this.#inFlight = 0;
        this.#outage.ended();
      } catch (error) {
        // A receiver may have taken it and failed to say so: sent again, its spans would be there twice.
        this.dropped += this.#inFlight;
        this.#inFlight = 0;
        this.#outage.failed(error);
        return;
      }
    }
  }
}

interface Sender {
  send(batch: readonly KeptTrace[]): Promise<void>;
  close(): void;
}

/** Loads OpenTelemetry. `OTEL_EXPORTER_OTLP_*` variables for headers, compression and certificates are its own. */
async function openSender({ url, version, clock }: TraceExportOptions, times: TraceTimes): Promise<Sender> {
  const [{ OTLPTraceExporter }, { spansOf }, { resourceOf }, { Agent: HttpAgent }, { Agent: HttpsAgent }] = await Promise.all([
    import('@opentelemetry/exporter-trace-otlp-proto'),
    import('./spans.ts'),
    import('./resource.ts'),
    import('node:http'),
    import('node:https'),
  ]);
  const agents: Agent[] = [];
  const exporter = new OTLPTraceExporter({
    url: tracesUrl(url.reveal()),
    timeoutMillis: times.exportWithinMs,
    // A receiver that trickles its answer never times out in there; a few of those may hang until they are closed.
    concurrencyLimit: 4,
    httpAgentOptions: (protocol) => {
      const agent = new (protocol === 'https:' ? HttpsAgent : HttpAgent)({ keepAlive: true });
      agents.push(agent);
      return agent;
    },
  });
  const origin = { resource: resourceOf(version), scope: { name: 'gatehouse', version } };
  return {
    send(batch) {
      const epochMs = clock.nowMs() - performance.now();
      const spans = batch.flatMap((trace) => spansOf(trace, { ...origin, epochMs }));
      return new Promise((resolve, reject) => {
        exporter.export(spans, ({ code, error }) => {
          // 0 is success (`ExportResultCode`, of a package that we have no other use for).
          if (code === 0) resolve();
          else reject(error ?? new Error('The receiver refused the traces.'));
        });
      });
    },
    close() {
      for (const agent of agents) agent.destroy();
    },
  };
}

/** As OpenTelemetry reads its own variable: a base address gets the path of traces. */
function tracesUrl(text: string): string {
  const url = new URL(text);
  if (!url.pathname.endsWith('/v1/traces')) url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return url.href;
}

async function within(limitMs: number, work: Promise<void>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`No answer within ${limitMs} ms.`)), limitMs);
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
