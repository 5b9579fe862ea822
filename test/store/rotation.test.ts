import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { openKeyRing } from '../../src/store/key-ring.ts';
import { masterKeySource } from '../../src/store/master-key.ts';
import type { Store } from '../../src/store/ports.ts';
import { masterKeys } from '../../src/store/rotate-master-key.ts';
import { openVault } from '../../src/store/secret-vault.ts';
import { sqlDataKeyRows, sqlWrappedRows } from '../../src/store/sql/wrapped-keys.ts';
import { openDatabase } from '../../src/store/sqlite/database-file.ts';
import { sqliteQueries } from '../../src/store/sqlite/dialect.ts';
import { startStatements } from '../../src/store/sqlite/start-statements.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { isLong, open, refusal, temporaryDataDir } from './store-setup.ts';

const oldKey = Buffer.alloc(32, 'old');
const newKey = Buffer.alloc(32, 'new');
const both = { masterKey: newKey, previousMasterKeys: [oldKey] };
const sealedCount = 120;
const timeoutMs = isLong ? 900_000 : 90_000;

type Sealed = readonly (readonly [id: string, sealed: string])[];

async function sealMany({ vault }: Store, count: number, prefix = 's'): Promise<Sealed> {
  const sealed: (readonly [string, string])[] = [];
  for (let n = 0; n < count; n += 1) {
    const id = `${prefix}${n}`;
    sealed.push([id, await vault.seal({ kind: 'secret', id }, new Secret(`value of ${id}`))]);
  }
  return sealed;
}

async function expectOpens({ vault }: Store, sealed: Sealed): Promise<void> {
  for (const [id, text] of sealed) expect((await vault.open({ kind: 'secret', id }, text)).reveal()).toBe(`value of ${id}`);
}

/** Stores with secrets in them, made once and copied for each test: sealed under a given key, and under a key file. */
const templates = { given: temporaryDataDir(), file: temporaryDataDir() };
const sealed: { given: Sealed; file: Sealed; pepper: Buffer } = { given: [], file: [], pepper: Buffer.alloc(0) };

beforeAll(async () => {
  const given = await open({ dataDir: templates.given.dataDir, masterKey: oldKey });
  sealed.given = await sealMany(given, sealedCount);
  sealed.pepper = await given.sealing.get('pepper');
  await given.close();
  const file = await open({ dataDir: templates.file.dataDir });
  sealed.file = await sealMany(file, sealedCount);
  await file.close();
});
afterAll(() => {
  templates.given.remove();
  templates.file.remove();
});

function copyOf(kind: 'given' | 'file'): string {
  const { dataDir, remove } = temporaryDataDir();
  onTestFinished(remove);
  cpSync(templates[kind].dataDir, dataDir, { recursive: true });
  return dataDir;
}

class Killed extends Error {}

/** A rotation whose every step on the store and the key files is counted, and which ends before or after the given one. */
async function rotateUntil(dataDir: string, kind: 'given' | 'file', step: number, isAfter: boolean): Promise<boolean> {
  const connection = openDatabase(dataDir);
  let steps = 0;
  function killable<T extends object>(port: T): T {
    return new Proxy(port, {
      get(target, name, receiver) {
        const member: unknown = Reflect.get(target, name, receiver);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          steps += 1;
          if (steps !== step) return member.apply(target, args);
          if (!isAfter) throw new Killed();
          const result: unknown = member.apply(target, args);
          if (!(result instanceof Promise)) throw new Killed();
          return result.then(() => Promise.reject(new Killed()));
        };
      },
    });
  }
  try {
    const secret = (key: Buffer) => new Secret(key.toString('base64'));
    const given = kind === 'given' ? { masterKey: secret(newKey), previousMasterKeys: [secret(oldKey)] } : {};
    const source = masterKeySource({ dataDir, ...given });
    const { masterKeyRows, sealedRows } = startStatements(connection);
    const parts = { source, store: dataDir, clock: { nowMs: Date.now } };
    const wrapped = (await sealedRows.read()).map((row) => ({
      table: 'sealing_keys' as const,
      id: row.purpose,
      version: row.version,
      wrapped: row.sealed,
    }));
    const ring = await openKeyRing({ ...parts, rows: masterKeyRows }, wrapped);
    const db = sqliteQueries(connection);
    await masterKeys({
      ...parts,
      ring,
      source: killable(source),
      masterKeyRows: killable(masterKeyRows),
      rows: killable(sqlWrappedRows(async () => db)),
    }).rotate(() => {});
    return true;
  } catch (error) {
    if (error instanceof Killed) return false;
    throw error;
  } finally {
    connection.close();
  }
}

