import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { journalPath } from '../../src/journal/journal.ts';

/** A record of the journal, as far as tests look at it. */
export interface JournalLine {
  readonly kind: string;
  readonly call?: string;
  readonly principal?: string;
  readonly door?: string;
  readonly capability?: string;
  readonly argumentsDigest?: string;
  readonly decision?: string;
  readonly rule?: string;
  readonly outcome?: string;
  readonly code?: string;
  readonly contentRules?: unknown;
  readonly lost?: readonly object[];
  readonly action?: string;
  readonly object?: string;
  readonly before?: string;
  readonly after?: string;
}

/** Everything that is on record in a data directory, whole lines only. */
export function readJournal(dataDir: string): JournalLine[] {
  const path = journalPath(dataDir);
  return readdirSync(path)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((chain) => readdirSync(join(path, chain)).map((file) => join(path, chain, file)))
    .filter((file) => file.endsWith('.jsonl'))
    .sort()
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as JournalLine);
}
