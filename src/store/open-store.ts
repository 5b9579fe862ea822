import { GatewayError } from '../errors.ts';
import type { Secret } from '../secret.ts';
import type { RestoreTarget, Snapshot, TargetOptions } from './backup/snapshot.ts';
import type { Counters } from './ports/counters.ts';
import type { ReplyCache } from './ports/reply-cache.ts';
import type { Sightings } from './ports/sightings.ts';
import type { Store } from './ports.ts';
import { openSightings as openSightingsIn } from './sightings.ts';
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
  return await openPostgres(options.databaseUrl.reveal(), options);
}

/** Everything that a store holds at one moment. Changes nothing; throws GatewayError when there is no store, or it is damaged. */
export async function openSnapshot({ dataDir, databaseUrl }: StoreOptions): Promise<Snapshot> {
  if (databaseUrl) {
    const { openPostgresSnapshot } = await import('./postgres/snapshot.ts');
    return await openPostgresSnapshot(databaseUrl.reveal());
  }
  const { openSqliteSnapshot } = await import('./sqlite/snapshot.ts');
  return openSqliteSnapshot(dataDir);
}

/** A new store to be filled. Throws GatewayError `bad_configuration` when there is one that may not be replaced. */
export async function openTarget({ dataDir, databaseUrl }: StoreOptions, target: TargetOptions): Promise<RestoreTarget> {
  if (databaseUrl) {
    const { openPostgresTarget } = await import('./postgres/restore-target.ts');
    return await openPostgresTarget(databaseUrl.reveal(), target);
  }
  const { openSqliteTarget } = await import('./sqlite/restore-target.ts');
  return openSqliteTarget(dataDir, target);
}

async function withRedisSessions(store: Store, url: Secret, options: StoreOptions): Promise<Store> {
  const { openRedisSessions } = await import('./redis/open-redis-sessions.ts');
  const { clock, log, sessionTtlMs = defaultSessionTtlMs } = options;
  const warn = warnSeldom(log, clock, 'Redis is not usable; sessions that ended or changed may be taken as they began.');
  const sessions = await openRedisSessions(url.reveal(), sessionTtlMs, warn);
  return {
    ...store,
    sessions,
    audit: store.audit,
    async close() {
      await sessions.close();
      await store.close();
    },
  };
}

/**
 * Opens the counters of limits: in this process, with budgets in the store; in Redis with `redisUrl`, shared by all replicas. A Redis
 * that is away is no reason to throw: each limit says what happens then.
 */
export async function openCounters(store: Pick<Store, 'budgets'>, { redisUrl, clock, log }: StoreOptions): Promise<Counters> {
  if (redisUrl) {
    const { openRedisCounters } = await import('./redis/counters.ts');
    const warn = warnSeldom(log, clock, 'Redis is not usable; limits do what each of them says for that case.');
    return await openRedisCounters({ url: redisUrl.reveal(), clock, warn, log });
  }
  const { openMemoryCounters } = await import('./memory/counters.ts');
  const warn = warnSeldom(log, clock, 'Budgets could not be written; what was spent since is forgotten if the process ends now.');
  return await openMemoryCounters({ clock, budgets: store.budgets, warn });
}

/** Opens what is remembered of callers: in the store; in Redis with `redisUrl`. Neither is asked before the first call that needs it. */
export async function openSightings(store: Pick<Store, 'sightings'>, { redisUrl, clock, log }: StoreOptions): Promise<Sightings> {
  const warn = warnSeldom(log, clock, 'What callers are handed could not be noted or asked for; gates that ask after it hold.');
  if (!redisUrl) return openSightingsIn(() => store.sightings, { clock, warn });
  const { openRedisSightings } = await import('./redis/redis-sightings.ts');
  const url = redisUrl.reveal();
  return openSightingsIn((onReturn) => openRedisSightings({ url, onReturn, warn }), { clock, warn });
}

/** Of a process that has no Redis. */
const replyLimitBytes = 64 * 1024 * 1024;

/** Opens the cache of answers: in this process; in Redis with `redisUrl`, shared by all replicas. A Redis that is away is no reason to throw. */
export async function openReplyCache(store: Pick<Store, 'sealing'>, { redisUrl, clock, log }: StoreOptions): Promise<ReplyCache> {
  if (redisUrl) {
    const { openRedisReplies } = await import('./redis/redis-replies.ts');
    const warn = warnSeldom(log, clock, 'Redis is not usable; no answer of a model is given again meanwhile.');
    return await openRedisReplies({ url: redisUrl.reveal(), key: await store.sealing.get('reply'), warn });
  }
  const { memoryReplies } = await import('./memory/memory-replies.ts');
  return memoryReplies(clock, replyLimitBytes);
}
