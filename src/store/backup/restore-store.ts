import type { Kysely } from 'kysely';
import { GatewayError } from '../../errors.ts';
import { fingerprint, unwrap, type WrappedKey } from '../key-ring.ts';
import { type MasterKeySource, masterKeySource } from '../master-key.ts';
import { newestVersion } from '../migrations/migrations.ts';
import { openTarget } from '../open-store.ts';
import type { Schema } from '../schema.ts';
import { toWrapped } from '../sealing-keys.ts';
import { takeRevision } from '../sql/registry.ts';
import type { StoreOptions } from '../store-options.ts';
import { type BackupHeader, type BackupRow, type BackupTrailer, damaged, isMadeUnder, openBackup } from './backup-file.ts';
import type { RestoreTarget } from './snapshot.ts';

interface RestoreOptions {
  readonly file: string;
  /** Whether a store that is there may be replaced. */
  readonly replaces: boolean;
  /** What happens to keys that may have been revoked after the backup was made: they are valid again, or all of them are revoked. */
  readonly keys: 'keep' | 'revoke';
}

export interface RestoreReport {
  readonly store: string;
  readonly backupMadeAtMs: number;
  readonly rows: number;
  /** Where the store that was replaced lies now; undefined when there was none, or it is gone. */
  readonly replaced: string | undefined;
  readonly revokedKeys: number;
}

/**
 * Makes a store of a backup, on either database: all of it or nothing, and only after the whole file was found to be as it was
 * written. Throws GatewayError `bad_configuration` with the reason when it is not, when the master key is another one, or when there
 * is a store already.
 */
export async function restoreStore(options: StoreOptions, restore: RestoreOptions): Promise<RestoreReport> {
  const source = masterKeySource(options);
  const { header, trailer } = await checkBackup(options, restore.file);
  const target = await openTarget(options, { version: header.schemaVersion, replaces: restore.replaces });
  try {
    await fill(target, restore.file, trailer);
    await target.upgrade();
    await checkWrappedKeys(target.queries, source, restore.file);
    const revokedKeys = await markRestored(target.queries, header, restore.keys, options.clock.nowMs());
    const replaced = await target.publish();
    return { store: target.name, backupMadeAtMs: header.madeAtMs, rows: trailer.rows, replaced, revokedKeys };
  } catch (error) {
    await target.abandon();
    throw error;
  }
}

interface Checked {
  readonly header: BackupHeader;
  readonly trailer: BackupTrailer;
}

/** When it was made, for whoever has to decide what to do about it. Throws for a file that cannot be restored. */
export async function checkBackup(options: StoreOptions, file: string): Promise<Checked> {
  const source = masterKeySource(options);
  const masterKeys = source.findAll();
  if (masterKeys.length === 0) {
    throw new GatewayError(
      'bad_configuration',
      `${source.name} is not there. A backup holds no master key: put the one of its time there, or into GATEHOUSE_MASTER_KEY.`,
    );
  }
  const backup = await openBackup(file);
  try {
    for await (const _ of backup.rows());
    const trailer = backup.trailer();
    if (!isMadeUnder(trailer, masterKeys)) {
      throw new GatewayError(
        'bad_configuration',
        `${file} was made under another master key than ${source.name}, or changed by somebody. Nothing was changed. ` +
          'Start with the master key of its time; GATEHOUSE_PREVIOUS_MASTER_KEYS may hold it.',
      );
    }
    if (backup.header.schemaVersion > newestVersion) {
      throw new GatewayError(
        'bad_configuration',
        `${file} was made by a newer Gatehouse (${backup.header.release}); restore it with that release. Nothing was changed.`,
      );
    }
    return { header: backup.header, trailer };
  } finally {
    await backup.close();
  }
}

const batchRows = 500;
const batchBytes = 1024 * 1024;

async function fill(target: RestoreTarget, file: string, checked: BackupTrailer): Promise<void> {
  const backup = await openBackup(file);
  try {
    let batch: BackupRow[] = [];
    let bytes = 0;
    let current = '';
    for await (const [table, row] of backup.rows()) {
      refuseUnknown(target, table, row, file);
      if (table !== current || batch.length >= batchRows || bytes >= batchBytes) {
        if (batch.length > 0) await target.insert(current, batch);
        batch = [];
        bytes = 0;
        current = table;
      }
      batch.push(row);
      for (const value of Object.values(row)) bytes += typeof value === 'string' ? value.length : 8;
    }
    if (batch.length > 0) await target.insert(current, batch);
    // Another file under this name since it was checked.
    if (backup.trailer().sha256 !== checked.sha256) throw damaged(file, 'it changed while it was read');
  } finally {
    await backup.close();
  }
}

