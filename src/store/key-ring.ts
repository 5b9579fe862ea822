import { createHmac } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { unseal } from '../seal.ts';
import type { MasterKeySource } from './master-key.ts';

/** A key that a master key wraps, as it is stored: a sealing key or a data key. */
export interface WrappedKey {
  readonly table: 'sealing_keys' | 'data_keys';
  readonly id: string;
  /** Of the master key. */
  readonly version: number;
  readonly wrapped: string;
}

/** Keeps a row from being passed off as another one. */
export function wrapBinding({ table, id, version }: Omit<WrappedKey, 'wrapped'>): string {
  return `${table}|${id}|${version}`;
}

/** The key itself, or undefined when this master key did not wrap it. */
export function unwrap(masterKey: Buffer, row: WrappedKey): Buffer | undefined {
  const key = unseal(masterKey, wrapBinding(row), row.wrapped);
  return typeof key === 'string' ? Buffer.from(key, 'base64') : undefined;
}

export interface MasterKeyRow {
  readonly version: number;
  /** Tells which of the given keys it is; says nothing about the key. */
  readonly fingerprint: string;
  readonly retired_at_ms: number | null;
}

/** Which master keys a store has had; one implementation per database. */
export interface MasterKeyRows {
  read(): Promise<readonly MasterKeyRow[]>;
  /** Durable before it resolves. Keeps a row of this version that is there already. */
  insert(row: { readonly version: number; readonly fingerprint: string; readonly made_at_ms: number }): Promise<void>;
}

export interface VersionedKey {
  readonly version: number;
  readonly key: Buffer;
}

/** The master keys that this process was given, by the version that the store knows them as. */
export interface KeyRing {
  /** What to wrap with. Asks the store, since another process may have begun a rotation. */
  current(): Promise<VersionedKey>;
  /** Throws GatewayError `bad_configuration` when this process was not given that key. */
  get(version: number): Promise<Buffer>;
}

/** 32 random bytes cannot be found again from this. */
export function fingerprint(masterKey: Buffer): string {
  return createHmac('sha256', masterKey).update('gatehouse master key').digest('hex').slice(0, 32);
}

interface RingParts {
  readonly rows: MasterKeyRows;
  readonly source: MasterKeySource;
  /** How messages call the store. */
  readonly store: string;
  readonly clock: Clock;
}

/** `wrapped` are the sealing keys that are there. Throws GatewayError `bad_configuration` when the current key was not given. */
export async function openKeyRing(parts: RingParts, wrapped: readonly WrappedKey[]): Promise<KeyRing> {
  const { rows, source, store, clock } = parts;
  let keys = new Map<number, Buffer>();
  if ((await rows.read()).length === 0) {
    const [sample] = wrapped;
    // A store from before master keys had versions: its key is the one that opens what is there.
    const first = sample ? source.findAll().find((key) => unwrap(key, sample)) : source.findOrMake();
    if (!first) throw wrongMasterKey(source.name, store);
    await rows.insert({ version: 1, fingerprint: fingerprint(first), made_at_ms: clock.nowMs() });
  }

  async function get(version: number): Promise<Buffer> {
    const known = keys.get(version);
    if (known) return known;
    keys = match(await rows.read(), source.findAll());
    const found = keys.get(version);
    if (found) return found;
    throw wrongMasterKey(source.name, store, version);
  }

  async function current(): Promise<VersionedKey> {
    const version = currentVersion(await rows.read());
    return { version, key: await get(version) };
  }

  await current();
  return { current, get };
}

export function currentVersion(rows: readonly MasterKeyRow[]): number {
  return Math.max(...rows.filter((row) => row.retired_at_ms === null).map(({ version }) => version));
}

function match(rows: readonly MasterKeyRow[], given: readonly Buffer[]): Map<number, Buffer> {
  const byFingerprint = new Map(given.map((key) => [fingerprint(key), key]));
  const keys = new Map<number, Buffer>();
  for (const row of rows) {
    const key = byFingerprint.get(row.fingerprint);
    if (key) keys.set(row.version, key);
  }
  return keys;
}

export function wrongMasterKey(source: string, store: string, version?: number): GatewayError {
  const which = version === undefined ? '' : ` of version ${version}`;
  return new GatewayError(
    'bad_configuration',
    `${source} is not the master key${which} of ${store}. Start with the key this store was made with or last changed to; ` +
      'while a change of the key is under way, GATEHOUSE_PREVIOUS_MASTER_KEYS must hold the other one. Nothing was changed.',
  );
}
