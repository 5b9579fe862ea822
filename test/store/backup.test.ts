import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { type BackupRow, openBackup, writeBackup } from '../../src/store/backup/backup-file.ts';
import { backupStore } from '../../src/store/backup/backup-store.ts';
import { restoreStore } from '../../src/store/backup/restore-store.ts';
import { newestVersion } from '../../src/store/migrations/migrations.ts';
import type { Store } from '../../src/store/ports.ts';
import type { StoreOptions } from '../../src/store/store-options.ts';
import { commit, drop, put } from '../contracts/registry.contract.ts';
import { onPostgres, type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { isLong, open, temporaryDataDir } from './store-setup.ts';

const masterKey = Buffer.alloc(32, 1);
const canary = 'canary-5f1d-token';
const place = { kind: 'secret', id: 'CRM_TOKEN' };
let directory: string;
let remove: () => void;
let file: string;

beforeEach(() => {
  const made = temporaryDataDir();
  ({ remove } = made);
  directory = join(made.dataDir, '..');
  file = join(directory, 'backup');
});
afterEach(() => remove());

function options(where: {
  readonly dataDir: string;
  readonly databaseUrl?: string;
  readonly key?: Buffer;
  readonly previous?: readonly Buffer[];
}): StoreOptions {
  const { dataDir, databaseUrl, key = masterKey, previous = [] } = where;
  return {
    dataDir,
    databaseUrl: databaseUrl === undefined ? undefined : new Secret(databaseUrl),
    masterKey: new Secret(key.toString('base64')),
    previousMasterKeys: previous.map((each) => new Secret(each.toString('base64'))),
    clock: { nowMs: Date.now },
    log: { info() {}, warn() {} },
  };
}

const at = (name: string): string => join(directory, name);

/** A bit of everything; returns the sealed secret. */
async function fill(store: Store): Promise<string> {
  await store.keys.create({ id: 'admin', hash: 'h', createdAtMs: 1_795_000_000_123 });
  await store.upstreams.save({ id: 'support/crm', fingerprint: 'f', state: '{"a":"ünï\\u0000"}', savedAtMs: 2 });
  store.sessions.save({ id: 's', isEnded: true, state: '{}', lastUsedAtMs: 3 });
  await store.sessions.flush();
  const sealed = await store.vault.seal(place, new Secret(canary));
  await commit(
    store.registry,
    put('CRM_TOKEN', { sealed }, undefined, 'secret'),
    put('k1', { scope: 'all' }, undefined, 'key'),
    put('gone', 1),
  );
  await commit(store.registry, drop('gone', 1));
  await store.keyUses.note([{ keyId: 'k1', atMs: 1_795_000_000_124 }]);
  return sealed;
}

interface Contents {
  readonly documents: unknown;
  readonly rest: unknown;
}

async function contentsOf(store: Store): Promise<Contents> {
  return {
    documents: (await store.registry.load()).documents,
    rest: [
      await store.keys.list(),
      await store.upstreams.load(),
      await store.keyUses.load(['k1']),
      await store.sealing.get('pepper'),
      (await store.registry.changeRecords({ limit: 100 })).filter(({ action }) => action !== 'restore'),
    ],
  };
}

async function makeBackup(): Promise<{ readonly contents: Contents; readonly sealed: string }> {
  const store = await open({ dataDir: at('source'), masterKey });
  const sealed = await fill(store);
  const contents = await contentsOf(store);
  await backupStore(options({ dataDir: at('source') }), file);
  await store.close();
  return { contents, sealed };
}

const restore = (
  where: Parameters<typeof options>[0],
  changes: { replaces?: boolean; keys?: 'keep' | 'revoke'; file?: string } = {},
) => restoreStore(options(where), { file, replaces: false, keys: 'keep', ...changes });

describe('a backup', () => {
  it('restores everything elsewhere: rows, secrets, removed documents, records', async () => {
    const { contents, sealed } = await makeBackup();
    const report = await restore({ dataDir: at('target') });
    expect(report).toMatchObject({ store: at('target/gatehouse.db'), replaced: undefined, revokedKeys: 0 });
    const store = await open({ dataDir: at('target'), masterKey });
    onTestFinished(() => store.close());
    expect(await contentsOf(store)).toEqual(contents);
    expect((await store.vault.open(place, sealed)).reveal()).toBe(canary);
    expect((await store.sessions.load('s'))?.isEnded).toBe(true);
    expect(await store.registry.since({ revision: 0, mark: '' })).toMatchObject({
      changes: [{}, {}, { id: 'gone', body: undefined }],
    });
    expect(await store.registry.changeRecords({ limit: 1 })).toMatchObject([
      { actor: 'operator', action: 'restore', revision: 3 },
    ]);
  });

  it('is one file that its owner alone may read, and says no secret in any encoding, nor does the data directory', async () => {
    const store = await open({ dataDir: at('source') });
    onTestFinished(() => store.close());
    await fill(store);
    await backupStore({ ...options({ dataDir: at('source') }), masterKey: undefined, previousMasterKeys: undefined }, file);
    expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
    expect(readdirSync(directory).sort()).toEqual(['backup', 'source']);
    const key = readFileSync(at('source/master.key'), 'utf8').trim();
    const pepper = await store.sealing.get('pepper');
    const secrets = [Buffer.from(canary), Buffer.from(key, 'base64'), pepper];
    const names = readdirSync(at('source')).filter((name) => name !== 'master.key');
    expect(names).toContain('gatehouse.db-wal');
    const bytes = Buffer.concat([readFileSync(file), ...names.map((name) => readFileSync(at(`source/${name}`)))]);
    for (const secret of secrets) {
      const forms = [
        secret,
        secret.toString('base64'),
        secret.toString('base64url'),
        secret.toString('hex'),
        encodeURIComponent(String(secret)),
      ];
      // Base64 of a longer text that holds it looks different, by where it begins.
      const shifted = [1, 2].map((by) =>
        Buffer.concat([Buffer.alloc(by), secret])
          .toString('base64')
          .slice(4, -4),
      );
      for (const form of [...forms, ...shifted]) expect(bytes.includes(form)).toBe(false);
    }
  });

  it('made while another process commits holds everything acknowledged before, and nothing half', async () => {
    await (await open({ dataDir: at('source') })).close();
    const script = fileURLToPath(new URL('./commit-changes.ts', import.meta.url));
    const writer = spawn(process.execPath, [script, at('source'), 'w'], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void writer.kill('SIGKILL'));
    const acknowledged: string[] = [];
    createInterface(writer.stdout).on('line', (line) => line !== 'ready' && acknowledged.push(line.split(' ')[0] ?? ''));
    const fromFile = { ...options({ dataDir: at('source') }), masterKey: undefined, previousMasterKeys: undefined };
    for (let round = 0; round < 3; round += 1) {
      const enough = acknowledged.length + 10;
      await expect.poll(() => acknowledged.length, { timeout: 30_000, interval: 2 }).toBeGreaterThan(enough);
      const before = [...acknowledged];
      await backupStore(fromFile, `${file}-${round}`);
      const target = at(`target-${round}`);
      // The key of its time, as an operator would bring it.
      const key = Buffer.from(readFileSync(at('source/master.key'), 'utf8'), 'base64');
      await restore({ dataDir: target, key }, { file: `${file}-${round}` });
      const store = await open({ dataDir: target, masterKey: key });
      const { documents, position } = await store.registry.load();
      await store.close();
      const keys = documents.filter(({ kind }) => kind === 'key');
      expect(keys.map(({ id }) => id)).toEqual(expect.arrayContaining(before));
      expect(keys).toHaveLength(position.revision - 1);
      expect(new Set(documents.filter(({ kind }) => kind === 'twin').map(({ body }) => body)).size).toBe(1);
    }
    const ended = once(writer, 'close');
    writer.kill('SIGKILL');
    await ended;
  });

  it('replaces no file, and leaves none behind that is not whole', async () => {
    await makeBackup();
    const before = readFileSync(file);
    await expect(backupStore(options({ dataDir: at('source') }), file)).rejects.toThrow(/exists already/);
    await expect(backupStore(options({ dataDir: at('source'), key: Buffer.alloc(32, 2) }), at('other'))).rejects.toThrow(
      /is not the master key/,
    );
    await expect(backupStore(options({ dataDir: at('nowhere') }), at('other'))).rejects.toThrow(/There is no store in/);
    expect(readFileSync(file)).toEqual(before);
    expect(readdirSync(directory).sort()).toEqual(['backup', 'source']);
  });

  it('is not made of a damaged store', async () => {
    await makeBackup();
    const bytes = readFileSync(at('source/gatehouse.db'));
    bytes.fill(0xff, 8_192, 12_288);
    writeFileSync(at('source/gatehouse.db'), bytes);
    await expect(backupStore(options({ dataDir: at('source') }), at('other'))).rejects.toThrow(/not a whole database|is damaged/);
    expect(existsSync(at('other'))).toBe(false);
  });

  it('made in the middle of a change of the master key needs both keys', async () => {
    const newKey = Buffer.alloc(32, 9);
    const store = await open({ dataDir: at('source'), masterKey });
    const sealed = await fill(store);
    for (let n = 0; n < 150; n += 1) await store.vault.seal(place, new Secret(`${n}`));
    await store.close();
    const rotating = await open({ dataDir: at('source'), masterKey: newKey, previousMasterKeys: [masterKey] });
    await rotating.masterKeys
      .rotate(({ done }) => {
        if (done > 0) throw new Error('cut off');
      })
      .catch(() => {});
    await rotating.close();
    await backupStore(options({ dataDir: at('source'), key: newKey, previous: [masterKey] }), file);
    await expect(restore({ dataDir: at('target'), key: newKey })).rejects.toThrow(/while the master key was being changed/);
    expect(existsSync(at('target/gatehouse.db'))).toBe(false);
    await restore({ dataDir: at('target'), key: newKey, previous: [masterKey] });
    const restored = await open({ dataDir: at('target'), masterKey: newKey, previousMasterKeys: [masterKey] });
    expect((await restored.vault.open(place, sealed)).reveal()).toBe(canary);
    await restored.close();
  });
});

describe('a restore', () => {
  it('is refused over a store, unless told, and then keeps that store beside it', async () => {
    const { contents } = await makeBackup();
    const target = await open({ dataDir: at('target'), masterKey });
    await commit(target.registry, put('mine', 1));
    await target.close();
    const before = readFileSync(at('target/gatehouse.db'));
    await expect(restore({ dataDir: at('target') })).rejects.toThrow(/There is a store already.*--replace.*Nothing was changed/);
    expect(readFileSync(at('target/gatehouse.db'))).toEqual(before);
    const { replaced } = await restore({ dataDir: at('target') }, { replaces: true });
    expect(readFileSync(replaced ?? '').length).toBeGreaterThan(0);
    const store = await open({ dataDir: at('target'), masterKey });
    expect(await contentsOf(store)).toEqual(contents);
    await store.close();
  });

  it('is refused over a store that is in use', async () => {
    await makeBackup();
    const store = await open({ dataDir: at('target'), masterKey });
    await commit(store.registry, put('mine', 1));
    await expect(restore({ dataDir: at('target') }, { replaces: true })).rejects.toThrow(/is in use: stop every gateway/);
    expect((await store.registry.load()).documents).toHaveLength(1);
    await commit(store.registry, put('still', 1));
    await store.close();
  });

  it('is no hindrance where the database is damaged or gone, and what is left of it is read by nobody', async () => {
    const { contents } = await makeBackup();
    const store = await open({ dataDir: at('target'), masterKey });
    await commit(store.registry, put('mine', 1));
    const log = readFileSync(at('target/gatehouse.db-wal'));
    await store.close();
    for (const harm of [() => truncateSync(at('target/gatehouse.db'), 5_000), () => rmSync(at('target/gatehouse.db'))]) {
      harm();
      writeFileSync(at('target/gatehouse.db-wal'), log);
      await restore({ dataDir: at('target') }, { replaces: true });
      const restored = await open({ dataDir: at('target'), masterKey });
      expect(await contentsOf(restored)).toEqual(contents);
      await restored.close();
    }
  });

  it('tells followers of the store that its past is another one, and marks it with the time of the backup', async () => {
    await makeBackup();
    const ahead = await open({ dataDir: at('source'), masterKey });
    const seen = [await commit(ahead.registry, put('later', 1)), await commit(ahead.registry, put('latest', 1))];
    await ahead.close();
    const { backupMadeAtMs } = await restore({ dataDir: at('source') }, { replaces: true });
    const store = await open({ dataDir: at('source'), masterKey });
    onTestFinished(() => store.close());
    for (const position of seen) expect(await store.registry.since(position)).toMatchObject({ kind: 'regressed' });
    for (let n = 0; n < 5; n += 1) await commit(store.registry, put(`n${n}`, 1));
    for (const position of seen) expect(await store.registry.since(position)).toMatchObject({ kind: 'regressed' });
    const { restored } = await store.registry.load();
    expect(restored).toEqual({ backupMadeAtMs, atMs: expect.any(Number) });
  });

  it('revokes every key that could have been revoked since, when told', async () => {
    await makeBackup();
    expect((await restore({ dataDir: at('target') }, { keys: 'revoke' })).revokedKeys).toBe(2);
    const store = await open({ dataDir: at('target'), masterKey });
    onTestFinished(() => store.close());
    expect(await store.keys.list()).toEqual([]);
    expect((await store.registry.load()).documents.map(({ kind }) => kind)).toEqual(['secret']);
    const news = await store.registry.since({ revision: 0, mark: '' });
    expect(news).toMatchObject({
      changes: expect.arrayContaining([expect.objectContaining({ id: 'k1', body: undefined, revision: 3 })]),
    });
  });

  it('is refused with another master key, without one, and where the file is no backup', async () => {
    await makeBackup();
    const target = { dataDir: at('target') };
    await expect(restore({ ...target, key: Buffer.alloc(32, 2) })).rejects.toThrow(/made under another master key/);
    const noKey = { ...options(target), masterKey: undefined, previousMasterKeys: undefined };
    await expect(restoreStore(noKey, { file, replaces: false, keys: 'keep' })).rejects.toThrow(/A backup holds no master key/);
    await expect(restore(target, { file: at('none') })).rejects.toThrow(/cannot be read/);
    await expect(restore(target, { file: directory })).rejects.toThrow(/is not a file|cannot be read/);
    await expect(restore(target, { file: at('source/gatehouse.db') })).rejects.toThrow(/is not a backup of Gatehouse/);
    writeFileSync(at('empty'), '');
    await expect(restore(target, { file: at('empty') })).rejects.toThrow(/is not a backup of Gatehouse/);
    expect(existsSync(at('target'))).toBe(false);
  });

  it(`is refused for a file with any one bit changed or any part missing`, { timeout: 120_000 }, async () => {
    await makeBackup();
    const bytes = readFileSync(file);
    const tries = isLong ? 2_000 : 150;
    for (let n = 0; n < tries; n += 1) {
      const harmed = Buffer.from(bytes);
      const position = Math.floor(((n + 0.5) / tries) * bytes.length);
      harmed[position]! ^= 1 << (n % 8);
      writeFileSync(at('harmed'), n % 2 === 0 ? harmed : bytes.subarray(0, position));
      await expect(restore({ dataDir: at('target') }, { file: at('harmed') }), `byte ${position}`).rejects.toThrow();
    }
    writeFileSync(at('harmed'), Buffer.concat([bytes, Buffer.from('{}\n')]));
    await expect(restore({ dataDir: at('target') }, { file: at('harmed') })).rejects.toThrow(/something follows its end/);
    expect(existsSync(at('target'))).toBe(false);
  });

  async function crafted(rows: readonly (readonly [string, BackupRow])[], header: object = {}): Promise<void> {
    const whole = {
      format: 'gatehouse-backup' as const,
      formatVersion: 1,
      schemaVersion: newestVersion,
      release: '9.9.9',
      madeAtMs: 1,
      ...header,
    };
    async function* all() {
      yield* rows;
    }
    await writeBackup(file, { header: whole, rows: all(), masterKey });
  }

  it.each<[string, readonly (readonly [string, BackupRow])[], object, RegExp]>([
    ['a newer format', [], { formatVersion: 2 }, /made by a newer Gatehouse \(9\.9\.9\)/],
    ['tables of a newer release', [], { schemaVersion: 999 }, /made by a newer Gatehouse/],
    ['a table that is none', [['../../etc/passwd', { id: 'x' }]], {}, /a table or column that its version does not have/],
    ['a table of the database itself', [['sqlite_master', { name: 'x' }]], {}, /a table or column/],
    ['a table name that is more', [['keys"; drop table keys; --', { id: 'x' }]], {}, /a table or column/],
    ['a column that is more', [['keys', { 'id") values (1); --': 'x' }]], {}, /a table or column/],
    ['a column that is a prototype', [['keys', JSON.parse('{"__proto__":"x"}')]], {}, /a table or column/],
    ['no row that counts revisions', [['keys', { id: 'a', hash: 'h', created_at_ms: 1 }]], {}, /no result|is damaged/],
  ])('is refused for a file with %s, although its sums are right', async (_, rows, header, pattern) => {
    await crafted(rows, header);
    await expect(restore({ dataDir: at('target') })).rejects.toThrow(pattern);
    expect(existsSync(at('target/gatehouse.db'))).toBe(false);
    expect(existsSync(at('target')) ? readdirSync(at('target')) : []).toEqual([]);
  });

  it('is refused for a file with a line that never ends', async () => {
    writeFileSync(file, Buffer.concat([Buffer.from('{"format":"gatehouse-backup"'), Buffer.alloc(65 * 1024 * 1024, 'x')]));
    await expect(openBackup(file)).rejects.toThrow(/one of its lines is too long/);
  });

  it('writes nowhere but into its data directory, also through a link', async () => {
    await makeBackup();
    symlinkSync(at('elsewhere'), at('linked'));
    writeFileSync(at('elsewhere'), 'untouched');
    await expect(restore({ dataDir: at('linked') })).rejects.toThrow();
    expect(readFileSync(at('elsewhere'), 'utf8')).toBe('untouched');
  });
});

describe('a backup over PostgreSQL', () => {
  let postgres: PostgresService;
  beforeAll(async () => {
    postgres = await startPostgres();
  }, servicesTimeoutMs);
  afterAll(async () => await postgres?.stop());

  it('moves a store from SQLite to PostgreSQL and back without a difference', async () => {
    const { contents, sealed } = await makeBackup();
    const databaseUrl = await postgres.createDatabase();
    await restore({ dataDir: '/nowhere', databaseUrl });
    const moved = await open({ dataDir: '/nowhere', databaseUrl, masterKey });
    expect(await contentsOf(moved)).toEqual(contents);
    expect((await moved.vault.open(place, sealed)).reveal()).toBe(canary);
    await backupStore(options({ dataDir: '/nowhere', databaseUrl }), at('back'));
    await moved.close();
    await restore({ dataDir: at('target') }, { file: at('back') });
    const back = await open({ dataDir: at('target'), masterKey });
    onTestFinished(() => back.close());
    expect(await contentsOf(back)).toEqual(contents);
    expect((await back.registry.load()).position.revision).toBe(4);
  });

  it('is refused over a store unless told, and a replica that runs then notices', async () => {
    const databaseUrl = await postgres.createDatabase();
    const where = { dataDir: '/nowhere', databaseUrl };
    const store = await open({ ...where, masterKey });
    onTestFinished(() => store.close());
    await fill(store);
    await backupStore(options(where), file);
    const later = await commit(store.registry, drop('k1', 1, 'key'));
    await expect(restore(where)).rejects.toThrow(/There is a store already: PostgreSQL at .*Nothing was changed/);
    await expect(restore({ ...where, key: Buffer.alloc(32, 2) }, { replaces: true })).rejects.toThrow(/another master key/);
    expect(await store.registry.since(later)).toMatchObject({ kind: 'changes', changes: [] });
    await restore(where, { replaces: true });
    expect(await store.registry.since(later)).toMatchObject({ kind: 'regressed' });
    expect((await store.registry.load()).documents.map(({ id }) => id)).toContain('k1');
  });

  it('that is killed before its end leaves the store as it was', async () => {
    await makeBackup();
    const databaseUrl = await postgres.createDatabase();
    const where = { dataDir: '/nowhere', databaseUrl };
    const store = await open({ ...where, masterKey });
    onTestFinished(() => store.close());
    await commit(store.registry, put('mine', 1));
    const before = await store.registry.load();
    await onPostgres(
      databaseUrl,
      `create function public.stop() returns trigger language plpgsql as $$ begin
      if current_setting('application_name') = 'gatehouse-restore' then perform pg_terminate_backend(pg_backend_pid()); end if; return new; end $$;
      create function public.arm() returns event_trigger language plpgsql as $$ begin
      if to_regclass('gatehouse.data_keys') is not null and current_setting('application_name') = 'gatehouse-restore' then
      begin create trigger stop before insert on gatehouse.data_keys for each row execute function public.stop(); exception when duplicate_object then null; end;
      end if; end $$; create event trigger arm on ddl_command_end when tag in ('CREATE INDEX') execute function public.arm()`,
    );
    await expect(restore(where, { replaces: true })).rejects.toThrow(/terminat/);
    expect(await store.registry.load()).toEqual(before);
    expect(await store.keys.list()).toEqual([]);
  });
});
