import { type Attributes, type HrTime, ValueType } from '@opentelemetry/api';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { AggregationTemporality, DataPointType, type MetricData } from '@opentelemetry/sdk-metrics';
import { latencyBoundsMs } from '../store/ports/roll-ups.ts';
import { type CallMeter, type Histogram, seriesLimits } from './call-meter.ts';
import type { Gauges } from './gauges.ts';
import { Labelled } from './labelled.ts';
import { attribute, metric as names } from './names.ts';
import { resourceOf } from './resource.ts';

interface MetricSources {
  readonly meter: CallMeter;
  readonly gauges: Gauges;
  /** Counts of what telemetry itself did with traces and roll-ups. */
  traces(): { readonly exported: number; readonly dropped: number };
  rollUpsDropped(): number;
}

/** Data points between two turns of the event loop; a histogram's is some 20 lines. */
const chunkSize = 20;
const boundsSeconds = latencyBoundsMs.map((ms) => ms / 1000);

/**
 * All metrics in Prometheus' text format 0.0.4. OpenTelemetry's serializer writes them; its instruments would cost a microsecond
 * each on every call, so the numbers are the meter's own. Long metrics are written in pieces, with calls served in between.
 */
export async function writeMetrics(sources: MetricSources): Promise<string> {
  const serializer = new PrometheusSerializer(undefined, false, undefined, true, true);
  const resource = resourceOf(sources.gauges.version);
  const scope = { name: 'gatehouse', version: sources.gauges.version };
  const pieces: string[] = [];
  for (const metric of metricsOf(sources)) {
    const { length } = metric.points;
    for (let at = 0; at < length; at += chunkSize) {
      const metrics = [dataOf(metric, at, at + chunkSize)];
      const text = serializer.serialize({ resource, scopeMetrics: [{ scope, metrics }] });
      pieces.push(at === 0 ? text : text.replaceAll(/^#.*\n/gm, ''));
      if (at + chunkSize < length) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return pieces.join('');
}

type Metric = { readonly name: string; readonly description: string } & (
  | { readonly kind: 'counter' | 'gauge'; readonly points: readonly NumberPoint[] }
  | { readonly kind: 'histogram'; readonly points: readonly HistogramPoint[] }
);

interface NumberPoint {
  readonly labels: Attributes;
  readonly value: number;
}

interface HistogramPoint {
  readonly labels: Attributes;
  readonly value: Histogram;
}

function metricsOf(sources: MetricSources): readonly Metric[] {
  return [...callMetrics(sources), ...upstreamMetrics(sources), ...gatewayMetrics(sources), ...processMetrics(sources)];
}

function callMetrics({ meter }: MetricSources): readonly Metric[] {
  const calls = [...meter.calls()];
  const namespaces = [...meter.namespaces.values()];
  const each = (value: (namespace: (typeof namespaces)[number]) => number, labels: Attributes = {}): NumberPoint[] =>
    namespaces.map((namespace) => ({ labels: { namespace: namespace.label, ...labels }, value: value(namespace) }));
  const capabilities = [...(meter.capabilities?.values() ?? [])];
  return [
    counter(names.calls, 'Calls that ended, by what came of them.', [
      ...calls.map(({ namespace, method, outcome, code, calls: value }) => ({
        labels: { namespace, method, outcome, code },
        value,
      })),
    ]),
    histogram(
      names.serverDuration,
      'From a request to its outcome, as clients see it.',
      calls.map((series) => ({
        labels: {
          [attribute.namespace]: series.namespace,
          [attribute.mcpMethod]: series.method,
          ...(series.code !== '' && { [attribute.errorType]: series.code }),
          [attribute.outcome]: series.outcome,
        },
        value: series,
      })),
    ),
    counter(names.callsByDoor, 'Calls by the door and the era of their client.', [
      ...Array.from(meter.doors.values(), ({ label, calls: value }) => ({ labels: { door: label }, value })),
    ]),
    gauge(names.active, 'Calls that run right now.', [{ labels: {}, value: meter.active }]),
    counter(names.bytes, 'Bytes of requests (in) and answers (out).', [
      ...each(({ bytesIn }) => bytesIn, { direction: 'in' }),
      ...each(({ bytesOut }) => bytesOut, { direction: 'out' }),
    ]),
    counter(names.tokens, 'Tokens that models were given (in) and made (out).', [
      ...each(({ tokensIn }) => tokensIn, { direction: 'in' }),
      ...each(({ tokensOut }) => tokensOut, { direction: 'out' }),
    ]),
    counter(
      names.cost,
      'What calls cost, in the currency of the prices.',
      each(({ costMicros }) => costMicros / 1e6),
    ),
    counter(
      names.limitRefusals,
      'Limits that refused a call, those in shadow mode included.',
      each(({ limitRefusals }) => limitRefusals),
    ),
    counter(
      names.contentHits,
      'Content rules that matched.',
      each(({ contentHits }) => contentHits),
    ),
    counter(
      names.capabilityCalls,
      'Calls per capability.',
      capabilities.map(({ label, calls: value }) => capability(label, value)),
    ),
    counter(
      names.capabilityErrors,
      'Calls per capability that went wrong.',
      capabilities.map(({ label, errors }) => capability(label, errors)),
    ),
    counter(names.capabilityDuration, 'Time that calls of a capability took together.', [
      ...capabilities.map(({ label, totalMs }) => capability(label, totalMs / 1000)),
    ]),
  ];
}

function capability(label: string, value: number): NumberPoint {
  return { labels: { capability: label }, value };
}

function upstreamMetrics({ meter, gauges }: MetricSources): readonly Metric[] {
  const upstreams = [...meter.upstreams.values()];
  const states = { closed: 0, 'half-open': 1, open: 2 } as const;
  const up: NumberPoint[] = [];
  const breakers: NumberPoint[] = [];
  // Beyond the limit there is no total to keep: the rest is left out.
  const seen = new Labelled(seriesLimits.upstreams, (label) => ({ label, isNew: true }));
  for (const { id, isHealthy, breaker } of gauges.upstreams()) {
    const slot = seen.of(id);
    if (seen.size > seriesLimits.upstreams || !slot.isNew) continue;
    slot.isNew = false;
    up.push({ labels: { upstream: slot.label }, value: isHealthy ? 1 : 0 });
    breakers.push({ labels: { upstream: slot.label }, value: states[breaker] });
  }
  return [
    histogram(
      names.clientDuration,
      'From a request to an upstream to its answer.',
      upstreams.map((series) => ({ labels: { [attribute.upstream]: series.label }, value: series })),
    ),
    counter(
      names.upstreamFailures,
      'Calls to an upstream that failed.',
      upstreams.map(({ label, failed }) => upstream(label, failed)),
    ),
    counter(
      names.retries,
      'Attempts after the first.',
      upstreams.map(({ label, retries }) => upstream(label, retries)),
    ),
    counter(
      names.modelRouting,
      'What happened to the targets of models: calls that went on to another, targets left out and back, credentials refused.',
      [...meter.routing.values()].flatMap(({ label, ...kinds }) =>
        Object.entries(kinds).map(([kind, value]) => ({ labels: { upstream: label, kind }, value })),
      ),
    ),
    gauge(names.upstreamUp, '1 while calls to the upstream succeed, 0 otherwise.', up),
    gauge(names.breaker, 'Breaker of an upstream: 0 closed, 1 half open, 2 open (calls are refused).', breakers),
  ];
}

function upstream(label: string, value: number): NumberPoint {
  return { labels: { upstream: label }, value };
}

function gatewayMetrics({ gauges, traces, rollUpsDropped }: MetricSources): readonly Metric[] {
  const lagMs = gauges.journalLagMs();
  const pending = gauges.approvalsPending?.();
  const { exported, dropped } = traces();
  return [
    gauge(names.info, 'Always 1; says which version runs.', [{ labels: { version: gauges.version }, value: 1 }]),
    ...storeMetrics(gauges),
    gauge(names.sessions, 'Sessions of clients in memory.', [{ labels: {}, value: gauges.sessions() }]),
    gauge(names.streams, 'Open event streams.', [{ labels: {}, value: gauges.streams() }]),
    gauge(names.journalLag, 'Age of the oldest record that is not on disk yet.', [
      ...(lagMs === undefined ? [] : [{ labels: {}, value: lagMs / 1000 }]),
    ]),
    gauge(names.approvalsPending, 'Calls that wait for a person, of all replicas.', [
      ...(pending === undefined ? [] : [{ labels: {}, value: pending }]),
    ]),
    counter(names.traces, 'Traces by what became of them.', [
      { labels: { result: 'exported' }, value: exported },
      { labels: { result: 'dropped' }, value: dropped },
    ]),
    counter(names.rollUpsDropped, 'Rows of added-up calls that were lost while the store was away.', [
      { labels: {}, value: rollUpsDropped() },
    ]),
  ];
}

function storeMetrics(gauges: Gauges): readonly Metric[] {
  const stores = [...(gauges.stores?.() ?? [])].map(({ kind, isReachable }) => ({
    labels: { store: kind },
    value: isReachable ? 1 : 0,
  }));
  if (stores.length === 0) return [];
  return [gauge(names.storeUp, '1 while PostgreSQL or Redis can be reached, 0 otherwise.', stores)];
}

function processMetrics({ gauges }: MetricSources): readonly Metric[] {
  const { user, system } = process.cpuUsage();
  const { heapUsed, rss } = process.memoryUsage();
  const { utilization } = performance.eventLoopUtilization();
  return [
    counter(names.cpu, 'Time on the CPU.', [{ labels: {}, value: (user + system) / 1e6 }]),
    gauge(names.memory, 'Resident memory.', [{ labels: {}, value: rss }]),
    gauge(names.heap, 'JavaScript heap in use.', [{ labels: {}, value: heapUsed }]),
    gauge(names.utilization, 'Share of time since the start that the event loop was busy.', [{ labels: {}, value: utilization }]),
    gauge(names.startTime, 'When the gateway started, in seconds since 1970.', [
      { labels: {}, value: gauges.startedAtMs / 1000 },
    ]),
  ];
}

function counter(name: string, description: string, points: readonly NumberPoint[]): Metric {
  return { name, kind: 'counter', description, points };
}

function gauge(name: string, description: string, points: readonly NumberPoint[]): Metric {
  return { name, kind: 'gauge', description, points };
}

function histogram(name: string, description: string, points: readonly HistogramPoint[]): Metric {
  return { name, kind: 'histogram', description, points };
}

// Prometheus takes the time of the scrape, so the text has none.
const noTime: HrTime = [0, 0];
const aggregationTemporality = AggregationTemporality.CUMULATIVE;

/** A part of a metric's points, in OpenTelemetry's words. */
function dataOf(metric: Metric, from: number, to: number): MetricData {
  const descriptor = { name: metric.name, description: metric.description, unit: '', valueType: ValueType.DOUBLE };
  if (metric.kind === 'histogram') {
    const dataPoints = metric.points.slice(from, to).map(({ labels, value }) => dataPoint(labels, histogramOf(value)));
    return { descriptor, aggregationTemporality, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = metric.points.slice(from, to).map(({ labels, value }) => dataPoint(labels, value));
  if (metric.kind === 'gauge') return { descriptor, aggregationTemporality, dataPointType: DataPointType.GAUGE, dataPoints };
  return { descriptor, aggregationTemporality, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
}

function dataPoint<Value>(attributes: Attributes, value: Value) {
  return { startTime: noTime, endTime: noTime, attributes, value };
}

function histogramOf({ calls, totalMs, buckets }: Histogram) {
  return { count: calls, sum: totalMs / 1000, buckets: { boundaries: boundsSeconds, counts: buckets } };
}
