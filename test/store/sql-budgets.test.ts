import { Kysely, PostgresDialect } from 'kysely';
import { Pool, types } from 'pg';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { migratePostgres, schemaName } from '../../src/store/postgres/migrate.ts';
import type { Schema } from '../../src/store/schema.ts';
import { sqlBudgets } from '../../src/store/sql/budgets.ts';
import { makeDatabase, migrateDatabase, openDatabase } from '../../src/store/sqlite/database-file.ts';
import { sqliteQueries } from '../../src/store/sqlite/dialect.ts';
import { budgetsContract } from '../contracts/budgets.contract.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { temporaryDataDir } from './store-setup.ts';

let postgres: PostgresService;

beforeAll(async () => {
  postgres = await startPostgres();
}, servicesTimeoutMs);
afterAll(async () => await postgres?.stop());

describe('budgets in SQLite', () => {
  budgetsContract(async () => {
    const { dataDir, remove } = temporaryDataDir();
    makeDatabase(dataDir);
    const connection = openDatabase(dataDir);
    onTestFinished(() => {
      connection.close();
      remove();
    });
    migrateDatabase(connection);
    const queries = sqliteQueries(connection);
    return sqlBudgets(async () => queries);
  });
});

describe('budgets in PostgreSQL', () => {
  budgetsContract(async () => {
    const connectionString = await postgres.createDatabase();
    const getTypeParser = (oid: number, format?: 'text' | 'binary') =>
      oid === types.builtins.INT8 ? Number : types.getTypeParser(oid, format);
    const pool = new Pool({ connectionString, types: { getTypeParser } });
    onTestFinished(async () => await pool.end());
    await migratePostgres(pool, 'PostgreSQL');
    const queries = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }).withSchema(schemaName);
    return sqlBudgets(async () => queries);
  });
});
