import { addModelCalls, type ModelCalls, modelDimensions } from './ports/model-records.ts';
import { storableText } from './storable-text.ts';

/** The batch as every database can take it: whole minutes, whole numbers, texts that both databases read back, each key once and in order. */
export function mergeModelCalls(batch: readonly ModelCalls[]): readonly ModelCalls[] {
  const merged = new Map<string, ModelCalls>();
  for (const given of batch) {
    const row = cleaned(given);
    const key = keyOfModelCalls(row);
    const earlier = merged.get(key);
    merged.set(key, earlier === undefined ? row : addModelCalls(earlier, row));
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

export function keyOfModelCalls(row: ModelCalls): string {
  return JSON.stringify([row.minuteMs, ...modelDimensions.map((dimension) => row[dimension])]);
}

function cleaned(row: ModelCalls): ModelCalls {
  return {
    minuteMs: Math.floor(row.minuteMs / 60_000) * 60_000,
    model: storableText(row.model),
    version: storableText(row.version),
    target: storableText(row.target),
    consumer: storableText(row.consumer),
    key: storableText(row.key),
    ending: storableText(row.ending),
    calls: whole(row.calls),
    failed: whole(row.failed),
    cached: whole(row.cached),
    failovers: whole(row.failovers),
    totalMs: finite(row.totalMs),
    totalSquare: finite(row.totalSquare),
    firstCalls: whole(row.firstCalls),
    firstMs: finite(row.firstMs),
    tokensIn: whole(row.tokensIn),
    tokensOut: whole(row.tokensOut),
    nanoUsd: whole(row.nanoUsd),
    unpriced: whole(row.unpriced),
  };
}

function whole(number: number): number {
  return Number.isFinite(number) ? Math.round(number) : 0;
}

function finite(number: number): number {
  return Number.isFinite(number) ? number : 0;
}
