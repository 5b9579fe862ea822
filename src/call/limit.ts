/** Refuses what is over a limit or a budget of any level. Whoever is refused has used up nothing. */
import { GatewayError } from '../errors.ts';
import { type Demand, demandsFor, type Limit } from '../policy/compile-limits.ts';
import { describeAmount, describeQuantity } from '../policy/describe-limit.ts';
import type { Cost, Counters, CounterUsage, Refused, Reservation, Taken } from '../store/ports/counters.ts';
import type { CallEstimate } from '../upstreams/upstream.ts';
import type { Permit } from './authorize.ts';

declare const admitted: unique symbol;

/** A call that every limit has let in. Only this file makes one. */
export interface Admission extends Permit {
  readonly [admitted]: true;
  /** What it asked of each limit. */
  readonly demands: readonly Demand[];
  /** What it holds until it ends; undefined where no limit applies. */
  readonly reservation: Reservation | undefined;
  /** Tokens and money were reserved by an estimate. */
  readonly isEstimated: boolean;
  /** Limits in shadow mode that would have refused it. */
  readonly shadowRefusals: number;
}

const noCost = Object.freeze({ calls: 0, tokens: 0, nanoUsd: 0 });
const oneCall = Object.freeze({ calls: 1, tokens: 0, nanoUsd: 0 });

/** What the limits of a call have used up, for explanations: nothing is taken. Goes no further than `screen`. Throws when the counters cannot be reached. */
export async function peek(
  counters: Counters,
  permit: Permit,
): Promise<{ readonly usage: readonly CounterUsage[]; readonly admission: Admission }> {
  const demands = demandsOf(permit);
  const admission = unlimited(permit, demands);
  return { usage: demands.length === 0 ? [] : await counters.usage(demands), admission };
}

/**
 * How the rates of a call stand after it was let in, for its client; as far as that can be said at once. What all callers of a
 * capability, a namespace or the gateway come to is nothing for one of them to watch.
 */
export function ratesOf(counters: Counters, { demands }: Pick<Admission, 'demands'>): readonly CounterUsage[] {
  const isShown = ({ limit: { kind, isShadow, per } }: Demand) => kind === 'rate' && !isShadow && !isOfAll(per);
  const rates = demands.filter(isShown);
  return rates.length === 0 ? [] : counters.usageNow(rates);
}

/** A refusal that knows how the rates of its caller stand. */
export class LimitRefusal extends GatewayError {
  /** As `ratesOf`; of the unit that is used up the limit alone that refused, with the time until the same call may succeed. */
  readonly rates: () => readonly CounterUsage[];

  constructor(
    code: 'rate_limited' | 'limit_reached',
    message: string,
    rates: LimitRefusal['rates'],
    details: { readonly retryAfterMs?: number } = {},
  ) {
    super(code, message, details);
    this.rates = rates;
  }
}

/** How a limit stands that has refused a call; empty for one that no client counts along with: of calls at the same time, and of money. */
export function refusedRate({ demand, reason, used, retryAfterMs }: Refused): readonly CounterUsage[] {
  const { kind, unit, amount, per } = demand.limit;
  if (kind === 'concurrency' || unit === 'nanoUsd') return [];
  // What is left for all together is no more than the refusal says.
  const isUntold = reason === 'store-gone' || isOfAll(per);
  return [{ demand, used: isUntold ? amount : used, resetsInMs: retryAfterMs }];
}

// A caller over its own limit hears it from HTTP on every door; a limit that others have used up too is the tool's answer.
const ownLevels: readonly Limit['per'][] = ['consumer', 'key', 'member'];

function isOfAll(per: Limit['per']): boolean {
  return !ownLevels.includes(per);
}

/** At once where the counters are in this process. Throws, or rejects with, LimitRefusal: `rate_limited` and `limit_reached`. */
export function limit(counters: Counters, permit: Permit): Admission | Promise<Admission> {
  const demands = demandsOf(permit);
  if (demands.length === 0) return unlimited(permit, demands);
  // Whatever is no model uses neither tokens nor money.
  const isEstimated = demands.some(({ limit: { unit } }) => unit !== 'calls') && permit.member.config.kind === 'model';
  const estimate = isEstimated ? permit.member.upstream.estimate?.(permit.params) : undefined;
  if (estimate === undefined) return take(counters, permit, demands, oneCall);
  return estimate instanceof Promise
    ? estimate.then((late) => take(counters, permit, demands, costOf(late)))
    : take(counters, permit, demands, costOf(estimate));
}

