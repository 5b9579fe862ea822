import { resolve } from 'node:path';
import type { Settings } from '../settings.ts';
import { checkBackup, type RestoreReport, restoreStore } from '../store/backup/restore-store.ts';
import { askRunning } from './control.ts';
import { storeOptions } from './store-options.ts';

interface RestoreOptions {
  readonly settings: Settings;
  readonly file: string;
  /** Whether a store that is there may be replaced. */
  readonly replace: boolean;
  /** `keep` or `revoke`: what was revoked after the backup would be valid again, and somebody has to decide about that. */
  readonly keys: string | undefined;
  readonly json: boolean;
  readonly write: (text: string) => void;
  /** For warnings and progress: what a program that reads the answer should not find in it. */
  readonly complain: (text: string) => void;
}

/** `gatehouse restore <file>`: makes a store of a backup. Exit code 1, and nothing changed, until `keys` says what to do about keys. */
export async function restore({ settings, file, replace, keys, json, write, complain }: RestoreOptions): Promise<number> {
  const path = resolve(file);
  const options = storeOptions(settings, complain);
  if (settings.databaseUrl === undefined && (await askRunning(settings.data, '/api/status')) !== undefined) {
    throw new Error(`A gateway runs on ${settings.data}. Stop it, then restore. Nothing was changed.`);
  }
  if (keys !== 'keep' && keys !== 'revoke') {
    const { header } = await checkBackup(options, path);
    throw new Error(undecided(path, header.madeAtMs));
  }
  const report = await restoreStore(options, { file: path, replaces: replace, keys });
  write(json ? `${JSON.stringify({ ...report, keys }, null, 2)}\n` : describe(report, keys));
  return 0;
}

function undecided(path: string, madeAtMs: number): string {
  return (
    `${path} is whole; it was made at ${timeOf(madeAtMs)}. Every key that was revoked, every member that was removed and every right that was ` +
    'taken away after that would be valid again. Say what is to happen: --keys revoke makes all keys in it invalid, so that new ' +
    'ones must be handed out; --keys keep leaves them as they were. Nothing was changed.'
  );
}

function describe({ store, rows, backupMadeAtMs, replaced, revokedKeys }: RestoreReport, keys: 'keep' | 'revoke'): string {
  const since = timeOf(backupMadeAtMs);
  const lines = [`${store} has ${rows} rows, as they were at ${since}.`];
  if (replaced !== undefined) lines.push(`The store that was there is ${replaced} now; delete it when you are sure.`);
  lines.push(
    keys === 'revoke'
      ? `${revokedKeys} keys were revoked: hand out new ones.`
      : `Keys are valid as they were then: revoke again what was revoked after ${since}.`,
    `Check what was changed after ${since} and is not in it: members and roles, policies, secrets, tools that were held back.`,
  );
  return `${lines.join('\n')}\n`;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
