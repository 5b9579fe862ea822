import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { loadSqlite } from '../load-sqlite.ts';

/** One writer per chain. The operating system releases it when its holder ends, however it ends. */
export interface ChainLock {
  release(): void;
}

/** Between an attempt and the next; whoever holds a chain holds it for good. */
const patienceMs = 20;

/**
 * Takes the chain in this directory, or returns undefined when another process (or this one) has it. Node has no lock on files
 * of its own; SQLite's are the ones that every system it runs on keeps honest. The file stays empty.
 */
export function lockChain(directory: string): ChainLock | undefined {
  const path = join(directory, 'lock');
  closeSync(openSync(path, 'a', 0o600));
  const { DatabaseSync } = loadSqlite();
  const database = new DatabaseSync(path);
  try {
    database.exec(`pragma busy_timeout = ${patienceMs}; pragma journal_mode = off; begin exclusive`);
  } catch (error) {
    database.close();
    if (isHeld(error)) return undefined;
    throw error;
  }
  return { release: () => database.isOpen && database.close() };
}

/** SQLITE_BUSY, sqlite.org/rescode.html. */
function isHeld(error: unknown): boolean {
  return ((error as { errcode?: unknown }).errcode as number) === 5;
}
