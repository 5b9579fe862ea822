/** Calls added up per minute: what dashboards read. Loss of the last seconds is tolerable, a wrong sum is not. */
export interface RollUps {
  /**
   * Adds to what is there, all of the batch or nothing: processes that add to the same minute add up. At most
   * `rollUpBatchLimit` entries; the same key may occur more than once.
   */
  add(batch: readonly RollUp[]): Promise<void>;
  /** The groups with the most calls; with `stepMs`, each group's steps in order of time after those of the group before. */
  query(query: RollUpQuery): Promise<readonly RollUpSum[]>;
  /** Removes whole minutes before this time. Returns how many rows went. */
  prune(beforeMs: number): Promise<number>;
}

/** Keeps one statement below SQLite's 32,766 parameters. */
export const rollUpBatchLimit = 500;

/**
 * Upper bounds of the latency buckets, each inclusive; one bucket more takes what is longer. They hold those that OpenTelemetry's
 * MCP conventions ask for, and three finer ones. Stored histograms add up because these never change.
 */
export const latencyBoundsMs = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
] as const;

export const rollUpDimensions = ['namespace', 'capability', 'consumer', 'key', 'member', 'upstream', 'code'] as const;
export type RollUpDimension = (typeof rollUpDimensions)[number];

interface RollUpNumbers {
  readonly calls: number;
  /** Calls per latency bucket: one number per bound of `latencyBoundsMs`, and the last for what is longer. */
  readonly latency: readonly number[];
  /** Of all calls together. */
  readonly totalMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Millionths of the currency that prices are given in. */
  readonly costMicros: number;
}

/** Empty where a dimension does not apply; `code` is empty for calls that went well. */
export interface RollUp extends RollUpNumbers, Readonly<Record<RollUpDimension, string>> {
  /** Begin of the minute. */
  readonly minuteMs: number;
}

export interface RollUpQuery {
  /** The first minute that counts, and the first that does not. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Left out: everything is one group, named ''. */
  readonly by?: RollUpDimension;
  readonly filters?: Partial<Readonly<Record<RollUpDimension, string>>>;
  /** Splits the time into steps of this length, aligned to 1970; whole minutes. Left out: one step. */
  readonly stepMs?: number;
  /** Most groups to return; 1000 when left out. With steps as many as make 3,000 of them together, at least one. */
  readonly limit?: number;
}

export interface RollUpSum extends RollUpNumbers {
  readonly group: string;
  /** Begin of the step; `fromMs` without steps. */
  readonly atMs: number;
  /** Calls with any code. */
  readonly errors: number;
}
