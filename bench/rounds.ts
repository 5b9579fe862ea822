import type { Lab } from './lab.ts';
import type { CallJob, LoadResult } from './load.ts';

/** One load on several targets, which are compared with each other. */
export interface Scenario {
  readonly name: string;
  readonly targets: readonly { readonly name: string; readonly job: Load }[];
  /** Targets that an earlier scenario has warmed up for this load, too. */
  readonly warm?: readonly string[];
  /** Sets the upstreams up; it runs before each target of each round. */
  prepare?(): Promise<void>;
}

/** What is called and by how many; the laboratory says for how long. */
export type Load = Omit<CallJob, 'kind' | 'warmMs' | 'measureMs'>;

/** A line of the report: medians over the rounds. */
export interface Row {
  readonly scenario: string;
  readonly target: string;
  readonly callsPerSecond: number | undefined;
  readonly p50Us: number | undefined;
  readonly p99Us: number | undefined;
  readonly cpuUsPerCall: number | undefined;
  readonly busy: number | undefined;
  readonly otherBusy: number | undefined;
  readonly foreign: number | undefined;
  /** To the pass-through. */
  readonly cpuRatio: Estimate | undefined;
  readonly rateRatio: Estimate | undefined;
  readonly wrong: number;
  readonly firstWrong: string | undefined;
  readonly rounds: readonly LoadResult[];
}

/** The median over rounds, with the lowest and the highest of them. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** Something else took the CPUs in every round, so that a bad value may not be ours. */
  readonly isDoubtful: boolean;
}

type Figure = (...results: (LoadResult | undefined)[]) => number | undefined;
type Pick = (result: LoadResult) => number | undefined;

export class Measurements {
  readonly #results = new Map<string, Map<string, LoadResult[]>>();

  add(scenario: string, target: string, result: LoadResult): void {
    const targets = this.#results.get(scenario) ?? new Map<string, LoadResult[]>();
    this.#results.set(scenario, targets);
    targets.set(target, [...(targets.get(target) ?? []), result]);
  }

  of(scenario: string, target: string): readonly LoadResult[] {
    return this.#results.get(scenario)?.get(target) ?? [];
  }

  /**
   * A figure computed within each round; undefined when an answer was wrong, for then nothing is comparable. Only calm rounds
   * are used, where there are any. Without one a figure made of times is doubtful; CPU time does not count what others did.
   */
  compare(scenario: string, targets: readonly string[], figure: Figure, madeOf: 'times' | 'cpu'): Estimate | undefined {
    const all = targets.map((target) => this.of(scenario, target));
    if (all.flat().some((result) => result.wrong > 0)) return undefined;
    const rounds = Array.from({ length: Math.min(...all.map((results) => results.length)) }, (_, round) =>
      all.map((results) => results[round]!),
    );
    const calm = rounds.filter((results) => results.every(isCalm));
    const used = calm.length === 0 ? rounds : calm;
    return estimate(
      used.map((results) => figure(...results)),
      madeOf === 'times' && calm.length === 0,
    );
  }

  /** Whether each target of each scenario has had so many calm turns. */
  hasCalm(rounds: number): boolean {
    return [...this.#results.values()].every((targets) =>
      [...targets.values()].every((results) => results.filter(isCalm).length >= rounds),
    );
  }

  cpuRatio(scenario: string, target: string, to: string): Estimate | undefined {
    return this.compare(scenario, [target, to], (one, other) => divide(one!.cpuUsPerCall, other!.cpuUsPerCall), 'cpu');
  }

  timeRatio(scenario: string, target: string, to: string, pick: Pick): Estimate | undefined {
    return this.compare(scenario, [target, to], (one, other) => divide(pick(one!), pick(other!)), 'times');
  }

  /** How much more a target adds to the direct call's p50 than the pass-through does. */
  addedP50Ratio(scenario: string, target: string): Estimate | undefined {
    return this.addedRatio(scenario, target, p50Us);
  }

