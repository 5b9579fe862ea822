import { meets, type Verdict } from './bars.ts';
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
    const { better, limit, unit, text, value } = verdict;
    const result = verdict.isMet ? 'pass' : value === undefined ? 'n/a ' : 'FAIL';
    const bar = `${better === 'lower' ? 'at most' : 'at least'} ${limit.toLocaleString('en')} ${unit}`;
    const tolerated =
      !verdict.isMet && slack !== undefined && meets(verdict, value, slack) ? ' (within the slack of the gate)' : '';
    return `${result}  ${number(value).padStart(9)} ${unit.padEnd(9)}  ${bar.padEnd(21)}  ${text}${tolerated}`;
  });
  return `== bars\n\n${lines.join('\n')}\n`;
}

const header = columns(['', 'calls/s', 'p50 ms', 'p99 ms', 'CPU µs/call', 'CPU x', 'calls/s x', 'busy', 'other CPU']);

function formatRow(row: Row): string[] {
  const line = columns([
    row.target,
    row.callsPerSecond === undefined ? '-' : Math.round(row.callsPerSecond).toLocaleString('en'),
    milliseconds(row.p50Us),
    milliseconds(row.p99Us),
    row.cpuUsPerCall === undefined ? '-' : row.cpuUsPerCall.toFixed(0),
    row.cpuRatio === undefined ? '' : row.cpuRatio.toFixed(2),
    row.rateRatio === undefined ? '' : row.rateRatio.toFixed(2),
    percent(row.busy),
    percent(row.otherBusy),
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
