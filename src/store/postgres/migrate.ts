import type { ClientBase, Pool } from 'pg';
import { newestVersion, pendingStatements } from '../migrations/migrations.ts';

/** Gatehouse's tables live in a schema of their own: `keys` and `sessions` are names that others use too. */
export const schemaName = 'gatehouse';
/** Any fixed number; whoever else takes advisory locks in this database uses another. */
const lockId = 4_707_114;

/** Throws GatewayError for tables that a newer release has changed. */
export async function readVersion(client: Pool | ClientBase, name: string): Promise<number> {
  const { rows } = await client.query<{ exists: boolean }>(
    `select to_regclass('${schemaName}.schema_version') is not null as exists`,
  );
  if (!rows[0]?.exists) return 0;
  const version = await client.query<{ version: number }>(`select version from ${schemaName}.schema_version`);
  const number = version.rows[0]?.version ?? 0;
  pendingStatements(number, name);
  return number;
}

/** Brings the tables up to date in one transaction; of replicas that start together one does it, the others wait. */
export async function migratePostgres(pool: Pool, name: string): Promise<void> {
  if ((await readVersion(pool, name)) === newestVersion) return;
  const client = await pool.connect();
  try {
    await client.query('begin');
    await lockMigration(client);
    const version = await readVersion(client, name);
    for (const statement of pendingStatements(version, name)) await client.query(statement);
    await writeVersion(client);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

/** In a transaction: keeps others from changing the tables until it ends, and makes names without a schema ours. */
export async function lockMigration(client: ClientBase): Promise<void> {
  await client.query(`select pg_advisory_xact_lock(${lockId})`);
  await client.query(`create schema if not exists ${schemaName}`);
  await client.query(`set local search_path to ${schemaName}`);
}

export async function writeVersion(client: ClientBase): Promise<void> {
  await client.query('create table if not exists schema_version (version integer not null)');
  await client.query('delete from schema_version');
  await client.query('insert into schema_version values ($1)', [newestVersion]);
}
