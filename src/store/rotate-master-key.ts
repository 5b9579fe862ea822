import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { seal } from '../seal.ts';
import {
  currentVersion,
  fingerprint,
  type KeyRing,
  type MasterKeyRows,
  unwrap,
  type VersionedKey,
  type WrappedKey,
  wrapBinding,
  wrongMasterKey,
} from './key-ring.ts';
import type { MasterKeySource } from './master-key.ts';
import type { MasterKeys, RotationProgress } from './ports/master-keys.ts';

/** Every key that a master key wraps; one implementation per database. */
export interface WrappedRows {
  /** Some of those that another version than this one wraps. */
  outdated(version: number, limit: number): Promise<readonly WrappedKey[]>;
  /** All or nothing; a row that is gone or was rewrapped meanwhile stays as it is. */
  rewrap(changes: readonly { readonly from: WrappedKey; readonly to: WrappedKey }[]): Promise<void>;
  progress(version: number): Promise<RotationProgress>;
  /** Retires the master keys before this version; false, and nothing is changed, while one of them still wraps something. */
  retireBefore(version: number, atMs: number): Promise<boolean>;
}

interface RotationParts {
  readonly rows: WrappedRows;
  readonly masterKeyRows: MasterKeyRows;
  readonly source: MasterKeySource;
  readonly ring: KeyRing;
  readonly store: string;
  readonly clock: Clock;
}

/** Small: a transaction keeps others from writing while it lasts. */
const batchSize = 100;

export function masterKeys(parts: RotationParts): MasterKeys {
  const { rows, source, ring, store, clock } = parts;
  return {
    async rotate(onProgress) {
      const next = await findNext(parts);
      onProgress(await rows.progress(next.version));
      for (;;) {
        const outdated = await rows.outdated(next.version, batchSize);
        // One more may have been wrapped by the old key between the two.
        if (outdated.length === 0 && (await rows.retireBefore(next.version, clock.nowMs()))) break;
        const changes: { from: WrappedKey; to: WrappedKey }[] = [];
        for (const from of outdated) changes.push({ from, to: rewrapped(from, await ring.get(from.version), next, store) });
        await rows.rewrap(changes);
        onProgress(await rows.progress(next.version));
      }
      source.finishRotation();
      return next.version;
    },
  };
}

function rewrapped(from: WrappedKey, old: Buffer, { version, key }: VersionedKey, store: string): WrappedKey {
  const plain = unwrap(old, from);
  if (!plain) throw wrongMasterKey(`The key of version ${from.version}`, `${from.table} "${from.id}" in ${store}`);
  const to = { table: from.table, id: from.id, version };
  return { ...to, wrapped: seal(key, wrapBinding(to), plain.toString('base64')) };
}

/** From when this is on record, every process wraps with the new key, and must have been given it. */
async function findNext({ rows, masterKeyRows, source, store, clock }: RotationParts): Promise<VersionedKey> {
  const key = source.findOrMakeNext();
  const mark = fingerprint(key);
  let known = await masterKeyRows.read();
  if (!known.some((row) => row.fingerprint === mark)) {
    const version = Math.max(...known.map((row) => row.version)) + 1;
    await masterKeyRows.insert({ version, fingerprint: mark, made_at_ms: clock.nowMs() });
    known = await masterKeyRows.read();
  }
  const row = known.find((candidate) => candidate.fingerprint === mark);
  const version = currentVersion(known);
  if (row?.version !== version) {
    throw refusal(
      `${source.name} was the master key of ${store} before, or another change of the key is under way. Make a new one.`,
    );
  }
  const isDone = known.every((other) => other.version === version || other.retired_at_ms !== null);
  if (isDone && !source.makesNext && (await rows.outdated(version, 1)).length === 0) {
    throw refusal(`${source.name} is the master key that ${store} uses already; nothing is left to do.`);
  }
  return { version, key };
}

function refusal(sentence: string): GatewayError {
  return new GatewayError(
    'bad_configuration',
    `${sentence} To change it, set GATEHOUSE_MASTER_KEY to a new key ("openssl rand -base64 32"), ` +
      'GATEHOUSE_PREVIOUS_MASTER_KEYS to the present one, restart every process, then rotate. Nothing was changed.',
  );
}
