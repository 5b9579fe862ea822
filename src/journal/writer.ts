import { GatewayError } from '../errors.ts';
import { batchLimitBytes, batchRecords, type ChainHead, type JournalKeys, linkRecord } from './chain.ts';
import { OpenSegment, reasonOf, type SegmentLimits, type SegmentPorts } from './open-segment.ts';
import { quote } from './record.ts';
import type { ChainEnd } from './recover.ts';

export interface WriterLimits extends SegmentLimits {
  /** A write that takes longer counts as failed. */
  readonly writeWithinMs: number;
  /** Between attempts while the journal cannot be written. */
  readonly retryEveryMs: number;
  /** What may wait in memory meanwhile; what is beyond that is counted and lost. */
  readonly waitingBytes: number;
}

interface WriterPorts extends SegmentPorts {
  readonly keys: JournalKeys;
  readonly limits: WriterLimits;
  /** Called after each write that succeeded. */
  readonly onWritten: () => void;
}

/** Up to which byte of which segment everything is written. */
interface WrittenTo {
  readonly segment: number;
  readonly sizeBytes: number;
  readonly head: ChainHead;
}

interface Batch {
  readonly records: string[];
  /** Of its first record, on the clock of `performance.now()`. */
  sinceMs: number | undefined;
  bytes: number;
  /** For those that must not go on without their record, and how many they are. */
  changing: PromiseWithResolvers<void> | undefined;
  changers: number;
  /** For those that may. */
  reading: PromiseWithResolvers<void> | undefined;
}

interface Trouble {
  readonly sinceMs: number;
  readonly error: GatewayError;
  readonly reason: string;
  refused: number;
  lost: number;
}

/** Records that make a write worth its cost, and turns of the event loop that one waits for them at most. */
const goodBatch = 32;
const mostTurns = 6;

/** How long records that nobody waits for may wait for company, ms, and how many of them are company enough. */
const patientMs = 2;
const patientBatch = 64;

/**
 * Writes one chain. Records are gathered while a write is on its way and otherwise until the end of the event-loop turn, then
 * written at once; at most one write is on its way, so that one that hangs holds up a single thread of Node's pool.
 * A write that fails, or takes too long, is trouble: whoever waits is told, and until a write succeeds again records wait in memory.
 */
export class ChainWriter {
  readonly chain: string;
  readonly #ports: WriterPorts;
  readonly #watch: NodeJS.Timeout;
  #retry: NodeJS.Timeout | undefined;
  readonly #segment: OpenSegment;
  #seq: number;
  #hash: string;
  #open: Batch = emptyBatch();
  #full: Batch[] = [];
  #waitingBytes = 0;
  #trouble: Trouble | undefined;
  #isScheduled = false;
  #later: NodeJS.Timeout | undefined;
  #draining: Promise<void> | undefined;
  #isClosing = false;
  #inFlight: Batch | undefined;

  constructor(chain: string, end: ChainEnd, ports: WriterPorts) {
    this.chain = chain;
    this.#ports = ports;
    this.#segment = new OpenSegment(end, ports);
    this.#seq = end.seq;
    this.#hash = end.hash;
    this.#watch = setTimeout(() => this.#lookForHang(), ports.limits.writeWithinMs).unref();
  }

  get isWritable(): boolean {
    return this.#trouble === undefined && !this.#isClosing;
  }

  /** Age of the oldest record that is not written yet, ms. */
  get lagMs(): number {
    const oldest = this.#inFlight ?? this.#full[0] ?? this.#open;
    return oldest.sinceMs === undefined ? 0 : Math.max(0, performance.now() - oldest.sinceMs);
  }

