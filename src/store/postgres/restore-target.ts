import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely';
import { Client } from 'pg';
import { GatewayError } from '../../errors.ts';
import { isBackedUp, quoted, type RestoreTarget, type TargetOptions } from '../backup/snapshot.ts';
import { newestVersion, statementsBetween } from '../migrations/migrations.ts';
import type { Schema } from '../schema.ts';
import { lockMigration, schemaName, writeVersion } from './migrate.ts';
import { refuseStandby } from './registry.ts';
import { describeUrl, explainPostgres, numbersForBigints } from './server.ts';
import { tablesOf } from './snapshot.ts';

/** All of it in one transaction: until it commits, everybody sees the store that was there. */
export async function openPostgresTarget(url: string, options: TargetOptions): Promise<RestoreTarget> {
  const name = describeUrl(url);
  const client = new Client({ connectionString: url, application_name: 'gatehouse-restore', types: numbersForBigints });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    refuseStandby(rows[0]?.standby === true, name);
    await client.query('begin');
    await client.query("set local lock_timeout = '10s'");
    await lockMigration(client);
    await dropTables(client, name, options.replaces);
    for (const statement of statementsBetween(0, options.version)) await client.query(statement);
    const columns = await emptyTables(client);
    return {
      name,
      columns,
      queries: queriesOn(client),
      async insert(table, rows) {
        const target = `${schemaName}.${quoted(table)}`;
        await client.query(`insert into ${target} select * from json_populate_recordset(null::${target}, $1::json)`, [
          JSON.stringify(rows),
        ]);
      },
      async upgrade() {
        for (const statement of statementsBetween(options.version, newestVersion)) await client.query(statement);
        await writeVersion(client);
      },
      async publish() {
        await client.query('commit');
        await client.end();
        return undefined;
      },
      abandon: () => client.end(),
    };
  } catch (error) {
    await client.end();
    throw explainPostgres(error, name);
  }
}

async function dropTables(client: Client, name: string, replaces: boolean): Promise<void> {
  const tables = await tablesOf(client);
  if (tables.length > 0 && !replaces) {
    throw new GatewayError(
      'bad_configuration',
      `There is a store already: ${name}. Restore into another database, or repeat with --replace. Nothing was changed.`,
    );
  }
  for (const table of tables) await client.query(`drop table ${schemaName}.${quoted(table)}`);
}

async function emptyTables(client: Client): Promise<Map<string, ReadonlySet<string>>> {
  const columns = new Map<string, ReadonlySet<string>>();
  for (const table of (await tablesOf(client)).filter(isBackedUp)) {
    await client.query(`delete from ${schemaName}.${quoted(table)}`);
    const { rows } = await client.query<{ name: string }>(
      'select column_name as name from information_schema.columns where table_schema = $1 and table_name = $2',
      [schemaName, table],
    );
    columns.set(table, new Set(rows.map(({ name }) => name)));
  }
  return columns;
}

/** Kysely on this one connection, inside its transaction. */
function queriesOn(client: Client): Kysely<Schema> {
  const held: PostgresPoolClient = { query: client.query.bind(client) as PostgresPoolClient['query'], release() {} };
  const pool = { options: {}, connect: async () => held, end: async () => {} };
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }).withSchema(schemaName);
}
