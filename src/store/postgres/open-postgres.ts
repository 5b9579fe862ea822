import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient, type PostgresQueryResult } from 'kysely';
import { Pool, types } from 'pg';
import { GatewayError } from '../../errors.ts';
import type { Secret } from '../../secret.ts';
import { bufferSessions } from '../buffered-sessions.ts';
import { givenMasterKey } from '../master-key.ts';
import type { Store } from '../ports.ts';
import type { Schema } from '../schema.ts';
import { checkMasterKey, openSealingKeys } from '../sealing-keys.ts';
import { sqlKeys } from '../sql/keys.ts';
import { sqlSealedRows } from '../sql/sealed-rows.ts';
import { sqlSessions } from '../sql/sessions.ts';
import { sqlUpstreamMemory } from '../sql/upstream-memory.ts';
import type { StoreLog, StoreOptions } from '../store-options.ts';
import { warnSeldom } from '../warn-seldom.ts';
import { migratePostgres, readVersion, schemaName } from './migrate.ts';

const connectLimitMs = 5_000;
const queryLimitMs = 10_000;

/** The store that replicas share. Throws GatewayError when it cannot be reached or must not be used. */
export async function openPostgres(url: string, masterKey: Secret, { clock, log }: StoreOptions): Promise<Store> {
  const name = describe(url);
  const source = givenMasterKey(masterKey);
  const pool = openPool(url);
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', warnSeldom(log, clock, `A connection to ${name} broke.`));
  try {
    const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: discardingStuck(pool) }) }).withSchema(schemaName);
    const database = async () => db;
    const sealedRows = sqlSealedRows(database);
    await warnOfLooseCommits(pool, name, log);
    if ((await readVersion(pool, name)) > 0) checkMasterKey(await sealedRows.read(), source, name);
    await migratePostgres(pool, name);
    checkMasterKey(await sealedRows.read(), source, name);
    const sealing = await openSealingKeys(sealedRows, source, name);
    const sessions = bufferSessions(
      sqlSessions(database),
      warnSeldom(log, clock, `Sessions could not be read from or written to ${name}; what was saved is written later.`),
    );
    return {
      keys: sqlKeys(database),
      sealing,
      upstreams: sqlUpstreamMemory(database),
      sessions,
      async close() {
        await sessions.close();
        if (!pool.ending) await pool.end();
      },
    };
  } catch (error) {
    await pool.end();
    throw explain(error, name);
  }
}

function openPool(url: string): Pool {
  return new Pool({
    connectionString: url,
    application_name: 'gatehouse',
    connectionTimeoutMillis: connectLimitMs,
    // Checked on our side: poolers in front of PostgreSQL refuse a start-up parameter for it.
    query_timeout: queryLimitMs,
    keepAlive: true,
    // bigint comes as text by default; ours are milliseconds, far below 2^53.
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format),
    },
  });
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
async function warnOfLooseCommits(pool: Pool, name: string, log: StoreLog): Promise<void> {
  const { rows } = await pool.query<{ mode: string }>("select current_setting('synchronous_commit') as mode");
  if (rows[0]?.mode !== 'off') return;
  log.warn({}, `${name} runs with synchronous_commit = off: a crash of the database can lose keys that were acknowledged.`);
}

function describe(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `PostgreSQL at ${host || 'the local socket'}${pathname}`;
  } catch {
    throw new GatewayError(
      'bad_configuration',
      'GATEHOUSE_DATABASE_URL is not an address; write postgres://user:password@host:5432/database.',
    );
  }
}

/** Codes: postgresql.org/docs/current/errcodes-appendix.html, and those of Node's sockets. */
function explain(error: unknown, name: string): unknown {
  if (error instanceof GatewayError) return error;
  const code = String((error as { code?: unknown }).code ?? '');
  const sentence = /^28|^3D/.test(code)
    ? 'refused this user, password or database. Check GATEHOUSE_DATABASE_URL.'
    : code === '42501'
      ? `does not let this user create its tables: grant CREATE on the database, or make the schema "${schemaName}" for it.`
      : 'cannot be used. Check GATEHOUSE_DATABASE_URL and that the server runs.';
  return new GatewayError('bad_configuration', `${name} ${sentence} (${(error as Error).message || code})`, { cause: error });
}