describe('a change of the master key', () => {
  it('leaves every secret and sealing key as it was, and needs the old key no more', async () => {
    const dataDir = copyOf('given');
    const store = await open({ dataDir, ...both });
    const progress: string[] = [];
    expect(await store.masterKeys.rotate(({ done, total }) => progress.push(`${done}/${total}`))).toBe(2);
    expect(progress).toEqual(['0/126', '100/126', '126/126']);
    await store.close();
    const after = await open({ dataDir, masterKey: newKey });
    await expectOpens(after, sealed.given);
    expect(await after.sealing.get('pepper')).toEqual(sealed.pepper);
    await after.close();
    expect(await refusal(open({ dataDir, masterKey: oldKey }))).toMatch(/is not the master key of .*Nothing was changed/);
  });

  it.each(['given', 'file'] as const)(
    'that was cut off at any step leaves everything open to all, and goes on (%s key)',
    { timeout: timeoutMs },
    async (kind) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.record({ step: fc.integer({ min: 1, max: 16 }), isAfter: fc.boolean() }), { maxLength: 5 }),
          async (kills) => {
            const dataDir = copyOf(kind);
            const options = kind === 'given' ? both : {};
            let added: Sealed = [];
            for (const { step, isAfter } of kills) {
              await rotateUntil(dataDir, kind, step, isAfter).catch((error: Error) => {
                // The one before was killed after its last step.
                expect(error.message).toMatch(/uses already; nothing is left to do/);
              });
              const between = await open({ dataDir, ...options });
              await expectOpens(between, [...sealed[kind], ...added]);
              added = [...added, ...(await sealMany(between, 2, `added ${added.length} `))];
              await between.close();
            }
            await rotateUntil(dataDir, kind, 0, false).catch((error: Error) => {
              expect(error.message).toMatch(/uses already; nothing is left to do/);
            });
            for (const name of readdirSync(dataDir)) if (/^master\.key\../.test(name)) rmSync(join(dataDir, name));
            const after = await open(kind === 'given' ? { dataDir, masterKey: newKey } : { dataDir });
            await expectOpens(after, [...sealed[kind], ...added]);
            await after.close();
            rmSync(dataDir, { recursive: true });
          },
        ),
        { numRuns: isLong ? 200 : 6 },
      );
    },
  );

  it('SK-05: is cut off at each step in turn, once before and once after it', { timeout: timeoutMs }, async () => {
    for (const isAfter of [false, true]) {
      for (let step = 1; ; step += 1) {
        const dataDir = copyOf('file');
        const isDone = await rotateUntil(dataDir, 'file', step, isAfter);
        const store = await open({ dataDir });
        await expectOpens(store, sealed.file);
        await store.masterKeys.rotate(() => {});
        await expectOpens(store, sealed.file);
        await store.close();
        rmSync(dataDir, { recursive: true });
        if (isDone) break;
      }
    }
  });

  it('under way lets no process start that was not given the new key, and is no trouble to one that was', async () => {
    const dataDir = copyOf('given');
    const running = await open({ dataDir, masterKey: oldKey, previousMasterKeys: [newKey] });
    expect(await rotateUntil(dataDir, 'given', 7, true)).toBe(false);
    expect(await refusal(open({ dataDir, masterKey: oldKey }))).toMatch(/is not the master key .*GATEHOUSE_PREVIOUS_MASTER_KEYS/);
    const added = await sealMany(running, 3, 'meanwhile ');
    await expectOpens(running, [...sealed.given, ...added]);
    await rotateUntil(dataDir, 'given', 0, false);
    await expectOpens(running, [...sealed.given, ...added, ...(await sealMany(running, 3, 'later '))]);
    await running.close();
  });

  it('that ends while a secret is being sealed has it sealed under the new key', async () => {
    const dataDir = copyOf('given');
    const store = await open({ dataDir, ...both });
    await store.masterKeys.rotate(() => {});
    await store.close();
    const connection = openDatabase(dataDir);
    const db = sqliteQueries(connection);
    const rows = sqlDataKeyRows(async () => db);
    const versions = [
      { version: 1, key: oldKey },
      { version: 2, key: newKey },
    ];
    const asked: number[] = [];
    const vault = openVault(rows, {
      async current() {
        const next = versions[asked.length]!;
        asked.push(next.version);
        return next;
      },
      get: async (version) => (version === 1 ? oldKey : newKey),
    });
    const text = await vault.seal({ kind: 'secret', id: 'late' }, new Secret('value of late'));
    connection.close();
    expect(asked).toEqual([1, 2]);
    const after = await open({ dataDir, masterKey: newKey });
    await expectOpens(after, [['late', text]]);
    await after.close();
  });

  it('is refused when there is no newer key, and back to a key that was retired', async () => {
    const dataDir = copyOf('given');
    const same = await open({ dataDir, masterKey: oldKey });
    await expect(same.masterKeys.rotate(() => {})).rejects.toThrow(/uses already; nothing is left.*openssl rand/);
    await same.close();
    const store = await open({ dataDir, ...both });
    await store.masterKeys.rotate(() => {});
    await store.close();
    const back = await open({ dataDir, masterKey: oldKey, previousMasterKeys: [newKey] });
    await expect(back.masterKeys.rotate(() => {})).rejects.toThrow(/was the master key of .* before.*Make a new one/);
    await expectOpens(back, sealed.given);
    await back.close();
  });

  it('makes a new key file and keeps the old one beside it', async () => {
    const dataDir = copyOf('file');
    const before = readFileSync(join(dataDir, 'master.key'), 'utf8');
    const store = await open({ dataDir });
    await store.masterKeys.rotate(() => {});
    await store.masterKeys.rotate(() => {});
    await expectOpens(store, sealed.file);
    await store.close();
    expect(readFileSync(join(dataDir, 'master.key'), 'utf8')).not.toBe(before);
    expect(readFileSync(join(dataDir, 'master.key.1'), 'utf8')).toBe(before);
    expect(readdirSync(dataDir).filter((name) => name.startsWith('master'))).toEqual([
      'master.key',
      'master.key.1',
      'master.key.2',
    ]);
    for (const name of ['master.key.1', 'master.key.2']) rmSync(join(dataDir, name));
    const after = await open({ dataDir });
    await expectOpens(after, sealed.file);
    await after.close();
  });

  it('SK-05: that is killed with -9 again and again while others seal and open ends with 0 failures', {
    timeout: timeoutMs,
  }, async () => {
    const dataDir = copyOf('file');
    const script = fileURLToPath(new URL('./rotate-keys.ts', import.meta.url));
    const start = (mode: string) => spawn(process.execPath, [script, mode, dataDir], { stdio: ['ignore', 'pipe', 'pipe'] });
    const load = start('seal');
    const made: (readonly [string, string])[] = [];
    createInterface(load.stdout).on('line', (line) => made.push(JSON.parse(line)));
    let complaints = '';
    load.stderr.on('data', (text) => {
      complaints += text;
    });
    await expect.poll(() => made.length, { timeout: 30_000 }).toBeGreaterThan(0);
    let kills = 0;
    while (kills < (isLong ? 20 : 3)) {
      await killSometime(start('rotate'));
      kills += 1;
    }
    const last = start('rotate');
    last.stderr.on('data', (text) => {
      complaints += text;
    });
    expect(await once(last, 'exit')).toEqual([0, null]);
    const count = made.length;
    await expect.poll(() => made.length, { timeout: 30_000 }).toBeGreaterThan(count);
    const ended = once(load, 'close');
    load.kill('SIGKILL');
    await ended;
    expect(complaints).toBe('');
    expect(existsSync(join(dataDir, 'master.key.next'))).toBe(false);
    for (const name of readdirSync(dataDir)) if (/^master\.key\../.test(name)) rmSync(join(dataDir, name));
    const store = await open({ dataDir });
    await expectOpens(store, sealed.file);
    for (const [id, text] of made) expect((await store.vault.open({ kind: 'secret', id }, text)).reveal()).toBe(id);
    await store.close();
  });
});

