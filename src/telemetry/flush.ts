import type { Clock } from '../clock.ts';
import { Outage, type TelemetryLog } from './outage.ts';

const flushEveryMs = 10_000;
const pruneEveryMs = 3_600_000;
const closeWithinMs = 3000;

export interface FlushOptions {
  readonly store: { prune(beforeMs: number): Promise<number> };
  readonly clock: Clock;
  readonly log: TelemetryLog;
  /** How long minutes are kept. */
  readonly retentionMs: number;
}

/** Hands what was gathered to a store behind the calls, every ten seconds while there is any, and prunes once an hour. */
export class Flush {
  readonly #options: FlushOptions;
  readonly #write: () => Promise<void>;
  readonly #outage: Outage;
  #timer: NodeJS.Timeout | undefined;
  #last: Promise<void> = Promise.resolve();
  #prunedAtMs = 0;
  #isClosed = false;

  /** `write` rejects where something is still to be written; `message` says what that means. */
  constructor(options: FlushOptions, message: string, write: () => Promise<void>) {
    this.#options = options;
    this.#write = write;
    this.#outage = new Outage(options.log, message);
  }

  /** There is something to write. */
  schedule(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setTimeout(() => void this.now(), flushEveryMs).unref();
  }

  /** Tries to write everything that was gathered so far. Never throws: what fails is tried again later. */
  now(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = this.#last.then(() => this.#writeAll());
    return this.#last;
  }

  /** A last time, which may not take longer than three seconds. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, closeWithinMs);
    await Promise.race([this.now(), late]);
    clearTimeout(timer);
  }

  async #writeAll(): Promise<void> {
    try {
      await this.#write();
      await this.#prune();
      this.#outage.ended();
    } catch (error) {
      this.#outage.failed(error);
      this.schedule();
    }
  }

  async #prune(): Promise<void> {
    const { store, clock, retentionMs } = this.#options;
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - this.#prunedAtMs) < pruneEveryMs) return;
    await store.prune(nowMs - retentionMs);
    this.#prunedAtMs = nowMs;
  }
}
