import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { memoryKeyedCalls } from '../../src/store/memory/memory-keyed-calls.ts';
import type { KeyedCalls } from '../../src/store/ports/keyed-calls.ts';
import { keyedCallsContract } from '../contracts/keyed-calls.contract.ts';
import { type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { open, temporaryDataDir } from './store-setup.ts';

let postgres: PostgresService;
beforeAll(async () => {
  postgres = await startPostgres();
}, servicesTimeoutMs);
afterAll(() => postgres?.stop());

const masterKey = Buffer.alloc(32, 1);

async function storeRows(options: Parameters<typeof open>[0]): Promise<KeyedCalls> {
  const store = await open(options);
  onTestFinished(() => store.close());
  return store.keyedCalls;
}

describe('in memory', () => {
  keyedCallsContract(async () => {
    const rows = memoryKeyedCalls(systemClock);
    return { open: async () => rows };
  });
});

describe('in SQLite', () => {
  keyedCallsContract(async () => {
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    return { open: () => storeRows({ dataDir }) };
  });
});

describe('in PostgreSQL', () => {
  keyedCallsContract(async () => {
    const databaseUrl = await postgres.createDatabase();
    const { dataDir, remove } = temporaryDataDir();
    onTestFinished(remove);
    return { open: () => storeRows({ dataDir, databaseUrl, masterKey }) };
  });
});
