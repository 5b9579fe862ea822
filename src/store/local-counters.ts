import type { Clock, SteadyClock } from '../clock.ts';
import type { Demand, Limit } from '../policy/compile-limits.ts';
import { type BudgetCounter, type LocalCounter, makeCounter } from './local-counter.ts';
import type { StoredBudget } from './ports/budgets.ts';
import type { Admitted, Cost, CounterUsage, Refused, Reservation, Taken } from './ports/counters.ts';

interface LocalOptions {
  readonly clock: Clock;
  readonly steady: SteadyClock;
  /** What was spent before this process began, by key; each is taken out when its counter is made. */
  readonly stored?: Map<string, StoredBudget>;
  /** Hears of each budget that changed. */
  readonly onSpent?: (counter: BudgetCounter) => void;
}

/** How much of a limit holds here and now: less than its amount where replicas share it, below 0 where nothing may pass. */
type BoundOf = (demand: Demand, counter: LocalCounter) => number;

const noDemands: readonly Demand[] = Object.freeze([]);
/** Looked at whenever a counter is made: more go than come, so memory holds what is in use and little else. */
const sweepPerCounter = 2;

/** The counters of this process: alone, they are the limits of a gateway of one process; beside Redis, its part of them. */
export class LocalCounters {
  readonly #counters = new Map<string, LocalCounter>();
  readonly #options: LocalOptions;
  #sweep: MapIterator<[string, LocalCounter]>;
  #partedMs = 0;

  constructor(options: LocalOptions) {
    this.#options = options;
    this.#sweep = this.#counters.entries();
  }

  get size(): number {
    return this.#counters.size;
  }

  get steadyMs(): number {
    return this.#options.steady.steadyMs();
  }

  /** What rates let through from now on is kept apart from what they did before. */
  part(): void {
    this.#partedMs = this.steadyMs;
  }

  entries(): IterableIterator<[string, LocalCounter]> {
    return this.#counters.entries();
  }

  /** Takes what fits everywhere or nothing anywhere. */
  take(demands: readonly Demand[], cost: Cost, boundOf: BoundOf = amountOf): Taken {
    const steadyMs = this.steadyMs;
    let refusing: Demand | undefined;
    let longestMs = 0;
    let wouldRefuse = noDemands;
    for (const demand of demands) {
      const amount = unitsOf(cost, demand.limit);
      if (amount === 0) continue;
      const counter = this.counterOf(demand);
      const waitMs = counter.waitMs(amount, boundOf(demand, counter), steadyMs);
      if (waitMs === 0) continue;
      if (demand.limit.isShadow) wouldRefuse = [...wouldRefuse, demand];
      else if (waitMs > longestMs) {
        refusing = demand;
        longestMs = waitMs;
      }
    }
    return refusing === undefined
      ? this.#count(demands, cost, wouldRefuse, steadyMs)
      : this.#refuse(refusing, cost, boundOf, longestMs);
  }

  /** Counts a call that was let through, here or by others, whatever the limits say. */
  record(demands: readonly Demand[], cost: Cost, wouldRefuse: readonly Demand[]): Admitted {
    return this.#count(demands, cost, wouldRefuse, this.steadyMs);
  }

  #count(demands: readonly Demand[], cost: Cost, wouldRefuse: readonly Demand[], steadyMs: number): Admitted {
    const takings: Taking[] = [];
    for (const demand of demands) {
      if (wouldRefuse.length > 0 && wouldRefuse.includes(demand)) continue;
      const counter = this.counterOf(demand);
      const amount = unitsOf(cost, demand.limit);
      const mark = amount === 0 ? 0 : counter.take(amount, demand.limit.amount, steadyMs, this.#partedMs);
      takings.push({ demand, counter, amount, mark });
      if (counter.kind === 'budget') this.#options.onSpent?.(counter);
    }
    return { kind: 'admitted', reservation: new LocalReservation(this, takings), wouldRefuse };
  }

  settle(takings: readonly Taking[], actual: Cost | undefined): void {
    const steadyMs = this.steadyMs;
    for (const { demand, counter, amount, mark } of takings) {
      if (counter.kind === 'concurrency') continue;
      const used = actual === undefined ? amount : unitsOf(actual, demand.limit);
      if (amount === 0 && used === 0) continue;
      // One that held nothing may have been dropped, and made again, since.
      const current = amount === 0 ? this.counterOf(demand) : counter;
      if (current.kind === 'concurrency') continue;
      current.settle(mark, amount, used, demand.limit.amount, steadyMs, this.#partedMs);
      if (current.kind === 'budget') this.#options.onSpent?.(current);
    }
  }

  usage(demands: readonly Demand[]): CounterUsage[] {
    return demands.map((demand) => {
      const counter = this.counterOf(demand);
      const resetsInMs = counter.kind === 'budget' ? counter.resetsInMs() : 0;
      return { demand, used: counter.used(this.steadyMs), resetsInMs };
    });
  }

  counterOf(demand: Demand): LocalCounter {
    const { key, limit } = demand;
    const known = this.#counters.get(key);
    if (known !== undefined && known.kind === limit.kind) return known;
    this.#dropIdle();
    const stored = this.#options.stored?.get(key);
    this.#options.stored?.delete(key);
    const made = makeCounter(key, limit, this.#options.clock, stored);
    this.#counters.set(key, made);
    return made;
  }

  #refuse(demand: Demand, cost: Cost, boundOf: BoundOf, retryAfterMs: number): Refused {
    const counter = this.counterOf(demand);
    const amount = unitsOf(cost, demand.limit);
    if (counter.kind === 'rate') counter.promise(amount, retryAfterMs, boundOf(demand, counter), this.steadyMs);
    const isTooLarge = amount > demand.limit.amount;
    const reason = isTooLarge ? 'too-large' : boundOf(demand, counter) < 0 ? 'store-gone' : 'used-up';
    return { kind: 'refused', demand, reason, used: counter.used(this.steadyMs), retryAfterMs };
  }

  #dropIdle(): void {
    const steadyMs = this.steadyMs;
    for (let looked = 0; looked < sweepPerCounter; looked += 1) {
      const { value, done } = this.#sweep.next();
      if (done) {
        this.#sweep = this.#counters.entries();
        return;
      }
      if (value[1].isIdle(steadyMs)) this.#counters.delete(value[0]);
    }
  }
}

/** What one demand took of its counter. */
interface Taking {
  readonly demand: Demand;
  readonly counter: LocalCounter;
  readonly amount: number;
  /** Where the counter finds it again. */
  readonly mark: number;
}

class LocalReservation implements Reservation {
  readonly #counters: LocalCounters;
  readonly #takings: readonly Taking[];
  #isSettled = false;
  #hasLeft = false;

  constructor(counters: LocalCounters, takings: readonly Taking[]) {
    this.#counters = counters;
    this.#takings = takings;
  }

  settle(actual: Cost): void {
    this.#settle(actual);
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    for (const { counter, amount } of this.#takings) if (counter.kind === 'concurrency') counter.release(amount);
  }

  release(): void {
    this.#settle(undefined);
    this.leave();
  }

  #settle(actual: Cost | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#counters.settle(this.#takings, actual);
  }
}

/** Whole, not negative and countable, whatever an upstream reported. */
export function unitsOf(cost: Cost, limit: Limit): number {
  const amount = limit.kind === 'concurrency' ? 1 : cost[limit.unit];
  if (amount >= 0 && amount <= Number.MAX_SAFE_INTEGER) return Math.ceil(amount);
  return amount > 0 ? Number.MAX_SAFE_INTEGER : 0;
}

function amountOf({ limit }: Demand): number {
  return limit.amount;
}
