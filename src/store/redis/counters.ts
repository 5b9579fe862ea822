import { type Clock, type SteadyClock, systemSteadyClock } from '../../clock.ts';
import type { BudgetLimit, Demand } from '../../policy/compile-limits.ts';
import type { LocalCounter } from '../local-counter.ts';
import { LocalCounters, unitsOf } from '../local-counters.ts';
import type { Admitted, Cost, Counters, CounterUsage, Reservation, Taken } from '../ports/counters.ts';
import type { ReachStatus } from '../ports/reach.ts';
import { Reach } from '../reach.ts';
import type { StoreLog } from '../store-options.ts';
import { type Change, CounterLink, type LinkOptions, type LinkOwner } from './counter-link.ts';
import { type Decision, readDecision, toUsage, Views } from './decision.ts';

interface RedisOptions {
  readonly url: string;
  /** For the windows of budgets while Redis is away; otherwise the server's clock counts. */
  readonly clock: Clock;
  readonly steady?: SteadyClock | undefined;
  /** So many, at least, share the limits while Redis is away; what Redis said last counts when it is more. Default: 1. */
  readonly expectedReplicas?: number | undefined;
  /** How long a call waits for a Redis that is silent before it is decided without. Default: 80 ms. */
  readonly answerWithinMs?: number | undefined;
  /** How long what a crashed replica held stays held. Default: 15 s. */
  readonly leaseMs?: number | undefined;
  readonly warn: LinkOptions['warn'];
  /** Says when Redis is back. Default: nobody. */
  readonly log?: Pick<StoreLog, 'info'> | undefined;
}

/**
 * Counters that replicas share: one round trip per decision, by the clock of Redis. While Redis is away each limit goes its own
 * way (`whenStoreGone`), and what happened meanwhile is told when it is back. Opens without Redis, too.
 */
export async function openRedisCounters(options: RedisOptions): Promise<Counters> {
  const counters = new RedisCounters(options);
  await counters.open();
  return counters;
}

/** What one demand took. */
interface Taking {
  readonly demand: Demand;
  readonly amount: number;
  /** In Redis: the number of the entry of a rate; 0 for what was taken without. */
  readonly entry: number;
  /** Of the budget's window. */
  readonly startMs: number;
}

/** What a rate let through without Redis. */
interface TimedChange extends Change {
  /** By the steady clock: its age is another each time it is told. */
  readonly atMs: number;
}

/** Until Redis may be back. */
const goneRetryMs = 1_000;
/** What was seen earlier is no answer to how a counter stands now. */
const newsMs = 1_000;
/** Budgets that wait to be told (the oldest are forgotten), and what waits to be taken back (no more is kept). */
const mostOwed = 20_000;

const nobody = { info() {} };

class RedisCounters implements Counters, LinkOwner {
  /** What this replica let through itself, always: its share when Redis is away is counted from there. */
  readonly #local: LocalCounters;
  readonly #link: CounterLink;
  readonly #views: Views;
  readonly #options: RedisOptions;
  readonly #steady: SteadyClock;
  /** By counter, what this replica holds: slots, and estimates of budgets. */
  readonly #held = new Map<string, number>();
  /** What Redis has not been told that was spent. */
  readonly #owed = new Map<string, Change>();
  /** What Redis counted of rates and has not been told to take back. */
  #takenBack: Change[] = [];
  /** What rates let through without Redis, and what was left of it when a join broke off. */
  #untold: TimedChange[] = [];
  readonly #reach: Reach;
  #lostAtMs: number;
  #lostAtSteadyMs: number;

