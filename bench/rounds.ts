import type { Lab } from './lab.ts';
import type { CallJob, LoadResult } from './load.ts';

/** One load on several targets, which are compared with each other. */
export interface Scenario {
  readonly name: string;
  readonly targets: readonly { readonly name: string; readonly job: Load }[];
  /** Sets the upstreams up; it runs before each target of each round. */
  prepare?(): Promise<void>;
}

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
  /** To the pass-through, medians of the ratios within each round. */
  readonly cpuRatio: number | undefined;
  readonly rateRatio: number | undefined;
  readonly wrong: number;
  readonly firstWrong: string | undefined;
  readonly rounds: readonly LoadResult[];
}

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

  /** The median of a figure computed within each round; undefined when an answer was wrong, for then nothing is comparable. */
  compare(
    scenario: string,
    targets: readonly string[],
    figure: (...results: LoadResult[]) => number | undefined,
  ): number | undefined {
    const all = targets.map((target) => this.of(scenario, target));
    if (all.flat().some((result) => result.wrong > 0)) return undefined;
    const rounds = Math.min(...all.map((results) => results.length));
    return median(Array.from({ length: rounds }, (_, round) => figure(...all.map((results) => results[round]!))));
  }

  ratio(scenario: string, target: string, to: string, pick: Pick): number | undefined {
    return this.compare(scenario, [target, to], (one, other) => divide(pick(one!), pick(other!)));
  }

  /** How much more a target adds to the direct call's p50 than the pass-through does. */
  addedP50Ratio(scenario: string, target: string): number | undefined {
    return this.compare(scenario, [target, 'pass-through', 'direct'], (one, floor, direct) => {
      const added = one!.p50Us! - direct!.p50Us!;
      const floorAdded = floor!.p50Us! - direct!.p50Us!;
      // A pass-through that is as fast as nothing at all is noise.
      return floorAdded > 0 ? added / floorAdded : undefined;
    });
  }

  rows(): Row[] {
    return [...this.#results].flatMap(([scenario, targets]) =>
      [...targets].map(([target, rounds]) => {
        const of = (pick: Pick) => median(rounds.map(pick));
        const toFloor = (pick: Pick) => (target === 'gatehouse' ? this.ratio(scenario, target, 'pass-through', pick) : undefined);
        return {
          scenario,
          target,
          callsPerSecond: of(callsPerSecond),
          p50Us: of(p50Us),
          p99Us: of(p99Us),
          cpuUsPerCall: of(cpuUsPerCall),
          busy: of((result) => result.busy),
          otherBusy: of((result) => result.otherBusy),
          cpuRatio: toFloor(cpuUsPerCall),
          rateRatio: toFloor(callsPerSecond),
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
export const cpuUsPerCall: Pick = (result) => result.cpuUsPerCall;

/**
 * Runs every scenario in every round, its targets one after the other in an order that turns from round to round, so that
 * what a machine does beside this falls on all of them.
 */
export async function measureRounds(lab: Lab, suite: string, scenarios: readonly Scenario[]): Promise<Measurements> {
  const measurements = new Measurements();
  const { rounds, warmMs, measureMs, deadline } = lab.settings;
  // The round before the first compiles the hot code of every target and is not reported.
  for (let round = -1; round < rounds; round += 1) {
    if (round > 0 && performance.now() > deadline) {
      lab.say(`${suite}: out of time after round ${round} of ${rounds}`);
      break;
    }
    lab.say(round < 0 ? `${suite}: warming up` : `${suite}: round ${round + 1} of ${rounds}`);
    for (const scenario of scenarios) {
      for (const { name, job } of rotate(scenario.targets, round)) {
        await scenario.prepare?.();
        const result = await lab.run({ kind: 'calls', ...job, warmMs, measureMs: round < 0 ? warmMs * 2 : measureMs });
        if (round >= 0) measurements.add(scenario.name, name, result);
      }
    }
  }
  return measurements;
}

export function rotate<T>(list: readonly T[], by: number): T[] {
  const start = ((by % list.length) + list.length) % list.length;
  return [...list.slice(start), ...list.slice(0, start)];
}

/** Of the values that are there. */
export function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value): value is number => value !== undefined && !Number.isNaN(value)).toSorted((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function divide(value: number | undefined, by: number | undefined): number | undefined {
  return value === undefined || by === undefined || by === 0 ? undefined : value / by;
}
