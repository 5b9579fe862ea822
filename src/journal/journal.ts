import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { hmac, hmacInTurns } from '../hmac.ts';
import type { AuditIndex } from '../store/ports/audit-index.ts';
import { version } from '../version.ts';
import { type ChainHead, deriveKeys, type JournalKeys } from './chain.ts';
import { IndexFeed } from './feed-index.ts';
import { realFiles, type SegmentFiles } from './journal-file.ts';
import { type ChainLock, lockChain } from './lock.ts';
import type { JournalLog, JournalSync } from './open-segment.ts';
import { type CallFacts, type CallResult, type ChangeFacts, callFields, changeFields, quote, resultFields } from './record.ts';
import { type ChainEnd, recoverChain } from './recover.ts';
import { type RetentionLimits, retireSegments } from './retire.ts';
import { ChainWriter, type WriterLimits } from './writer.ts';

export interface JournalLimits extends WriterLimits, RetentionLimits {
  /** How long the index waits after a start before it takes anything up. */
  readonly indexAfterMs: number;
}

const day = 24 * 60 * 60 * 1000;

/** How long records are kept, and their rows in the index. */
export const journalAgeMs = 90 * day;

const defaultJournalLimits: JournalLimits = {
  writeWithinMs: 2_000,
  retryEveryMs: 1_000,
  waitingBytes: 16 * 1024 * 1024,
  segmentBytes: 64 * 1024 * 1024,
  segmentAgeMs: day,
  totalBytes: 4 * 1024 * 1024 * 1024,
  ageMs: journalAgeMs,
  indexAfterMs: 2_000,
};

export function journalPath(dataDir: string): string {
  return join(dataDir, 'journal');
}

interface JournalOptions {
  /** Holds one numbered directory per chain. Made when missing. */
  readonly dir: string;
  readonly sync: JournalSync;
  /** 32 bytes; seals the chains and keys the digests. */
  readonly key: Buffer;
  readonly clock: Clock;
  readonly log: JournalLog;
  readonly limits?: Partial<JournalLimits>;
  /** Is fed from the journal, behind it. */
  readonly index?: AuditIndex | undefined;
  readonly files?: SegmentFiles;
}

/** A call as its records show it; made once, before its intent or its refusal. */
export interface CallEntry {
  readonly call: string;
  /** Inside of a JSON object. */
  readonly fields: string;
  /** Set by `intent`: then the outcome need not say again what the call was. */
  hasIntent: boolean;
}

