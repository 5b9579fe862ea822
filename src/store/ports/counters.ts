import type { Demand } from '../../policy/compile-limits.ts';
import type { ReachStatus } from './reach.ts';

/**
 * Where limits are counted; every implementation passes test/contracts/counters.contract.ts. In any window of a rate the calls
 * let through are never more than its amount, and never under 99 % of it while more is asked for; a budget is exact.
 */
export interface Counters {
  /**
   * Takes from every counter that is asked, or from none. Each counter at most once per call. An answer known at once is no
   * promise. Never throws: where the counters cannot be reached, each limit's `whenStoreGone` decides.
   */
  take(demands: readonly Demand[], cost: Cost): Taken | Promise<Taken>;
  /** What is used up right now; takes nothing. Throws when the counters cannot be reached. */
  usage(demands: readonly Demand[]): Promise<readonly CounterUsage[]>;
  /** The same, of what this process knows at once: all, where the counters are here; else what `take` has just seen, refused or not. */
  usageNow(demands: readonly Demand[]): readonly CounterUsage[];
  /** Of the server that counts; not there where it is this process. */
  reach?(): ReachStatus;
  /** Writes what is still to be written. What is held then is given up. */
  close(): Promise<void>;
}

/** What one call uses up, in whole units; what a limit does not count is left alone by it. */
export interface Cost {
  readonly calls: number;
  /** An estimate at first, at least 1 where the call will use any. 0 for what uses none: token limits do not hold it back. */
  readonly tokens: number;
  /** Billionths of a US dollar; as with tokens. */
  readonly nanoUsd: number;
}

export type Taken = Admitted | Refused;

export interface Admitted {
  readonly kind: 'admitted';
  readonly reservation: Reservation;
  /** Demands of shadow limits that would have refused. Their counters were left as they were. */
  readonly wouldRefuse: readonly Demand[];
}

export interface Refused {
  readonly kind: 'refused';
  /** Of those that refuse, the one with the longest wait. */
  readonly demand: Demand;
  /** `too-large`: this call asks for more than the limit ever allows; `store-gone`: the counters cannot be reached. */
  readonly reason: 'used-up' | 'too-large' | 'store-gone';
  /** In the limit's units. */
  readonly used: number;
  /** Until the same call may succeed, at least 1. */
  readonly retryAfterMs: number;
}

/**
 * What an admitted call holds. Estimates of budgets and slots are held under a lease that this process renews, however long
 * the call takes; when the process dies, they are free again within half a minute.
 */
export interface Reservation {
  /** Puts what was really used in the place of the estimate, once; later calls change nothing. May exceed a limit. */
  settle(actual: Cost): void;
  /** Frees the slots, once, and nothing else: of a call that waits for something else than its upstream. */
  leave(): void;
  /** Frees the slots, once. What was not settled counts as it was asked for. */
  release(): void;
}

export interface CounterUsage {
  readonly demand: Demand;
  /** In the limit's units: in the last window, in this calendar window, or at this moment. */
  readonly used: number;
  /** Until a budget is full again; 0 for other limits. */
  readonly resetsInMs: number;
}
