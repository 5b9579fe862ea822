import type { ModelFailover, TargetLimits } from '../../catalog/config.ts';
import { RollingSum } from './rolling-sum.ts';

export interface TargetStatus {
  readonly name: string;
  /** `out`: left out of routing; `returning`: its time is over, and one call tries it; `full`: over a limit of its own. */
  readonly state: 'in' | 'out' | 'returning' | 'full';
  /** Why it is out. */
  readonly reason: string | undefined;
  readonly untilMs: number | undefined;
  readonly callsInFlight: number;
  /** Of the window of its error rate. */
  readonly calls: number;
  readonly failures: number;
  /** Until its answers begin, as it went lately; undefined where nothing is known. */
  readonly latencyMs: number | undefined;
}

const minuteMs = 60_000;
const slots = 12;
const soonMs = 1_000;
/** The share of the newest value. */
const newestShare = 0.3;

/** One target of a model: how it fares, and what its limits leave of it. Knows no clock: whoever asks says the time. */
export class TargetState {
  readonly name: string;
  readonly #failover: ModelFailover;
  readonly #limits: TargetLimits;
  readonly #calls: RollingSum;
  readonly #failures: RollingSum;
  readonly #requests = new RollingSum(minuteMs, slots);
  readonly #tokens = new RollingSum(minuteMs, slots);
  #inARow = 0;
  #outUntilMs: number | undefined;
  #reason: string | undefined;
  #saysItself = false;
  #level = 0;
  #returnedAtMs = Number.NEGATIVE_INFINITY;
  #isProbed = false;
  #inFlight = 0;
  #latencyMs = 0;
  #latencyAtMs = Number.NEGATIVE_INFINITY;

  constructor(name: string, limits: TargetLimits, failover: ModelFailover) {
    this.name = name;
    this.#limits = limits;
    this.#failover = failover;
    this.#calls = new RollingSum(failover.windowMs, slots);
    this.#failures = new RollingSum(failover.windowMs, slots);
  }

