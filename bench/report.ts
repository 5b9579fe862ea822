import { passes, type Verdict } from './bars.ts';
import type { Row } from './rounds.ts';
import type { Figure } from './suites/suite.ts';

/** What one suite brought, or why it brought nothing. */
export interface SuiteReport {
  readonly suite: string;
  readonly seconds: number;
  readonly rows: readonly Row[];
  readonly figures: readonly Figure[];
  readonly verdicts: readonly Verdict[];
  readonly failure: string | undefined;
}

export function formatSuite({ suite, seconds, rows, figures, failure }: SuiteReport): string {
  const lines = [`== ${suite} (${seconds.toFixed(0)} s)`];
  for (const scenario of new Set(rows.map((row) => row.scenario))) {
    lines.push('', scenario, header, ...rows.filter((row) => row.scenario === scenario).flatMap(formatRow));
  }
  if (figures.length > 0) lines.push('', ...figures.map(({ text, value, unit }) => `${text}: ${number(value)} ${unit}`));
  if (failure !== undefined) lines.push('', `FAILED: ${failure}`);
  return `${lines.join('\n')}\n`;
}

export function formatVerdicts(verdicts: readonly Verdict[], slack: number | undefined): string {
  const lines = verdicts.map((verdict) => {
    const { outcome, better, limit, unit, text, value, range } = verdict;
    const bar = `${better === 'lower' ? 'at most' : 'at least'} ${limit.toLocaleString('en')} ${unit}`;
    const spread = range === undefined ? '' : `${number(range[0])} to ${number(range[1])}`;
    const tolerated =
      slack !== undefined && outcome === 'fail' && passes(verdict, slack) ? ' (within the slack of the gate)' : '';
    return `${marks[outcome]}  ${number(value).padStart(9)} ${unit.padEnd(9)}  ${bar.padEnd(21)}  ${spread.padEnd(18)}  ${text}${tolerated}`;
  });
  const unsure = verdicts.some(({ outcome }) => outcome === 'unsure')
    ? '\nbusy: missed, but other processes had the CPUs in every round; measure again on a quiet machine.\n'
    : '';
  return `== bars\n\n${lines.join('\n')}\n${unsure}`;
}

const marks = { pass: 'pass', fail: 'FAIL', unmeasured: 'none', unsure: 'busy', skipped: 'skip' } as const;

const header = columns(['', 'calls/s', 'p50 ms', 'p99 ms', 'CPU µs/call', 'CPU x', 'calls/s x', 'busy', 'other CPU', 'foreign']);

function formatRow(row: Row): string[] {
  const line = columns([
    row.target,
    row.callsPerSecond === undefined ? '-' : Math.round(row.callsPerSecond).toLocaleString('en'),
    milliseconds(row.p50Us),
    milliseconds(row.p99Us),
    row.cpuUsPerCall === undefined ? '-' : row.cpuUsPerCall.toFixed(0),
    row.cpuRatio?.value.toFixed(2) ?? '',
    row.rateRatio?.value.toFixed(2) ?? '',
    percent(row.busy),
    percent(row.otherBusy),
    percent(row.foreign),
  ]);
  return row.wrong === 0 ? [line] : [line, `  ${row.wrong} WRONG answers, the first: ${row.firstWrong}`];
}

function columns([target, ...cells]: string[]): string {
  return `  ${target!.padEnd(16)}${cells.map((cell) => cell.padStart(12)).join('')}`;
}

function milliseconds(us: number | undefined): string {
  return us === undefined ? '-' : (us / 1000).toFixed(3);
}

function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${Math.round(share * 100)} %`;
}

function number(value: number | undefined): string {
  if (value === undefined) return 'unknown';
  return Number.isInteger(value) ? value.toLocaleString('en') : value.toFixed(2);
}
