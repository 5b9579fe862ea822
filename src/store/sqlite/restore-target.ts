import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { GatewayError } from '../../errors.ts';
import type { BackupRow } from '../backup/backup-file.ts';
import { isBackedUp, quoted, type RestoreTarget, type TargetOptions } from '../backup/snapshot.ts';
import { newestVersion, statementsBetween } from '../migrations/migrations.ts';
import { publishFile, syncPath } from '../publish-file.ts';
import { SqliteConnection } from './connection.ts';
import { applicationId, databasePath } from './database-file.ts';
import { sqliteQueries } from './dialect.ts';

/** A file beside the one it becomes. Throws GatewayError `bad_configuration` when there is a store that may not be replaced. */
export function openSqliteTarget(dataDir: string, { version, replaces }: TargetOptions): RestoreTarget {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = databasePath(dataDir);
  if (!replaces) refuseExisting(path);
  const temporary = `${path}.restore-${randomBytes(6).toString('hex')}`;
  writeFileSync(temporary, '', { mode: 0o600, flag: 'wx' });
  const connection = new SqliteConnection(temporary);
  // Nothing needs to be durable before the file has its name.
  connection.execute(`pragma synchronous = off; pragma application_id = ${applicationId}; begin`);
  for (const statement of statementsBetween(0, version)) connection.execute(statement);
  const columns = emptyTables(connection);

  function remove(): void {
    connection.close();
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${temporary}${suffix}`, { force: true });
  }

  return {
    name: path,
    columns,
    queries: sqliteQueries(connection),
    async insert(table, rows) {
      for (const [names, some] of groupByColumns(rows)) {
        const list = names.map(quoted).join(', ');
        const places = names.map(() => '?').join(', ');
        connection.runMany(
          `insert into ${quoted(table)} (${list}) values (${places})`,
          some.map((row) => names.map((name) => toValue(row[name]))),
        );
      }
    },
    async upgrade() {
      for (const statement of statementsBetween(version, newestVersion)) connection.execute(statement);
      connection.execute(`pragma user_version = ${newestVersion}`);
    },
    async publish() {
      connection.execute('commit');
      connection.execute('pragma journal_mode = wal');
      connection.close();
      return replaces ? replace(temporary, path) : publishNew(temporary, path);
    },
    async abandon() {
      remove();
    },
  };
}

function emptyTables(connection: SqliteConnection): Map<string, ReadonlySet<string>> {
  const names = connection.all("select name from sqlite_master where type = 'table'").map(({ name }) => String(name));
  const columns = new Map<string, ReadonlySet<string>>();
  for (const table of names.filter(isBackedUp)) {
    connection.execute(`delete from ${quoted(table)}`);
    const found = connection.all('select name from pragma_table_info(?)', [table]);
    columns.set(table, new Set(found.map(({ name }) => String(name))));
  }
  return columns;
}

/** Rows of one table name the same columns, in a backup of ours; in any other, what a row lacks stays null or is refused. */
function groupByColumns(rows: readonly BackupRow[]): [string[], BackupRow[]][] {
  const groups = Map.groupBy(rows, (row) => JSON.stringify(Object.keys(row)));
  return [...groups.values()].map((some) => [Object.keys(some[0] ?? {}), some]);
}

function toValue(value: BackupRow[string] | undefined): string | number | null {
  return typeof value === 'boolean' ? Number(value) : (value ?? null);
}

function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new GatewayError(
    'bad_configuration',
    `There is a store already: ${path}. Restore into another data directory, or repeat with --replace to put it aside. Nothing was changed.`,
  );
}

function publishNew(temporary: string, path: string): undefined {
  putLogAside(path);
  if (!publishFile(temporary, path)) refuseExisting(path);
}

/** The old store keeps a name of its own: a restore that was a mistake can be undone. */
function replace(temporary: string, path: string): string | undefined {
  if (!existsSync(path)) return publishNew(temporary, path);
  foldLog(path);
  putLogAside(path);
  const aside = `${path}.replaced-${Date.now()}`;
  syncPath(temporary);
  keepAs(path, aside);
  renameSync(temporary, path);
  syncPath(dirname(path));
  return aside;
}

function keepAs(path: string, aside: string): void {
  try {
    linkSync(path, aside);
  } catch {
    // A file system without hard links: for a moment there is no store, which a start in that moment would say.
    renameSync(path, aside);
  }
}

/** Brings what is in the log into the file, which only works while nobody else has it open. */
function foldLog(path: string): void {
  let connection: SqliteConnection | undefined;
  try {
    connection = new SqliteConnection(path);
    connection.execute('pragma busy_timeout = 200');
    const [row] = connection.all('pragma journal_mode = delete');
    if (row?.journal_mode !== 'delete') throw inUse(path);
  } catch (error) {
    if (isBusy(error)) throw inUse(path);
    // Damaged, perhaps the reason for the restore: it is put aside as it is.
  } finally {
    connection?.close();
  }
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof GatewayError)) return false;
  return error.code === 'bad_configuration' || (error.cause as { errcode?: number } | undefined)?.errcode === 5;
}

function inUse(path: string): GatewayError {
  return new GatewayError('bad_configuration', `${path} is in use: stop every gateway on it first. Nothing was changed.`);
}

/** SQLite would read a log that was left behind into whatever file has the name. */
function putLogAside(path: string): void {
  for (const suffix of ['-wal', '-shm', '-journal']) {
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${path}${suffix}.replaced-${Date.now()}`);
  }
}
