import type { ModelRouting, ModelTarget } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import { byKey, hashText } from './sticky.ts';
import { TargetState, type TargetStatus } from './target-state.ts';

/** Something that happened to the targets of a model. */
export interface RoutingEvent {
  readonly atMs: number;
  /**
   * `failover`: a call went on to another target; `ejected`: a target is left out until `untilMs`; `returned`: it is back;
   * `refused`: its provider does not take our credential.
   */
  readonly kind: 'failover' | 'ejected' | 'returned' | 'refused';
  readonly from: string;
  readonly to: string | undefined;
  readonly reason: string;
  readonly untilMs: number | undefined;
}

interface RoutingPorts {
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly onEvent: (event: RoutingEvent) => void;
}

/** What is known of a call before it is routed. */
export interface Wish {
  /** The only targets it may go to, by their places; undefined: as the regions say. */
  readonly among?: readonly number[] | undefined;
  /** Calls with the same key go to the same target, where the mode is one that spreads them. */
  readonly stickyKey?: string | undefined;
  /** As estimated. */
  readonly tokens: number;
}

/** Why an attempt failed. */
interface AttemptFailure {
  /** Stands after "because". */
  readonly reason: string;
  /** The provider has no room for it right now: HTTP 429, 503, 529. */
  readonly isFull: boolean;
  readonly retryAfterMs: number | undefined;
}

const mostEvents = 200;

/**
 * Picks targets for calls. A target leaves after too many failures, or as soon as its provider has no room; it comes back by one call
 * that tries it. Where every target is out, the one that comes back first is tried rather than none, unless its provider said itself
 * when to come back. A target over a limit of its own is never tried. Rules and regions hold for every attempt.
 */
export class Routing {
  readonly #targets: readonly ModelTarget[];
  readonly #states: readonly TargetState[];
  readonly #hashes: readonly number[];
  readonly #routing: ModelRouting;
  readonly #ports: RoutingPorts;
  readonly #reachable: readonly number[];
  readonly #events: RoutingEvent[] = [];
  #nextPlace = 0;

  constructor(targets: readonly ModelTarget[], routing: ModelRouting, ports: RoutingPorts) {
    this.#targets = targets;
    this.#states = targets.map(({ name, limits }) => new TargetState(name, limits, routing.failover));
    this.#hashes = targets.map(({ name }) => hashText(name));
    this.#routing = routing;
    this.#ports = ports;
    this.#reachable = this.reachable();
  }

