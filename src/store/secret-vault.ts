import { randomBytes } from 'node:crypto';
import { GatewayError } from '../errors.ts';
import { seal, unseal } from '../seal.ts';
import { Secret } from '../secret.ts';
import { type KeyRing, unwrap, wrapBinding } from './key-ring.ts';
import type { SecretPlace, SecretVault } from './ports/secret-vault.ts';

export interface DataKeyRow {
  readonly id: string;
  readonly version: number;
  readonly wrapped: string;
}

/** Where data keys are kept; one implementation per database. */
export interface DataKeyRows {
  /** Durable before it resolves. False, and nothing is kept, when the master key of this version was retired meanwhile. */
  insert(row: DataKeyRow): Promise<boolean>;
  read(id: string): Promise<DataKeyRow | undefined>;
  delete(id: string): Promise<void>;
}

/** What `unseal` takes, less the id of the data key. */
const sealedLimit = 65_536;
/** Of 32 bytes each; the values themselves are not kept. */
const cachedKeysLimit = 10_000;
/** Each is needed only when a rotation ended in the middle of the one before. */
const sealAttempts = 5;

export function openVault(rows: DataKeyRows, ring: KeyRing): SecretVault {
  const cached = new Map<string, Buffer>();

  function keep(id: string, key: Buffer): Buffer {
    if (cached.size >= cachedKeysLimit) cached.delete(cached.keys().next().value as string);
    cached.set(id, key);
    return key;
  }

  async function makeDataKey(id: string): Promise<Buffer> {
    const dataKey = randomBytes(32);
    for (let attempt = 0; attempt < sealAttempts; attempt += 1) {
      const { version, key } = await ring.current();
      const wrapped = seal(key, wrapBinding({ table: 'data_keys', id, version }), dataKey.toString('base64'));
      if (await rows.insert({ id, version, wrapped })) return keep(id, dataKey);
    }
    throw new GatewayError('internal', 'The master key changes faster than a secret can be sealed under it; try again.');
  }

  async function findDataKey(id: string): Promise<Buffer | undefined> {
    const known = cached.get(id);
    if (known) return known;
    const row = await rows.read(id);
    if (!row) return undefined;
    const key = unwrap(await ring.get(row.version), { table: 'data_keys', ...row });
    return key && keep(id, key);
  }

  return {
    async seal(place, value) {
      const id = randomBytes(12).toString('base64url');
      const body = seal(await makeDataKey(id), valueBinding(place, id), value.reveal());
      if (body.length <= sealedLimit) return `${id}.${body}`;
      await rows.delete(id);
      throw new GatewayError('invalid_params', 'A secret has at most 32 KiB.');
    },

    async open(place, sealed) {
      const { id, body } = split(sealed);
      const dataKey = await findDataKey(id);
      const value = dataKey && unseal(dataKey, valueBinding(place, id), body);
      if (typeof value === 'string') return new Secret(value);
      throw new GatewayError(
        'internal',
        `The secret of ${place.kind} "${place.id}" cannot be opened: it was removed, moved or damaged. Set it again.`,
      );
    },

    async forget(sealed) {
      const { id } = split(sealed);
      cached.delete(id);
      await rows.delete(id);
    },
  };
}

function split(sealed: string): { readonly id: string; readonly body: string } {
  return { id: sealed.slice(0, 16), body: sealed.slice(17) };
}

/** As JSON, so that no two places read alike. */
function valueBinding({ kind, id }: SecretPlace, dataKeyId: string): string {
  return JSON.stringify(['sealed_value', kind, id, dataKeyId]);
}
