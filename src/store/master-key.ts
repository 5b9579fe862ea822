import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GatewayError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import { publishFile, syncPath } from './publish-file.ts';
import type { StoreOptions } from './store-options.ts';

/** Where master keys come from: the one in use, and those that it replaces or replaced. */
export interface MasterKeySource {
  /** How messages call it. */
  readonly name: string;
  /** Looked up anew each time, since a rotation may add one. Empty when there is none. */
  findAll(): readonly Buffer[];
  /** The one that a new store begins with: finds it or, where that is allowed, makes it. */
  findOrMake(): Buffer;
  /** The one that a rotation goes to; made where the source makes its keys itself. */
  findOrMakeNext(): Buffer;
  /** Whether `findOrMakeNext` finds one only while a rotation is under way. */
  readonly makesNext: boolean;
  /** Nothing needs the keys before the next one any more. */
  finishRotation(): void;
}

type GivenKeys = Pick<StoreOptions, 'dataDir' | 'masterKey' | 'previousMasterKeys'>;

export function masterKeySource({ dataDir, masterKey, previousMasterKeys }: GivenKeys): MasterKeySource {
  if (masterKey) return givenMasterKeys(masterKey, previousMasterKeys);
  if (previousMasterKeys === undefined || previousMasterKeys.length === 0) return masterKeyFile(dataDir);
  throw new GatewayError(
    'bad_configuration',
    'GATEHOUSE_PREVIOUS_MASTER_KEYS is set without GATEHOUSE_MASTER_KEY, the key that takes their place. Set both.',
  );
}

function givenMasterKeys(key: Secret, previous: readonly Secret[] = []): MasterKeySource {
  const name = 'GATEHOUSE_MASTER_KEY';
  const newest = parse(key.reveal(), name);
  const older = previous.map((each) => parse(each.reveal(), 'GATEHOUSE_PREVIOUS_MASTER_KEYS'));
  return {
    name,
    findAll: () => [newest, ...older],
    findOrMake: () => newest,
    findOrMakeNext: () => newest,
    makesNext: false,
    finishRotation() {},
  };
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

/**
 * For one machine without a given key: files beside the database, readable by their owner alone. `master.key` is made at the first
 * start; `master.key.next` is there during a rotation; `master.key.1`, `master.key.2` ... are the ones it replaced.
 */
function masterKeyFile(dataDir: string): MasterKeySource {
  const path = masterKeyPath(dataDir);
  const nextPath = `${path}.next`;

  function find(file: string): Buffer | undefined {
    try {
      return parse(readFileSync(file, 'utf8'), file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  function findOrMakeAt(file: string): Buffer {
    const found = find(file);
    if (found) return found;
    const temporary = `${file}.new-${process.pid}`;
    writeFileSync(temporary, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    publishFile(temporary, file);
    // Another process may have been first.
    return find(file)!;
  }

  return {
    name: path,
    findAll() {
      // `next` may become `master.key` between two reads, never the other way round: read before, it is not missed.
      const next = find(nextPath);
      const keys = [find(path), next, ...replaced(dataDir).map((name) => find(join(dataDir, name)))];
      return keys.filter((key) => key !== undefined);
    },
    findOrMake: () => findOrMakeAt(path),
    findOrMakeNext: () => findOrMakeAt(nextPath),
    makesNext: true,
    finishRotation() {
      if (!existsSync(nextPath)) return;
      keepReplaced(dataDir);
      renameSync(nextPath, path);
      if (process.platform !== 'win32') syncPath(dataDir);
    },
  };
}

function replaced(dataDir: string): string[] {
  const names = existsSync(dataDir) ? readdirSync(dataDir) : [];
  return names.filter((name) => /^master\.key\.[0-9]{1,6}$/.test(name));
}

/** A backup made before needs the key of its time; whoever keeps none deletes the file. */
function keepReplaced(dataDir: string): void {
  const path = masterKeyPath(dataDir);
  if (!existsSync(path)) return;
  const text = readFileSync(path, 'utf8');
  // Kept already, by a rotation that was cut off here.
  if (replaced(dataDir).some((name) => readFileSync(join(dataDir, name), 'utf8') === text)) return;
  const numbers = replaced(dataDir).map((name) => Number(name.slice('master.key.'.length)));
  linkOrCopy(path, `${path}.${Math.max(0, ...numbers) + 1}`, text);
}

function linkOrCopy(path: string, name: string, text: string): void {
  try {
    linkSync(path, name);
  } catch {
    // A file system without hard links.
    writeFileSync(name, text, { mode: 0o600, flag: 'wx' });
    syncPath(name);
  }
}
