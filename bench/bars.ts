import type { Estimate } from './rounds.ts';

/** What has to hold, in the order of the report. Ratios are to the pass-through of the same round unless the text says otherwise. */
const bars = {
  'cpu modern json': lower('calls', 1.6, 'x', 'CPU per call, 64 callers, modern, JSON'),
  'cpu modern sse': lower('calls', 1.6, 'x', 'CPU per call, 64 callers, modern, SSE'),
  'cpu modern many': lower('calls', 1.6, 'x', 'CPU per call, 64 callers, modern, JSON, 1,000 tools'),
  'cpu legacy json': lower('calls', 1.8, 'x', 'CPU per call, 64 callers, legacy, JSON'),
  'cpu legacy sse': lower('calls', 1.8, 'x', 'CPU per call, 64 callers, legacy, SSE'),
  'rate modern json': higher('calls', 0.6, 'x', 'calls per second, 64 callers, modern, JSON'),
  'rate modern sse': higher('calls', 0.6, 'x', 'calls per second, 64 callers, modern, SSE'),
  'rate modern many': higher('calls', 0.6, 'x', 'calls per second, 64 callers, modern, JSON, 1,000 tools'),
  'rate legacy json': higher('calls', 0.6, 'x', 'calls per second, 64 callers, legacy, JSON'),
  'rate legacy sse': higher('calls', 0.6, 'x', 'calls per second, 64 callers, legacy, SSE'),
  'added p50 modern': lower('calls', 1.5, 'x', 'p50 added to a direct call, one caller, modern'),
  'added p50 legacy': lower('calls', 1.5, 'x', 'p50 added to a direct call, one caller, legacy'),
  'cpu 100 kb text': missed(6, lower('payload', 1.5, 'x', 'CPU per call, answers of 100 KB in one text')),
  'cpu 100 kb items': missed(6, lower('payload', 1.5, 'x', 'CPU per call, answers of 100 KB in many items')),
  'governed cpu': lower('governed', 2, 'x', 'CPU per call, 64 callers, with all that governs a call'),
  'governed federation': lower('governed', 1.25, 'x fed.', 'the same, to the federation alone'),
  'governed much': lower('governed', 1.1, 'x few', 'the same with 10,000 keys, 1,000 tools, 200 toolboxes, to 10 of each'),
  'refusal 401': lower('governed', 0.5, 'x call', 'CPU of a refusal for its key, to a call'),
  'refusal 429': lower('governed', 0.5, 'x call', 'CPU of a refusal for a limit, to a call'),
  'journal wait': lower('governed', 60, 'µs', 'p50 that a call waits for its record, one caller'),
  'models cpu': lower('models', 1.8, 'x', 'CPU per whole answer of a model, 64 callers, with all that governs it'),
  'models stream cpu': lower('models', 1.8, 'x', 'CPU per stream of 20 chunks, 64 callers'),
  'models rate': higher('models', 0.6, 'x', 'whole answers per second, 64 callers'),
  'models stream rate': higher('models', 0.6, 'x', 'streams per second, 64 callers'),
  'models first byte': lower('models', 2, 'x', 'p50 added to the first byte of a direct stream, one caller'),
  'models exact': lower('models', 0, 'answers', 'answers of models that were not passed on byte for byte'),
  'models held back': lower('models', 0, 'chunks', 'chunks that were held back'),
  'models memory': lower('models', 500, 'MB', 'memory with 1,000 streams under way'),
  'models stall': lower('models', 50, 'ms', 'longest way of a chunk meanwhile'),
  'models rival': higher('models', 6, 'x Portkey', 'whole answers per second, 64 callers'),
  'converted cpu': lower('converted', 1.5, 'x fed.', 'CPU per call of a converted operation, 64 callers, to a federated tool'),
  'converted p50': lower('converted', 1.5, 'x fed.', 'p50 of the same, one caller'),
  'list p50': lower('list', 1, 'x direct', 'p50 of tools/list with 1,000 tools, one caller'),
  'list upstream': lower('list', 0, 'lists', 'lists asked of the upstream meanwhile'),
  'twenty upstreams': higher('upstreams', 0.85, 'x of 2', 'calls per second with 20 upstreams that take 20 ms'),
  'one dead': lower('faults', 1.1, 'x healthy', 'p99 of four upstreams while the fifth is dead'),
  'one hanging': lower('faults', 1.1, 'x healthy', 'p99 of four upstreams while the fifth hangs'),
  'start warm': lower('start', 350, 'ms', 'process start to first answered call, data from an earlier start'),
  'start cold': lower('start', 350, 'ms', 'process start to first answered call, no data'),
  'memory at rest': lower('memory', 70, 'MB', 'memory at rest, 10 tools'),
  'memory per session': lower('memory', 4, 'KB', 'memory of an idle legacy session'),
  'memory growth': lower('soak', 10, '%', 'growth of memory over a million calls'),
} as const satisfies Record<string, Bar>;

