import type { FailoverEvent } from '../store/ports/model-records.ts';
import { type CallCourse, type CallOutcome, failureOf } from './course.ts';
import { Labelled, none, others, toLabel } from './labelled.ts';
import { bucketOf, emptyBuckets } from './latency.ts';

/** How many label sets there can be at most, whatever is called by whatever name. docs/observability.md publishes them. */
export const seriesLimits = { calls: 1000, namespaces: 200, upstreams: 200, models: 200, doors: 20 } as const;

interface MeterOptions {
  /** Most capabilities with numbers of their own; 0: none. */
  readonly capabilities: number;
}

/**
 * Counts calls while they run. Plain numbers in plain maps: this is on every call's path, and whoever wants the numbers (a
 * scrape) does the work of bringing them into shape.
 */
export class CallMeter {
  readonly namespaces = new Labelled(seriesLimits.namespaces, namespaceSeries);
  readonly upstreams = new Labelled(seriesLimits.upstreams, upstreamSeries);
  /** What happened to the targets of each model. */
  readonly routing = new Labelled(seriesLimits.models, routingSeries);
  readonly doors = new Labelled(seriesLimits.doors, doorSeries);
  readonly capabilities: Labelled<CapabilitySeries> | undefined;
  active = 0;
  #callSeries = 0;
  readonly #overflow = new Map<CallOutcome, CallSeries>();

  constructor({ capabilities }: MeterOptions) {
    this.capabilities = capabilities > 0 ? new Labelled(capabilities, capabilitySeries) : undefined;
  }

  /** One call begins. Each has to end. */
  started(): void {
    this.active += 1;
  }

  ended(course: CallCourse): void {
    this.active -= 1;
    const { ms } = course;
    const namespace = this.namespaces.of(course.namespace ?? none);
    namespace.bytesIn += course.bytesIn;
    namespace.bytesOut += course.bytesOut;
    namespace.tokensIn += course.tokensIn;
    namespace.tokensOut += course.tokensOut;
    namespace.costMicros += course.costMicros;
    namespace.limitRefusals += course.limitRefusals;
    namespace.contentHits += course.contentHits;
    observe(this.#calls(namespace, course), ms);
    this.doors.of(course.door === 'http' ? httpDoor(course.era) : `${course.door}/${course.era}`).calls += 1;
    if (course.upstream !== undefined && course.upstreamMs !== undefined) {
      const upstream = this.upstreams.of(course.upstream);
      observe(upstream, course.upstreamMs);
      upstream.retries += course.retries;
      if (course.outcome === 'failed') upstream.failed += 1;
    }
    if (this.capabilities !== undefined && course.capability !== undefined) {
      const capability = this.capabilities.of(course.capability);
      capability.calls += 1;
      capability.totalMs += ms;
      if (failureOf(course) !== '') capability.errors += 1;
    }
  }

  /** Something happened to the targets of a model. */
  routed(model: string, kind: FailoverEvent['kind']): void {
    this.routing.of(model)[kind] += 1;
  }

  /** Of every namespace, and of what was beyond the limit. */
  *calls(): Iterable<CallSeries> {
    for (const namespace of this.namespaces.values())
      for (const outcomes of namespace.methods.values()) for (const codes of outcomes.values()) yield* codes.values();
    yield* this.#overflow.values();
  }

  #calls(namespace: NamespaceSeries, course: CallCourse): CallSeries {
    const codes = namespace.methods.get(course.method)?.get(course.outcome);
    return codes?.get(failureOf(course)) ?? this.#addCalls(namespace, course);
  }

  #addCalls(namespace: NamespaceSeries, course: CallCourse): CallSeries {
    const { outcome } = course;
    const label = toLabel(course.method);
    const code = toLabel(failureOf(course));
    const outcomes = namespace.methods.get(label) ?? new Map<CallOutcome, Map<string, CallSeries>>();
    const codes = outcomes.get(outcome) ?? new Map<string, CallSeries>();
    const known = codes.get(code);
    if (known !== undefined) return known;
    if (this.#callSeries >= seriesLimits.calls) return this.#beyond(outcome);
    this.#callSeries += 1;
    const made = callSeries(namespace.label, label, outcome, code);
    namespace.methods.set(label, outcomes.set(outcome, codes.set(code, made)));
    return made;
  }

  #beyond(outcome: CallOutcome): CallSeries {
    const known = this.#overflow.get(outcome);
    if (known !== undefined) return known;
    const made = callSeries(others, others, outcome, outcome === 'done' || outcome === 'input-required' ? '' : others);
    this.#overflow.set(outcome, made);
    return made;
  }
}

export interface Histogram {
  calls: number;
  totalMs: number;
  readonly buckets: number[];
}

interface CallSeries extends Histogram {
  readonly namespace: string;
  readonly method: string;
  readonly outcome: CallOutcome;
  /** Empty for calls that went well. */
  readonly code: string;
}

interface NamespaceSeries {
  readonly label: string;
  /** By method, outcome and code. */
  readonly methods: Map<string, Map<CallOutcome, Map<string, CallSeries>>>;
  bytesIn: number;
  bytesOut: number;
  tokensIn: number;
  tokensOut: number;
  costMicros: number;
  limitRefusals: number;
  contentHits: number;
}

interface UpstreamSeries extends Histogram {
  readonly label: string;
  failed: number;
  retries: number;
}

interface CapabilitySeries {
  readonly label: string;
  calls: number;
  errors: number;
  totalMs: number;
}

function namespaceSeries(label: string): NamespaceSeries {
  const numbers = { bytesIn: 0, bytesOut: 0, tokensIn: 0, tokensOut: 0, costMicros: 0, limitRefusals: 0, contentHits: 0 };
  return { label, methods: new Map(), ...numbers };
}

function callSeries(namespace: string, method: string, outcome: CallOutcome, code: string): CallSeries {
  return { namespace, method, outcome, code, calls: 0, totalMs: 0, buckets: emptyBuckets() };
}

function upstreamSeries(label: string): UpstreamSeries {
  return { label, failed: 0, retries: 0, calls: 0, totalMs: 0, buckets: emptyBuckets() };
}

function capabilitySeries(label: string): CapabilitySeries {
  return { label, calls: 0, errors: 0, totalMs: 0 };
}

function routingSeries(label: string): { readonly label: string } & Record<FailoverEvent['kind'], number> {
  return { label, failover: 0, ejected: 0, returned: 0, refused: 0 };
}

/** `door/era`. */
function doorSeries(label: string): { readonly label: string; calls: number } {
  return { label, calls: 0 };
}

function observe(histogram: Histogram, ms: number): void {
  histogram.calls += 1;
  histogram.totalMs += ms;
  const bucket = bucketOf(ms);
  histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1;
}

// The two that nearly every call has are texts already made.
function httpDoor(era: string): string {
  return era === 'modern' ? 'http/modern' : era === 'legacy' ? 'http/legacy' : `http/${era}`;
}
