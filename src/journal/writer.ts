import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { batchLimitBytes, batchRecords, type ChainHead, type JournalKeys, linkRecord } from './chain.ts';
import type { JournalFile, SegmentFiles } from './journal-file.ts';
import { quote } from './record.ts';
import type { ChainEnd } from './recover.ts';
import { segmentPath } from './segments.ts';

/** When a caller may proceed: when the operating system has its record, or when the disk has it. */
export type JournalSync = 'os' | 'disk';

export interface WriterLimits {
  /** A write that takes longer counts as failed. */
  readonly writeWithinMs: number;
  /** Between attempts while the journal cannot be written. */
  readonly retryEveryMs: number;
  /** What may wait in memory meanwhile; what is beyond that is counted and lost. */
  readonly waitingBytes: number;
  /** A segment is closed when it is this large or this old. */
  readonly segmentBytes: number;
  readonly segmentAgeMs: number;
}

export interface JournalLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface WriterPorts {
  readonly directory: string;
  readonly sync: JournalSync;
  readonly keys: JournalKeys;
  readonly clock: Clock;
  readonly log: JournalLog;
  readonly limits: WriterLimits;
  readonly files: SegmentFiles;
  /** Called after each write that succeeded. */
  readonly onWritten: () => void;
  /** Called when a segment was begun after another. */
  readonly onRotated: () => void;
}

/** Up to which byte of which segment everything is written. */
export interface WrittenTo {
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

/** Records that make a write worth its cost, and turns of the event loop that one waits for them. */
const goodBatch = 16;
const mostTurns = 3;

/** How long records that nobody waits for may wait for company, ms, and how many of them are company enough. */
const patientMs = 2;
const patientBatch = 64;

/** How often it is checked that the segment still has its name. */
const checkEveryMs = 1_000;

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
  #file: JournalFile | undefined;
  #segment: number;
  #segmentSinceMs: number;
  #sizeBytes: number;
  #seq: number;
  #hash: string;
  #open: Batch = emptyBatch();
  #full: Batch[] = [];
  #waitingBytes = 0;
  #trouble: Trouble | undefined;
  #isScheduled = false;
  #later: NodeJS.Timeout | undefined;
  /** Calls that are under way: with many, records come faster than they are worth writing one by one. */
  underWay = 0;
  #draining: Promise<void> | undefined;
  #isClosing = false;
  /** Bytes that count for nothing may follow those that do. */
  #isDirty = false;
  /** What the file holds after a failed sync, or without its name, cannot be relied on: the next record goes to another. */
  #mustMoveOn = false;
  #hasNewName = false;
  #inFlight: Batch | undefined;
  #checkedAtMs = 0;