type BarName = keyof typeof bars;

interface Bar {
  /** Which suite measures it. */
  readonly suite: string;
  readonly limit: number;
  readonly better: 'lower' | 'higher';
  readonly unit: string;
  readonly text: string;
  /** The bar is missed, docs/speed.md says why; a gate stops only what is worse than this. */
  readonly gateAt?: number;
}

export interface Verdict extends Bar {
  readonly name: BarName;
  /** Undefined when it could not be measured. */
  readonly value: number | undefined;
  readonly range: readonly [low: number, high: number] | undefined;
  readonly outcome: 'pass' | 'fail' | 'unmeasured' | 'unsure' | 'skipped';
}

/** `skipped`: there was a reason not to measure it. */
export type Values = Partial<Record<BarName, number | Estimate | 'skipped' | undefined>>;

/** One verdict for each bar of a suite, measured or not. */
export function judge(suite: string, values: Values): Verdict[] {
  return (Object.keys(bars) as BarName[])
    .filter((name) => bars[name].suite === suite)
    .map((name) => {
      const measured = values[name];
      if (measured === 'skipped') return { name, ...bars[name], value: undefined, range: undefined, outcome: measured };
      const { value, low, high, isDoubtful } = typeof measured === 'object' ? measured : exactly(measured);
      const range = low === undefined || high === undefined ? undefined : ([low, high] as const);
      return { name, ...bars[name], value, range, outcome: decide(bars[name], value, isDoubtful) };
    });
}

function exactly(value: number | undefined) {
  return { value, low: undefined, high: undefined, isDoubtful: false };
}

function decide(bar: Bar, value: number | undefined, isDoubtful: boolean): Verdict['outcome'] {
  if (value === undefined || Number.isNaN(value)) return 'unmeasured';
  if (meets(bar, value, 1)) return 'pass';
  return isDoubtful ? 'unsure' : 'fail';
}

/** Verdicts of a suite for which no time was left: they say nothing, for or against. */
export function skip(suite: string): Verdict[] {
  return judge(suite, {}).map((verdict) => ({ ...verdict, outcome: 'skipped' as const }));
}

/** Whether a run passes with bars that are this many times as generous. What could not be measured does not. */
export function passes(verdict: Verdict, slack: number): boolean {
  const { outcome, value, gateAt } = verdict;
  if (outcome === 'pass' || outcome === 'unsure' || outcome === 'skipped') return true;
  return outcome === 'fail' && (meets(verdict, value!, slack) || (gateAt !== undefined && value! <= gateAt));
}

function meets({ better, limit }: Bar, value: number, slack: number): boolean {
  return better === 'lower' ? value <= limit * slack : value >= limit / slack;
}

function lower(suite: string, limit: number, unit: string, text: string): Bar {
  return { suite, limit, better: 'lower', unit, text };
}

function missed(gateAt: number, bar: Bar): Bar {
  return { ...bar, gateAt };
}

function higher(suite: string, limit: number, unit: string, text: string): Bar {
  return { suite, limit, better: 'higher', unit, text };
}