  get written(): WrittenTo {
    const { number, sizeBytes } = this.#segment;
    return { segment: number, sizeBytes, head: { chain: this.chain, seq: this.#seq, hash: this.#hash } };
  }

  /**
   * Takes a record (see `linkRecord`). With `waits`, returns a promise for its being written: `changing` rejects with GatewayError
   * `audit_unavailable` when that fails or takes too long, `reading` resolves even then. Undefined: nothing to wait for.
   */
  append(fields: string, waits: 'changing' | 'reading' | undefined): Promise<void> | undefined {
    if (this.#isClosing || this.#trouble !== undefined) return this.#appendInTrouble(fields, waits);
    const batch = this.#queue(fields);
    if (this.#waitingBytes > this.#ports.limits.waitingBytes) this.#suffer(new Error('the disk takes records too slowly'));
    if (waits === undefined) {
      if (batch.records.length < patientBatch) this.#scheduleLater();
      else this.#schedule();
      return undefined;
    }
    this.#schedule();
    if (this.#trouble !== undefined) return waits === 'changing' ? this.#refuse() : undefined;
    if (waits === 'changing') batch.changers += 1;
    batch[waits] ??= Promise.withResolvers<void>();
    return batch[waits].promise;
  }

  /** Resolves when nothing waits any more, or when what waits cannot be written. */
  async flush(): Promise<void> {
    do await this.#drain();
    while (this.#hasWork() && this.#trouble === undefined);
  }

  /** Writes a last record and what waits, and makes it durable. Gives up, and loses that, after the limit for a write. */
  async close(lastFields: string): Promise<void> {
    if (this.#isClosing) return;
    this.#queue(lastFields);
    this.#isClosing = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#later);
    let late: NodeJS.Timeout | undefined;
    const givenUp = new Promise<void>((resolve) => {
      late = setTimeout(resolve, this.#ports.limits.writeWithinMs);
    });
    await Promise.race([this.#finish(), givenUp]);
    clearTimeout(late);
    clearTimeout(this.#watch);
    if (this.#trouble !== undefined) {
      const { log } = this.#ports;
      log.error(
        { reason: this.#trouble.reason },
        'The journal was closed while it could not be written; its last records are lost.',
      );
    }
  }

  async #finish(): Promise<void> {
    await this.#drain();
    // What came while the last write was on its way.
    if (this.#hasWork() && this.#trouble === undefined) await this.#drain();
    await this.#segment.close();
  }

  #queue(fields: string): Batch {
    let batch = this.#open;
    if (batch.records.length >= batchRecords || batch.bytes + fields.length > batchLimitBytes) {
      this.#full.push(batch);
      batch = emptyBatch();
      this.#open = batch;
    }
    batch.sinceMs ??= performance.now();
    batch.records.push(fields);
    batch.bytes += fields.length;
    this.#waitingBytes += fields.length;
    return batch;
  }

  #appendInTrouble(fields: string, waits: 'changing' | 'reading' | undefined): Promise<void> | undefined {
    if (waits === 'changing') return this.#refuse();
    if (this.#isClosing || this.#waitingBytes + fields.length > this.#ports.limits.waitingBytes) {
      if (this.#trouble !== undefined) this.#trouble.lost += 1;
      return undefined;
    }
    this.#queue(fields);
    return undefined;
  }

  #refuse(): Promise<void> {
    if (this.#trouble === undefined) return Promise.reject(unavailable('it is closed'));
    this.#trouble.refused += 1;
    return Promise.reject(this.#trouble.error);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#draining !== undefined) return;
    this.#isScheduled = true;
    this.#writeSoon(mostTurns, this.#open.records.length);
  }

  /** For records that nobody waits for: they go with the next one that somebody does, or in a moment. */
  #scheduleLater(): void {
    if (this.#isScheduled || this.#draining !== undefined || this.#later !== undefined) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      if (this.#hasWork()) this.#schedule();
    }, patientMs);
  }

  // Each write costs a hand-over to another thread, whatever its size. A record that is alone at the end of this turn is written then;
  // while each turn brings more of them, the write waits for the next.
  #writeSoon(turns: number, before: number): void {
    setImmediate(() => {
      const { length } = this.#open.records;
      if (turns > 0 && length > before && length < goodBatch) {
        this.#writeSoon(turns - 1, length);
        return;
      }
      this.#isScheduled = false;
      void this.#drain();
    });
  }

  #hasWork(): boolean {
    return this.#open.records.length > 0 || this.#full.length > 0 || this.#trouble !== undefined;
  }

  /** One at a time. Never rejects. */
  async #drain(): Promise<void> {
    if (this.#hasWork()) this.#draining ??= this.#writeAll();
    await this.#draining;
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork()) {
      const batch = this.#take();
      try {
        await this.#write(batch);
      } catch (error) {
        this.#putBack(batch);
        this.#suffer(error);
        this.#retryLater();
        break;
      }
      batch.changing?.resolve();
      batch.reading?.resolve();
      this.#ports.onWritten();
      // What came meanwhile may be few; those just let go bring more.
      if (this.#full.length === 0 && this.#open.records.length > 0 && this.#trouble === undefined && !this.#isClosing) {
        this.#draining = undefined;
        if (isAwaited(this.#open) || this.#open.records.length >= patientBatch) this.#schedule();
        else this.#scheduleLater();
        return;
      }
    }
    // At once, not when this promise is settled: whoever was just told may append before that.
    this.#draining = undefined;
  }

  #take(): Batch {
    let batch = this.#full.shift();
    if (batch === undefined) {
      batch = this.#open;
      this.#open = emptyBatch();
    }
    return batch;
  }

  /** Its records are written later, before all others; who waited for them is told by `#suffer`. */
  #putBack(batch: Batch): void {
    if (batch.records.length > 0) this.#full.unshift(batch);
  }

  async #write(batch: Batch): Promise<void> {
    this.#inFlight = batch;
    this.#watch.refresh();
    try {
      const file = this.#segment.ready() ?? (await this.#segment.prepare());
      const trouble = this.#trouble;
      const [refused, lost] = [trouble?.refused ?? 0, trouble?.lost ?? 0];
      const built = this.#build(batch, trouble);
      this.#segment.writing();
      await file.append(built.bytes);
      if (this.#ports.sync === 'disk') await this.#segment.sync(file);
      this.#segment.wrote(built.bytes.length);
      this.#seq = built.seq;
      this.#hash = built.hash;
      this.#waitingBytes -= batch.bytes;
      if (trouble !== undefined) this.#recover(trouble, refused, lost);
    } finally {
      this.#inFlight = undefined;
    }
  }

  #build(batch: Batch, trouble: Trouble | undefined): { readonly bytes: Buffer; readonly seq: number; readonly hash: string } {
    const { clock, keys } = this.#ports;
    let [seq, hash, text] = [this.#seq, this.#hash, ''];
    const add = (fields: string, isLast: boolean) => {
      seq += 1;
      const linked = linkRecord(seq, fields, hash, isLast ? keys.seal : undefined);
      hash = linked.hash;
      text += `${linked.line}\n`;
    };
    const { records } = batch;
    if (this.#segment.sizeBytes === 0) {
      const fields = `"at":${clock.nowMs()},"kind":"segment","chain":"${this.chain}","segment":${this.#segment.number}`;
      add(fields, records.length === 0 && trouble === undefined);
    }
    if (trouble !== undefined) add(this.#gapFields(trouble, records.length), records.length === 0);
    for (let n = 0; n < records.length; n += 1) add(records[n]!, n === records.length - 1);
    return { bytes: Buffer.from(text, 'latin1'), seq, hash };
  }

  #gapFields({ sinceMs, reason, refused, lost }: Trouble, inBatch: number): string {
    let late = inBatch + this.#open.records.length;
    for (const { records } of this.#full) late += records.length;
    const nowMs = this.#ports.clock.nowMs();
    return `"at":${nowMs},"kind":"gap","sinceMs":${sinceMs},"reason":${quote(reason)},"refused":${refused},"late":${late},"lost":${lost}`;
  }

  // Where this process was held up itself, the write may be done and nobody have heard of it yet.
  #lookForHang(): void {
    const batch = this.#inFlight;
    if (batch === undefined) return;
    setImmediate(() => {
      if (this.#inFlight !== batch) return;
      this.#suffer(new Error(`a write takes longer than ${this.#ports.limits.writeWithinMs} ms`));
    });
  }

  /** Those that must not go on are told so, the others go on. */
  #suffer(error: unknown): void {
    const { clock, log } = this.#ports;
    if (this.#trouble === undefined) {
      const reason = reasonOf(error);
      this.#trouble = { sinceMs: clock.nowMs(), error: unavailable(reason), reason, refused: 0, lost: 0 };
      log.error({ reason }, 'The journal cannot be written: calls that can change something are refused until it can.');
    }
    for (const batch of [this.#inFlight, ...this.#full, this.#open]) {
      if (batch === undefined) continue;
      this.#trouble.refused += batch.changers;
      batch.changers = 0;
      batch.changing?.reject(this.#trouble.error);
      batch.changing = undefined;
      batch.reading?.resolve();
      batch.reading = undefined;
    }
  }

  #recover(trouble: Trouble, refused: number, lost: number): void {
    const { clock, log } = this.#ports;
    log.warn({ refused, lost, ms: clock.nowMs() - trouble.sinceMs }, 'The journal can be written again; the gap is on record.');
    trouble.refused -= refused;
    trouble.lost -= lost;
    // What was refused or lost during this very write gets a record of its own.
    this.#trouble = trouble.refused > 0 || trouble.lost > 0 ? { ...trouble } : undefined;
  }

  #retryLater(): void {
    if (this.#isClosing) return;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#drain(), this.#ports.limits.retryEveryMs).unref();
  }
}

function isAwaited({ changing, reading }: Batch): boolean {
  return changing !== undefined || reading !== undefined;
}

function emptyBatch(): Batch {
  return { records: [], sinceMs: undefined, bytes: 0, changing: undefined, changers: 0, reading: undefined };
}

function unavailable(reason: string): GatewayError {
  return new GatewayError(
    'audit_unavailable',
    'The call was not made: it can change something, and the audit journal cannot be written right now. Try again later; the operator finds the reason in the log.',
    { cause: new Error(`The journal cannot be written: ${reason}.`) },
  );
}
