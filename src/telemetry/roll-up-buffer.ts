import { type RollUp, type RollUps, rollUpBatchLimit } from '../store/ports/roll-ups.ts';
import { type CallCourse, failureOf } from './course.ts';
import { Flush, type FlushOptions } from './flush.ts';
import { others } from './labelled.ts';
import { bucketOf, emptyBuckets } from './latency.ts';

const minuteMs = 60_000;
/** Rows of one minute; what comes after them is added up under `(other)`. */
const rowLimit = 10_000;
/** Rows that wait while the store is away, about 10 MB; beyond it the oldest go. */
const waitingLimit = 20_000;
/** One statement of this many rows holds up the event loop for two to three milliseconds on SQLite. */
const batchSize = Math.min(50, rollUpBatchLimit);
const nameLimit = 200;

interface RollUpBufferOptions extends FlushOptions {
  readonly store: RollUps;
}

/**
 * Adds calls up per minute in memory and hands them to the store behind the calls, every ten seconds while there are any. A
 * store that fails or hangs costs memory up to a limit, then the oldest rows. A batch that failed is added again: when the
 * answer alone was lost, its calls count twice.
 */
export class RollUpBuffer {
  /** Rows that were given up because the store was away for too long. */
  dropped = 0;
  readonly #options: RollUpBufferOptions;
  readonly #flush: Flush;
  #rows = new Map<string, Row>();
  /** By capability, key and failure: the row last counted under them. */
  #usual = new Map<string | undefined, Map<string | undefined, Map<string, UsualRow>>>();
  #minuteMs = 0;
  /** Oldest first. */
  #waiting: RollUp[] = [];

  constructor(options: RollUpBufferOptions) {
    this.#options = options;
    const message = 'Calls cannot be added up in the store; they are kept in memory and added later.';
    this.#flush = new Flush(options, message, () => this.#writeAll());
  }

  add(course: CallCourse): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#minuteMs >= minuteMs || nowMs < this.#minuteMs) this.#turn(nowMs - (nowMs % minuteMs));
    const row = this.#rowOf(course);
    row.calls += 1;
    row.totalMs += course.ms;
    row.bytesIn += course.bytesIn;
    row.bytesOut += course.bytesOut;
    row.tokensIn += course.tokensIn;
    row.tokensOut += course.tokensOut;
    row.costMicros += course.costMicros;
    const bucket = bucketOf(course.ms);
    row.latency[bucket] = (row.latency[bucket] ?? 0) + 1;
    this.#flush.schedule();
  }

  /** Tries to store everything that was added so far. Never throws: what fails is tried again later. */
  flush(): Promise<void> {
    return this.#flush.now();
  }

  close(): Promise<void> {
    return this.#flush.close();
  }

  /** Ends the minute that was counted: its rows wait to be stored. */
  #turn(minute: number): void {
    if (this.#rows.size > 0) this.#waiting.push(...this.#rows.values());
    this.#rows = new Map();
    this.#usual = new Map();
    this.#minuteMs = minute;
    const excess = this.#waiting.length - waitingLimit;
    if (excess <= 0) return;
    this.#waiting.splice(0, excess);
    this.dropped += excess;
  }

  #rowOf(course: CallCourse): Row {
    const failure = failureOf(course);
    // One text of all names would cost more than the rest of a call's telemetry together; these three nearly always name one row.
    const usual = this.#usual.get(course.capability)?.get(course.key)?.get(failure);
    if (usual !== undefined && isOf(usual, course)) return usual.row;
    const names = namesOf(course, failure);
    const key = JSON.stringify(names);
    const known = this.#rows.get(key);
    if (known === undefined && this.#rows.size >= rowLimit) return this.#beyond(failure);
    const row = known ?? this.#make(key, names);
    this.#remember(course, failure, row);
    return row;
  }

  #remember(course: CallCourse, failure: string, row: Row): void {
    const { capability, key, namespace, consumer, member, upstream } = course;
    // Kept as they are, so only where they are short.
    if ((capability ?? '').length > nameLimit || (key ?? '').length > nameLimit) return;
    const byKey = this.#usual.get(capability) ?? new Map<string | undefined, Map<string, UsualRow>>();
    const byFailure = byKey.get(key) ?? new Map<string, UsualRow>();
    this.#usual.set(capability, byKey.set(key, byFailure.set(failure, { row, namespace, consumer, member, upstream })));
  }

  #beyond(failure: string): Row {
    // A minute's codes are few; were they made up, one row takes them all. What went well stays apart from what did not.
    const code = failure !== '' && this.#rows.size >= rowLimit + 100 ? others : failure;
    const key = `${others}${code}`;
    const names = { namespace: others, capability: others, consumer: others, key: others, member: others, upstream: others };
    return this.#rows.get(key) ?? this.#make(key, { ...names, code });
  }

  #make(key: string, names: Names): Row {
    const numbers = { calls: 0, totalMs: 0, bytesIn: 0, bytesOut: 0, tokensIn: 0, tokensOut: 0, costMicros: 0 };
    const row = { minuteMs: this.#minuteMs, ...names, ...numbers, latency: emptyBuckets() };
    this.#rows.set(key, row);
    return row;
  }

  async #writeAll(): Promise<void> {
    this.#turn(this.#minuteMs);
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.splice(0, batchSize);
        await this.#options.store.add(batch).catch((error: unknown) => {
          this.#waiting.unshift(...batch);
          throw error;
        });
      }
    } catch (error) {
      this.#turn(this.#minuteMs);
      throw error;
    }
  }
}

type Names = Pick<RollUp, 'namespace' | 'capability' | 'consumer' | 'key' | 'member' | 'upstream' | 'code'>;

interface Row extends Names {
  readonly minuteMs: number;
  readonly latency: number[];
  calls: number;
  totalMs: number;
  bytesIn: number;
  bytesOut: number;
  tokensIn: number;
  tokensOut: number;
  costMicros: number;
}

interface UsualRow extends Pick<CallCourse, 'namespace' | 'consumer' | 'member' | 'upstream'> {
  readonly row: Row;
}

function isOf(usual: UsualRow, course: CallCourse): boolean {
  const { namespace, consumer, member, upstream } = usual;
  return (
    namespace === course.namespace && consumer === course.consumer && member === course.member && upstream === course.upstream
  );
}

function namesOf(course: CallCourse, failure: string): Names {
  return {
    namespace: clip(course.namespace),
    capability: clip(course.capability),
    consumer: clip(course.consumer),
    key: clip(course.key),
    member: clip(course.member),
    upstream: clip(course.upstream),
    code: failure,
  };
}

function clip(name: string | undefined): string {
  if (name === undefined) return '';
  return name.length > nameLimit ? name.slice(0, nameLimit) : name;
}
