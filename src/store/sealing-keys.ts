import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { seal, unseal } from '../seal.ts';
import type { MasterKeySource } from './master-key.ts';
import type { SealingKeyStore } from './ports.ts';

export interface SealedRow {
  readonly purpose: string;
  readonly version: number;
  readonly sealed: string;
}

/** Where sealed keys are kept; one implementation per database. */
export interface SealedRows {
  read(): Promise<readonly SealedRow[]>;
  /** Durable before it resolves. Changes nothing when there is a row of this purpose. */
  insert(row: SealedRow): Promise<void>;
}

const masterKeyVersion = 1;
/** A row of no use but to tell a wrong master key before any other key exists. */
const checkPurpose = 'master-key-check';

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

/** `rows` must have passed `checkMasterKey`. */
export async function openSealingKeys(rows: SealedRows, source: MasterKeySource, store: string): Promise<SealingKeyStore> {
  const opened = new Map<string, Buffer>();
  const masterKey = source.findOrMake();
  await readRows();
  await make(checkPurpose);

  async function readRows(): Promise<void> {
    for (const row of await rows.read()) opened.set(row.purpose, openRow(row, masterKey, source, store));
  }

  async function make(purpose: string): Promise<Buffer> {
    const known = opened.get(purpose);
    if (known) return known;
    const key = randomBytes(32).toString('base64');
    await rows.insert({ purpose, version: masterKeyVersion, sealed: seal(masterKey, binding(purpose, masterKeyVersion), key) });
    // Of replicas that start together one inserts; all take what was inserted.
    await readRows();
    return opened.get(purpose)!;
  }

  return { get: make };
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
