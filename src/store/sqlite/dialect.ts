import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { Schema } from '../schema.ts';
import type { SqliteConnection } from './connection.ts';
import type { SqliteReader } from './reader.ts';

/** Kysely over `node:sqlite`. Closing stays with whoever opened the connection. */
export function sqliteQueries(connection: SqliteConnection): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: sqliteDialect(() => sqliteDriver(connection)) });
}

/** Kysely for queries that look at many rows; it can do nothing but read. */
export function sqliteReads(reader: SqliteReader): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: sqliteDialect(() => readingDriver(reader)) });
}

function sqliteDialect(createDriver: () => Driver): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver,
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

interface HeldConnection extends DatabaseConnection {
  release(): void;
}

function sqliteDriver(connection: SqliteConnection): Driver {
  return {
    async init() {},
    async acquireConnection(): Promise<HeldConnection> {
      const release = await connection.acquire();
      return { release, executeQuery: async (query) => execute(connection, query), streamQuery };
    },
    async releaseConnection(held) {
      (held as HeldConnection).release();
    },
    // Immediate: two transactions that read first and write later would otherwise refuse one another half-way.
    async beginTransaction() {
      connection.execute('begin immediate');
    },
    async commitTransaction() {
      connection.execute('commit');
    },
    async rollbackTransaction() {
      connection.rollback();
    },
    async destroy() {},
  };
}

function readingDriver(reader: SqliteReader): Driver {
  const connection: DatabaseConnection = {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      return { rows: (await reader.all(sql, parameters)) as R[] };
    },
    streamQuery,
  };
  return {
    async init() {},
    acquireConnection: async () => connection,
    async releaseConnection() {},
    beginTransaction: onlyReads,
    commitTransaction: onlyReads,
    rollbackTransaction: onlyReads,
    async destroy() {},
  };
}

async function onlyReads(): Promise<never> {
  throw new Error('A reader has no transactions: each of its queries sees what is committed.');
}

function execute<R>(connection: SqliteConnection, { query, sql, parameters }: CompiledQuery): QueryResult<R> {
  const givesRows = query.kind === 'SelectQueryNode' || query.kind === 'RawNode' || ('returning' in query && query.returning);
  if (givesRows) return { rows: connection.all(sql, parameters) as R[] };
  const changed = isCount(query) ? connection.runUnsynced(sql, parameters) : connection.run(sql, parameters);
  return { rows: [], numAffectedRows: BigInt(changed) };
}

// Written every second or so under load. What a power cut takes of them is a few seconds of counting; that the disk has each of them
// would stop every call meanwhile.
const counts: ReadonlySet<string> = new Set(['budgets', 'key_uses', 'roll_ups', 'model_calls']);

function isCount(query: CompiledQuery['query']): boolean {
  return query.kind === 'InsertQueryNode' && counts.has(query.into?.table.identifier.name ?? '');
}

function streamQuery(): never {
  throw new Error('SQLite queries do not stream: a cursor held over event-loop turns would hold back checkpoints.');
}
