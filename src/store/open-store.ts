import { GatewayError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { Store } from './ports.ts';
import { openSqlite } from './sqlite/open-sqlite.ts';
import { defaultSessionTtlMs, type StoreOptions } from './store-options.ts';
import { warnSeldom } from './warn-seldom.ts';

/**
 * Opens the store that the options name: SQLite in `dataDir`, PostgreSQL with `databaseUrl`; sessions in Redis with `redisUrl`.
 * Throws GatewayError `bad_configuration` with what to do when it must not be used (damaged, newer, wrong master key); a Redis
 * that is away is no reason.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = await openLasting(options);
  if (!options.redisUrl) return store;
  try {
    return await withRedisSessions(store, options.redisUrl, options);
  } catch (error) {
    await store.close();
    throw error;
  }
}

// The clients of PostgreSQL and Redis are imported by those who use them: a start on SQLite has no time for them.
async function openLasting(options: StoreOptions): Promise<Store> {
  if (!options.databaseUrl) return await openSqlite(options);
  if (!options.masterKey) {
    throw new GatewayError(
      'bad_configuration',
      'GATEHOUSE_DATABASE_URL is set without GATEHOUSE_MASTER_KEY. Replicas share their sealing keys through the database, encrypted under this key: ' +
        'set GATEHOUSE_MASTER_KEY to the same 32 bytes for all of them; "openssl rand -base64 32" makes them.',
    );
  }
  const { openPostgres } = await import('./postgres/open-postgres.ts');
  return await openPostgres(options.databaseUrl.reveal(), options.masterKey, options);
}

async function withRedisSessions(store: Store, url: Secret, options: StoreOptions): Promise<Store> {
  const { openRedisSessions } = await import('./redis/open-redis-sessions.ts');
  const { clock, log, sessionTtlMs = defaultSessionTtlMs } = options;
  const warn = warnSeldom(log, clock, 'Redis is not usable; sessions that ended or changed may be taken as they began.');
  const sessions = await openRedisSessions(url.reveal(), sessionTtlMs, warn);
  return {
    keys: store.keys,
    sealing: store.sealing,
    upstreams: store.upstreams,
    sessions,
    async close() {
      await sessions.close();
      await store.close();
    },
  };
}
