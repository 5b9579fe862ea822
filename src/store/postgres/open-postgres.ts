import {
  Kysely,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
  type RawBuilder,
  sql,
} from 'kysely';
import { Pool } from 'pg';
import { GatewayError } from '../../errors.ts';
import { bufferSessions } from '../buffered-sessions.ts';
import { openKeyRing } from '../key-ring.ts';
import { masterKeySource } from '../master-key.ts';
import { openRegistry } from '../open-registry.ts';
import type { Store } from '../ports.ts';
import { Reach } from '../reach.ts';
import { masterKeys } from '../rotate-master-key.ts';
import type { Schema } from '../schema.ts';
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
import { sqlSealedRows } from '../sql/sealed-rows.ts';
import { sqlSessions } from '../sql/sessions.ts';
import { sqlSightings } from '../sql/sightings.ts';
import { sqlUpstreamMemory } from '../sql/upstream-memory.ts';
import { sqlDataKeyRows, sqlMasterKeyRows, sqlWrappedRows } from '../sql/wrapped-keys.ts';
import type { StoreLog, StoreOptions } from '../store-options.ts';
import { warnSeldom } from '../warn-seldom.ts';
import { listenForCommits } from './listen.ts';
import { migratePostgres, readVersion, schemaName } from './migrate.ts';
import { explainedWriter, postgresDialect, postgresRegistryRows, refuseStandby } from './registry.ts';
import { describeUrl, explainPostgres, numbersForBigints } from './server.ts';

const connectLimitMs = 5_000;
const queryLimitMs = 10_000;

/** The store that replicas share. Throws GatewayError when it cannot be reached or must not be used. */
export async function openPostgres(url: string, options: StoreOptions): Promise<Store> {
  const { mustExist, clock, log } = options;
  const name = describeUrl(url);
  const source = masterKeySource(options);
  const pool = openPool(url);
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', warnSeldom(log, clock, `A connection to ${name} broke.`));
  try {
    const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: discardingStuck(pool) }) }).withSchema(schemaName);
    const database = async () => db;
    const sealedRows = sqlSealedRows(database);
    await checkServer(pool, name, log);
    const version = await readVersion(pool, name);
    if (version === 0 && mustExist) throw new GatewayError('bad_configuration', `${name} holds no store of Gatehouse.`);
    if (version > 0) checkMasterKey(await sealedRows.read(), source, name);
    await migratePostgres(pool, name);
    const found = await sealedRows.read();
    checkMasterKey(found, source, name);
    const masterKeyRows = sqlMasterKeyRows(database);
    const parts = { masterKeyRows, source, store: name, clock };
    const ring = await openKeyRing({ ...parts, rows: masterKeyRows }, found.map(toWrapped));
    const sealing = await openSealingKeys(sealedRows, ring, source, name);
    const sessions = bufferSessions(
      sqlSessions(database),
      warnSeldom(log, clock, `Sessions could not be read from or written to ${name}; what was saved is written later.`),
    );
    const reach = new Reach({ kind: 'postgresql', clock, log, back: `${name} can be reached again.` });
    const warn = warnSeldom(log, clock, `The connection that listens to ${name} for changes broke; it is made again.`);
    const registry = openRegistry({
      rows: postgresRegistryRows(database, name),
      writer: explainedWriter(sqlRegistryWriter(database, postgresDialect), name),
      source: listenForCommits({
        url,
        name,
        types: numbersForBigints,
        warn(error) {
          reach.lost(error);
          warn(error);
        },
        found: () => reach.found(),
      }),
      clock,
    });
    return {
      reach: () => reach.status,
      keys: sqlKeys(database),
      sealing,
      upstreams: sqlUpstreamMemory(database),
      rollUps: sqlRollUps(database),
      budgets: sqlBudgets(database),
      credentials: sqlCredentials(database),
      approvals: sqlApprovals(database),
      definitions: sqlDefinitions(database),
      models: sqlModelRecords(database),
      notices: sqlNotices(database),
      sightings: sqlSightings(database, timeAgo),
      keyedCalls: sqlKeyedCalls(database, timeAgo),
      sessions,
      registry,
      keyUses: sqlKeyUses(database),
      vault: openVault(sqlDataKeyRows(database), ring),
      masterKeys: masterKeys({ ...parts, rows: sqlWrappedRows(database), ring }),
      audit: sqlAuditIndex(database),
      async close() {
        registry.close();
        await sessions.close();
        if (!pool.ending) await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw explainPostgres(error, name);
  }
}

/** By the clock of PostgreSQL: those of replicas may differ. Whole ms. */
function timeAgo(ms: number): RawBuilder<number> {
  return sql`(extract(epoch from clock_timestamp()) * 1000)::bigint - ${Math.round(ms)}::bigint`;
}

function openPool(url: string): Pool {
  const pool = new Pool({
    connectionString: url,
    application_name: 'gatehouse',
    connectionTimeoutMillis: connectLimitMs,
    // Checked on our side: poolers in front of PostgreSQL refuse a start-up parameter for it.
    query_timeout: queryLimitMs,
    keepAlive: true,
    types: numbersForBigints,
  });
  // The pool listens to connections that it holds. One that is lost while it is lent fails its query, and would end this process too:
  // nobody else listens.
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/**
 * The pool without connections whose query timed out: such a connection still waits for its answer, and after a failover that
 * dropped packets it would hold up, for minutes, everyone who gets it next.
 */
function discardingStuck(pool: Pool): PostgresPool {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      let isStuck = false;
      async function query<R>(text: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>> {
        try {
          return (await client.query(text, [...parameters])) as unknown as PostgresQueryResult<R>;
        } catch (error) {
          isStuck ||= (error as Error).message === 'Query read timeout';
          throw error;
        }
      }
      return {
        query: query as PostgresPoolClient['query'],
        release: (destroy) => client.release(destroy === true || isStuck),
      };
    },
  };
}

/** With synchronous_commit off a created key could vanish in a crash after its owner was shown it. */
async function checkServer(pool: Pool, name: string, log: StoreLog): Promise<void> {
  const { rows } = await pool.query<{ mode: string; standby: boolean }>(
    "select current_setting('synchronous_commit') as mode, pg_is_in_recovery() as standby",
  );
  refuseStandby(rows[0]?.standby === true, name);
  if (rows[0]?.mode !== 'off') return;
  log.warn({}, `${name} runs with synchronous_commit = off: a crash of the database can lose keys that were acknowledged.`);
}
