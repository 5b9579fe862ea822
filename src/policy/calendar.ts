import type { BudgetWindow } from './compile-limits.ts';

const lengthsMs = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** The calendar window, UTC, that holds this moment. */
export function windowAt(window: BudgetWindow, nowMs: number): { readonly startMs: number; readonly endMs: number } {
  if (window === 'month') {
    const date = new Date(nowMs);
    const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
    return { startMs: Date.UTC(year, month), endMs: Date.UTC(year, month + 1) };
  }
  const lengthMs = lengthsMs[window];
  const startMs = nowMs - (((nowMs % lengthMs) + lengthMs) % lengthMs);
  return { startMs, endMs: startMs + lengthMs };
}
