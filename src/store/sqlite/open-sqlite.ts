import type { Kysely } from 'kysely';
import { bufferSessions } from '../buffered-sessions.ts';
import { openKeyRing } from '../key-ring.ts';
import { masterKeySource } from '../master-key.ts';
import { openRegistry, pollHead } from '../open-registry.ts';
import type { Store } from '../ports.ts';
import { masterKeys } from '../rotate-master-key.ts';
import type { Database, Schema } from '../schema.ts';
import { checkMasterKey, openSealingKeys, toWrapped } from '../sealing-keys.ts';
import { openVault } from '../secret-vault.ts';
import { sqlApprovals } from '../sql/approvals.ts';
import { sqlAuditIndex } from '../sql/audit-index.ts';
import { sqlBudgets } from '../sql/budgets.ts';
import { sqlCredentials } from '../sql/credentials.ts';
import { sqlDefinitions } from '../sql/definitions.ts';
import { sqlKeyUses } from '../sql/key-uses.ts';
import { sqlKeyedCalls } from '../sql/keyed-calls.ts';
import { sqlKeys } from '../sql/keys.ts';
import { sqlModelRecords } from '../sql/model-records.ts';
import { sqlNotices } from '../sql/notices.ts';
import { sqlRegistryWriter } from '../sql/registry.ts';
import { sqlRollUps } from '../sql/roll-ups.ts';
import { sqlSessions } from '../sql/sessions.ts';
import { sqlSightings } from '../sql/sightings.ts';
import { sqlUpstreamMemory } from '../sql/upstream-memory.ts';
import { sqlDataKeyRows, sqlWrappedRows } from '../sql/wrapped-keys.ts';
import type { StoreOptions } from '../store-options.ts';
import { warnSeldom } from '../warn-seldom.ts';
import { addAuditRows } from './audit-rows.ts';
import { makeDatabase, migrateDatabase, openDatabase, refuseMissing } from './database-file.ts';
import { SqliteReader } from './reader.ts';
import { startStatements } from './start-statements.ts';

/** Costs some 20 microseconds. */
const pollEveryMs = 250;

/** The default store: one file, which several processes of one machine may open. Throws GatewayError before it changes anything. */
export async function openSqlite(options: StoreOptions): Promise<Store> {
  const { dataDir, mustExist, clock, log } = options;
  const source = masterKeySource(options);
  if (mustExist) refuseMissing(dataDir);
  // Said aloud: to an operator who expects his keys, a new store is bad news.
  if (makeDatabase(dataDir)) log.info({ dataDir }, 'Made a new, empty store.');
  const connection = openDatabase(dataDir);
  try {
    const start = startStatements(connection);
    const sealedRows = await start.sealedRows.read();
    checkMasterKey(sealedRows, source, connection.path);
    migrateDatabase(connection);
    const { masterKeyRows } = start;
    const parts = { masterKeyRows, source, store: connection.path, clock };
    const ring = await openKeyRing({ ...parts, rows: masterKeyRows }, sealedRows.map(toWrapped));
    const sealing = await openSealingKeys(start.sealedRows, ring, source, connection.path);
    const reader = new SqliteReader(connection.path);
    const database = lazily(async () => (await import('./dialect.ts')).sqliteQueries(connection));
    const reads = lazily(async () => (await import('./dialect.ts')).sqliteReads(reader));
    const sessions = bufferSessions(
      { ...sqlSessions(database), read: start.readSession },
      warnSeldom(log, clock, 'Sessions could not be stored; they are kept in memory and written later.'),
    );
    const registry = openRegistry({
      rows: start.registry,
      writer: sqlRegistryWriter(database),
      source: pollHead(start.readHead, pollEveryMs, warnSeldom(log, clock, 'The registry could not be read.')),
      clock,
    });
    return {
      keys: { ...sqlKeys(database), list: start.listKeys },
      sealing,
      upstreams: { ...sqlUpstreamMemory(database), load: start.loadUpstreams },
      rollUps: sqlRollUps(database, reads),
      budgets: { ...sqlBudgets(database), load: start.loadBudgets },
      credentials: sqlCredentials(database),
      approvals: sqlApprovals(database),
      definitions: sqlDefinitions(database),
      models: sqlModelRecords(database, reads),
      notices: sqlNotices(database),
      sightings: sqlSightings(database, (ms) => clock.nowMs() - ms),
      keyedCalls: sqlKeyedCalls(database, (ms) => clock.nowMs() - ms),
      sessions,
      registry,
      keyUses: sqlKeyUses(database),
      vault: openVault(sqlDataKeyRows(database), ring),
      masterKeys: masterKeys({ ...parts, rows: sqlWrappedRows(database), ring }),
      audit: { ...sqlAuditIndex(database, reads), add: (batch, reached) => addAuditRows(connection, batch, reached) },
      async close() {
        registry.close();
        await sessions.close();
        await reader.close();
        connection.close();
      },
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

function lazily(open: () => Promise<Kysely<Schema>>): Database {
  let opened: Promise<Kysely<Schema>> | undefined;
  return () => {
    opened ??= open();
    return opened;
  };
}