  addedRatio(scenario: string, target: string, pick: Pick): Estimate | undefined {
    const figure: Figure = (one, floor, direct) => {
      const floorAdded = pick(floor!)! - pick(direct!)!;
      // A pass-through that is nearly as fast as nothing at all is noise: it has two connections and a process more.
      return floorAdded > pick(direct!)! / 10 ? (pick(one!)! - pick(direct!)!) / floorAdded : undefined;
    };
    return this.compare(scenario, [target, 'pass-through', 'direct'], figure, 'times');
  }

  rows(): Row[] {
    return [...this.#results].flatMap(([scenario, targets]) =>
      [...targets].map(([target, rounds]) => {
        const of = (pick: Pick) => median(rounds.map(pick));
        const hasFloor = target === 'gatehouse' && targets.has('pass-through');
        return {
          scenario,
          target,
          callsPerSecond: of(callsPerSecond),
          p50Us: of(p50Us),
          p99Us: of(p99Us),
          cpuUsPerCall: of((result) => result.cpuUsPerCall),
          busy: of((result) => result.busy),
          otherBusy: of((result) => result.otherBusy),
          foreign: of((result) => result.foreign),
          cpuRatio: hasFloor ? this.cpuRatio(scenario, target, 'pass-through') : undefined,
          rateRatio: hasFloor ? this.timeRatio(scenario, target, 'pass-through', callsPerSecond) : undefined,
          wrong: rounds.reduce((sum, result) => sum + result.wrong, 0),
          firstWrong: rounds.find((result) => result.firstWrong !== undefined)?.firstWrong,
          rounds,
        };
      }),
    );
  }
}

export const callsPerSecond: Pick = (result) => result.callsPerSecond;
export const p50Us: Pick = (result) => result.p50Us;
export const p99Us: Pick = (result) => result.p99Us;

/**
 * Runs every scenario in every round, its targets one after the other in an order that turns from round to round, so that
 * what a machine does beside this falls on all of them.
 */
export async function measureRounds(
  lab: Lab,
  suite: string,
  scenarios: readonly Scenario[],
  rounds = lab.settings.rounds,
): Promise<Measurements> {
  const measurements = new Measurements();
  const { warmMs, measureMs } = lab.settings;
  lab.say(`${suite}: warming up`);
  for (const scenario of scenarios) {
    for (const { name, job } of scenario.targets) {
      if (scenario.warm?.includes(name)) continue;
      await scenario.prepare?.();
      await lab.warmUp(job);
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    const why = round === 0 ? undefined : enough(lab, measurements);
    if (why !== undefined) {
      lab.say(`${suite}: ${why} after round ${round} of ${rounds}`);
      break;
    }
    lab.say(`${suite}: round ${round + 1} of ${rounds}`);
    for (const scenario of scenarios) {
      for (const { name, job } of rotate(scenario.targets, round)) {
        await scenario.prepare?.();
        measurements.add(scenario.name, name, await lab.run({ kind: 'calls', ...job, warmMs, measureMs }));
      }
    }
  }
  return measurements;
}

/** Why no further round is needed. */
export function enough({ settings, calmRounds }: Lab, measurements: Measurements): string | undefined {
  if (performance.now() > settings.deadline) return 'out of time';
  return measurements.hasCalm(calmRounds) ? 'enough' : undefined;
}

export function rotate<T>(list: readonly T[], by: number): T[] {
  const start = by % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** Share of the CPUs that others may have before a round says nothing about times. */
const calmShare = 0.15;

export function isCalm({ foreign }: { readonly foreign: number | undefined }): boolean {
  return foreign === undefined || foreign <= calmShare;
}

function estimate(values: readonly (number | undefined)[], isDoubtful: boolean): Estimate | undefined {
  const value = median(values);
  if (value === undefined) return undefined;
  const known = values.filter(isKnown);
  return { value, low: Math.min(...known), high: Math.max(...known), isDoubtful };
}

/** Of the values that are there. */
export function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter(isKnown).toSorted((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function isKnown(value: number | undefined): value is number {
  return value !== undefined && !Number.isNaN(value);
}

export function divide(value: number | undefined, by: number | undefined): number | undefined {
  return value === undefined || by === undefined || by === 0 ? undefined : value / by;
}
