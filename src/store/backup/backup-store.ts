import { GatewayError } from '../../errors.ts';
import { version } from '../../version.ts';
import { currentVersion, fingerprint, type MasterKeyRow, wrongMasterKey } from '../key-ring.ts';
import { masterKeySource } from '../master-key.ts';
import { newestVersion } from '../migrations/migrations.ts';
import { openSnapshot } from '../open-store.ts';
import type { StoreOptions } from '../store-options.ts';
import { type BackupRow, formatVersion, writeBackup } from './backup-file.ts';
import type { Snapshot } from './snapshot.ts';

interface BackupReport {
  readonly store: string;
  readonly file: string;
  readonly madeAtMs: number;
  readonly rows: number;
  readonly sha256: string;
}

/**
 * Writes everything a store holds at one moment into one file, while gateways run on it. The master key is not in it. Throws
 * GatewayError `bad_configuration` when there is no store, it is damaged, or this is not its master key.
 */
export async function backupStore(options: StoreOptions, file: string): Promise<BackupReport> {
  const snapshot = await openSnapshot(options);
  try {
    const masterKey = await findMasterKey(snapshot, options);
    const madeAtMs = options.clock.nowMs();
    const header = {
      format: 'gatehouse-backup' as const,
      formatVersion,
      schemaVersion: snapshot.version,
      release: version,
      madeAtMs,
    };
    const { rows, sha256 } = await writeBackup(file, { header, rows: readAll(snapshot), masterKey });
    return { store: snapshot.name, file, madeAtMs, rows, sha256 };
  } finally {
    await snapshot.close();
  }
}

async function* readAll(snapshot: Snapshot): AsyncGenerator<readonly [string, BackupRow]> {
  for (const table of snapshot.tables) for await (const row of snapshot.rows(table)) yield [table, row];
}

async function findMasterKey(snapshot: Snapshot, options: StoreOptions): Promise<Buffer> {
  const { version, name } = snapshot;
  if (version < newestVersion) {
    throw new GatewayError(
      'bad_configuration',
      `The tables of ${name} are those of an older release: start this one on it once, or make the backup with that release.`,
    );
  }
  const known: MasterKeyRow[] = [];
  for await (const row of snapshot.rows('master_keys')) {
    known.push({
      version: Number(row.version),
      fingerprint: String(row.fingerprint),
      retired_at_ms: row.retired_at_ms === null ? null : Number(row.retired_at_ms),
    });
  }
  const source = masterKeySource(options);
  const current = known.find((row) => row.version === currentVersion(known));
  const key = source.findAll().find((candidate) => fingerprint(candidate) === current?.fingerprint);
  if (!key) throw wrongMasterKey(source.name, name);
  return key;
}
