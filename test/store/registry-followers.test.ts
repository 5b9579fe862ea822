import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { followRegistry } from '../../src/store/follow-registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { RegistryNews } from '../../src/store/ports/registry.ts';
import type { Store } from '../../src/store/ports.ts';
import { commit, put } from '../contracts/registry.contract.ts';
import { onPostgres, type PostgresService, servicesTimeoutMs, startPostgres } from '../support/services.ts';
import { until } from '../support/until.ts';
import { open } from './store-setup.ts';

const masterKey = Buffer.alloc(32, 1);
/** What the port promises. */
const boundMs = 5_000;
let postgres: PostgresService;

beforeAll(async () => {
  postgres = await startPostgres();
}, servicesTimeoutMs);
afterAll(async () => await postgres?.stop());

async function openOn(databaseUrl: string): Promise<Store> {
  const store = await open({ dataDir: '/nowhere', databaseUrl, masterKey });
  onTestFinished(() => store.close());
  return store;
}

interface Followed {
  readonly ids: string[];
  readonly revisions: number[];
  readonly news: RegistryNews[];
}

async function follow({ registry }: Store): Promise<Followed> {
  const followed: Followed = { ids: [], revisions: [], news: [] };
  const stop = followRegistry(registry, {
    from: (await registry.load()).position,
    take(news) {
      followed.news.push(news);
      if (news.kind === 'regressed') return;
      followed.ids.push(...news.changes.map(({ id }) => id));
      followed.revisions.push(...news.changes.map(({ revision }) => revision));
    },
    warn: () => {},
  });
  onTestFinished(stop);
  return followed;
}

const listeners =
  "select pid from pg_stat_activity where query like 'select revision, mark%' or query = 'listen gatehouse_registry'";

async function listenerPids(databaseUrl: string): Promise<number[]> {
  const rows = await onPostgres(databaseUrl, `${listeners.replace('where', 'where datname = current_database() and (')})`);
  return rows.map(({ pid }) => Number(pid));
}

