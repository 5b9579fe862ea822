import { closeSync, existsSync, mkdirSync, openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '../../errors.ts';
import { masterKeyPath } from '../master-key.ts';
import { newestVersion, pendingStatements } from '../migrations/migrations.ts';
import { publishFile } from '../publish-file.ts';
import { SqliteConnection } from './connection.ts';

/** "GATE": tells our file from any other SQLite database. */
export const applicationId = 0x47415445;
/** Checking every page takes about 2 ms per megabyte; of a larger file only the length is checked. */
const fullCheckLimitBytes = 4 * 1024 * 1024;

export function databasePath(dataDir: string): string {
  return join(dataDir, 'gatehouse.db');
}

/**
 * Makes the database, readable by its owner alone, unless there is one. It gets its name only when it is complete: a crash
 * half-way leaves nothing, and an empty file of that name is always damage. Returns whether it was made.
 */
export function makeDatabase(dataDir: string): boolean {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = databasePath(dataDir);
  if (existsSync(path)) return false;
  refuseLostDatabase(dataDir, path);
  const temporary = `${path}.new-${process.pid}`;
  writeFileSync(temporary, '', { mode: 0o600 });
  const connection = new SqliteConnection(temporary);
  try {
    // Nothing needs to be durable before the file has its name.
    connection.execute(`pragma synchronous = off; pragma application_id = ${applicationId}`);
    migrateDatabase(connection);
    connection.execute('pragma journal_mode = wal');
  } finally {
    connection.close();
  }
  return publishFile(temporary, path);
}

/** For what needs a store that is there, and makes none. */
export function refuseMissing(dataDir: string): void {
  const path = databasePath(dataDir);
  if (existsSync(path)) return;
  throw new GatewayError('bad_configuration', `There is no store in ${dataDir}: ${path} is missing. Check GATEHOUSE_DATA.`);
}

/** What stays behind when only the database is deleted must not pass for a first start: every key would be gone in silence. */
function refuseLostDatabase(dataDir: string, path: string): void {
  const remains = [masterKeyPath(dataDir), `${path}-wal`].filter((left) => sizeOf(left) > 0);
  // Another process may have made all of it since the first look.
  if (remains.length === 0 || existsSync(path)) return;
  throw new GatewayError(
    'bad_configuration',
    `${path} is gone, but ${remains.join(' and ')} shows that there was one. Restore it from a backup; ` +
      'to start with an empty store and lose every key, remove that as well.',
  );
}

/** Opens what `makeDatabase` left. Throws GatewayError for anything that is not a whole Gatehouse database; changes nothing. */
export function openDatabase(dataDir: string): SqliteConnection {
  const path = databasePath(dataDir);
  const sizeBytes = sizeOf(path);
  if (sizeBytes === 0) throw damaged(path, 'it is empty');
  refuseTruncated(path, sizeBytes);
  const connection = new SqliteConnection(path);
  try {
    if (connection.pragma('application_id') !== applicationId) {
      throw new GatewayError('bad_configuration', `${path} is a database of another program; use another data directory.`);
    }
    pendingStatements(connection.pragma('user_version'), path);
    if (sizeBytes <= fullCheckLimitBytes) refuseUnsound(connection);
    connection.execute('pragma journal_mode = wal');
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Brings the tables up to date; of several processes one does it, the others wait. */
export function migrateDatabase(connection: SqliteConnection): void {
  if (connection.pragma('user_version') === newestVersion) return;
  connection.execute('begin immediate');
  try {
    const statements = pendingStatements(connection.pragma('user_version'), connection.path);
    for (const statement of statements) connection.execute(statement);
    connection.execute(`pragma user_version = ${newestVersion}`);
    connection.execute('commit');
  } catch (error) {
    connection.rollback();
    throw error;
  }
}

/** SQLite notices a missing tail only when it reads there. The header says how long the file must be. */
function refuseTruncated(path: string, sizeBytes: number): void {
  // A crash can leave the file short and the rest in the log; SQLite puts it together.
  if (sizeOf(`${path}-wal`) > 0) return;
  const header = Buffer.alloc(100);
  const file = openSync(path, 'r');
  try {
    readSync(file, header, 0, header.length, 0);
  } finally {
    closeSync(file);
  }
  if (header.toString('latin1', 0, 15) !== 'SQLite format 3') throw damaged(path, 'it does not begin as one');
  // sqlite.org/fileformat.html 1.3: page size at 16 (1 means 65536), pages at 28.
  const pageSizeBytes = header.readUInt16BE(16) === 1 ? 65_536 : header.readUInt16BE(16);
  if (header.readUInt32BE(28) * pageSizeBytes > sizeBytes) throw damaged(path, 'its end is missing');
}

export function refuseUnsound(connection: SqliteConnection): void {
  const [finding] = connection.all('pragma quick_check(1)');
  if (finding?.quick_check !== 'ok') throw damaged(connection.path, String(finding?.quick_check));
}

function damaged(path: string, finding: string): GatewayError {
  return new GatewayError(
    'bad_configuration',
    `${path} is not a whole database (${finding}). Restore it from a backup; ` +
      'to start with an empty store and lose every key, move the data directory away. Nothing was changed.',
  );
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
