import { latencyBoundsMs, type RollUp, rollUpDimensions } from './ports/roll-ups.ts';
import { storableText } from './storable-text.ts';

const bucketCount = latencyBoundsMs.length + 1;

/**
 * The batch as every database can take it: times cut to whole minutes, numbers whole and finite, texts that both databases read
 * back as they were written, each key once. In one order everywhere, so that two processes never wait for one another's rows.
 */
export function mergeRollUps(batch: readonly RollUp[]): readonly RollUp[] {
  const merged = new Map<string, RollUp>();
  for (const given of batch) {
    const rollUp = cleaned(given);
    const key = keyOf(rollUp);
    const earlier = merged.get(key);
    merged.set(key, earlier === undefined ? rollUp : addRollUps(earlier, rollUp));
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rollUp]) => rollUp);
}

export function keyOf(rollUp: RollUp): string {
  return JSON.stringify([rollUp.minuteMs, ...rollUpDimensions.map((dimension) => rollUp[dimension])]);
}

/** The sum of both under the key of the first. */
export function addRollUps(a: RollUp, b: RollUp): RollUp {
  return {
    ...a,
    calls: a.calls + b.calls,
    latency: a.latency.map((calls, bucket) => calls + (b.latency[bucket] ?? 0)),
    totalMs: microseconds(a.totalMs + b.totalMs),
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
    tokensIn: a.tokensIn + b.tokensIn,
    tokensOut: a.tokensOut + b.tokensOut,
    costMicros: a.costMicros + b.costMicros,
  };
}

function cleaned(rollUp: RollUp): RollUp {
  return {
    minuteMs: Math.floor(rollUp.minuteMs / 60_000) * 60_000,
    namespace: storableText(rollUp.namespace),
    capability: storableText(rollUp.capability),
    consumer: storableText(rollUp.consumer),
    key: storableText(rollUp.key),
    member: storableText(rollUp.member),
    upstream: storableText(rollUp.upstream),
    code: storableText(rollUp.code),
    calls: whole(rollUp.calls),
    latency: Array.from({ length: bucketCount }, (_, bucket) => whole(rollUp.latency[bucket] ?? 0)),
    totalMs: microseconds(rollUp.totalMs),
    bytesIn: whole(rollUp.bytesIn),
    bytesOut: whole(rollUp.bytesOut),
    tokensIn: whole(rollUp.tokensIn),
    tokensOut: whole(rollUp.tokensOut),
    costMicros: whole(rollUp.costMicros),
  };
}

function whole(number: number): number {
  return Number.isFinite(number) ? Math.round(number) : 0;
}

/** As durations are kept: in whole microseconds. */
function microseconds(ms: number): number {
  return whole(ms * 1000) / 1000;
}
