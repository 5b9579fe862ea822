import { type Attributes, type HrTime, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import type { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import type { Resource } from '@opentelemetry/resources';
import type { KeptTrace } from './call-trace.ts';
import { failureOf } from './course.ts';
import { toLabel } from './labelled.ts';
import { attribute } from './names.ts';
import { makeSpanId, type TraceContext } from './trace-context.ts';

type Span = Parameters<OTLPTraceExporter['export']>[0][number];

interface SpanOrigin {
  readonly resource: Resource;
  readonly scope: { readonly name: string; readonly version: string };
  /** Milliseconds since 1970 when `performance.now()` was 0, as the clock says today. */
  readonly epochMs: number;
}

/** The spans of one call: one for all of it, one for each step; the step that went to the upstream is a client's. */
export function spansOf(trace: KeptTrace, origin: SpanOrigin): Span[] {
  const { course } = trace;
  const failure = failureOf(course);
  const rootId = makeSpanId();
  const method = toLabel(course.method);
  const name = course.capability === undefined ? method : `${method} ${toLabel(course.capability)}`;
  const root = span(trace, origin, {
    id: rootId,
    parent: trace.parent && contextOf(trace.parent),
    name,
    kind: SpanKind.SERVER,
    fromMs: trace.startedAtMs,
    toMs: trace.endedAtMs,
    attributes: attributesOf(trace),
    failure,
  });
  const parent = own(trace, rootId);
  const last = trace.steps.length - 1;
  return [
    root,
    ...trace.steps.map((step, at) => {
      const isHop = step === 'upstream';
      return span(trace, origin, {
        // The far end was told of one hop: the last, where there were retries.
        id:
          isHop && trace.upstreamSpanId !== undefined && at === trace.steps.lastIndexOf('upstream')
            ? trace.upstreamSpanId
            : makeSpanId(),
        parent,
        name: isHop ? name : step,
        kind: isHop ? SpanKind.CLIENT : SpanKind.INTERNAL,
        fromMs: trace.stepsAtMs[at] ?? trace.startedAtMs,
        toMs: trace.stepsAtMs[at + 1] ?? trace.endedAtMs,
        attributes: isHop ? hopAttributesOf(trace) : {},
        // What ended the call ended its last step.
        failure: at === last ? failure : '',
      });
    }),
  ];
}

interface SpanParts {
  readonly id: string;
  readonly parent: SpanContext | undefined;
  readonly name: string;
  readonly kind: SpanKind;
  readonly fromMs: number;
  readonly toMs: number;
  readonly attributes: Attributes;
  readonly failure: string;
}

function span(trace: KeptTrace, { resource, scope, epochMs }: SpanOrigin, parts: SpanParts): Span {
  const { failure, parent } = parts;
  const context = own(trace, parts.id);
  return {
    name: parts.name,
    kind: parts.kind,
    spanContext: () => context,
    ...(parent && { parentSpanContext: parent }),
    startTime: hrTime(epochMs + parts.fromMs),
    endTime: hrTime(epochMs + parts.toMs),
    duration: hrTime(parts.toMs - parts.fromMs),
    ended: true,
    status: { code: failure === '' ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
    attributes: failure === '' ? parts.attributes : { ...parts.attributes, [attribute.errorType]: toLabel(failure) },
    links: trace.link && parts.kind === SpanKind.SERVER ? [{ context: contextOf(trace.link) }] : [],
    events: [],
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

/** Names and numbers only. What a caller sent or got, messages included, may hold anything and is in none of them. */
function attributesOf({ course }: KeptTrace): Attributes {
  const attributes: Attributes = {
    ...operationOf(course.method, course.capability),
    [attribute.transport]: course.door === 'stdio' ? 'pipe' : 'tcp',
    [attribute.door]: toLabel(course.door),
    [attribute.era]: toLabel(course.era),
    [attribute.outcome]: course.outcome,
    [attribute.bytesIn]: course.bytesIn,
    [attribute.bytesOut]: course.bytesOut,
  };
  put(attributes, attribute.namespace, course.namespace);
  put(attributes, attribute.capability, course.capability);
  put(attributes, attribute.upstream, course.upstream);
  put(attributes, attribute.consumer, course.consumer);
  put(attributes, attribute.key, course.key);
  if (course.tokensIn + course.tokensOut > 0) {
    attributes[attribute.tokensIn] = course.tokensIn;
    attributes[attribute.tokensOut] = course.tokensOut;
  }
  if (course.retries > 0) attributes[attribute.retries] = course.retries;
  if (course.limitRefusals > 0) attributes[attribute.limitRefusals] = course.limitRefusals;
  if (course.contentHits > 0) attributes[attribute.contentHits] = course.contentHits;
  return attributes;
}

function hopAttributesOf({ course }: KeptTrace): Attributes {
  const attributes = operationOf(course.method, course.capability);
  put(attributes, attribute.upstream, course.upstream);
  return attributes;
}

function operationOf(method: string, capability: string | undefined): Attributes {
  const attributes: Attributes = { [attribute.mcpMethod]: toLabel(method) };
  if (method === 'tools/call') {
    attributes[attribute.operation] = 'execute_tool';
    put(attributes, attribute.toolName, capability);
  } else if (method === 'prompts/get') {
    put(attributes, attribute.promptName, capability);
  }
  return attributes;
}

function put(attributes: Attributes, name: string, value: string | undefined): void {
  if (value !== undefined) attributes[name] = toLabel(value);
}

function own({ traceId, parent }: KeptTrace, spanId: string): SpanContext {
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, ...stateOf(parent) };
}

function contextOf({ traceId, spanId, isSampled, state }: TraceContext): SpanContext {
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return { traceId, spanId, traceFlags, isRemote: true, ...stateOf({ state }) };
}

function stateOf(context: Pick<TraceContext, 'state'> | undefined): Pick<SpanContext, 'traceState'> {
  const text = context?.state;
  if (text === undefined) return {};
  // It is passed on as it came; whoever looks into it has another reader than us.
  const traceState = { serialize: () => text, get: () => undefined, set: () => traceState, unset: () => traceState };
  return { traceState };
}

function hrTime(ms: number): HrTime {
  const wholeMs = Math.floor(ms);
  const seconds = Math.floor(wholeMs / 1000);
  return [seconds, (wholeMs - seconds * 1000) * 1_000_000 + Math.round((ms - wholeMs) * 1_000_000)];
}
