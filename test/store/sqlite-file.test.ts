import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Heard, open, refusal, temporaryDataDir } from './store-setup.ts';

let dataDir: string;
let remove: () => void;

beforeEach(() => {
  ({ dataDir, remove } = temporaryDataDir());
});
afterEach(() => remove());

const file = (name: string): string => join(dataDir, name);
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

/** A store with something in it, closed. */
async function makeStore(masterKey?: Buffer): Promise<void> {
  const store = await open(masterKey ? { dataDir, masterKey } : { dataDir });
  await store.keys.create({ id: 'a', hash: 'h', createdAtMs: 1 });
  await store.close();
}

async function expectRefused(pattern: RegExp, masterKey?: Buffer): Promise<void> {
  const before = contents();
  expect(await refusal(open(masterKey ? { dataDir, masterKey } : { dataDir }))).toMatch(pattern);
  expect(contents()).toEqual(before);
}

function contents(): Record<string, string> {
  return Object.fromEntries(readdirSync(dataDir).map((name) => [name, readFileSync(file(name), 'base64')]));
}

function alter(statement: string): void {
  const database = new DatabaseSync(file('gatehouse.db'));
  database.exec(statement);
  database.close();
}

describe('the files of a store', () => {
  it.skipIf(process.platform === 'win32')('are readable by their owner alone', async () => {
    const store = await open({ dataDir });
    await store.keys.create({ id: 'a', hash: 'h', createdAtMs: 1 });
    expect(modeOf(dataDir)).toBe('700');
    const names = readdirSync(dataDir).sort();
    expect(names).toEqual(['gatehouse.db', 'gatehouse.db-shm', 'gatehouse.db-wal', 'master.key']);
    for (const name of names) expect(modeOf(file(name))).toBe('600');
    await store.close();
  });

  it('hold sealing keys only under the master key', async () => {
    const store = await open({ dataDir });
    const key = await store.sealing.get('session');
    await store.close();
    const bytes = Buffer.concat(readdirSync(dataDir).map((name) => readFileSync(file(name))));
    for (const encoding of ['latin1', 'base64', 'hex'] as const) {
      const plain = Buffer.from(encoding === 'latin1' ? key : key.toString(encoding));
      expect(bytes.includes(plain)).toBe(false);
    }
  });

  it('are announced in the log when they are made, and only then', async () => {
    const heard: Heard[] = [];
    await (await open({ dataDir }, heard)).close();
    expect(heard).toEqual([{ level: 'info', message: 'Made a new, empty store.', fields: { dataDir } }]);
    await (await open({ dataDir }, heard)).close();
    expect(heard).toHaveLength(1);
  });

  it('may lie in a directory that exists', async () => {
    mkdirSync(dataDir, { recursive: true });
    await makeStore();
  });
});

