import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Journal, type JournalLimits, openJournal } from '../../src/journal/journal.ts';
import { type JournalFile, realFiles, type SegmentFiles } from '../../src/journal/journal-file.ts';
import type { CallFacts } from '../../src/journal/record.ts';
import type { AuditIndex } from '../../src/store/ports/audit-index.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { done, facts, key } from './sample-call.ts';

export const isLong = process.env.TEST_LONG === '1';
/** A directory that is gone after the test. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'gatehouse-journal-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export interface Said {
  readonly level: string;
  readonly message: string;
  readonly fields: object;
}

interface TestOptions {
  readonly dir: string;
  readonly sync?: 'os' | 'disk';
  readonly key?: Buffer;
  readonly limits?: Partial<JournalLimits>;
  readonly files?: SegmentFiles;
  readonly index?: AuditIndex;
  readonly said?: Said[];
  readonly nowMs?: () => number;
}

/** Opens a journal that is closed when the test ends, at the latest. */
export async function open(options: TestOptions): Promise<Journal> {
  const { dir, sync = 'os', limits = {}, files = realFiles, index, said = [], nowMs = Date.now } = options;
  const hear = (level: string) => (fields: object, message: string) => void said.push({ level, fields, message });
  const log = { info: hear('info'), warn: hear('warn'), error: hear('error') };
  const quick = { retryEveryMs: 10, indexAfterMs: 10, ...limits };
  const journal = await openJournal({ dir, sync, key: options.key ?? key, clock: { nowMs }, log, limits: quick, index, files });
  onTestFinished(() => journal.close());
  return journal;
}

/** One call that may change something, from its intent to its outcome. */
export async function makeCall(journal: Journal, changes: Partial<CallFacts> = {}): Promise<string> {
  const entry = journal.describe({ ...facts, ...changes });
  await journal.intent(entry, true);
  journal.outcome(entry, done);
  return entry.call;
}

/** The files of a chain, oldest first. */
export function segmentsOf(dir: string, chain = '1'): string[] {
  const names = readdirSync(join(dir, chain)).filter((name) => name.endsWith('.jsonl'));
  return names.sort().map((name) => join(dir, chain, name));
}

export function linesOf(dir: string, chain = '1'): string[] {
  return segmentsOf(dir, chain).flatMap((path) => readFileSync(path, 'utf8').split('\n').slice(0, -1));
}

export function recordsOf(dir: string, chain = '1'): JsonObject[] {
  return linesOf(dir, chain).map((line) => JSON.parse(line) as JsonObject);
}

type Step = 'append' | 'sync' | 'truncate' | 'open';

/** The real files, behind a switch per step that makes it fail or hang. */
export class FaultyFiles implements SegmentFiles {
  readonly #failing = new Map<Step, string>();
  #hung: PromiseWithResolvers<void> | undefined;
  #hangsAt: Step | undefined;
  /** How much of an append that fails gets into the file all the same. */
  partBytes = 0;
  /** Steps that were begun. */
  readonly steps: Step[] = [];

  fail(step: Step, code: string): void {
    this.#failing.set(step, code);
  }

  heal(): void {
    this.#failing.clear();
  }

  hang(step: Step): void {
    this.#hung = Promise.withResolvers();
    this.#hangsAt = step;
  }

  /** What hangs comes back, and fails if it was told to. */
  release(): void {
    this.#hangsAt = undefined;
    this.#hung?.resolve();
  }

  async open(path: string, isNew: boolean): Promise<JournalFile> {
    await this.#step('open');
    const file = await realFiles.open(path, isNew);
    return {
      append: async (bytes) => {
        if (this.#failing.has('append')) await file.append(bytes.subarray(0, this.partBytes));
        await this.#step('append');
        await file.append(bytes);
      },
      sync: async () => {
        await this.#step('sync');
        await file.sync();
      },
      truncate: async (sizeBytes) => {
        await this.#step('truncate');
        await file.truncate(sizeBytes);
      },
      isThere: () => file.isThere(),
      close: () => file.close(),
    };
  }

  syncDirectory(path: string): Promise<void> {
    return realFiles.syncDirectory(path);
  }

  async #step(step: Step): Promise<void> {
    this.steps.push(step);
    if (this.#hangsAt === step) await this.#hung?.promise;
    const code = this.#failing.get(step);
    if (code !== undefined) throw Object.assign(new Error(`${code}: injected`), { code });
  }
}
