import type { SteadyClock } from '../../clock.ts';
import type { Demand, Limit } from '../../policy/compile-limits.ts';
import type { CounterUsage, Refused } from '../ports/counters.ts';

/** What the deciding script answered. */
export interface Decision {
  readonly epoch: string;
  readonly replicas: number;
  readonly refused: Refused | undefined;
  /** In the order of the demands. */
  readonly counters: readonly DecidedCounter[];
}

interface DecidedCounter {
  readonly used: number;
  readonly spent: number;
  /** The number of the entry of a rate. */
  readonly entry: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly wouldRefuse: boolean;
}

/** What this replica saw of a counter last. */
export interface View extends DecidedCounter {
  readonly limit: Limit;
  readonly epoch: string;
  readonly atMs: number;
  /** How much of what is used was this replica's. */
  readonly ownUsed: number;
}

const headLength = 4;
const fieldsPerCounter = 6;
/** Looked at whenever a counter is seen for the first time: more go than come. */
const sweepPerView = 2;

/** Undefined when something else answers in the script's place. */
export function readDecision(reply: unknown, demands: readonly Demand[], amounts: readonly number[]): Decision | undefined {
  if (!Array.isArray(reply) || reply.length !== headLength + fieldsPerCounter * demands.length) return undefined;
  const numbers = reply.map(Number);
  const at = (index: number) => numbers[index] ?? 0;
  const counters = demands.map((_, index) => {
    const base = headLength + index * fieldsPerCounter;
    return {
      used: at(base),
      spent: at(base + 1),
      entry: at(base + 2),
      startMs: at(base + 3),
      endMs: at(base + 4),
      wouldRefuse: at(base + 5) === 1,
    };
  });
  const refusing = at(2) - 1;
  const demand = demands[refusing];
  const refused = demand && refusal(demand, amounts[refusing] ?? 0, counters[refusing]?.used ?? 0, at(3));
  return { epoch: String(reply[0]), replicas: at(1), refused, counters };
}

function refusal(demand: Demand, amount: number, used: number, waitMs: number): Refused {
  const reason = amount > demand.limit.amount ? 'too-large' : 'used-up';
  return { kind: 'refused', demand, reason, used, retryAfterMs: Math.max(1, waitMs) };
}

export function toUsage(demand: Demand, { used, endMs }: DecidedCounter, nowMs: number): CounterUsage {
  return { demand, used, resetsInMs: demand.limit.kind === 'budget' ? Math.max(1, endMs - nowMs) : 0 };
}

/** What this replica saw last of each counter; what tells nothing any more is forgotten. */
export class Views {
  readonly #views = new Map<string, View>();
  readonly #steady: SteadyClock;
  #sweep = this.#views.entries();

  constructor(steady: SteadyClock) {
    this.#steady = steady;
  }

  get size(): number {
    return this.#views.size;
  }

  get(key: string): View | undefined {
    return this.#views.get(key);
  }

  see({ key, limit }: Demand, counter: DecidedCounter, epoch: string, ownUsed: number): void {
    // A slot that was seen taken says nothing later.
    if (limit.kind === 'concurrency') return;
    if (!this.#views.has(key)) this.#dropOld();
    this.#views.set(key, { ...counter, limit, epoch, atMs: this.#steady.steadyMs(), ownUsed });
  }

  /** This replica used more, or less, than Redis had counted when it was seen. */
  adjust(key: string, used: number, spent: number): void {
    const view = this.#views.get(key);
    if (view) this.#views.set(key, { ...view, used: Math.max(0, view.used + used), spent: Math.max(0, view.spent + spent) });
  }

  /** The eight values of a demand that the deciding script reads. */
  valuesOf({ key, limit }: Demand, amount: number, epoch: string): (string | number)[] {
    const shadow = limit.isShadow ? 1 : 0;
    if (limit.kind === 'concurrency') return ['concurrency', limit.amount, 0, amount, shadow, -1, 0, 0];
    const view = this.#views.get(key);
    const isStale = view !== undefined && view.epoch !== epoch ? 1 : 0;
    if (limit.kind === 'budget') {
      const seen = view ? [view.spent, view.startMs] : [-1, 0];
      const kind = limit.unit === 'calls' ? 'calls' : 'estimate';
      return [kind, limit.amount, limit.window, amount, shadow, ...seen, isStale];
    }
    const ageMs = view ? Math.round(this.#steady.steadyMs() - view.atMs) : 0;
    const seen = view && ageMs < limit.windowMs ? [view.used, ageMs] : [-1, 0];
    return ['rate', limit.amount, limit.windowMs, amount, shadow, ...seen, isStale];
  }

  #dropOld(): void {
    const nowMs = this.#steady.steadyMs();
    for (let looked = 0; looked < sweepPerView; looked += 1) {
      const { value, done } = this.#sweep.next();
      if (done) {
        this.#sweep = this.#views.entries();
        return;
      }
      const [key, { limit, atMs, startMs, endMs }] = value;
      const lastsMs = limit.kind === 'rate' ? limit.windowMs : endMs - startMs;
      if (nowMs - atMs > lastsMs) this.#views.delete(key);
    }
  }
}
