import { compileGlob } from '../catalog/glob.ts';
import { windowAt } from '../policy/calendar.ts';
import type { AlertDocument } from '../registry/documents.ts';
import type { ModelCallsSum } from '../store/ports/model-records.ts';

/** What one subject has used up in the window that runs, and what it comes to if it goes on so. */
export interface AlertUsage {
  /** A model, a consumer or a key; empty for all together. */
  readonly subject: string;
  readonly used: number;
  /** At the end of the window; undefined while it is too young to tell. */
  readonly forecast: number | undefined;
}

interface AlertWindow {
  readonly startMs: number;
  readonly endMs: number;
}

/** Combinations of model, consumer and key; those with the fewest calls are left out beyond it. */
export const mostAlertGroups = 100_000;

/** Less than this of a window tells nothing of the rest. */
const leastShare = 0.05;

export function windowOf({ window }: Pick<AlertDocument, 'window'>, nowMs: number): AlertWindow {
  return windowAt(window, nowMs);
}

/** `sums` are by model, consumer and key, of the window up to now. */
export function usageOf(alert: AlertDocument, sums: readonly ModelCallsSum[], nowMs: number): readonly AlertUsage[] {
  const { startMs, endMs } = windowOf(alert, nowMs);
  const takes = (alert.match ?? ['*/*']).map(compileGlob);
  const bySubject = new Map<string, number>();
  for (const sum of sums) {
    const [model = '', consumer = '', key = ''] = sum.group;
    // Whoever looks after one namespace is told of no other.
    if (alert.namespace !== undefined && !model.startsWith(`${alert.namespace}/`)) continue;
    if (!takes.some((take) => take(model))) continue;
    const subject = { all: '', model, consumer, key }[alert.per];
    if (alert.per !== 'all' && subject === '') continue;
    if (alert.subject !== undefined && alert.subject !== subject) continue;
    bySubject.set(subject, (bySubject.get(subject) ?? 0) + amountOf(alert, sum));
  }
  const share = (nowMs - startMs) / (endMs - startMs);
  return Array.from(bySubject, ([subject, used]) => ({
    subject,
    used,
    forecast: share < leastShare ? undefined : used / share,
  }));
}

function amountOf({ unit }: Pick<AlertDocument, 'unit'>, sum: ModelCallsSum): number {
  if (unit === 'usd') return sum.nanoUsd / 1e9;
  return unit === 'tokens' ? sum.tokensIn + sum.tokensOut : sum.calls;
}

/** Something to tell of, once in a window. */
export interface Warning {
  /** What makes it one of a kind in its window: `0.8`, `forecast`. */
  readonly mark: string;
  readonly text: string;
}

const defaultThresholds = [0.8, 1] as const;

/** What of this usage is worth a word. Of several thresholds that are passed the highest alone: it says what the others would. */
export function warningsOf(alert: AlertDocument, usage: AlertUsage): readonly Warning[] {
  const { amount, thresholds = defaultThresholds, forecast: tellsForecast = true } = alert;
  const { used, forecast } = usage;
  const passed = thresholds.filter((share) => used >= share * amount).sort((a, b) => b - a);
  const warnings = passed.slice(0, 1).map((share) => ({
    mark: String(share),
    text: `${describeSubject(alert, usage)} used ${describe(alert, used)} of ${describe(alert, amount)} ${per(alert)} (${Math.round((used / amount) * 100)} %).`,
  }));
  if (!tellsForecast || used >= amount || forecast === undefined || forecast < amount) return warnings;
  return [
    ...warnings,
    {
      mark: 'forecast',
      text: `${describeSubject(alert, usage)} will use about ${describe(alert, forecast)} ${per(alert)} at the present rate, more than ${describe(alert, amount)}; ${describe(alert, used)} so far.`,
    },
  ];
}

function describeSubject({ per: level }: AlertDocument, { subject }: AlertUsage): string {
  if (level === 'all') return 'All models together';
  return `The ${level} ${subject}`;
}

function per({ window }: Pick<AlertDocument, 'window'>): string {
  return `this ${window} (UTC)`;
}

function describe({ unit }: Pick<AlertDocument, 'unit'>, amount: number): string {
  if (unit === 'usd') return `${amount.toFixed(amount < 1 ? 4 : 2)} USD`;
  return `${Math.round(amount)} ${unit}`;
}
