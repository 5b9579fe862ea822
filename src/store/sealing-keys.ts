import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { seal, unseal } from '../seal.ts';
import type { MasterKeySource } from './master-key.ts';
import type { SealingKeyStore, SealingPurpose } from './ports.ts';

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

const masterKeyVersion = 1;
const purposes: readonly SealingPurpose[] = ['session', 'request-state', 'pepper'];

/**
 * Refuses what this master key cannot open, so that a wrong key is noticed at the start and not at the first session.
 * Only reads. An empty table passes.
 */
export function checkMasterKey(rows: readonly SealedRow[], source: MasterKeySource, store: string): void {
  if (rows.length === 0) return;
  const masterKey = source.find();
  if (!masterKey) {
    throw new GatewayError(
      'bad_configuration',
      `The master key of ${store} is missing: ${source.name} is not there. Put that file back, ` +
        'or set GATEHOUSE_MASTER_KEY to the key this store was made with. Nothing was changed.',
    );
  }
  for (const row of rows) openRow(row, masterKey, source, store);
}

/**
 * Makes what is missing: all at the first start, so that a wrong master key shows from then on. `rows` must have passed
 * `checkMasterKey`.
 */
export async function openSealingKeys(rows: SealedRows, source: MasterKeySource, store: string): Promise<SealingKeyStore> {
  const masterKey = source.findOrMake();
  const open = async () => new Map((await rows.read()).map((row) => [row.purpose, openRow(row, masterKey, source, store)]));
  let keys = await open();
  const missing = purposes.filter((purpose) => !keys.has(purpose));
  if (missing.length > 0) {
    await rows.insert(missing.map((purpose) => makeRow(purpose, masterKey)));
    // Of replicas that start together one inserts; all take what was inserted.
    keys = await open();
  }
  return { get: async (purpose) => keys.get(purpose)! };
}

function makeRow(purpose: string, masterKey: Buffer): SealedRow {
  const key = randomBytes(32).toString('base64');
  return { purpose, version: masterKeyVersion, sealed: seal(masterKey, binding(purpose, masterKeyVersion), key) };
}

function openRow(row: SealedRow, masterKey: Buffer, source: MasterKeySource, store: string): Buffer {
  const key = unseal(masterKey, binding(row.purpose, row.version), row.sealed);
  if (typeof key === 'string') return Buffer.from(key, 'base64');
  throw new GatewayError(
    'bad_configuration',
    `${source.name} is not the master key of ${store}: its sealing key "${row.purpose}" does not open. ` +
      'Start with the key this store was made with. Nothing was changed.',
  );
}

/** Keeps a row from being passed off as another one. */
function binding(purpose: string, version: number): string {
  return `sealing_keys|${purpose}|${version}`;
}
