import type { Kysely } from 'kysely';
import { bufferSessions } from '../buffered-sessions.ts';
import { givenMasterKey, masterKeyFile } from '../master-key.ts';
import type { Store } from '../ports.ts';
import type { Database, Schema } from '../schema.ts';
import { checkMasterKey, openSealingKeys } from '../sealing-keys.ts';
import { sqlKeys } from '../sql/keys.ts';
import { sqlSessions } from '../sql/sessions.ts';
import { sqlUpstreamMemory } from '../sql/upstream-memory.ts';
import type { StoreOptions } from '../store-options.ts';
import { warnSeldom } from '../warn-seldom.ts';
import type { SqliteConnection } from './connection.ts';
import { makeDatabase, migrateDatabase, openDatabase } from './database-file.ts';
import { startStatements } from './start-statements.ts';

/** The default store: one file, which several processes of one machine may open. Throws GatewayError before it changes anything. */
export async function openSqlite({ dataDir, masterKey, clock, log }: StoreOptions): Promise<Store> {
  const source = masterKey ? givenMasterKey(masterKey) : masterKeyFile(dataDir);
  // Said aloud: to an operator who expects his keys, a new store is bad news.
  if (makeDatabase(dataDir)) log.info({ dataDir }, 'Made a new, empty store.');
  const connection = openDatabase(dataDir);
  try {
    const start = startStatements(connection);
    checkMasterKey(await start.sealedRows.read(), source, connection.path);
    migrateDatabase(connection);
    const sealing = await openSealingKeys(start.sealedRows, source, connection.path);
    const database = lazyDatabase(connection);
    const sessions = bufferSessions(
      { ...sqlSessions(database), read: start.readSession },
      warnSeldom(log, clock, 'Sessions could not be stored; they are kept in memory and written later.'),
    );
    return {
      keys: { ...sqlKeys(database), list: start.listKeys },
      sealing,
      upstreams: { ...sqlUpstreamMemory(database), load: start.loadUpstreams },
      sessions,
      async close() {
        await sessions.close();
        connection.close();
      },
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

function lazyDatabase(connection: SqliteConnection): Database {
  let opened: Promise<Kysely<Schema>> | undefined;
  async function open(): Promise<Kysely<Schema>> {
    const { sqliteQueries } = await import('./dialect.ts');
    return sqliteQueries(connection);
  }
  return () => {
    opened ??= open();
    return opened;
  };
}
