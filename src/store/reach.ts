import type { Clock } from '../clock.ts';
import type { ReachStatus } from './ports/reach.ts';
import type { StoreLog } from './store-options.ts';

interface ReachPorts {
  readonly kind: ReachStatus['kind'];
  readonly clock: Clock;
  readonly log: Pick<StoreLog, 'info'>;
  /** What is said once it is back. */
  readonly back: string;
}

/** Keeps it for one server, and says in the log when it is back: who reads there that it was lost wants to know how long. */
export class Reach {
  readonly #ports: ReachPorts;
  #sinceMs: number | undefined;
  #lastError: string | undefined;
  #isReachable = true;

  constructor(ports: ReachPorts) {
    this.#ports = ports;
  }

  lost(error: unknown): void {
    if (this.#isReachable) this.#sinceMs = this.#ports.clock.nowMs();
    this.#isReachable = false;
    // The message alone: errors of database clients carry the command with its values.
    this.#lastError = error instanceof Error ? error.message : String(error);
  }

  found(): void {
    if (this.#isReachable) return;
    const { clock, log, back } = this.#ports;
    const nowMs = clock.nowMs();
    log.info({ awayMs: Math.max(0, nowMs - (this.#sinceMs ?? nowMs)), lastError: this.#lastError }, back);
    this.#isReachable = true;
    this.#sinceMs = nowMs;
    this.#lastError = undefined;
  }

  get status(): ReachStatus {
    return { kind: this.#ports.kind, isReachable: this.#isReachable, sinceMs: this.#sinceMs, lastError: this.#lastError };
  }
}