function refuseUnknown(target: RestoreTarget, table: string, row: BackupRow, file: string): void {
  const columns = target.columns.get(table);
  if (columns === undefined || Object.keys(row).some((column) => !columns.has(column))) {
    throw damaged(file, `it has a row of a table or column that its version does not have`);
  }
}

const pageSize = 1_000;

/** Every key in it must open before anything is replaced by it. */
async function checkWrappedKeys(db: Kysely<Schema>, source: MasterKeySource, file: string): Promise<void> {
  const given = new Map(source.findAll().map((key) => [fingerprint(key), key]));
  const versions = new Map<number, Buffer | undefined>();
  for (const row of await db.selectFrom('master_keys').selectAll().execute())
    versions.set(row.version, given.get(row.fingerprint));
  const check = (row: WrappedKey): void => {
    const key = versions.get(row.version);
    if (key && unwrap(key, row)) return;
    throw new GatewayError(
      'bad_configuration',
      `A key in ${file} is sealed under another master key (version ${row.version}). It was made while the master key was being ` +
        'changed: GATEHOUSE_PREVIOUS_MASTER_KEYS must hold the older one. Nothing was changed.',
    );
  };
  for (const row of await db.selectFrom('sealing_keys').selectAll().execute()) check(toWrapped(row));
  let after = '';
  for (;;) {
    const rows = await db.selectFrom('data_keys').selectAll().where('id', '>', after).orderBy('id').limit(pageSize).execute();
    for (const row of rows) check({ table: 'data_keys', ...row });
    if (rows.length < pageSize) return;
    after = rows.at(-1)?.id ?? '';
  }
}

/** A revision with a mark of its own, so that replicas that knew another past notice. Returns how many keys were revoked. */
async function markRestored(db: Kysely<Schema>, header: BackupHeader, keys: 'keep' | 'revoke', atMs: number): Promise<number> {
  const { revision } = await takeRevision(db, atMs);
  await db.updateTable('registry_state').set({ restored_at_ms: atMs, backup_made_at_ms: header.madeAtMs }).execute();
  const revokedKeys = keys === 'revoke' ? await revokeKeys(db, revision, atMs) : 0;
  await voidApprovals(db, atMs);
  // What people were to be told then, they were told since.
  await db.deleteFrom('notices').execute();
  await db
    .insertInto('change_records')
    .values({
      revision,
      place: 0,
      at_ms: atMs,
      actor: 'operator',
      action: 'restore',
      kind: 'store',
      id: 'registry',
      detail: JSON.stringify({ backupMadeAtMs: header.madeAtMs, keys, revokedKeys }),
    })
    .execute();
  return revokedKeys;
}

/** Calls that were open then may have been made since, and who agreed to them may have changed their mind. */
async function voidApprovals(db: Kysely<Schema>, atMs: number): Promise<void> {
  const open = await db
    .updateTable('approvals')
    .set(({ eb }) => ({
      state: 'void' as const,
      note: 'The store was restored from a backup.',
      version: eb('version', '+', 1),
      updated_at_ms: atMs,
    }))
    .where('state', 'in', ['pending', 'approved'])
    .returning(['id', 'version'])
    .execute();
  for (const { id, version } of open) {
    await db
      .insertInto('approval_events')
      .values({ approval_id: id, version, at_ms: atMs, actor: 'operator', action: 'voided', detail: '{"reason":"restored"}' })
      .execute();
  }
}

async function revokeKeys(db: Kysely<Schema>, revision: number, atMs: number): Promise<number> {
  const removed = await db
    .updateTable('documents')
    .set({ body: '', is_removed: 1, revision, updated_at_ms: atMs })
    .where('kind', '=', 'key')
    .where('is_removed', '=', 0)
    .executeTakeFirst();
  const deleted = await db.deleteFrom('keys').executeTakeFirst();
  return Number(removed.numUpdatedRows) + Number(deleted.numDeletedRows);
}
