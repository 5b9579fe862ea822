import { addModelCalls, type ModelCalls, modelDimensions } from './ports/model-records.ts';

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
    model: cleanText(row.model),
    version: cleanText(row.version),
    target: cleanText(row.target),
    consumer: cleanText(row.consumer),
    key: cleanText(row.key),
    ending: cleanText(row.ending),
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

// PostgreSQL refuses U+0000, and half a surrogate pair comes back as another character.
function cleanText(text: string): string {
  return text.slice(0, 300).toWellFormed().replaceAll('\0', '\u{FFFD}');
}

function whole(number: number): number {
  return Number.isFinite(number) ? Math.round(number) : 0;
}

function finite(number: number): number {
  return Number.isFinite(number) ? number : 0;
}