  constructor(options: RedisOptions) {
    const { url, clock, warn, steady = systemSteadyClock, answerWithinMs = 80, leaseMs = 15_000 } = options;
    this.#options = options;
    this.#steady = steady;
    this.#local = new LocalCounters({ clock, steady });
    this.#views = new Views(steady);
    this.#reach = new Reach({
      kind: 'redis',
      clock,
      log: options.log ?? nobody,
      back: 'Redis is back; limits are shared again.',
    });
    this.#link = new CounterLink({ url, answerWithinMs, leaseMs, warn }, this);
    this.#lostAtMs = clock.nowMs();
    this.#lostAtSteadyMs = steady.steadyMs();
  }

  async open(): Promise<void> {
    await this.#link.open();
  }

  take(demands: readonly Demand[], cost: Cost): Taken | Promise<Taken> {
    if (demands.length > 0 && this.#link.state === 'up') return this.#takeShared(demands, cost);
    return this.#takeAlone(demands, cost);
  }

  async usage(demands: readonly Demand[]): Promise<readonly CounterUsage[]> {
    const decision = this.#link.state === 'up' ? await this.#ask('look', demands, []) : undefined;
    if (decision === undefined) throw new Error('Redis cannot be reached; what is used up is not known right now.');
    const nowMs = this.#options.clock.nowMs();
    return demands.flatMap((demand, at) => {
      const counter = decision.counters[at];
      return counter ? [toUsage(demand, counter, nowMs)] : [];
    });
  }

  usageNow(demands: readonly Demand[]): readonly CounterUsage[] {
    if (this.#link.state !== 'up') return [];
    const nowMs = this.#options.clock.nowMs();
    return demands.flatMap((demand) => {
      const view = this.#views.get(demand.key);
      return view !== undefined && this.#steady.steadyMs() - view.atMs < newsMs ? [toUsage(demand, view, nowMs)] : [];
    });
  }

  async close(): Promise<void> {
    await this.#link.close();
  }

  reach(): ReachStatus {
    return this.#reach.status;
  }

  failed(error: unknown): void {
    this.#reach.lost(error);
  }

  found(): void {
    this.#reach.found();
  }

  lost(): void {
    this.#lostAtMs = this.#options.clock.nowMs();
    this.#partRates();
  }

  catchUp(): readonly Change[] {
    // First what was seen before: a Redis that lost its data would take what was spent since for all there is.
    const changes = [...this.#owed.values()].flatMap((change) => [...this.#floorOf(change), change]);
    this.#owed.clear();
    changes.push(...this.#takenBack);
    this.#takenBack = [];
    for (const [key, amount] of this.#held) changes.push({ key, line: ['hold', amount] });
    return [...changes, ...this.#rateChanges()];
  }

  /** What rates let through since Redis was lost or this was asked last. A join that breaks off has told some of it, and tells that no more. */
  #rateChanges(): readonly TimedChange[] {
    const nowMs = this.#steady.steadyMs();
    const changes = this.#untold.flatMap(({ atMs, key, line: [what, amount, , windowMs = 0, limit = 0] }): TimedChange[] => {
      const ageMs = Math.max(0, Math.round(nowMs - atMs));
      return ageMs < Number(windowMs) ? [{ atMs, key, line: [what, amount, ageMs, windowMs, limit] }] : [];
    });
    this.#untold = [];
    for (const [key, counter] of this.#local.entries()) {
      if (counter.kind !== 'rate') continue;
      counter.used(nowMs);
      for (const { atMs, amount } of counter.log.since(this.#lostAtSteadyMs)) {
        const ageMs = Math.max(0, Math.round(nowMs - atMs));
        changes.push({ atMs, key, line: ['add', amount, ageMs, counter.windowMs, counter.limit] });
      }
    }
    this.#partRates();
    return changes;
  }

  #partRates(): void {
    this.#lostAtSteadyMs = this.#steady.steadyMs();
    this.#local.part();
  }

  /**
   * Kept is what was spent, what is to be taken back, and what rates had let through when the join began: what is held, and what rates
   * let through since, is told anew.
   */
  unsent(changes: readonly (Change | TimedChange)[]): void {
    for (const change of changes) {
      const { key, line } = change;
      const [what, amount, window = '', startMs = ''] = line;
      if ('atMs' in change && this.#untold.length < mostOwed) this.#untold.push(change);
      if (what === 'subtract' && this.#takenBack.length < mostOwed) this.#takenBack.push(change);
      if (what !== 'spend') continue;
      const name = `${startMs} ${key}`;
      const earlier = this.#owed.get(name)?.line[1] ?? 0;
      this.#owed.set(name, { key, line: ['spend', earlier + amount, window, startMs] });
      if (this.#owed.size > mostOwed) this.#owed.delete(this.#owed.keys().next().value ?? '');
    }
  }

  #floorOf({ key, line: [, , window = '', startMs = 0] }: Change): Change[] {
    const view = this.#views.get(key);
    if (view?.startMs !== startMs) return [];
    const what = view.epoch === this.#link.epoch ? 'floor' : 'before';
    return [{ key, line: [what, view.spent, window, startMs] }];
  }

  async #takeShared(demands: readonly Demand[], cost: Cost): Promise<Taken> {
    const asked = demands.filter(({ limit }) => unitsOf(cost, limit) > 0);
    const amounts = asked.map(({ limit }) => unitsOf(cost, limit));
    const { holder } = this.#link;
    const decision = asked.length > 0 && (await this.#ask('take', asked, amounts));
    if (!decision) return this.#takeAlone(demands, cost);
    if (decision.refused) {
      this.#see(asked, decision);
      return decision.refused;
    }
    const wouldRefuse = asked.filter((_, at) => decision.counters[at]?.wouldRefuse);
    const local = this.#local.record(demands, cost, wouldRefuse);
    this.#see(asked, decision);
    const takings = demands.flatMap((demand): Taking[] => {
      if (wouldRefuse.includes(demand)) return [];
      const counter = decision.counters[asked.indexOf(demand)];
      const amount = unitsOf(cost, demand.limit);
      return [{ demand, amount, entry: this.#entryOf(demand, amount, counter?.entry), startMs: counter?.startMs ?? 0 }];
    });
    for (const { demand, amount } of takings) {
      if (!isHeld(demand) || amount === 0) continue;
      this.#hold(demand, amount);
      // Taken under a name that is void by now.
      if (holder !== this.#link.holder) this.#link.tell({ key: demand.key, line: ['hold', amount] });
    }
    return { kind: 'admitted', reservation: new SharedReservation(this, local.reservation, takings), wouldRefuse };
  }

  /** What this replica let through since Redis was lost is told anew, though Redis counted this one: its answer was under way. */
  #entryOf({ key, limit }: Demand, amount: number, entry = 0): number {
    if (limit.kind !== 'rate' || amount === 0 || this.#link.state === 'up') return entry;
    this.#link.tell({ key, line: ['subtract', amount, entry, limit.windowMs] });
    this.#link.tell({ key, line: ['add', amount, 0, limit.windowMs, limit.amount] });
    return 0;
  }

  /** The call was decided without this decision, and counts as it was decided. What was taken to be held is void with its holder. */
  #undo(demands: readonly Demand[], amounts: readonly number[], decision: Decision | undefined): void {
    if (decision === undefined || decision.refused) return;
    for (const [at, { key, limit }] of demands.entries()) {
      const [amount = 0, counter] = [amounts[at], decision.counters[at]];
      if (counter === undefined || counter.wouldRefuse || amount === 0) continue;
      if (limit.kind === 'rate') this.#link.tell({ key, line: ['subtract', amount, counter.entry, limit.windowMs] });
      else if (limit.kind === 'budget' && limit.unit === 'calls')
        this.#link.tell({ key, line: ['spend', -amount, limit.window, counter.startMs] });
    }
  }

  async #ask(mode: 'take' | 'look', demands: readonly Demand[], amounts: readonly number[]): Promise<Decision | undefined> {
    const { epoch } = this.#link;
    const keys = demands.map(({ key }) => key);
    const values = demands.flatMap((demand, at) => this.#views.valuesOf(demand, amounts[at] ?? 0, epoch));
    const reply = await this.#link.take(mode, keys, values, (late) => {
      if (mode === 'take') this.#undo(demands, amounts, readDecision(late, demands, amounts));
    });
    const decision = readDecision(reply, demands, amounts);
    if (decision === undefined) return undefined;
    this.#link.replicas = Math.max(1, decision.replicas);
    this.#link.notice(decision.epoch);
    return decision;
  }

  #see(demands: readonly Demand[], decision: Decision): void {
    for (const [at, demand] of demands.entries()) {
      const counter = decision.counters[at];
      const ownUsed = demand.limit.kind === 'budget' ? this.#local.counterOf(demand).used(0) : 0;
      if (counter) this.#views.see(demand, counter, decision.epoch, ownUsed);
    }
  }

  #takeAlone(demands: readonly Demand[], cost: Cost): Taken {
    const taken = this.#local.take(demands, cost, (demand, counter) => this.#boundOf(demand, counter));
    if (taken.kind === 'refused') return taken.reason === 'store-gone' ? { ...taken, retryAfterMs: goneRetryMs } : taken;
    const takings = demands.flatMap((demand) => (taken.wouldRefuse.includes(demand) ? [] : [this.#tellTaken(demand, cost)]));
    return { ...taken, reservation: new SharedReservation(this, taken.reservation, takings) };
  }

  #tellTaken(demand: Demand, cost: Cost): Taking {
    const { key, limit } = demand;
    const amount = unitsOf(cost, limit);
    const counter = this.#local.counterOf(demand);
    const startMs = counter.kind === 'budget' ? counter.startMs : 0;
    if (amount > 0) {
      if (limit.kind === 'rate') this.#link.tell({ key, line: ['add', amount, 0, limit.windowMs, limit.amount] });
      else if (limit.kind === 'budget' && limit.unit === 'calls') this.#spend(demand, limit, amount, startMs);
      else this.#tellHold(demand, amount);
    }
    return { demand, amount, entry: 0, startMs };
  }

  /** How much of a limit this replica may give out by itself. Below 0: nothing. */
  #boundOf({ key, limit }: Demand, counter: LocalCounter): number {
    if (limit.whenStoreGone === 'open') return Number.POSITIVE_INFINITY;
    if (limit.whenStoreGone === 'closed') return -1;
    const replicas = Math.max(this.#link.replicas, this.#options.expectedReplicas ?? 1);
    if (counter.kind !== 'budget') return Math.max(1, Math.floor(limit.amount / replicas));
    const view = this.#views.get(key);
    if (view !== undefined && view.startMs === counter.startMs)
      return view.ownUsed + Math.max(0, Math.floor((limit.amount - view.used) / replicas));
    // Nobody has spent anything of a window that began after Redis was lost; what is left of an older one is not known.
    const isFresh = counter.startMs > this.#lostAtMs || (view !== undefined && view.startMs < counter.startMs);
    return isFresh ? Math.floor(limit.amount / replicas) : -1;
  }

  settle(takings: readonly Taking[], actual: Cost | undefined): void {
    for (const taking of takings) {
      const { limit } = taking.demand;
      const used = actual === undefined ? taking.amount : unitsOf(actual, limit);
      if (limit.kind === 'rate') this.#settleRate(taking, used);
      else if (limit.kind === 'budget') this.#settleBudget(taking, limit, used);
    }
  }

  release(takings: readonly Taking[]): void {
    for (const { demand, amount } of takings) if (demand.limit.kind === 'concurrency') this.#tellHold(demand, -amount);
  }

  #settleRate({ demand: { key, limit }, amount, entry }: Taking, used: number): void {
    if (limit.kind !== 'rate' || used === amount) return;
    if (used > amount) this.#link.tell({ key, line: ['add', used - amount, 0, limit.windowMs, limit.amount] });
    else if (entry > 0) this.#link.tell({ key, line: ['subtract', amount - used, entry, limit.windowMs] });
    if (this.#link.state === 'up') this.#views.adjust(key, used - amount, 0);
  }

  #settleBudget({ demand, amount, startMs }: Taking, limit: BudgetLimit, used: number): void {
    if (limit.unit !== 'calls') {
      if (amount > 0) this.#tellHold(demand, -amount);
      if (used > 0) this.#spend(demand, limit, used, undefined);
      if (this.#link.state === 'up') this.#views.adjust(demand.key, -amount, 0);
    } else if (used !== amount) this.#spend(demand, limit, used - amount, used < amount ? startMs : undefined);
  }

  /** In that window or not at all; without one, in the window in which Redis hears of it. */
  #spend(demand: Demand, limit: BudgetLimit, amount: number, startMs: number | undefined): void {
    const counter = this.#local.counterOf(demand);
    const currentMs = counter.kind === 'budget' ? counter.startMs : 0;
    const when = startMs ?? (this.#link.state === 'away' ? currentMs : '');
    this.#link.tell({ key: demand.key, line: ['spend', amount, limit.window, when] });
    if (this.#link.state === 'up') this.#views.adjust(demand.key, amount, amount);
  }

  #tellHold(demand: Demand, amount: number): void {
    this.#hold(demand, amount);
    this.#link.tell({ key: demand.key, line: ['hold', amount] });
  }

  #hold({ key }: Demand, amount: number): void {
    const held = (this.#held.get(key) ?? 0) + amount;
    if (held > 0) this.#held.set(key, held);
    else this.#held.delete(key);
  }
}

/** Slots, and estimates, are held by this process and free when it dies. */
function isHeld({ limit }: Demand): boolean {
  return limit.kind === 'concurrency' || (limit.kind === 'budget' && limit.unit !== 'calls');
}

class SharedReservation implements Reservation {
  readonly #counters: RedisCounters;
  readonly #local: Admitted['reservation'];
  readonly #takings: readonly Taking[];
  #isSettled = false;
  #hasLeft = false;

  constructor(counters: RedisCounters, local: Admitted['reservation'], takings: readonly Taking[]) {
    this.#counters = counters;
    this.#local = local;
    this.#takings = takings;
  }

  settle(actual: Cost): void {
    this.#local.settle(actual);
    this.#settle(actual);
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#local.leave();
    this.#counters.release(this.#takings);
  }

  release(): void {
    this.#local.release();
    this.#settle(undefined);
    this.leave();
  }

  #settle(actual: Cost | undefined): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#counters.settle(this.#takings, actual);
  }
}
