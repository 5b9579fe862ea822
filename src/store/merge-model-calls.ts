import { mergeRows, whole, wholeMinute } from './merge-rows.ts';
import { addModelCalls, type ModelCalls, modelDimensions } from './ports/model-records.ts';
import { storableText } from './storable-text.ts';

export function mergeModelCalls(batch: readonly ModelCalls[]): readonly ModelCalls[] {
  return mergeRows(batch, { clean: cleaned, keyOf: keyOfModelCalls, add: addModelCalls });
}

export function keyOfModelCalls(row: ModelCalls): string {
  return JSON.stringify([row.minuteMs, ...modelDimensions.map((dimension) => row[dimension])]);
}

function cleaned(row: ModelCalls): ModelCalls {
  return {
    minuteMs: wholeMinute(row.minuteMs),
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

function finite(number: number): number {
  return Number.isFinite(number) ? number : 0;
}
