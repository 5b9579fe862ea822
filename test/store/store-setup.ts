import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../src/secret.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/ports.ts';

export const isLong = process.env.TEST_LONG === '1';

/** What stores say to the log, for tests to look at. */
export interface Heard {
  readonly level: 'info' | 'warn';
  readonly message: string;
  readonly fields: object;
}

interface TestOptions {
  readonly dataDir: string;
  readonly databaseUrl?: string;
  readonly redisUrl?: string;
  readonly masterKey?: Buffer;
  readonly previousMasterKeys?: readonly Buffer[];
  readonly sessionTtlMs?: number | undefined;
}

/** Opens a store without the surroundings that most tests do not care about. */
export async function open(options: TestOptions, heard: Heard[] = []): Promise<Store> {
  const { dataDir, databaseUrl, redisUrl, masterKey, previousMasterKeys, sessionTtlMs } = options;
  return await openStore({
    dataDir,
    databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
    redisUrl: redisUrl === undefined ? undefined : new Secret(redisUrl),
    masterKey: masterKey && new Secret(masterKey.toString('base64')),
    previousMasterKeys: previousMasterKeys?.map((key) => new Secret(key.toString('base64'))),
    sessionTtlMs,
    clock: { nowMs: Date.now },
    log: {
      info: (fields, message) => heard.push({ level: 'info', fields, message }),
      warn: (fields, message) => heard.push({ level: 'warn', fields, message }),
    },
  });
}

/** A data directory that does not exist yet, in a temporary one of its own. */
export function temporaryDataDir(): { readonly dataDir: string; remove(): void } {
  const parent = mkdtempSync(join(tmpdir(), 'gatehouse-store-'));
  return { dataDir: join(parent, 'data'), remove: () => rmSync(parent, { recursive: true, force: true }) };
}

/** What a refusal said; fails when there was none. */
export async function refusal(opening: Promise<Store>): Promise<string> {
  const outcome = await opening.then(
    (store) => store,
    (error: Error) => error,
  );
  if (outcome instanceof Error) return outcome.message;
  await outcome.close();
  throw new Error('It opened.');
}
