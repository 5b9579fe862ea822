import type { JsonObject } from '../wire/json.ts';
import type { CallCourse } from './course.ts';
import { failureOf } from './course.ts';
import { drawLot, makeSpanId, makeTraceId, readTraceContext, type TraceContext, writeTraceparent } from './trace-context.ts';

/** The steps of a call that become spans; `upstream` is the one whose span the far end continues. */
type CallStep = 'resolve' | 'authorize' | 'limit' | 'screen' | 'approve' | 'upstream' | 'inspect';

/** Follows one call. Everything here is cheap enough for every call; spans are made later, of those that are kept. */
export interface CallTrace {
  /** The step that begins now, which ends the one before it. */
  step(name: CallStep): void;
  /** For records and the log: the client's, where it sent one, or this call's own. */
  readonly traceId: string;
  /** What the far end is to be told in HTTP headers; undefined when the client's `_meta` goes on as it came. */
  readonly outgoing: OutgoingContext | undefined;
  /** The call has ended. `course` is kept until it is exported. */
  ended(course: CallCourse): void;
}

interface OutgoingContext {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
}

/** Where a client's trace context may stand. */
export interface GivenContext {
  /** HTTP headers. */
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
}

/** A call that nobody follows; its record has an id all the same. */
export class UnfollowedCall implements CallTrace {
  readonly outgoing: undefined;
  readonly #meta: JsonObject | undefined;
  readonly #headers: GivenContext | undefined;
  #traceId: string | undefined;

  constructor(meta: JsonObject | undefined, headers: GivenContext | undefined) {
    this.#meta = meta;
    this.#headers = headers;
  }

  get traceId(): string {
    this.#traceId ??= parentOf(this.#meta, this.#headers)?.traceId ?? makeTraceId();
    return this.#traceId;
  }

  step(): void {}
  ended(): void {}
}

/** What is known of a call whose spans are to be made. */
export interface KeptTrace {
  readonly traceId: string;
  /** The client's span, if it has one. */
  readonly parent: TraceContext | undefined;
  /** The HTTP request's context, where `_meta` has another one. */
  readonly link: TraceContext | undefined;
  /** Known when the call went out; else it has none yet. */
  readonly upstreamSpanId: string | undefined;
  /** `performance.now()`. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly steps: readonly CallStep[];
  /** When each step began. */
  readonly stepsAtMs: readonly number[];
  readonly course: CallCourse;
}

interface TraceRules {
  /** Share of calls to record where the client does not say. */
  readonly sampling: number;
  /** Calls that took at least this long are always recorded. */
  readonly slowMs: number;
}

/** A call passes each step once, plus what retries add; what a loop would add beyond this says nothing new. */
const stepLimit = 16;

/**
 * Begins to follow a call. `_meta` wins over HTTP headers: it belongs to the message, whereas headers may be of a proxy or of an
 * HTTP library on the way; where both are valid and differ, the headers' span becomes a link (OpenTelemetry, MCP conventions).
 */
export function startTrace(
  rules: TraceRules,
  keep: (trace: KeptTrace) => void,
  meta: JsonObject | undefined,
  headers: GivenContext | undefined,
): CallTrace {
  const fromMeta = contextIn(meta);
  const fromHeaders = contextIn(headers);
  const parent = fromMeta ?? fromHeaders;
  // Who records a trace upstream of us wants all of it, and who does not wants none.
  const isSampled = parent === undefined ? drawLot(rules.sampling) : parent.isSampled;
  return new FollowedCall(rules, keep, parent, fromMeta === undefined ? undefined : fromHeaders, isSampled);
}

function parentOf(meta: JsonObject | undefined, headers: GivenContext | undefined): TraceContext | undefined {
  return contextIn(meta) ?? contextIn(headers);
}

function contextIn(given: JsonObject | GivenContext | undefined): TraceContext | undefined {
  return given?.traceparent === undefined ? undefined : readTraceContext(given.traceparent, given.tracestate);
}

class FollowedCall implements CallTrace {
  readonly #rules: TraceRules;
  readonly #keep: (trace: KeptTrace) => void;
  readonly #parent: TraceContext | undefined;
  readonly #link: TraceContext | undefined;
  readonly #isSampled: boolean;
  readonly #startedAtMs = performance.now();
  readonly #steps: CallStep[] = [];
  readonly #stepsAtMs: number[] = [];
  #traceId: string | undefined;
  #upstreamSpanId: string | undefined;
  #hasEnded = false;

  constructor(
    rules: TraceRules,
    keep: (trace: KeptTrace) => void,
    parent: TraceContext | undefined,
    link: TraceContext | undefined,
    isSampled: boolean,
  ) {
    this.#rules = rules;
    this.#keep = keep;
    this.#parent = parent;
    this.#link = link;
    this.#isSampled = isSampled;
    this.#traceId = parent?.traceId;
  }

  get traceId(): string {
    this.#traceId ??= makeTraceId();
    return this.#traceId;
  }

  get outgoing(): OutgoingContext | undefined {
    if (!this.#isSampled) return undefined;
    this.#upstreamSpanId ??= makeSpanId();
    return { traceparent: writeTraceparent(this.traceId, this.#upstreamSpanId), tracestate: this.#parent?.state };
  }

  step(name: CallStep): void {
    if (this.#steps.length >= stepLimit) return;
    this.#steps.push(name);
    this.#stepsAtMs.push(performance.now());
  }

  ended(course: CallCourse): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (!this.#isSampled && course.ms < this.#rules.slowMs && failureOf(course) === '') return;
    this.#keep({
      traceId: this.traceId,
      parent: this.#parent,
      link: this.#link,
      upstreamSpanId: this.#upstreamSpanId,
      startedAtMs: this.#startedAtMs,
      endedAtMs: performance.now(),
      steps: this.#steps,
      stepsAtMs: this.#stepsAtMs,
      course,
    });
  }
}

/** `_meta` for the far end: the client's own, or with our span as the parent where we record one. */
export function metaWithTrace(meta: JsonObject | undefined, trace: CallTrace): JsonObject | undefined {
  const { outgoing } = trace;
  if (outgoing === undefined) return meta;
  const { tracestate: _, ...rest } = meta ?? {};
  return outgoing.tracestate === undefined
    ? { ...rest, traceparent: outgoing.traceparent }
    : { ...rest, traceparent: outgoing.traceparent, tracestate: outgoing.tracestate };
}
