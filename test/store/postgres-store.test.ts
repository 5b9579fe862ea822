import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { newestVersion } from '../../src/store/migrations/migrations.ts';
import { migratePostgres } from '../../src/store/postgres/migrate.ts';
import { approvalContract } from '../contracts/approvals.contract.ts';
import { auditIndexContract } from '../contracts/audit-index.contract.ts';
import { credentialContract } from '../contracts/credentials.contract.ts';
import { modelRecordsContract } from '../contracts/model-records.contract.ts';
import { rollUpsContract } from '../contracts/roll-ups.contract.ts';
import { storeContract } from '../contracts/store.contract.ts';
import { onPostgres, type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { type Heard, isLong, open, refusal } from './store-setup.ts';

const masterKey = Buffer.alloc(32, 1);
const dataDir = '/nowhere';
let postgres: PostgresService;
/** With tables, and nothing in them: to make them anew for each test takes longer than most tests do. */
let prepared: string;

beforeAll(async () => {
  postgres = await startPostgres();
  prepared = await postgres.createDatabase();
  const pool = new Pool({ connectionString: prepared });
  await migratePostgres(pool, prepared);
  await pool.end();
}, servicesTimeoutMs);
afterAll(async () => await postgres?.stop());

async function makePlace() {
  const databaseUrl = await postgres.createDatabase(isLong ? undefined : prepared);
  return { open: () => open({ dataDir, databaseUrl, masterKey }) };
}

storeContract('PostgreSQL', makePlace, { isShared: true, prunes: true });
rollUpsContract('PostgreSQL', makePlace, { isShared: true });
modelRecordsContract('PostgreSQL', makePlace);
auditIndexContract('PostgreSQL', makePlace);
credentialContract('PostgreSQL', makePlace, { isShared: true });
approvalContract('PostgreSQL', makePlace, { isShared: true, racesInProcess: true });

describe('PostgreSQL store', () => {
  it('is refused without a master key, before anything is connected', async () => {
    const databaseUrl = 'postgres://nobody@127.0.0.1:1/none';
    expect(await refusal(open({ dataDir, databaseUrl }))).toMatch(
      /GATEHOUSE_DATABASE_URL is set without GATEHOUSE_MASTER_KEY.*openssl rand/,
    );
  });

  it('is refused with another master key and left as it was', async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await open({ dataDir, databaseUrl, masterKey });
    await store.close();
    const before = await onPostgres(databaseUrl, 'select * from gatehouse.sealing_keys order by purpose');
    expect(before).toHaveLength(6);
    const message = await refusal(open({ dataDir, databaseUrl, masterKey: Buffer.alloc(32, 2) }));
    expect(message).toMatch(/GATEHOUSE_MASTER_KEY is not the master key of PostgreSQL at 127\.0\.0\.1/);
    expect(await onPostgres(databaseUrl, 'select * from gatehouse.sealing_keys order by purpose')).toEqual(before);
  });

  it('is refused when a newer release has changed its tables, and left as it was', async () => {
    const databaseUrl = await postgres.createDatabase();
    await (await open({ dataDir, databaseUrl, masterKey })).close();
    await onPostgres(databaseUrl, 'update gatehouse.schema_version set version = 999');
    const message = await refusal(open({ dataDir, databaseUrl, masterKey }));
    expect(message).toMatch(/written by a newer Gatehouse .*999.*Nothing was changed/);
    expect(await onPostgres(databaseUrl, 'select version from gatehouse.schema_version')).toEqual([{ version: 999 }]);
  });

  it('is made once when many replicas start on an empty database', async () => {
    const databaseUrl = await postgres.createDatabase();
    const replicas = await Promise.all(Array.from({ length: 5 }, () => open({ dataDir, databaseUrl, masterKey })));
    for (const replica of replicas) await replica.close();
    expect(await onPostgres(databaseUrl, 'select version from gatehouse.schema_version')).toEqual([{ version: newestVersion }]);
  });

  it('leaves no trace of a migration that was cut off', async () => {
    const databaseUrl = await postgres.createDatabase();
    await onPostgres(databaseUrl, 'create schema gatehouse; create table gatehouse.sessions (taken integer)');
    await refusal(open({ dataDir, databaseUrl, masterKey }));
    const tables = await onPostgres(
      databaseUrl,
      "select table_name from information_schema.tables where table_schema = 'gatehouse'",
    );
    expect(tables).toEqual([{ table_name: 'sessions' }]);
    await onPostgres(databaseUrl, 'drop table gatehouse.sessions');
    await (await open({ dataDir, databaseUrl, masterKey })).close();
  });

  it('says where it looked when nobody answers, and keeps the password to itself', async () => {
    const databaseUrl = 'postgres://gatehouse:canary@127.0.0.1:1/gatehouse';
    const message = await refusal(open({ dataDir, databaseUrl, masterKey }));
    expect(message).toMatch(/PostgreSQL at 127\.0\.0\.1:1\/gatehouse cannot be used.*DATABASE_URL/);
    expect(message).not.toContain('canary');
  });

  it('refuses an address that is none without repeating it', async () => {
    const message = await refusal(open({ dataDir, databaseUrl: 'canary secret', masterKey }));
    expect(message).toMatch(/DATABASE_URL is not an address/);
    expect(message).not.toContain('canary');
  });

  it.runIf(isLong)('gives up a query after 10 seconds, and the connection with it', { timeout: 60_000 }, async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await open({ dataDir, databaseUrl, masterKey });
    onTestFinished(() => store.close());
    const name = new URL(databaseUrl).pathname.slice(1);
    const backends = await onPostgres(postgres.url, `select pid from pg_stat_activity where datname = '${name}'`);
    for (const { pid } of backends) process.kill(Number(pid), 'SIGSTOP');
    await expect(store.keys.list()).rejects.toThrow(/timeout/);
    expect(await store.keys.list()).toEqual([]);
    for (const { pid } of backends) process.kill(Number(pid), 'SIGCONT');
  });

  it('goes on after its connections were cut, and knows nothing of a session meanwhile', async () => {
    const heard: Heard[] = [];
    const own = await startPostgres();
    const databaseUrl = await own.createDatabase();
    const store = await open({ dataDir, databaseUrl, masterKey }, heard);
    await store.keys.create({ id: 'a', hash: 'h', createdAtMs: 1 });
    await onPostgres(
      own.url,
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gatehouse' and datname is not null",
    );
    await expect.poll(() => heard.some(({ message }) => /connection .* broke/.test(message))).toBe(true);
    expect(await store.keys.list()).toHaveLength(1);
    await own.stop();
    expect(await store.sessions.load('s')).toBeUndefined();
    await expect(store.keys.create({ id: 'b', hash: 'h', createdAtMs: 1 })).rejects.toThrow();
    await store.close();
  }, 60_000);
});
