import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { publishFile } from './publish-file.ts';

/** Where the master key comes from. */
export interface MasterKeySource {
  /** How messages call it. */
  readonly name: string;
  /** Undefined when there is none. */
  find(): Buffer | undefined;
  /** Finds it or, where that is allowed, makes it. */
  findOrMake(): Buffer;
}

export function givenMasterKey(key: Secret): MasterKeySource {
  const name = 'GATEHOUSE_MASTER_KEY';
  const bytes = parse(key.reveal(), name);
  return { name, find: () => bytes, findOrMake: () => bytes };
}

function parse(text: string, name: string): Buffer {
  const key = Buffer.from(text, 'base64');
  if (key.length === 32) return key;
  throw new GatewayError(
    'bad_configuration',
    `${name} must hold 32 random bytes as base64; "openssl rand -base64 32" makes them.`,
  );
}

export function masterKeyPath(dataDir: string): string {
  return join(dataDir, 'master.key');
}

/** For one machine without a given key: a file beside the database, made at the first start, readable by its owner alone. */
export function masterKeyFile(dataDir: string): MasterKeySource {
  const path = masterKeyPath(dataDir);

  function find(): Buffer | undefined {
    try {
      return parse(readFileSync(path, 'utf8'), path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  return {
    name: path,
    find,
    findOrMake() {
      const temporary = `${path}.new-${process.pid}`;
      const found = find();
      if (found) return found;
      writeFileSync(temporary, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
      publishFile(temporary, path);
      // Another process may have been first.
      return find()!;
    },
  };
}