/** Ends it somewhere between its first sign of life and its end. */
async function killSometime(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  const lines = createInterface(child.stdout!);
  const enough = Math.floor(Math.random() * 4);
  let count = 0;
  lines.on('line', () => {
    if (count++ === enough) child.kill('SIGKILL');
  });
  await closed;
}

describe('a change of the master key on PostgreSQL', () => {
  let postgres: PostgresService;
  beforeAll(async () => {
    postgres = await startPostgres();
  }, servicesTimeoutMs);
  afterAll(async () => await postgres?.stop());

  it('goes on while replicas seal, and retires the old key when nothing needs it', async () => {
    const place = { dataDir: '/nowhere', databaseUrl: await postgres.createDatabase() };
    const first = await open({ ...place, masterKey: oldKey });
    const before = await sealMany(first, 150);
    await first.close();
    const [one, two] = [await open({ ...place, ...both }), await open({ ...place, ...both })];
    const [version, ...added] = await Promise.all([
      one.masterKeys.rotate(() => {}),
      sealMany(one, 40, 'one '),
      sealMany(two, 40, 'two '),
    ]);
    expect(version).toBe(2);
    for (const store of [one, two]) await expectOpens(store, [...before, ...added.flat()]);
    for (const store of [one, two]) await store.close();
    const after = await open({ ...place, masterKey: newKey });
    await expectOpens(after, [...before, ...added.flat()]);
    await after.close();
    expect(await refusal(open({ ...place, masterKey: oldKey }))).toMatch(/is not the master key/);
  });
});