  /** Places of the targets that calls may go to; of those with these names, where there are any. */
  reachable(names?: readonly string[]): readonly number[] {
    const { regions } = this.#routing;
    return this.#targets.flatMap(({ name, region }, place) => {
      const isInRegion = regions === undefined || (region !== undefined && regions.includes(region));
      return isInRegion && (names === undefined || names.includes(name)) ? [place] : [];
    });
  }

  route({ among = this.#reachable, stickyKey, tokens }: Wish): Route {
    return new Route(this, this.#order(among, stickyKey), tokens);
  }

  status(): readonly TargetStatus[] {
    return this.#states.map((state) => state.status(this.#ports.clock.nowMs()));
  }

  /** The last ones, the newest last. */
  events(): readonly RoutingEvent[] {
    return [...this.#events];
  }

  get attempts(): number {
    return this.#routing.attempts;
  }

  get latencyMs(): number | undefined {
    return this.#routing.failover.latencyMs;
  }

  nowMs(): number {
    return this.#ports.clock.nowMs();
  }

  stateOf(place: number): TargetState {
    const state = this.#states[place];
    if (state === undefined) throw new Error(`there is no target ${place}`);
    return state;
  }

  note(kind: RoutingEvent['kind'], from: string, to: string | undefined, reason: string, untilMs?: number): void {
    const event = Object.freeze({ atMs: this.nowMs(), kind, from, to, reason, untilMs });
    if (this.#events.length >= mostEvents) this.#events.shift();
    this.#events.push(event);
    this.#ports.onEvent(event);
  }

  #order(among: readonly number[], stickyKey: string | undefined): readonly number[] {
    const { mode } = this.#routing;
    if (among.length < 2 || mode === 'priority') return among;
    if (stickyKey !== undefined || mode === 'weighted') {
      const isEqual = mode !== 'weighted';
      const key = stickyKey === undefined ? undefined : hashText(stickyKey);
      const chance = (place: number) => (key === undefined ? this.#ports.random() : byKey(key, this.#hashes[place] ?? 0));
      return sortBy(among, (place) => scoreOf(isEqual ? 1 : (this.#targets[place]?.weight ?? 0), chance(place)));
    }
    if (mode === 'round-robin') {
      const first = this.#nextPlace++ % among.length;
      return [...among.slice(first), ...among.slice(0, first)];
    }
    const nowMs = this.nowMs();
    return sortBy(among, (place) => eagerness(this.stateOf(place), nowMs));
  }
}

/** Exponential race: the smallest of -ln(u)/w comes first with a chance of its weight; without weight, last. */
function scoreOf(weight: number, chance: number): number {
  return weight === 0 ? Number.POSITIVE_INFINITY : -Math.log(1 - chance) / weight;
}

/** One that was not measured lately is tried first, by one call at a time. */
function eagerness(state: TargetState, nowMs: number): number {
  const latencyMs = state.latencyMs(nowMs);
  if (latencyMs !== undefined) return latencyMs;
  return state.callsInFlight === 0 ? -1 : Number.POSITIVE_INFINITY;
}

function sortBy(places: readonly number[], score: (place: number) => number): readonly number[] {
  const scored = places.map((place) => ({ place, score: score(place) }));
  // Equal ones, also those without any, stay as they were written.
  return scored.sort((a, b) => (a.score === b.score ? 0 : a.score - b.score)).map(({ place }) => place);
}

/** The targets of one call, one after the other. */
export class Route {
  readonly #routing: Routing;
  readonly #order: readonly number[];
  readonly #tokens: number;
  readonly #tried: number[] = [];
  #failed: { readonly name: string; readonly reason: string } | undefined;

  constructor(routing: Routing, order: readonly number[], tokens: number) {
    this.#routing = routing;
    this.#order = order;
    this.#tokens = tokens;
  }

  /** Targets that were tried before the one that is tried now. */
  get failovers(): number {
    return Math.max(0, this.#tried.length - 1);
  }

  /** The next target to try; undefined where there is none that may be. */
  next(): Attempt | undefined {
    if (this.#tried.length >= this.#routing.attempts) return undefined;
    const nowMs = this.#routing.nowMs();
    const place = this.#firstFree(nowMs) ?? (this.#tried.length === 0 ? this.#firstBack(nowMs) : undefined);
    if (place === undefined) return undefined;
    this.#tried.push(place);
    const state = this.#routing.stateOf(place);
    const failed = this.#failed;
    if (failed !== undefined) this.#routing.note('failover', failed.name, state.name, failed.reason);
    return new Attempt(this.#routing, place, this.#tokens, (reason) => {
      this.#failed = { name: state.name, reason };
    });
  }

  /** Until one of the targets that were not tried may be free; undefined where there is none. */
  waitMs(): number | undefined {
    const nowMs = this.#routing.nowMs();
    const rest = this.#order.filter((place) => !this.#tried.includes(place));
    const free = Math.min(...rest.map((place) => this.#routing.stateOf(place).freeAtMs(this.#tokens, nowMs)));
    return Number.isFinite(free) ? Math.max(0, free - nowMs) : undefined;
  }

  #firstFree(nowMs: number): number | undefined {
    return this.#order.find((place) => !this.#tried.includes(place) && this.#routing.stateOf(place).isFree(this.#tokens, nowMs));
  }

  #firstBack(nowMs: number): number | undefined {
    let first: number | undefined;
    for (const place of this.#order) {
      const state = this.#routing.stateOf(place);
      if (state.isHeld(nowMs) || state.isFull(this.#tokens, nowMs)) continue;
      if (first === undefined || state.outUntilMs < this.#routing.stateOf(first).outUntilMs) first = place;
    }
    return first;
  }
}

/** One target, taken for one call. Exactly one of the six endings is told; later ones say nothing. */
export class Attempt {
  readonly place: number;
  readonly #routing: Routing;
  readonly #state: TargetState;
  readonly #isProbe: boolean;
  readonly #tokens: number;
  readonly #onFailed: (reason: string) => void;
  #isOver = false;

  constructor(routing: Routing, place: number, tokens: number, onFailed: (reason: string) => void) {
    this.place = place;
    this.#routing = routing;
    this.#state = routing.stateOf(place);
    this.#tokens = tokens;
    this.#onFailed = onFailed;
    this.#isProbe = this.#state.take(tokens, routing.nowMs());
  }

  /** It answered. `latencyMs`: until the answer began; undefined where that says nothing, as of a refusal for the caller's own fault. */
  succeeded(latencyMs: number | undefined): void {
    if (!this.#end()) return;
    const nowMs = this.#routing.nowMs();
    if (latencyMs !== undefined) this.#state.measured(latencyMs, nowMs);
    const { latencyMs: mostMs } = this.#routing;
    if (mostMs !== undefined && latencyMs !== undefined && latencyMs > mostMs)
      this.#fail({ reason: `its answer took longer than ${mostMs} ms to begin`, isFull: false, retryAfterMs: undefined });
    else if (this.#state.succeeded(this.#isProbe, nowMs))
      this.#routing.note('returned', this.#state.name, undefined, 'a call to it succeeded');
  }

  /** It is well, and does not take this call: another one may. */
  passedOn(reason: string): void {
    this.succeeded(undefined);
    this.#onFailed(reason);
  }

  failed(failure: AttemptFailure): void {
    if (!this.#end()) return;
    this.#fail(failure);
    this.#onFailed(failure.reason);
  }

  /** Its provider does not take our credential: the other targets would hide that, so it stays where it is. */
  refused(reason: string): void {
    if (!this.#end()) return;
    this.#routing.note('refused', this.#state.name, undefined, reason);
  }

  /** Nothing is known of how it would have ended: the client gave up. */
  abandoned(): void {
    this.#end();
  }

  /** Nothing was sent: it takes no room in the limits of the target. */
  unsent(): void {
    if (!this.#end()) return;
    this.#state.unsent(this.#tokens, this.#routing.nowMs());
  }

  /** What the call really used. */
  used(tokens: number): void {
    this.#state.correct(tokens - this.#tokens, this.#routing.nowMs());
  }

  #fail(failure: AttemptFailure): void {
    const untilMs = this.#state.failed(this.#isProbe, failure, this.#routing.nowMs());
    if (untilMs !== undefined) this.#routing.note('ejected', this.#state.name, undefined, failure.reason, untilMs);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#state.give(this.#isProbe);
    return true;
  }
}
