import { resolve } from 'node:path';
import type { Settings } from '../settings.ts';
import { backupStore } from '../store/backup/backup-store.ts';
import { storeOptions } from './store-options.ts';

interface BackupOptions {
  readonly settings: Settings;
  /** Undefined: a name with the time, in the working directory. */
  readonly file: string | undefined;
  readonly json: boolean;
  readonly write: (text: string) => void;
  /** For warnings and progress: what a program that reads the answer should not find in it. */
  readonly complain: (text: string) => void;
}

/** `gatehouse backup [file]`: one file of everything in the store, while gateways run on it. */
export async function backup({ settings, file, json, write, complain }: BackupOptions): Promise<number> {
  const path = resolve(file ?? `gatehouse-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.backup`);
  const report = await backupStore(storeOptions(settings, complain), path);
  if (json) {
    write(`${JSON.stringify(report, null, 2)}\n`);
    return 0;
  }
  const key = settings.masterKey === undefined ? `master.key in ${settings.data}` : 'GATEHOUSE_MASTER_KEY';
  write(
    `${report.rows} rows of ${report.store} are in ${report.file}.\n` +
      `The master key is not in it. Keep ${key} in another place: without that key nobody can restore this file.\n`,
  );
  return 0;
}
