import type { Clock } from '../clock.ts';
import type { ReachStatus } from './ports/reach.ts';
import type { StoreLog } from './store-options.ts';
import { reasonOf, seldom } from './warn-seldom.ts';

interface ReachPorts {
  readonly kind: ReachStatus['kind'];
  readonly clock: Clock;
  readonly log: Pick<StoreLog, 'info'>;
  /** What is said once it is back. */
  readonly back: string;
}

/**
 * Keeps it for one server, and says in the log when it is back: who reads there that it was lost wants to know how long. Of a loss that the
 * log does not tell, as it told of one within the last 10 seconds, it does not tell the end either.
 */
export class Reach {
  readonly #ports: ReachPorts;
  #sinceMs: number | undefined;
  #lastError: string | undefined;
  #isReachable = true;
  readonly #mayBeSaid: () => boolean;
  #isSaid = false;

  constructor(ports: ReachPorts) {
    this.#ports = ports;
    this.#mayBeSaid = seldom(ports.clock);
  }

  lost(error: unknown): void {
    if (this.#isReachable) this.#sinceMs = this.#ports.clock.nowMs();
    this.#isReachable = false;
    this.#lastError = reasonOf(error);
    if (this.#mayBeSaid()) this.#isSaid = true;
  }

  found(): void {
    if (this.#isReachable) return;
    const { clock, log, back } = this.#ports;
    const nowMs = clock.nowMs();
    if (this.#isSaid) log.info({ awayMs: Math.max(0, nowMs - (this.#sinceMs ?? nowMs)), lastError: this.#lastError }, back);
    this.#isSaid = false;
    this.#isReachable = true;
    this.#sinceMs = nowMs;
    this.#lastError = undefined;
  }

  get status(): ReachStatus {
    return { kind: this.#ports.kind, isReachable: this.#isReachable, sinceMs: this.#sinceMs, lastError: this.#lastError };
  }
}