/** What was done, in an order that cannot be changed afterwards without being noticed. */
export interface Journal {
  /** False while records cannot be written: calls that can change something are refused. */
  readonly isWritable: boolean;
  /** Age of the oldest record that is not written yet, ms; 0 when there is none. */
  readonly lagMs: number;
  describe(facts: CallFacts): CallEntry;
  /**
   * Before the upstream hears of a call. Resolves when the record is written (`os`) or on the disk (`disk`). If it cannot be
   * within the limit: rejects with GatewayError `audit_unavailable` when the call may change something, otherwise resolves, and
   * the record follows later. Undefined: nothing to wait for.
   */
  intent(entry: CallEntry, mayChange: boolean): Promise<void> | undefined;
  /** After a call, or instead of it when it was refused. Nobody waits for it. */
  outcome(entry: CallEntry, result: CallResult): void;
  /** Before something about the gateway is changed. Rejects with GatewayError `audit_unavailable`. */
  change(facts: ChangeFacts): Promise<void>;
  /** Stands for arguments in records: the same for the same text, and of no use to whoever has not the key. */
  digest(canonicalText: string): string;
  /** The same of a text that comes in pieces, none of them ending within a character. */
  digestPieces(pieces: Iterable<string>): Promise<string>;
  /** Where the chain stands, for shipping elsewhere. */
  head(): ChainHead;
  /** Resolves when everything up to now is written, or cannot be. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a chain of the journal for appending: the first that no other process has, so that several may run on one data directory.
 * Throws GatewayError `bad_configuration` when the directory cannot be used. Records that a full disk refuses wait, as they do later.
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { dir, clock, log, index, files = realFiles, sync } = options;
  const limits = { ...defaultJournalLimits, ...options.limits };
  const keys = deriveKeys(options.key);
  const { directory, end, lock } = await takeChain(options, keys);
  const chain = end.chain ?? randomBytes(16).toString('hex');
  let isRetireDue = true;
  const writer: ChainWriter = new ChainWriter(chain, end, {
    ...{ directory, sync, keys, clock, log, limits, files },
    onWritten() {
      feed?.nudge();
      if (isRetireDue) void retire();
    },
    onRotated() {
      isRetireDue = true;
    },
  });
  const feed = index && new IndexFeed({ directory, writer, index, log, afterStartMs: limits.indexAfterMs });

  async function retire(): Promise<void> {
    isRetireDue = false;
    try {
      const record = async (fields: string) => await writer.append(fields, 'changing');
      const removed = await retireSegments(directory, limits, clock.nowMs(), record);
      if (removed > 0) log.info({ removed, dir }, 'Removed old segments of the journal; the removal is on record.');
    } catch (error) {
      log.warn({ reason: (error as Error).message }, 'Old segments of the journal could not be removed.');
    }
  }

  void writer.append(startFields(clock.nowMs(), end), undefined);
  await writer.flush();
  let calls = 0;
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
    await writer.close(`"at":${clock.nowMs()},"kind":"stop"`);
    await feed?.close();
    lock.release();
  }

  return {
    get isWritable() {
      return writer.isWritable;
    },
    get lagMs() {
      return writer.lagMs;
    },
    describe(facts) {
      calls += 1;
      // Every run that called anything has left records: no two begin at the same one.
      const call = facts.call ?? `${end.seq}.${calls}`;
      return { call, fields: callFields(call, facts), hasIntent: false };
    },
    intent(entry, mayChange) {
      // While there is trouble the record may be lost, and the outcome must speak for itself.
      entry.hasIntent = writer.isWritable;
      return writer.append(`"at":${clock.nowMs()},"kind":"intent"${entry.fields}`, mayChange ? 'changing' : 'reading');
    },
    outcome(entry, result) {
      const call = entry.hasIntent ? `,"call":"${entry.call}"` : entry.fields;
      void writer.append(`"at":${clock.nowMs()},"kind":"outcome"${call}${resultFields(result)}`, undefined);
    },
    async change(facts) {
      await writer.append(`"at":${clock.nowMs()},"kind":"change"${changeFields(facts)}`, 'changing');
    },
    digest: (text) => hmac(keys.digest, text, 'base64url'),
    digestPieces: (pieces) => hmacInTurns(keys.digest, pieces, 'base64url'),
    head: () => writer.written.head,
    flush: () => writer.flush(),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function startFields(nowMs: number, { torn }: ChainEnd): string {
  const tails = torn.map(({ bytes, keptAs }) => `{"bytes":${bytes}${keptAs === undefined ? '' : `,"keptAs":${quote(keptAs)}`}}`);
  return `"at":${nowMs},"kind":"start","version":${quote(version)},"process":${process.pid},"torn":[${tails.join(',')}]`;
}

interface TakenChain {
  readonly directory: string;
  readonly end: ChainEnd;
  readonly lock: ChainLock;
}

/** More processes on one data directory than anybody runs. */
const chainLimit = 256;

async function takeChain({ dir, clock, log }: JournalOptions, keys: JournalKeys): Promise<TakenChain> {
  try {
    for (let number = 1; number <= chainLimit; number += 1) {
      const directory = join(dir, String(number));
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const lock = lockChain(directory);
      if (lock === undefined) continue;
      const end = await recoverOrRelease(directory, keys, clock, lock);
      if (end === undefined) {
        log.error(
          { directory },
          'These records were made with another key or are damaged; they stay as they are. A new chain begins.',
        );
        continue;
      }
      if (end.torn.length > 0)
        log.warn({ directory, torn: end.torn }, 'Cut a write that a crash had left half-done off the journal.');
      return { directory, end, lock };
    }
  } catch (error) {
    throw unusable(dir, error);
  }
  throw unusable(dir, new Error(`more than ${chainLimit} chains are in use`));
}

async function recoverOrRelease(
  directory: string,
  keys: JournalKeys,
  clock: Clock,
  lock: ChainLock,
): Promise<ChainEnd | undefined> {
  let end: ChainEnd | undefined;
  try {
    end = await recoverChain(directory, keys, clock.nowMs());
    return end;
  } finally {
    if (end === undefined) lock.release();
  }
}

function unusable(dir: string, error: unknown): GatewayError {
  return new GatewayError(
    'bad_configuration',
    `The journal in ${dir} cannot be opened (${(error as Error).message}). Without it no call is on record: make the directory writable.`,
    { cause: error },
  );
}
