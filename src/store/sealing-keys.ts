import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { seal } from '../seal.ts';
import { type KeyRing, unwrap, type VersionedKey, type WrappedKey, wrapBinding } from './key-ring.ts';
import type { MasterKeySource } from './master-key.ts';
import type { SealingKeyStore, SealingPurpose } from './ports/sealing-keys.ts';

export interface SealedRow {
  readonly purpose: string;
  readonly version: number;
  readonly sealed: string;
}

/** Where sealed keys are kept; one implementation per database. */
export interface SealedRows {
  read(): Promise<readonly SealedRow[]>;
  /** Durable before it resolves. Keeps every row that is there already. */
  insert(rows: readonly SealedRow[]): Promise<void>;
}

const purposes: readonly SealingPurpose[] = ['session', 'request-state', 'pepper', 'journal', 'credential', 'reply'];

/**
 * Refuses what none of these master keys can open, so that a wrong key is noticed at the start and not at the first session.
 * Only reads. An empty table passes.
 */
export function checkMasterKey(rows: readonly SealedRow[], source: MasterKeySource, store: string): void {
  if (rows.length === 0) return;
  const masterKeys = source.findAll();
  if (masterKeys.length === 0) {
    throw new GatewayError(
      'bad_configuration',
      `The master key of ${store} is missing: ${source.name} is not there. Put that file back, ` +
        'or set GATEHOUSE_MASTER_KEY to the key this store was made with. Nothing was changed.',
    );
  }
  for (const row of rows) {
    if (!masterKeys.some((key) => unwrap(key, toWrapped(row)))) throw unopened(row, source.name, store);
  }
}

/**
 * Makes what is missing: all at the first start, so that a wrong master key shows from then on. The rows must have passed
 * `checkMasterKey`.
 */
export async function openSealingKeys(
  rows: SealedRows,
  ring: KeyRing,
  source: MasterKeySource,
  store: string,
): Promise<SealingKeyStore> {
  async function open(): Promise<Map<string, Buffer>> {
    const keys = new Map<string, Buffer>();
    for (const row of await rows.read()) {
      const key = unwrap(await ring.get(row.version), toWrapped(row));
      if (!key) throw unopened(row, source.name, store);
      keys.set(row.purpose, key);
    }
    return keys;
  }
  let keys = await open();
  const missing = purposes.filter((purpose) => !keys.has(purpose));
  if (missing.length > 0) {
    const current = await ring.current();
    await rows.insert(missing.map((purpose) => makeRow(purpose, current)));
    // Of replicas that start together one inserts; all take what was inserted.
    keys = await open();
  }
  return { get: async (purpose) => keys.get(purpose)! };
}

function makeRow(purpose: string, { version, key }: VersionedKey): SealedRow {
  const made = randomBytes(32).toString('base64');
  return { purpose, version, sealed: seal(key, wrapBinding({ table: 'sealing_keys', id: purpose, version }), made) };
}

export function toWrapped({ purpose, version, sealed }: SealedRow): WrappedKey {
  return { table: 'sealing_keys', id: purpose, version, wrapped: sealed };
}

function unopened(row: SealedRow, source: string, store: string): GatewayError {
  return new GatewayError(
    'bad_configuration',
    `${source} is not the master key of ${store}: its sealing key "${row.purpose}" does not open. ` +
      'Start with the key this store was made with or last changed to; while a change of the key is under way, ' +
      'GATEHOUSE_PREVIOUS_MASTER_KEYS must hold the other one. Nothing was changed.',
  );
}
