import type { Clock } from '../clock.ts';
import { windowAt } from '../policy/calendar.ts';
import type { BudgetLimit, Limit } from '../policy/compile-limits.ts';
import type { StoredBudget } from './ports/budgets.ts';
import { RateLog } from './rate-log.ts';

/** One counter in this process. Of every kind: what fits is asked first, then taken, settled and released. */
export type LocalCounter = RateCounter | SlotCounter | BudgetCounter;

/** Promises beyond so many windows are not kept: whoever is told never comes back, or comes before. */
export const mostPromisedWindows = 10;
/** How late a caller may be for the time it was told, without being in the way of another. */
export const latenessMs = 50;

/** A slot is free when some call ends, whenever that is. */
const slotRetryMs = 1_000;

export class RateCounter {
  readonly kind = 'rate';
  readonly log = new RateLog();
  /** Who was refused and told when to come back: what they will take by then is not promised to the next. */
  readonly #promised = new RateLog();
  readonly windowMs: number;
  /** The last one it was held to. */
  limit = 0;
  /** Reservations that may still be settled: they know their entry by its number in this log. */
  #unsettled = 0;

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /**
   * 0 when `amount` more fits within the limit. Otherwise when it will, if all who were told so before come when they were told: a
   * crowd that waits as it is told finds its places free, one after the other.
   */
  waitMs(amount: number, limit: number, steadyMs: number): number {
    this.log.prune(steadyMs, this.windowMs);
    if (this.log.total + amount <= limit) return 0;
    if (amount > limit) return this.windowMs;
    this.#promised.prune(steadyMs, 0);
    const most = limit - amount;
    // Who is told the same second may come in any order within it.
    const { total, lastMs } = this.#promised;
    const leavesMs = total > most ? this.#promised.newestOver(most) : this.log.newestOver(most - total);
    return Math.max(1, (leavesMs ?? steadyMs) + this.windowMs - steadyMs, lastMs - 1000 - latenessMs - steadyMs);
  }

  /**
   * Notes that somebody was told to come back after `waitMs`, which clients hear in whole seconds. Takes nothing. What is promised is
   * noted by the second, so that a crowd takes an entry for each and no more.
   */
  promise(amount: number, waitMs: number, limit: number, steadyMs: number): void {
    if (amount > limit || this.#promised.total + amount > mostPromisedWindows * limit) return;
    const latestMs = steadyMs + Math.ceil(waitMs / 1000) * 1000 + latenessMs;
    this.#promised.add(Math.ceil(latestMs / 1000) * 1000, amount, limit);
  }

  /** Returns what `settle` needs to find it again. */
  take(amount: number, limit: number, steadyMs: number, fromMs = 0): number {
    this.#unsettled += 1;
    this.limit = limit;
    return this.log.add(steadyMs, amount, limit, fromMs);
  }

  settle(entry: number, reserved: number, actual: number, limit: number, steadyMs: number, fromMs = 0): void {
    if (reserved > 0) this.#unsettled -= 1;
    if (actual < reserved) this.log.subtract(entry, reserved - actual);
    else if (actual > reserved) this.log.add(steadyMs, actual - reserved, limit, fromMs);
  }

  used(steadyMs: number): number {
    this.log.prune(steadyMs, this.windowMs);
    return this.log.total;
  }

  isIdle(steadyMs: number): boolean {
    return this.#unsettled === 0 && this.used(steadyMs) === 0 && this.log.isEmpty;
  }
}

class SlotCounter {
  readonly kind = 'concurrency';
  #held = 0;

  waitMs(amount: number, limit: number): number {
    return this.#held + amount <= limit ? 0 : slotRetryMs;
  }

  take(amount: number): number {
    this.#held += amount;
    return 0;
  }

  release(amount: number): void {
    this.#held = Math.max(0, this.#held - amount);
  }

  used(): number {
    return this.#held;
  }

  isIdle(): boolean {
    return this.#held === 0;
  }
}

/**
 * Calls are spent when they are let through; estimates of tokens and money are held until they are settled. What is settled in
 * a later window counts in that one.
 */
export class BudgetCounter {
  readonly kind = 'budget';
  readonly key: string;
  spent = 0;
  held = 0;
  startMs = 0;
  endMs = 0;
  readonly #clock: Clock;
  readonly #limit: BudgetLimit;

  constructor(key: string, limit: BudgetLimit, clock: Clock, stored: StoredBudget | undefined) {
    this.key = key;
    this.#limit = limit;
    this.#clock = clock;
    this.startMs = stored?.windowStartMs ?? 0;
    this.endMs = stored?.windowEndMs ?? 0;
    this.spent = stored?.spent ?? 0;
    this.#roll();
  }

  waitMs(amount: number, limit: number): number {
    const nowMs = this.#roll();
    return this.spent + this.held + amount <= limit ? 0 : Math.max(1, this.endMs - nowMs);
  }

  /** Returns the window it was taken in. */
  take(amount: number): number {
    if (this.#limit.unit === 'calls') this.spent += amount;
    else this.held += amount;
    return this.startMs;
  }

  settle(startMs: number, reserved: number, actual: number): void {
    this.#roll();
    if (this.#limit.unit !== 'calls') {
      this.held = Math.max(0, this.held - reserved);
      this.spent += actual;
    } else if (actual > reserved || startMs === this.startMs) {
      this.spent = Math.max(0, this.spent + actual - reserved);
    }
  }

  used(): number {
    this.#roll();
    return this.spent + this.held;
  }

  resetsInMs(): number {
    return Math.max(1, this.endMs - this.#roll());
  }

  isIdle(): boolean {
    const nowMs = this.#clock.nowMs();
    return this.held === 0 && (this.spent === 0 || nowMs >= this.endMs);
  }

  /** Begins a new window when the old one is over. A clock that was set back moves the window with it: nothing is refilled. */
  #roll(): number {
    const nowMs = this.#clock.nowMs();
    if (nowMs >= this.startMs && nowMs < this.endMs) return nowMs;
    const { startMs, endMs } = windowAt(this.#limit.window, nowMs);
    if (startMs > this.startMs) this.spent = 0;
    this.startMs = startMs;
    this.endMs = endMs;
    return nowMs;
  }
}

export function makeCounter(key: string, limit: Limit, clock: Clock, stored: StoredBudget | undefined): LocalCounter {
  switch (limit.kind) {
    case 'rate':
      return new RateCounter(limit.windowMs);
    case 'concurrency':
      return new SlotCounter();
    case 'budget':
      return new BudgetCounter(key, limit, clock, stored);
  }
}