function costOf({ tokens, nanoUsd }: CallEstimate): Cost {
  return { calls: 1, tokens: Math.max(1, tokens), nanoUsd };
}

function unlimited(permit: Permit, demands: readonly Demand[]): Admission {
  return { ...permit, demands, reservation: undefined, isEstimated: false, shadowRefusals: 0 } as unknown as Admission;
}

function take(counters: Counters, permit: Permit, demands: readonly Demand[], cost: Cost): Admission | Promise<Admission> {
  const taken = counters.take(demands, cost);
  return taken instanceof Promise
    ? taken.then((outcome) => admit(counters, permit, demands, outcome, cost))
    : admit(counters, permit, demands, taken, cost);
}

/** The slots of one admitted call, which it may do without for a time. */
export interface HeldSlots {
  /** Frees them: others have their turn. */
  leave(): void;
  /** Takes them again, where they were left. Throws, or rejects, as `limit` does. */
  comeBack(): void | Promise<void>;
}

/** Undefined where a call holds none. */
export function slotsOf(counters: Counters, admission: Admission): HeldSlots | undefined {
  const demands = admission.demands.filter(({ limit: { kind } }) => kind === 'concurrency');
  if (demands.length === 0) return undefined;
  let held = admission.reservation;
  const hold = (taken: Taken) => {
    if (taken.kind === 'refused') throw refusal(counters, admission, admission.demands, taken, noCost);
    held = taken.reservation;
  };
  return {
    leave() {
      held?.leave();
      held = undefined;
    },
    comeBack() {
      if (held !== undefined) return undefined;
      const taken = counters.take(demands, noCost);
      return taken instanceof Promise ? taken.then(hold) : hold(taken);
    },
  };
}

function demandsOf({ caller, policy, namespace, capability }: Permit): readonly Demand[] {
  const { consumer, key, member } = caller;
  return demandsFor([...policy.limits, ...caller.limits], { namespace, capability, consumer, key, member });
}

function admit(counters: Counters, permit: Permit, demands: readonly Demand[], taken: Taken, cost: Cost): Admission {
  if (taken.kind === 'refused') throw refusal(counters, permit, demands, taken, cost);
  const { reservation, wouldRefuse } = taken;
  return {
    ...permit,
    demands,
    reservation,
    isEstimated: cost.tokens > 0,
    shadowRefusals: wouldRefuse.length,
  } as unknown as Admission;
}

function refusal(
  counters: Counters,
  { capability, caller }: Permit,
  demands: readonly Demand[],
  refused: Refused,
  cost: Cost,
): LimitRefusal {
  const { demand, reason, retryAfterMs } = refused;
  const { limit } = demand;
  const code = ownLevels.includes(limit.per) ? 'rate_limited' : 'limit_reached';
  const whose = limit.per === 'global' ? 'all calls together' : `this ${limit.per}`;
  const which = `The limit of ${describeAmount(limit)} for ${whose}`;
  const { unit } = limit;
  const rates = () => ratesAfter(counters, demands, refused);
  const wanted = unit === 'calls' ? undefined : describeQuantity(cost[unit], unit);
  if (reason !== 'store-gone' && wanted !== undefined && cost[unit] > limit.amount) {
    // No time to come back is said: there is none.
    const never = `${which} lets no single call use the ${wanted} that this one may need (${limit.source}).`;
    return new LimitRefusal(code, `${never} Ask for a shorter answer, or send less.`, rates);
  }
  const text =
    reason === 'store-gone'
      ? `${which} cannot be checked right now.`
      : wanted === undefined
        ? `${which} is used up (${limit.source}).`
        : `${which} has no room left for the ${wanted} that this call may need (${limit.source}).`;
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  const subject = code === 'rate_limited' ? caller.id : capability;
  return new LimitRefusal(code, `${text} ${subject} may try again in ${seconds} s.`, rates, { retryAfterMs });
}

function ratesAfter(counters: Counters, demands: readonly Demand[], refused: Refused): readonly CounterUsage[] {
  const own = refusedRate(refused);
  const others = ratesOf(counters, { demands });
  return own.length === 0
    ? others
    : [...own, ...others.filter(({ demand: { limit } }) => limit.unit !== refused.demand.limit.unit)];
}
