import { randomUUID } from 'node:crypto';
import type { Lost } from '../models/spent.ts';
import {
  type AnsweredCall,
  type FailoverEvent,
  type ModelCalls,
  type ModelDimension,
  type ModelRecords,
  modelBatchLimit,
} from '../store/ports/model-records.ts';
import { type CallCourse, failureOf } from './course.ts';
import { Flush, type FlushOptions } from './flush.ts';

const minuteMs = 60_000;
/** Rows that wait while the store is away; beyond it the oldest go. */
const waitingLimit = 20_000;
const mostFailovers = 500;
const batchSize = Math.min(100, modelBatchLimit);

export interface ModelBufferOptions extends FlushOptions {
  readonly store: Pick<ModelRecords, 'addCalls' | 'addAnswers' | 'addFailovers' | 'prune'>;
}

/** Adds the calls of models up per minute, behind the calls, as RollUpBuffer does for all calls. */
export class ModelBuffer {
  readonly #options: ModelBufferOptions;
  readonly #flush: Flush;
  #rows = new Map<string, Writable<ModelCalls>>();
  #waiting: ModelCalls[] = [];
  #answers: AnsweredCall[] = [];
  #failovers: FailoverEvent[] = [];

  constructor(options: ModelBufferOptions) {
    this.#options = options;
    this.#flush = new Flush(
      options,
      'Calls of models cannot be added up in the store; they are kept in memory and added later.',
      () => this.#writeAll(),
    );
  }

  /** Calls that are none of a model's leave no trace here. */
  add(course: CallCourse): void {
    const { spent, capability } = course;
    if (capability === undefined || (spent === undefined && course.method !== 'models/call')) return;
    const nowMs = this.#options.clock.nowMs();
    const minute = nowMs - (nowMs % minuteMs);
    const failure = failureOf(course);
    const names = {
      minuteMs: minute,
      model: capability,
      version: spent?.version ?? '',
      target: spent?.target ?? '',
      consumer: course.consumer ?? '',
      key: course.key ?? '',
      ending: failure === '' ? (spent?.finish ?? '') : failure,
    };
    const row = this.#rowOf(names);
    row.calls += 1;
    if (failure !== '') row.failed += 1;
    row.totalMs += course.ms;
    row.totalSquare += course.ms * course.ms;
    if (spent !== undefined) {
      if (spent.cache !== undefined) row.cached += 1;
      row.failovers += spent.failovers;
      if (spent.firstTokenMs !== undefined) {
        row.firstCalls += 1;
        row.firstMs += spent.firstTokenMs;
      }
      addSpent(row, spent);
      // No call of theirs ended there, and yet they are on the bill of those targets.
      for (const lost of spent.lost ?? [])
        addSpent(this.#rowOf({ ...names, version: lost.version, target: lost.target, ending: 'failed-over' }), lost);
      if (spent.nanoUsd === undefined) row.unpriced += 1;
      // What may be rated later has to be found again.
      if (spent.isCompared && course.answerId !== undefined && this.#answers.length < waitingLimit) {
        const consumer = raterOf(course);
        this.#answers.push({ id: course.answerId, atMs: nowMs, model: capability, version: spent.version, consumer });
      }
    }
    this.#flush.schedule();
  }

  /** Something happened to the targets of a model. When all calls of a busy gateway fail over, the first of each ten seconds are kept. */
  addFailover(model: string, { atMs, kind, from, to, reason }: RoutedEvent): void {
    if (this.#failovers.length >= mostFailovers) return;
    this.#failovers.push({ id: randomUUID(), atMs, model, kind, from, to, reason });
    this.#flush.schedule();
  }

  /** Tries to store everything that was added so far. Never throws: what fails is tried again later. */
  flush(): Promise<void> {
    return this.#flush.now();
  }

  close(): Promise<void> {
    return this.#flush.close();
  }

  #rowOf(names: Names): Writable<ModelCalls> {
    // No name holds a zero; JSON would cost more than all the rest here.
    const key = `${names.minuteMs}\0${names.model}\0${names.version}\0${names.target}\0${names.consumer}\0${names.key}\0${names.ending}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { ...names, ...nothing };
      this.#rows.set(key, row);
    }
    return row;
  }

  async #writeAll(): Promise<void> {
    const { store } = this.#options;
    this.#waiting.push(...this.#rows.values());
    this.#rows = new Map();
    this.#waiting.splice(0, Math.max(0, this.#waiting.length - waitingLimit));
    for (let batch = this.#waiting.slice(0, batchSize); batch.length > 0; batch = this.#waiting.slice(0, batchSize)) {
      await store.addCalls(batch);
      this.#waiting.splice(0, batch.length);
    }
    const answers = this.#answers.splice(0);
    if (answers.length > 0) await store.addAnswers(answers);
    const failovers = this.#failovers.splice(0);
    if (failovers.length > 0) await store.addFailovers(failovers);
  }
}

function addSpent(row: Writable<ModelCalls>, { usage, nanoUsd }: Lost): void {
  row.tokensIn += usage.input;
  row.tokensOut += usage.output;
  row.nanoUsd += nanoUsd ?? 0;
}

/** Who may speak of an answer: the consumer that got it; where there is none, whoever has the key. */
export function raterOf({ consumer, key }: { readonly consumer: string | undefined; readonly key: string | undefined }): string {
  return consumer ?? (key === undefined ? '' : `key:${key}`);
}

/** As the routing of a model tells it. */
type RoutedEvent = Omit<FailoverEvent, 'id' | 'model'>;

type Names = Pick<ModelCalls, 'minuteMs' | ModelDimension>;

type Writable<Row> = { -readonly [Key in keyof Row]: Row[Key] };

const nothing = {
  calls: 0,
  failed: 0,
  cached: 0,
  failovers: 0,
  totalMs: 0,
  totalSquare: 0,
  firstCalls: 0,
  firstMs: 0,
  tokensIn: 0,
  tokensOut: 0,
  nanoUsd: 0,
  unpriced: 0,
};