  constructor(chain: string, end: ChainEnd, ports: WriterPorts) {
    this.chain = chain;
    this.#ports = ports;
    this.#segment = end.segment;
    this.#sizeBytes = end.sizeBytes;
    this.#seq = end.seq;
    this.#hash = end.hash;
    this.#segmentSinceMs = ports.clock.nowMs();
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
    return { segment: this.#segment, sizeBytes: this.#sizeBytes, head: { chain: this.chain, seq: this.#seq, hash: this.#hash } };
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
    const file = this.#file;
    this.#file = undefined;
    await file?.sync().catch((error) => this.#warnOfSync(error));
    await file?.close().catch(() => {});
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
    this.#writeSoon(mostTurns);
  }

  /** For records that nobody waits for: they go with the next one that somebody does, or in a moment. */
  #scheduleLater(): void {
    if (this.#isScheduled || this.#draining !== undefined || this.#later !== undefined) return;
    this.#later = setTimeout(() => {
      this.#later = undefined;
      if (this.#hasWork()) this.#schedule();
    }, patientMs);
  }

  // Each write costs a hand-over to another thread, whatever its size. With one call under way its record is written at the end of
  // this turn; with many a write waits a turn or two for company.
  #writeSoon(turns: number): void {
    setImmediate(() => {
      if (turns > 0 && this.#open.records.length < Math.min(goodBatch, this.underWay / 4)) {
        this.#writeSoon(turns - 1);
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
      const file = this.#isReady() ? this.#file! : await this.#prepare();
      const trouble = this.#trouble;
      const [refused, lost] = [trouble?.refused ?? 0, trouble?.lost ?? 0];
      const built = this.#build(batch, trouble);
      this.#isDirty = true;
      await file.append(built.bytes);
      if (this.#ports.sync === 'disk') await this.#sync(file);
      this.#isDirty = false;
      this.#sizeBytes += built.bytes.length;
      this.#seq = built.seq;
      this.#hash = built.hash;
      this.#waitingBytes -= batch.bytes;
      if (trouble !== undefined) this.#recover(trouble, refused, lost);
    } finally {
      this.#inFlight = undefined;
    }
  }

  async #sync(file: JournalFile): Promise<void> {
    try {
      await file.sync();
    } catch (error) {
      // The system reports a failed sync once and then calls the same pages clean.
      this.#mustMoveOn = true;
      throw error;
    }
  }

  #isReady(): boolean {
    if (this.#file === undefined || this.#isDirty || this.#mustMoveOn || this.#hasNewName) return false;
    const nowMs = this.#ports.clock.nowMs();
    return Math.abs(nowMs - this.#checkedAtMs) < checkEveryMs && !this.#isFull(nowMs);
  }

  #isFull(nowMs: number): boolean {
    const { segmentBytes, segmentAgeMs } = this.#ports.limits;
    if (this.#sizeBytes === 0) return false;
    return this.#sizeBytes >= segmentBytes || Math.abs(nowMs - this.#segmentSinceMs) >= segmentAgeMs;
  }

  /** The file that the next record goes to, without anything behind the last whole write. */
  async #prepare(): Promise<JournalFile> {
    const nowMs = this.#ports.clock.nowMs();
    let file = this.#file;
    if (file === undefined && this.#segment > 0) file = await this.#reopen();
    if (file !== undefined && this.#isDirty) {
      await file.truncate(this.#sizeBytes);
      this.#isDirty = false;
    }
    // Known to be gone: to look again at every attempt would end each of them there.
    if (file !== undefined && !this.#mustMoveOn && Math.abs(nowMs - this.#checkedAtMs) >= checkEveryMs) {
      this.#checkedAtMs = nowMs;
      if (!(await file.isThere())) {
        this.#mustMoveOn = true;
        throw new Error('the file was removed');
      }
    }
    if (file === undefined || this.#mustMoveOn || this.#isFull(nowMs)) file = await this.#begin(nowMs);
    if (this.#hasNewName && this.#ports.sync === 'disk') await this.#ports.files.syncDirectory(this.#ports.directory);
    this.#hasNewName = false;
    return file;
  }

  async #reopen(): Promise<JournalFile> {
    const { files, directory } = this.#ports;
    this.#file = await files.open(segmentPath(directory, this.#segment), false);
    return this.#file;
  }

  async #begin(nowMs: number): Promise<JournalFile> {
    const { files, directory, onRotated } = this.#ports;
    const file = await files.open(segmentPath(directory, this.#segment + 1), true);
    const before = this.#file;
    this.#file = file;
    this.#segment += 1;
    this.#sizeBytes = 0;
    this.#segmentSinceMs = nowMs;
    this.#mustMoveOn = false;
    this.#hasNewName = true;
    if (before !== undefined) {
      void this.#putAway(before);
      onRotated();
    }
    return file;
  }

  /** Behind the path of calls: in `disk` mode everything in it is durable already. */
  async #putAway(file: JournalFile): Promise<void> {
    if (this.#ports.sync === 'os') await file.sync().catch((error) => this.#warnOfSync(error));
    await file.close().catch(() => {});
  }

  #warnOfSync(error: unknown): void {
    this.#ports.log.warn({ reason: reasonOf(error) }, 'A closed segment of the journal may not be on the disk.');
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
    if (this.#sizeBytes === 0) {
      const fields = `"at":${clock.nowMs()},"kind":"segment","chain":"${this.chain}","segment":${this.#segment}`;
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

  #lookForHang(): void {
    if (this.#inFlight !== undefined) this.#suffer(new Error(`a write takes longer than ${this.#ports.limits.writeWithinMs} ms`));
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

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message ?? String(error);
}