describe('SK-04: a store is refused and left as it was', () => {
  it('when its file is empty', async () => {
    await makeStore();
    truncateSync(file('gatehouse.db'));
    await expectRefused(/gatehouse\.db is not a whole database \(it is empty\)\. Restore it from a backup/);
  });

  it('when its file is something else', async () => {
    await makeStore();
    writeFileSync(file('gatehouse.db'), 'garbage '.repeat(1_000));
    await expectRefused(/gatehouse\.db is not a whole database/);
  });

  it('when its file is too short to be anything', async () => {
    await makeStore();
    writeFileSync(file('gatehouse.db'), 'SQLite');
    await expectRefused(/gatehouse\.db is not a whole database/);
  });

  it.each([0.2, 0.5, 0.9])('when only %f of its file is left', async (part) => {
    await makeStore();
    truncateSync(file('gatehouse.db'), Math.floor(statSync(file('gatehouse.db')).size * part));
    await expectRefused(/gatehouse\.db is not a whole database \(its end is missing\)/);
  });

  it('when a page of it is overwritten', async () => {
    await makeStore();
    const bytes = readFileSync(file('gatehouse.db'));
    bytes.fill(0xff, 4_096, 8_192);
    writeFileSync(file('gatehouse.db'), bytes);
    await expectRefused(/gatehouse\.db is (not a whole database|damaged)/);
  });

  it('when its file is gone and the master key is still there', async () => {
    await makeStore();
    rmSync(file('gatehouse.db'));
    await expectRefused(/gatehouse\.db is gone, but .*master\.key shows that there was one\. Restore it/);
  });

  it('when its file is gone and its log is still there', async () => {
    const masterKey = Buffer.alloc(32, 1);
    const store = await open({ dataDir, masterKey });
    await store.keys.create({ id: 'a', hash: 'h', createdAtMs: 1 });
    const log = readFileSync(file('gatehouse.db-wal'));
    await store.close();
    rmSync(file('gatehouse.db'));
    writeFileSync(file('gatehouse.db-wal'), log);
    await expectRefused(/gatehouse\.db is gone, but .*gatehouse\.db-wal shows/, masterKey);
  });

  it('when a newer release has changed its tables', async () => {
    await makeStore();
    alter('pragma user_version = 999');
    await expectRefused(/gatehouse\.db was written by a newer Gatehouse .*999.*Start the newer release/);
  });

  it('when it belongs to another program', async () => {
    mkdirSync(dataDir, { recursive: true });
    alter('create table notes (text text)');
    await expectRefused(/gatehouse\.db is a database of another program/);
  });

  it('when the master key is another one', async () => {
    await makeStore(Buffer.alloc(32, 1));
    await expectRefused(/GATEHOUSE_MASTER_KEY is not the master key of .*gatehouse\.db/, Buffer.alloc(32, 2));
    await (await open({ dataDir, masterKey: Buffer.alloc(32, 1) })).close();
  });

  it('when the master key was given once and is not now', async () => {
    await makeStore(Buffer.alloc(32, 1));
    await expectRefused(/The master key of .*gatehouse\.db is missing: .*master\.key is not there.*GATEHOUSE_MASTER_KEY/);
  });

  it('when its master key file is gone', async () => {
    await makeStore();
    const kept = readFileSync(file('master.key'));
    rmSync(file('master.key'));
    await expectRefused(/The master key of .*gatehouse\.db is missing/);
    writeFileSync(file('master.key'), kept);
    await (await open({ dataDir })).close();
  });

  it('when its master key file holds no key', async () => {
    await makeStore();
    writeFileSync(file('master.key'), 'not a key\n');
    await expectRefused(/master\.key must hold 32 random bytes/);
  });

  it('when a sealing key was put into the row of another', async () => {
    await makeStore();
    alter("update sealing_keys set sealed = (select sealed from sealing_keys where purpose = 'pepper')");
    await expectRefused(/sealing key "session" does not open/);
  });

  it('when the master key has not 32 bytes', async () => {
    expect(await refusal(open({ dataDir, masterKey: Buffer.alloc(31) }))).toMatch(/GATEHOUSE_MASTER_KEY must hold 32/);
  });
});

