import CircuitBreaker from 'opossum';
import type { BreakerPolicy } from '../policy/policy-schema.ts';

/** All numbers of a breaker. */
export interface BreakerNumbers extends BreakerPolicy {
  readonly errorRate: number;
  readonly minimumCalls: number;
  readonly windowMs: number;
  readonly openMs: number;
}

export interface BreakerStatus {
  readonly state: 'closed' | 'open' | 'half-open';
  /** Why it is open, or would be. */
  readonly reason: string | undefined;
  readonly isDetectOnly: boolean;
}

/** The call was not let through. */
export class BreakerOpen extends Error {
  readonly reason: string;
  readonly waitMs: number;
  constructor(reason: string, waitMs: number) {
    super('the breaker is open');
    this.reason = reason;
    this.waitMs = waitMs;
  }
}

type Action<Args extends unknown[], Result> = (...args: Args) => Promise<Result>;

/**
 * Stops calls to what fails: by share of failures, failures in a row, or calls that take too long. Once it is open, one call at a
 * time is let through after a while, and decides. A call that says nothing about the far end (its client gave up) decides nothing.
 */
export class Breaker<Args extends unknown[], Result> {
  readonly numbers: BreakerNumbers;
  readonly #action: Action<Args, Result>;
  readonly #isFailure: (error: unknown, ...args: unknown[]) => boolean;
  /** Is told how calls ended: it keeps the window, the states and the time between them. */
  readonly #circuit: CircuitBreaker<[isFailure: boolean], void>;
  #reason: string | undefined;
  #openedAtMs = 0;
  #inARow = 0;
  #isProbing = false;

  constructor(action: Action<Args, Result>, numbers: BreakerNumbers, isFailure: (error: unknown, ...args: unknown[]) => boolean) {
    this.numbers = numbers;
    this.#action = action;
    this.#isFailure = isFailure;
    this.#circuit = new CircuitBreaker(settle, {
      timeout: false,
      // It opens above its number, we at ours: a share of 1 would never be reached.
      errorThresholdPercentage: numbers.errorRate * 100 - 1e-6,
      volumeThreshold: numbers.minimumCalls,
      rollingCountTimeout: numbers.windowMs,
      resetTimeout: numbers.openMs,
      // Percentiles and snapshots cost a timer per breaker and nobody reads them.
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
    });
    this.#circuit.on('open', () => {
      this.#openedAtMs = performance.now();
      this.#reason ??= `${Math.round(numbers.errorRate * 100)} % of at least ${numbers.minimumCalls} calls failed`;
    });
    this.#circuit.on('close', () => {
      this.#reason = undefined;
      this.#inARow = 0;
    });
  }

  get status(): BreakerStatus {
    const { opened, halfOpen } = this.#circuit;
    const state = halfOpen ? 'half-open' : opened ? 'open' : 'closed';
    return { state, reason: state === 'closed' ? undefined : this.#reason, isDetectOnly: this.numbers.detectOnly === true };
  }

  /** Rejects with BreakerOpen, or with what the action rejects with. */
  fire(...args: Args): Promise<Result> {
    const { opened, halfOpen } = this.#circuit;
    if (!opened && !halfOpen) return this.#observe(args, false);
    if (halfOpen && !this.#isProbing) return this.#probe(args);
    // Somebody else's call is the one that decides.
    return this.numbers.detectOnly === true ? this.#action(...args) : Promise.reject(this.#refusal());
  }

  shutdown(): void {
    this.#circuit.shutdown();
  }

  async #probe(args: Args): Promise<Result> {
    this.#isProbing = true;
    try {
      return await this.#observe(args, true);
    } finally {
      this.#isProbing = false;
    }
  }

  async #observe(args: Args, isProbe: boolean): Promise<Result> {
    const { latencyMs } = this.numbers;
    const startedAtMs = latencyMs === undefined ? 0 : performance.now();
    let result: Result;
    try {
      result = await this.#action(...args);
    } catch (error) {
      if (this.#isFailure(error, ...args)) await this.#failed(isProbe, undefined);
      throw error;
    }
    if (latencyMs !== undefined && performance.now() - startedAtMs > latencyMs) {
      await this.#failed(isProbe, `calls took longer than ${latencyMs} ms`);
    } else {
      this.#inARow = 0;
      const told = this.#tell(isProbe, false);
      // Only then does anything change by it.
      if (isProbe) await told;
    }
    return result;
  }

  async #failed(isProbe: boolean, reason: string | undefined): Promise<void> {
    this.#inARow += 1;
    // One that stays open stays so for the reason it has.
    if (this.#circuit.closed) this.#reason = reason;
    await this.#tell(isProbe, true);
    const { consecutiveFailures } = this.numbers;
    if (consecutiveFailures === undefined || this.#inARow < consecutiveFailures || !this.#circuit.closed) return;
    this.#reason = reason ?? `${this.#inARow} calls in a row failed`;
    this.#circuit.open();
  }

  /** What a call says that was on its way when the breaker opened is known already. */
  #tell(isProbe: boolean, isFailure: boolean): Promise<void> | undefined {
    if (!isProbe && !this.#circuit.closed) return undefined;
    const told = this.#circuit.fire(isFailure);
    return isProbe || isFailure ? told.catch(() => {}) : told;
  }

  #refusal(): BreakerOpen {
    const waitMs = Math.max(0, this.#openedAtMs + this.numbers.openMs - performance.now());
    return new BreakerOpen(this.#reason ?? 'too many calls failed', Math.max(waitMs, 1000));
  }
}

function settle(isFailure: boolean): Promise<void> {
  return isFailure ? Promise.reject(new Error('a call failed')) : Promise.resolve();
}