describe('a follower on PostgreSQL', () => {
  it('sees all commits of many writers in order, each once, while its listening connection is cut again and again', async () => {
    const databaseUrl = await postgres.createDatabase();
    const writers = [await openOn(databaseUrl), await openOn(databaseUrl), await openOn(databaseUrl)];
    const followed = await follow(await openOn(databaseUrl));
    const all = writers.map(async ({ registry }, writer) => {
      for (let n = 0; n < 25; n += 1) {
        await commit(registry, put(`w${writer}-${n}`, n));
        if (n % 8 === writer) for (const pid of await listenerPids(databaseUrl)) await cut(databaseUrl, pid);
      }
    });
    await Promise.all(all);
    await until('everything is heard of', () => followed.ids.length === 75, boundMs);
    expect(followed.revisions).toEqual(Array.from({ length: 75 }, (_, n) => n + 1));
    expect(new Set(followed.ids).size).toBe(75);
  });

  it('hears within 5 s of what was committed while nothing was announced', async () => {
    const databaseUrl = await postgres.createDatabase();
    const followed = await follow(await openOn(databaseUrl));
    await until('it listens', async () => (await listenerPids(databaseUrl)).length > 0);
    await onPostgres(
      databaseUrl,
      `begin; update gatehouse.registry_state set revision = 1, mark = 'm';
       insert into gatehouse.registry_commits values (1, 'm', 1);
       insert into gatehouse.documents values ('key', 'silent', '{}', 1, 0, 1); commit`,
    );
    await until('the silent commit', () => followed.ids.includes('silent'), boundMs);
  });

  it('hears within 5 s although its listening connection hangs', async () => {
    const databaseUrl = await postgres.createDatabase();
    const [writer, follower] = [await openOn(databaseUrl), await openOn(databaseUrl)];
    const followed = await follow(follower);
    const [pid] = await until('it listens', async () => {
      const pids = await listenerPids(databaseUrl);
      return pids.length > 0 && pids;
    });
    process.kill(pid!, 'SIGSTOP');
    try {
      await commit(writer.registry, put('a', 1));
      await until('the change', () => followed.ids.includes('a'), boundMs);
    } finally {
      process.kill(pid!, 'SIGCONT');
    }
  });

  it('notices a standby that took over without the newest commits, also when it has caught up in number', async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await openOn(databaseUrl);
    await commit(store.registry, put('a', 1));
    const seen = await commit(store.registry, put('b', 1));
    const followed = await follow(store);
    await onPostgres(
      databaseUrl,
      `begin; delete from gatehouse.documents where revision = 2; delete from gatehouse.registry_commits where revision = 2;
       delete from gatehouse.change_records where revision = 2;
       update gatehouse.registry_state set revision = 1, mark = (select mark from gatehouse.registry_commits where revision = 1); commit`,
    );
    await until('the loss', () => followed.news.some(({ kind }) => kind === 'regressed'), boundMs);
    const other = await openOn(databaseUrl);
    expect((await commit(other.registry, put('c', 1))).revision).toBe(2);
    expect((await commit(other.registry, put('d', 1))).revision).toBe(3);
    expect(await store.registry.since(seen)).toMatchObject({ kind: 'regressed', position: { revision: 3 } });
    await until('what came after', () => followed.ids.includes('d'), boundMs);
  });

  it('refuses a read-only standby as its store', async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await openOn(databaseUrl);
    // The server's own function, hidden by one that answers as a standby does.
    await onPostgres(databaseUrl, "create function public.pg_is_in_recovery() returns boolean language sql as 'select true'");
    const user = new URL(databaseUrl).username;
    await onPostgres(
      databaseUrl,
      `alter role ${user} in database "${new URL(databaseUrl).pathname.slice(1)}" set search_path to public, pg_catalog`,
    );
    await expect(openOn(databaseUrl)).rejects.toThrow(/is a read-only standby.*Point GATEHOUSE_DATABASE_URL at the primary/);
    expect((await store.registry.load()).documents).toEqual([]);
  });

  it('refuses a commit within seconds, and says so, while another process sits on the registry', async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await openOn(databaseUrl);
    const { Client } = await import('pg');
    const holder = new Client({ connectionString: databaseUrl });
    await holder.connect();
    await holder.query('begin; update gatehouse.registry_state set id = id');
    await expect(commit(store.registry, put('a', 1))).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(/is busy.*Nothing was changed/),
    });
    await holder.end();
    expect((await commit(store.registry, put('a', 1))).revision).toBe(1);
  });

  it('outlives a connection that is lost in the middle of a change, which is then not known to be made', async () => {
    const databaseUrl = await postgres.createDatabase();
    const store = await openOn(databaseUrl);
    const { Client } = await import('pg');
    const holder = new Client({ connectionString: databaseUrl });
    await holder.connect();
    await holder.query('begin; update gatehouse.registry_state set id = id');
    const change = expect(commit(store.registry, put('a', 1))).rejects.toMatchObject({ code: 'store_unavailable' });
    const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await until('the change waits', async () => (await onPostgres(databaseUrl, waiting)).length === 1);
    const [{ pid } = {}] = await onPostgres(databaseUrl, waiting);
    await cut(databaseUrl, Number(pid));
    await change;
    await holder.end();
    expect((await commit(store.registry, put('a', 1))).revision).toBe(1);
  });

  it('commits on disk also where the server is set to answer before', async () => {
    const databaseUrl = await postgres.createDatabase();
    await onPostgres(databaseUrl, `alter database "${new URL(databaseUrl).pathname.slice(1)}" set synchronous_commit = off`);
    const store = await openOn(databaseUrl);
    await onPostgres(
      databaseUrl,
      `create table public.seen (mode text); create function public.look() returns trigger language plpgsql as
       $$ begin insert into public.seen values (current_setting('synchronous_commit')); return new; end $$;
       create trigger look before insert on gatehouse.documents for each row execute function public.look()`,
    );
    await commit(store.registry, put('a', 1));
    expect(await onPostgres(databaseUrl, 'select mode from public.seen')).toEqual([{ mode: 'on' }]);
  });

  it('tells its caller what is not known when the server goes away, and keeps what it knew', {
    timeout: 60_000,
  }, async () => {
    const own = await startPostgres();
    const databaseUrl = await own.createDatabase();
    const store = await openOn(databaseUrl);
    const followed = await follow(store);
    await commit(store.registry, put('a', 1));
    await until('the follower knows it', () => followed.ids.includes('a'));
    await own.stop();
    await expect(commit(store.registry, put('b', 1))).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringMatching(/may or may not be there/),
    });
    await expect(store.registry.load()).rejects.toThrow();
    expect(followed.ids).toEqual(['a']);
  });
});

async function cut(databaseUrl: string, pid: number): Promise<void> {
  await onPostgres(databaseUrl, `select pg_terminate_backend(${pid})`);
}

describe('following a registry', () => {
  it('brings the same news again after they were not taken up', async () => {
    const { registry } = memoryStore();
    const from = (await registry.load()).position;
    const taken: RegistryNews[] = [];
    const warned: unknown[] = [];
    const stop = followRegistry(registry, {
      from,
      take(news) {
        if (warned.length === 0) throw new Error('not now');
        taken.push(news);
      },
      warn: (error) => warned.push(error),
      retryMs: 1,
    });
    await commit(registry, put('a', 1));
    await until('the second attempt', () => taken.length === 1);
    expect(taken).toMatchObject([{ kind: 'changes', changes: [{ id: 'a' }] }]);
    expect(warned).toHaveLength(1);
    stop();
    await commit(registry, put('b', 1));
    expect(taken).toHaveLength(1);
  });
});
