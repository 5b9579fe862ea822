import { mergeRows, whole, wholeMinute } from './merge-rows.ts';
import { latencyBoundsMs, type RollUp, rollUpDimensions } from './ports/roll-ups.ts';
import { storableText } from './storable-text.ts';

const bucketCount = latencyBoundsMs.length + 1;

export function mergeRollUps(batch: readonly RollUp[]): readonly RollUp[] {
  return mergeRows(batch, { clean: cleaned, keyOf, add: addRollUps });
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
    minuteMs: wholeMinute(rollUp.minuteMs),
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

/** As durations are kept: in whole microseconds. */
function microseconds(ms: number): number {
  return whole(ms * 1000) / 1000;
}
