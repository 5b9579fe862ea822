/** What is on record of models beside the journal: numbers per minute, ratings, alerts and failovers. Times are ms since 1970. */
export interface ModelRecords {
  /** Adds to what is there, all of the batch or nothing. At most `modelBatchLimit` rows; the same key may occur more than once. */
  addCalls(batch: readonly ModelCalls[]): Promise<void>;
  /** The sums of each group, those with the most calls first. */
  sumCalls(query: ModelCallsQuery): Promise<readonly ModelCallsSum[]>;
  /** Answers that may be rated. */
  addAnswers(answers: readonly AnsweredCall[]): Promise<void>;
  findAnswer(id: string): Promise<AnsweredCall | undefined>;
  /** Keeps what somebody thought of one answer. Returns false, and changes nothing, when that answer has a rating. */
  rate(rating: ModelRating): Promise<boolean>;
  /** By version; of one consumer where it is named. */
  sumRatings(model: string, fromMs: number, toMs: number, consumer?: string): Promise<readonly RatingSum[]>;
  /** Returns false, and changes nothing, where this was told already: whoever gets true tells it. */
  claimAlert(event: AlertEvent): Promise<boolean>;
  /** Newest first. */
  listAlerts(fromMs: number, limit: number): Promise<readonly AlertEvent[]>;
  addFailovers(events: readonly FailoverEvent[]): Promise<void>;
  /** Newest first. */
  listFailovers(query: FailoverQuery): Promise<readonly FailoverEvent[]>;
  /** Removes everything from before this time. Returns how many rows went. */
  prune(beforeMs: number): Promise<number>;
}

/** Keeps one statement below SQLite's 32,766 parameters. */
export const modelBatchLimit = 500;

export const modelDimensions = ['model', 'version', 'target', 'consumer', 'key', 'ending'] as const;
export type ModelDimension = (typeof modelDimensions)[number];

interface ModelNumbers {
  readonly calls: number;
  /** Of these, calls that ended in an error. */
  readonly failed: number;
  /** Answered without a provider. */
  readonly cached: number;
  /** Targets that were tried in vain before. */
  readonly failovers: number;
  readonly totalMs: number;
  /** Of the milliseconds of each call: what a variance is made of. */
  readonly totalSquare: number;
  /** Calls of which the first part of the answer was timed, and its time. */
  readonly firstCalls: number;
  readonly firstMs: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly nanoUsd: number;
  /** Calls of which no price is known. */
  readonly unpriced: number;
}

/** Empty where a dimension does not apply. `ending`: why the model stopped, or the code of an error. */
export interface ModelCalls extends ModelNumbers, Readonly<Record<ModelDimension, string>> {
  /** Begin of the minute. */
  readonly minuteMs: number;
}

export interface ModelCallsQuery {
  /** The first minute that counts, and the first that does not. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Empty: everything is one group. */
  readonly by: readonly ModelDimension[];
  readonly filters?: Partial<Readonly<Record<ModelDimension, string>>>;
  /** Most groups. Default: 1000. */
  readonly limit?: number;
}

export const usualModelGroups = 1_000;

export interface ModelCallsSum extends ModelNumbers {
  /** One value for each dimension of `by`. */
  readonly group: readonly string[];
}

/** The sum of both under the key of the first. */
export function addModelCalls<Row extends ModelNumbers>(a: Row, b: ModelNumbers): Row {
  return {
    ...a,
    calls: a.calls + b.calls,
    failed: a.failed + b.failed,
    cached: a.cached + b.cached,
    failovers: a.failovers + b.failovers,
    totalMs: a.totalMs + b.totalMs,
    totalSquare: a.totalSquare + b.totalSquare,
    firstCalls: a.firstCalls + b.firstCalls,
    firstMs: a.firstMs + b.firstMs,
    tokensIn: a.tokensIn + b.tokensIn,
    tokensOut: a.tokensOut + b.tokensOut,
    nanoUsd: a.nanoUsd + b.nanoUsd,
    unpriced: a.unpriced + b.unpriced,
  };
}

export interface AnsweredCall {
  readonly id: string;
  readonly atMs: number;
  readonly model: string;
  readonly version: string;
  readonly consumer: string;
}

/** Of the answer of this id. */
export interface ModelRating extends AnsweredCall {
  /** 0 to 1. */
  readonly score: number;
  readonly note: string | undefined;
}

export interface RatingSum {
  readonly version: string;
  readonly ratings: number;
  readonly total: number;
  readonly totalSquare: number;
}

export interface AlertEvent {
  /** The same for everybody who notices: of the alert, its subject, its window and its threshold. */
  readonly id: string;
  readonly atMs: number;
  readonly alert: string;
  readonly subject: string;
  readonly message: string;
  readonly used: number;
  readonly amount: number;
}

export interface FailoverEvent {
  readonly id: string;
  readonly atMs: number;
  /** `namespace/name`. */
  readonly model: string;
  readonly from: string;
  /** Undefined: there was no other. */
  readonly to: string | undefined;
  readonly reason: string;
  readonly kind: 'failover' | 'ejected' | 'returned' | 'refused';
}

interface FailoverQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly model?: string | undefined;
  /** Only models of these. */
  readonly namespaces?: ReadonlySet<string> | undefined;
  readonly kind?: FailoverEvent['kind'] | undefined;
  /** From or to it. */
  readonly target?: string | undefined;
  readonly limit: number;
}
