import { Client } from 'pg';
import { GatewayError } from '../../errors.ts';
import type { BackupRow } from '../backup/backup-file.ts';
import { isBackedUp, quoted, type Snapshot } from '../backup/snapshot.ts';
import { readVersion, schemaName } from './migrate.ts';
import { describeUrl, explainPostgres, numbersForBigints } from './server.ts';

/** Rows may have megabytes. */
const rowsAtOnce = 64;

/** Reads in one repeatable-read transaction, which keeps nobody from writing. */
export async function openPostgresSnapshot(url: string): Promise<Snapshot> {
  const name = describeUrl(url);
  const client = new Client({ connectionString: url, application_name: 'gatehouse-backup', types: numbersForBigints });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('begin isolation level repeatable read read only');
    const version = await readVersion(client, name);
    if (version === 0) throw new GatewayError('bad_configuration', `${name} holds no store of Gatehouse.`);
    const tables = await tablesOf(client);
    return {
      name,
      version,
      tables: tables.filter(isBackedUp),
      rows: (table) => readTable(client, table),
      close: () => client.end(),
    };
  } catch (error) {
    await client.end();
    throw explainPostgres(error, name);
  }
}

export async function tablesOf(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "select table_name as name from information_schema.tables where table_schema = $1 and table_type = 'BASE TABLE' order by 1",
    [schemaName],
  );
  return rows.map(({ name }) => name);
}

async function* readTable(client: Client, table: string): AsyncGenerator<BackupRow> {
  await client.query(`declare rows no scroll cursor for select * from ${schemaName}.${quoted(table)}`);
  for (;;) {
    const { rows } = await client.query<BackupRow>(`fetch ${rowsAtOnce} from rows`);
    yield* rows;
    if (rows.length < rowsAtOnce) break;
  }
  await client.query('close rows');
}
