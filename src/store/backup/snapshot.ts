import type { Kysely } from 'kysely';
import type { Schema } from '../schema.ts';
import type { BackupRow } from './backup-file.ts';

/** Every table as it was at one moment, while others go on writing; one implementation per database. */
export interface Snapshot {
  /** How messages call the store. */
  readonly name: string;
  /** Of the tables. */
  readonly version: number;
  readonly tables: readonly string[];
  rows(table: string): AsyncIterable<BackupRow>;
  close(): Promise<void>;
}

/** A store in the making, which nobody sees before `publish`; one implementation per database. */
export interface RestoreTarget {
  readonly name: string;
  /** The tables of the backup's version, empty, with their columns. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>;
  readonly queries: Kysely<Schema>;
  insert(table: string, rows: readonly BackupRow[]): Promise<void>;
  /** Brings the tables to the newest version. */
  upgrade(): Promise<void>;
  /** Makes it the store, all at once. Returns where the one before was put, if it was kept. */
  publish(): Promise<string | undefined>;
  /** Leaves everything as it was. */
  abandon(): Promise<void>;
}

export interface TargetOptions {
  /** Of the backup's tables. */
  readonly version: number;
  /** Whether a store that is there may be replaced. */
  readonly replaces: boolean;
}

/** Not part of a backup: what says by itself which version the tables have. */
const leftOut: ReadonlySet<string> = new Set(['schema_version']);

export function isBackedUp(table: string): boolean {
  return !leftOut.has(table) && !table.startsWith('sqlite_');
}

/** Names come from our own migrations; quoted all the same. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
