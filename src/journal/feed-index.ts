import { performance } from 'node:perf_hooks';
import type { AuditIndex } from '../store/ports/audit-index.ts';
import { rowsOf } from './audit-rows.ts';
import { type ChainHead, lineLimitBytes, readLink } from './chain.ts';
import type { JournalLog } from './open-segment.ts';
import { firstLine, listSegments, readPart } from './segments.ts';
import type { ChainWriter } from './writer.ts';

interface FeedPorts {
  readonly directory: string;
  readonly writer: ChainWriter;
  readonly index: AuditIndex;
  readonly log: JournalLog;
  /** How long it leaves a process that starts alone: the first calls are in a hurry, and it is not. */
  readonly afterStartMs: number;
}

/** Where the next line is read. */
interface Cursor {
  readonly segment: number;
  readonly offset: number;
}

/** About 60 calls, and at least one record. SQLite takes them in one turn of the event loop, which holds up calls for that long. */
const readBytes = lineLimitBytes;
/** How long records gather before they are taken up. */
const gatherMs = 250;
/** Of this process's time the index gets a tenth, and a fiftieth where there is little left: it falls behind, and catches up afterwards. */
const restFactor = 9;
const busyRestFactor = 49;
const busyShare = 0.8;
const afterFailureMs = 5_000;

/**
 * Takes into the index what the journal holds beyond it, from the files: the journal is the queue, so nothing waits in memory and
 * a start after a crash does nothing else than any other moment.
 */
export class IndexFeed {
  readonly #ports: FeedPorts;
  readonly #endAtStart: number;
  #isNew = true;
  #cursor: Cursor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  #isClosed = false;
  #hasFailed = false;
  #hasStarted = false;
  #load = performance.eventLoopUtilization();

  constructor(ports: FeedPorts) {
    this.#ports = ports;
    this.#endAtStart = ports.writer.written.head.seq;
  }

  /** There is something new. */
  nudge(): void {
    if (this.#timer !== undefined || this.#working !== undefined) return;
    this.#workAfter(this.#hasStarted ? gatherMs : this.#ports.afterStartMs);
    this.#hasStarted = true;
  }

  /** Takes up what is written, for a moment. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#working;
    const untilMs = performance.now() + gatherMs;
    try {
      while (performance.now() < untilMs && (await this.#takeUp())) {}
    } catch (error) {
      this.#warn(error);
    }
  }

  #workAfter(delayMs: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#working = this.#work();
    }, delayMs).unref();
  }

  async #work(): Promise<void> {
    const startedAtMs = performance.now();
    let nextMs: number | undefined;
    try {
      const hasMore = await this.#takeUp();
      this.#hasFailed = false;
      const load = performance.eventLoopUtilization(this.#load);
      this.#load = performance.eventLoopUtilization();
      const restMs = (performance.now() - startedAtMs) * (load.utilization > busyShare ? busyRestFactor : restFactor);
      if (hasMore) nextMs = restMs;
    } catch (error) {
      this.#warn(error);
      // What is read next is what the index says it lacks.
      this.#cursor = undefined;
      nextMs = afterFailureMs;
    }
    this.#working = undefined;
    if (nextMs !== undefined) this.#workAfter(nextMs);
    else if (this.#isBehind()) this.#workAfter(gatherMs);
  }

  #isBehind(): boolean {
    const { segment, sizeBytes } = this.#ports.writer.written;
    return this.#cursor === undefined || this.#cursor.segment !== segment || this.#cursor.offset !== sizeBytes;
  }

  /** Reads on. Returns whether there is more to read at once. */
  async #takeUp(): Promise<boolean> {
    const { directory, writer, index } = this.#ports;
    const cursor = this.#cursor ?? (await this.#findCursor());
    const { segment, sizeBytes } = writer.written;
    const segments = await listSegments(directory);
    const current = segments.find(({ number }) => number >= cursor.segment);
    if (current === undefined) return false;
    const from = current.number === cursor.segment ? cursor.offset : 0;
    const to = current.number === segment ? sizeBytes : current.sizeBytes;
    const text = await readPart(current.path, from, Math.min(readBytes, Math.max(0, to - from)));
    const end = text.lastIndexOf('\n') + 1;
    if (end > 0) {
      const lines = text.slice(0, end - 1).split('\n');
      const head = headOf(writer.chain, lines);
      if (head !== undefined) await index.add(rowsOf(writer.chain, lines), head);
    }
    const isRead = from + end >= to || end === 0;
    const isOver = isRead && current.number < segment;
    this.#cursor = isOver ? { segment: current.number + 1, offset: 0 } : { segment: current.number, offset: from + end };
    return isOver || !isRead;
  }

  /** Behind the last record that the index has: in the newest segment that begins at or before it. */
  async #findCursor(): Promise<Cursor> {
    const { directory, writer, index, log } = this.#ports;
    const known = (await index.heads()).find(({ chain }) => chain === writer.chain)?.seq ?? 0;
    const reached = this.#isNew ? Math.min(known, this.#endAtStart) : known;
    this.#isNew = false;
    if (reached < known) {
      log.error(
        { known, found: reached },
        'The journal ends before what the index has seen of it: a power loss or somebody took its end.',
      );
    }
    const segments = await listSegments(directory);
    for (const { number, path, sizeBytes } of segments.toReversed()) {
      const line = await firstLine(path);
      const seq = line === undefined ? undefined : readLink(line)?.seq;
      if (seq === undefined || seq > reached) continue;
      return { segment: number, offset: await offsetAfter(path, sizeBytes, reached) };
    }
    return { segment: segments[0]?.number ?? 1, offset: 0 };
  }

  #warn(error: unknown): void {
    if (!this.#hasFailed) {
      const { message } = error as Error;
      this.#ports.log.warn({ reason: message }, 'The audit index lags behind the journal; it is taken up again when it can be.');
    }
    this.#hasFailed = true;
  }
}

/** The last record among these lines; what somebody made of others is for the verifier to find. */
function headOf(chain: string, lines: readonly string[]): ChainHead | undefined {
  for (const line of lines.toReversed()) {
    const link = readLink(line);
    if (link !== undefined) return { chain, seq: link.seq, hash: link.hash };
  }
  return undefined;
}

async function offsetAfter(path: string, sizeBytes: number, seq: number): Promise<number> {
  let offset = 0;
  while (offset < sizeBytes) {
    const text = await readPart(path, offset, readBytes);
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const found = Number(/^\{"seq":(\d+),/.exec(text.slice(start, Math.min(end, start + 40)))?.[1]);
      if (found > seq) return offset + start;
      start = end + 1;
    }
    if (start === 0) break;
    offset += start;
  }
  return offset;
}