  /** Calls may go to it: it is in, or it comes back and nobody tries it yet. */
  isFree(tokens: number, nowMs: number): boolean {
    if (this.#outUntilMs !== undefined && (nowMs < this.#outUntilMs || this.#isProbed)) return false;
    return !this.isFull(tokens, nowMs);
  }

  /** Over a limit of its own. */
  isFull(tokens: number, nowMs: number): boolean {
    const { rpm, tpm, concurrency } = this.#limits;
    if (concurrency !== undefined && this.#inFlight >= concurrency) return true;
    if (rpm !== undefined && this.#requests.total(nowMs) >= rpm) return true;
    if (tpm === undefined) return false;
    // One that is larger than the limit itself is for the provider to judge.
    const used = this.#tokens.total(nowMs);
    return used > 0 && used + tokens > tpm;
  }

  /** Its provider said when to come back, and that is not now: it is not even tried where nothing else is left. */
  isHeld(nowMs: number): boolean {
    return this.#saysItself && this.#outUntilMs !== undefined && nowMs < this.#outUntilMs;
  }

  /** When it comes back, or a slot of its limits may be free; now, where it is free. */
  freeAtMs(tokens: number, nowMs: number): number {
    return Math.max(this.#roomAtMs(tokens, nowMs), this.#outUntilMs ?? nowMs);
  }

  #roomAtMs(tokens: number, nowMs: number): number {
    if (!this.isFull(tokens, nowMs)) return nowMs;
    const { rpm, tpm } = this.#limits;
    const calls = rpm === undefined ? nowMs : this.#requests.fallsToAtMs(rpm - 1, nowMs);
    const used = tpm === undefined ? nowMs : this.#tokens.fallsToAtMs(Math.max(0, tpm - tokens), nowMs);
    // Nobody knows when a call ends.
    return Math.max(calls, used, nowMs + soonMs);
  }

  get outUntilMs(): number {
    return this.#outUntilMs ?? Number.NEGATIVE_INFINITY;
  }

  get callsInFlight(): number {
    return this.#inFlight;
  }

  /** Undefined where it was not measured lately. */
  latencyMs(nowMs: number): number | undefined {
    return nowMs - this.#latencyAtMs > this.#failover.windowMs ? undefined : this.#latencyMs;
  }

  /** Takes a call on. Returns whether the call decides if the target comes back. */
  take(tokens: number, nowMs: number): boolean {
    this.#inFlight++;
    this.#requests.add(1, nowMs);
    if (tokens > 0) this.#tokens.add(tokens, nowMs);
    if (this.#outUntilMs === undefined || this.#isProbed) return false;
    this.#isProbed = true;
    return true;
  }

  /** A call is over, whatever came of it. */
  give(isProbe: boolean): void {
    this.#inFlight--;
    if (isProbe) this.#isProbed = false;
  }

  /** A call that was taken on never went out. */
  unsent(tokens: number, nowMs: number): void {
    this.#requests.takeBack(1, nowMs);
    if (tokens > 0) this.#tokens.takeBack(tokens, nowMs);
  }

  /** It used so many tokens more than was thought, or fewer. */
  correct(tokens: number, nowMs: number): void {
    if (tokens >= 0) this.#tokens.add(tokens, nowMs);
    else this.#tokens.takeBack(-tokens, nowMs);
  }

  measured(latencyMs: number, nowMs: number): void {
    const known = this.latencyMs(nowMs);
    this.#latencyMs = known === undefined ? latencyMs : known + newestShare * (latencyMs - known);
    this.#latencyAtMs = nowMs;
  }

  /** Returns whether it came back with that. */
  succeeded(isProbe: boolean, nowMs: number): boolean {
    if (this.#outUntilMs !== undefined) {
      if (!isProbe) return false;
      this.#comeBack(nowMs);
      return true;
    }
    this.#inARow = 0;
    this.#calls.add(1, nowMs);
    return false;
  }

  /** Returns when it comes back, where it is left out with that. */
  failed(
    isProbe: boolean,
    failure: { readonly reason: string; readonly isFull: boolean; readonly retryAfterMs: number | undefined },
    nowMs: number,
  ): number | undefined {
    const { reason, isFull, retryAfterMs } = failure;
    if (this.#outUntilMs !== undefined) return isProbe ? this.#leave(reason, retryAfterMs, nowMs, true) : undefined;
    this.#inARow++;
    this.#calls.add(1, nowMs);
    this.#failures.add(1, nowMs);
    const why = isFull ? reason : this.#tooMany(reason, nowMs);
    return why === undefined ? undefined : this.#leave(why, retryAfterMs, nowMs, false);
  }

  status(nowMs: number): TargetStatus {
    const until = this.#outUntilMs;
    return {
      name: this.name,
      state: until === undefined ? (this.isFull(0, nowMs) ? 'full' : 'in') : nowMs < until ? 'out' : 'returning',
      reason: this.#reason,
      untilMs: until,
      callsInFlight: this.#inFlight,
      calls: this.#calls.total(nowMs),
      failures: this.#failures.total(nowMs),
      latencyMs: this.latencyMs(nowMs),
    };
  }

  #tooMany(reason: string, nowMs: number): string | undefined {
    const { consecutiveErrors, errorRate, minimumCalls } = this.#failover;
    if (this.#inARow >= consecutiveErrors) return `${this.#inARow} calls in a row failed, the last because ${reason}`;
    const [calls, failures] = [this.#calls.total(nowMs), this.#failures.total(nowMs)];
    if (calls < minimumCalls || failures / calls < errorRate) return undefined;
    return `${failures} of ${calls} calls failed, the last because ${reason}`;
  }

  #leave(reason: string, retryAfterMs: number | undefined, nowMs: number, isAgain: boolean): number {
    const { windowMs, ejectMs, longestEjectMs } = this.#failover;
    const isSoon = isAgain || nowMs - this.#returnedAtMs < windowMs;
    this.#level = isSoon ? Math.min(this.#level + 1, 40) : 0;
    const ownMs = Math.min(ejectMs * 2 ** this.#level, longestEjectMs);
    // What the provider says counts; one that says too little again and again is waited for longer.
    const outMs = retryAfterMs === undefined ? ownMs : Math.max(retryAfterMs, isSoon ? ownMs : 1);
    this.#outUntilMs = nowMs + outMs;
    this.#saysItself = retryAfterMs !== undefined;
    this.#reason = reason;
    return this.#outUntilMs;
  }

  #comeBack(nowMs: number): void {
    this.#outUntilMs = undefined;
    this.#reason = undefined;
    this.#saysItself = false;
    this.#returnedAtMs = nowMs;
    this.#inARow = 0;
    this.#calls.clear();
    this.#failures.clear();
  }
}
