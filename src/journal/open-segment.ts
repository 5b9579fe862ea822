import type { Clock } from '../clock.ts';
import type { JournalFile, SegmentFiles } from './journal-file.ts';
import type { ChainEnd } from './recover.ts';
import { segmentPath } from './segments.ts';

/** When a caller may proceed: when the operating system has its record, or when the disk has it. */
export type JournalSync = 'os' | 'disk';

export interface JournalLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface SegmentLimits {
  /** A segment is closed when it is this large or this old. */
  readonly segmentBytes: number;
  readonly segmentAgeMs: number;
}

export interface SegmentPorts {
  readonly directory: string;
  readonly sync: JournalSync;
  readonly clock: Clock;
  readonly log: JournalLog;
  readonly limits: SegmentLimits;
  readonly files: SegmentFiles;
  /** Called when a segment was begun after another. */
  readonly onRotated: () => void;
}

/** How often it is checked that the segment still has its name. */
const checkEveryMs = 1_000;

/** The segment that the next record goes to: its file, how far it is whole, and when another takes its place. */
export class OpenSegment {
  readonly #ports: SegmentPorts;
  #file: JournalFile | undefined;
  #number: number;
  #sinceMs: number;
  #sizeBytes: number;
  /** Bytes that count for nothing may follow those that do. */
  #isDirty = false;
  /** What the file holds after a failed sync, or without its name, cannot be relied on: the next record goes to another. */
  #mustMoveOn = false;
  #hasNewName = false;
  #checkedAtMs = 0;

  constructor(end: Pick<ChainEnd, 'segment' | 'sizeBytes'>, ports: SegmentPorts) {
    this.#ports = ports;
    this.#number = end.segment;
    this.#sizeBytes = end.sizeBytes;
    this.#sinceMs = ports.clock.nowMs();
  }

  get number(): number {
    return this.#number;
  }

  /** Of what was written whole. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Its file, where nothing has to be done before the next write. */
  ready(): JournalFile | undefined {
    if (this.#file === undefined || this.#isDirty || this.#mustMoveOn || this.#hasNewName) return undefined;
    const nowMs = this.#ports.clock.nowMs();
    return Math.abs(nowMs - this.#checkedAtMs) < checkEveryMs && !this.#isFull(nowMs) ? this.#file : undefined;
  }

  #isFull(nowMs: number): boolean {
    const { segmentBytes, segmentAgeMs } = this.#ports.limits;
    if (this.#sizeBytes === 0) return false;
    return this.#sizeBytes >= segmentBytes || Math.abs(nowMs - this.#sinceMs) >= segmentAgeMs;
  }

  /** The file that the next record goes to, without anything behind the last whole write. */
  async prepare(): Promise<JournalFile> {
    const nowMs = this.#ports.clock.nowMs();
    let file = this.#file;
    if (file === undefined && this.#number > 0) file = await this.#reopen();
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
    this.#file = await files.open(segmentPath(directory, this.#number), false);
    return this.#file;
  }

  async #begin(nowMs: number): Promise<JournalFile> {
    const { files, directory, onRotated } = this.#ports;
    const file = await files.open(segmentPath(directory, this.#number + 1), true);
    const before = this.#file;
    this.#file = file;
    this.#number += 1;
    this.#sizeBytes = 0;
    this.#sinceMs = nowMs;
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

  /** A write begins; until `wrote` says that it is whole, its bytes count for nothing. */
  writing(): void {
    this.#isDirty = true;
  }

  wrote(bytes: number): void {
    this.#isDirty = false;
    this.#sizeBytes += bytes;
  }

  async sync(file: JournalFile): Promise<void> {
    try {
      await file.sync();
    } catch (error) {
      // The system reports a failed sync once and then calls the same pages clean.
      this.#mustMoveOn = true;
      throw error;
    }
  }

  /** Makes what it holds durable. Never rejects. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.sync().catch((error) => this.#warnOfSync(error));
    await file?.close().catch(() => {});
  }

  #warnOfSync(error: unknown): void {
    this.#ports.log.warn({ reason: reasonOf(error) }, 'A closed segment of the journal may not be on the disk.');
  }
}

export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message ?? String(error);
}