describe('a store on a full disk', () => {
  const canMount = process.platform === 'linux' && process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;

  it.runIf(canMount)('refuses writes clearly, keeps what it had, and goes on when there is space', async ({ skip }) => {
    const disk = temporaryDataDir();
    onTestFinished(disk.remove);
    mkdirSync(disk.dataDir, { recursive: true });
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk.dataDir]).status !== 0) skip('may not mount here');
    onTestFinished(() => void spawnSync('umount', [disk.dataDir]));
    const store = await open({ dataDir: disk.dataDir });
    onTestFinished(() => store.close());
    const created: string[] = [];
    const fill = async (): Promise<unknown> => {
      for (let n = 0; n < 10_000; n += 1) {
        const id = `key ${n}`;
        try {
          await store.keys.create({ id, hash: 'x'.repeat(2_000), createdAtMs: n });
        } catch (error) {
          return error;
        }
        created.push(id);
      }
    };
    expect(String(await fill())).toMatch(/gatehouse\.db cannot grow, the disk is full.*earlier data is intact/);
    expect((await store.keys.list()).map(({ id }) => id)).toEqual([...created].sort());
    store.sessions.save({ id: 's', isEnded: true, state: 'x'.repeat(10_000), lastUsedAtMs: 1 });
    await store.sessions.flush();
    expect((await store.sessions.load('s'))?.isEnded).toBe(true);
    expect(spawnSync('mount', ['-o', 'remount,size=4m', disk.dataDir]).status).toBe(0);
    expect(await store.keys.create({ id: 'after', hash: 'h', createdAtMs: 1 })).toBe(true);
    expect(await store.keys.list()).toHaveLength(created.length + 1);
  });

  it.runIf(canMount)('refuses a commit whole, and takes the next when there is space', async ({ skip }) => {
    const disk = temporaryDataDir();
    onTestFinished(disk.remove);
    mkdirSync(disk.dataDir, { recursive: true });
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk.dataDir]).status !== 0) skip('may not mount here');
    onTestFinished(() => void spawnSync('umount', [disk.dataDir]));
    const store = await open({ dataDir: disk.dataDir });
    onTestFinished(() => store.close());
    const change = (id: string) => ({ kind: 'upstream', id, body: JSON.stringify('x'.repeat(20_000)), expects: undefined });
    const record = { actor: 'a', action: 'put', kind: 'upstream', id: 'x', detail: '{}' };
    let commits = 0;
    const fill = async (): Promise<unknown> => {
      for (; commits < 1_000; commits += 1) {
        const pair = [change(`left ${commits}`), change(`right ${commits}`)];
        try {
          await store.registry.commit(pair, [record]);
        } catch (error) {
          return error;
        }
      }
    };
    expect(String(await fill())).toMatch(/gatehouse\.db cannot grow, the disk is full.*earlier data is intact/);
    const state = await store.registry.load();
    expect(state.position.revision).toBe(commits);
    expect(state.documents).toHaveLength(2 * commits);
    expect(await store.registry.changeRecords({ limit: 1_000 })).toHaveLength(commits);
    expect(spawnSync('mount', ['-o', 'remount,size=8m', disk.dataDir]).status).toBe(0);
    expect(await store.registry.commit([change('after')], [])).toMatchObject({
      kind: 'committed',
      position: { revision: commits + 1 },
    });
  });
});

describe('a start on SQLite', () => {
  it('loads neither Kysely nor the clients of PostgreSQL and Redis, and prints nothing', async () => {
    await makeStore();
    const program = `
      import { registerHooks } from 'node:module';
      registerHooks({
        resolve(specifier, context, next) {
          if (/^(kysely|pg|ioredis)$/.test(specifier)) throw new Error('loaded ' + specifier);
          return next(specifier, context);
        },
      });
      const { openStore } = await import(${JSON.stringify(new URL('../../src/store/open-store.ts', import.meta.url).href)});
      const log = { info() {}, warn() {} };
      const store = await openStore({ dataDir: ${JSON.stringify(dataDir)}, clock: { nowMs: Date.now }, log });
      await store.keys.list();
      await store.upstreams.load();
      await store.sessions.load('s');
      await store.registry.since((await store.registry.load()).position);
      await new Promise((resolve) => store.registry.watch(resolve));
      for (const purpose of ['session', 'request-state', 'pepper']) await store.sealing.get(purpose);
      await store.close();
    `;
    const { status, stderr, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
    expect({ status, stderr, stdout }).toEqual({ status: 0, stderr: '', stdout: '' });
  });

  it('opens a copy of the data directory as the store it was', async () => {
    await makeStore();
    const copy = temporaryDataDir();
    onTestFinished(copy.remove);
    mkdirSync(copy.dataDir, { recursive: true });
    for (const name of readdirSync(dataDir)) copyFileSync(file(name), join(copy.dataDir, name));
    const store = await open({ dataDir: copy.dataDir });
    expect(await store.keys.list()).toHaveLength(1);
    await store.close();
  });
});
