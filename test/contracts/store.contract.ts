import { afterEach, describe, expect, it } from 'vitest';
import type { SessionStore, StoredSession } from '../../src/store/ports/sessions.ts';
import type { RememberedUpstream } from '../../src/store/ports/upstream-memory.ts';
import type { Store } from '../../src/store/ports.ts';
import { definitionsContract } from './definitions.contract.ts';
import { noticesContract } from './notices.contract.ts';
import { registryContract } from './registry.contract.ts';

/** One place that stores can be opened on, empty at first. */
export interface StorePlace {
  open(): Promise<Store>;
  /** Ends what the place itself needs; every store is closed before. */
  remove?(): Promise<void>;
}

interface StoreTraits {
  /** A second store on the same place sees what the first one kept. */
  readonly isShared: boolean;
  /** `prune` removes what is old, instead of the place itself after a while. */
  readonly prunes: boolean;
}

/** What every store promises, whatever is behind it. */
export function storeContract(name: string, makePlace: () => Promise<StorePlace>, { isShared, prunes }: StoreTraits): void {
  describe(`${name} keeps the store's promises`, () => {
    const stores: Store[] = [];
    const places: StorePlace[] = [];

    async function place(): Promise<{ open(): Promise<Store> }> {
      const made = await makePlace();
      places.push(made);
      return {
        async open() {
          const store = await made.open();
          stores.push(store);
          return store;
        },
      };
    }

    async function open(): Promise<Store> {
      return await (await place()).open();
    }

    afterEach(async () => {
      for (const store of stores.splice(0)) await store.close();
      for (const made of places.splice(0)) await made.remove?.();
    });

    it('starts without keys, upstreams and sessions', async () => {
      const store = await open();
      expect(await store.keys.list()).toEqual([]);
      expect(await store.upstreams.load()).toEqual([]);
      expect(await store.sessions.load('none')).toBeUndefined();
    });

    it('lists the keys it created', async () => {
      const store = await open();
      const b = { id: 'b', hash: 'hash of b', createdAtMs: 1_795_000_000_123 };
      const a = { id: 'a', hash: 'hash of a', createdAtMs: 2 };
      expect(await store.keys.create(b)).toBe(true);
      expect(await store.keys.create(a)).toBe(true);
      expect(await store.keys.list()).toEqual([a, b]);
    });

    it('refuses a second key of the same id and keeps the first', async () => {
      const store = await open();
      const first = { id: 'a', hash: 'first', createdAtMs: 1 };
      await store.keys.create(first);
      expect(await store.keys.create({ id: 'a', hash: 'second', createdAtMs: 2 })).toBe(false);
      expect(await store.keys.list()).toEqual([first]);
    });

    it('creates a key once when many try at the same time', async () => {
      const store = await open();
      const attempts = Array.from({ length: 20 }, (_, n) => store.keys.create({ id: 'a', hash: `${n}`, createdAtMs: n }));
      expect((await Promise.all(attempts)).filter(Boolean)).toHaveLength(1);
    });

    it('makes one sealing key per purpose', async () => {
      const store = await open();
      const session = await store.sealing.get('session');
      expect(session).toHaveLength(32);
      expect(await store.sealing.get('session')).toEqual(session);
      expect(await store.sealing.get('pepper')).not.toEqual(session);
      expect(await store.sealing.get('request-state')).toHaveLength(32);
    });

    it('remembers an upstream, replaces and forgets it', async () => {
      const store = await open();
      const crm = upstream('support/crm', { state: JSON.stringify({ tools: ['ünïcode \u{1F600} " \' \\ '] }) });
      const wiki = upstream('support/wiki', { state: 'x'.repeat(2_000_000) });
      await store.upstreams.save(wiki);
      await store.upstreams.save(crm);
      expect(await store.upstreams.load()).toEqual([crm, wiki]);
      const newer = upstream('support/crm', { fingerprint: 'other', state: '{}', savedAtMs: 9 });
      await store.upstreams.save(newer);
      await store.upstreams.forget('support/wiki');
      await store.upstreams.forget('support/unheard-of');
      expect(await store.upstreams.load()).toEqual([newer]);
    });

    it('loads a session at once after it was saved, flushed or not', async () => {
      const { sessions } = await open();
      sessions.save(session('s', { state: '{"level":"info"}', lastUsedAtMs: 1_795_000_000_123 }));
      const saved = session('s', { state: '{"level":"debug"}', lastUsedAtMs: 1_795_000_000_124 });
      sessions.save(saved);
      expect(await load(sessions, 's')).toEqual(saved);
      await sessions.flush();
      expect(await load(sessions, 's')).toEqual(saved);
      expect(await sessions.load('other')).toBeUndefined();
    });

    it('never opens an ended session again', async () => {
      const { sessions } = await open();
      sessions.save(session('s', { isEnded: true }));
      sessions.save(session('s', { isEnded: false, state: '{"late":1}' }));
      expect((await load(sessions, 's'))?.isEnded).toBe(true);
      await sessions.flush();
      sessions.save(session('s', { isEnded: false }));
      expect((await load(sessions, 's'))?.isEnded).toBe(true);
      await sessions.flush();
      expect((await load(sessions, 's'))?.isEnded).toBe(true);
    });

    it('takes thousands of sessions in one turn', async () => {
      const { sessions } = await open();
      for (let n = 0; n < 3_000; n += 1) sessions.save(session(`s${n}`, { lastUsedAtMs: n }));
      await sessions.flush();
      expect((await load(sessions, 's0'))?.lastUsedAtMs).toBe(0);
      expect((await load(sessions, 's2999'))?.lastUsedAtMs).toBe(2_999);
    });

    it.runIf(prunes)('prunes sessions last used before a time, and no others', async () => {
      const { sessions } = await open();
      for (const lastUsedAtMs of [1, 2, 3]) sessions.save(session(`s${lastUsedAtMs}`, { lastUsedAtMs }));
      expect(await sessions.prune(3)).toBe(2);
      expect(await presence(sessions, ['s1', 's2', 's3'])).toEqual([false, false, true]);
      expect(await sessions.prune(3)).toBe(0);
    });

    it('can be closed twice', async () => {
      const store = await open();
      await store.close();
      await store.close();
    });

    registryContract(async () => (await place()).open, isShared);
    definitionsContract(place, isShared);
    noticesContract(place, isShared);

    describe.runIf(isShared)('for whoever opens it next', () => {
      it('keeps everything over close and open', async () => {
        const shared = await place();
        const before = await shared.open();
        const key = { id: 'a', hash: 'h', createdAtMs: 5 };
        const pepper = await before.sealing.get('pepper');
        await before.keys.create(key);
        await before.upstreams.save(upstream('support/crm'));
        before.sessions.save(session('s'));
        await before.close();
        const after = await shared.open();
        expect(await after.keys.list()).toEqual([key]);
        expect(await after.sealing.get('pepper')).toEqual(pepper);
        expect(await after.upstreams.load()).toEqual([upstream('support/crm')]);
        expect(await load(after.sessions, 's')).toEqual(session('s'));
      });

      it('gives replicas that start together the same sealing keys', async () => {
        const shared = await place();
        const replicas = await Promise.all([shared.open(), shared.open(), shared.open()]);
        for (const purpose of ['session', 'pepper'] as const) {
          const keys = await Promise.all(replicas.map((replica) => replica.sealing.get(purpose)));
          expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
        }
      });

      it('shows each replica what the other wrote', async () => {
        const shared = await place();
        const [a, b] = [await shared.open(), await shared.open()];
        await a.keys.create({ id: 'a', hash: 'h', createdAtMs: 1 });
        expect(await b.keys.create({ id: 'a', hash: 'other', createdAtMs: 2 })).toBe(false);
        expect(await b.keys.list()).toHaveLength(1);
        a.sessions.save(session('s', { isEnded: true }));
        await a.sessions.flush();
        expect((await load(b.sessions, 's'))?.isEnded).toBe(true);
      });

      it('keeps a session ended that another replica ended', async () => {
        const shared = await place();
        const [a, b] = [await shared.open(), await shared.open()];
        a.sessions.save(session('s', { isEnded: true }));
        await a.sessions.flush();
        b.sessions.save(session('s', { state: '{"level":"debug"}' }));
        expect((await load(b.sessions, 's'))?.isEnded).toBe(true);
        await b.sessions.flush();
        expect((await load(a.sessions, 's'))?.isEnded).toBe(true);
      });
    });
  });
}

export function session(id: string, changes: Partial<StoredSession> = {}): StoredSession {
  return { id, isEnded: false, state: '{}', lastUsedAtMs: 1_000, ...changes };
}

function upstream(id: string, changes: Partial<RememberedUpstream> = {}): RememberedUpstream {
  return { id, fingerprint: 'f', state: '{"tools":[]}', savedAtMs: 7, ...changes };
}

/** Asks again when nothing came: on a busy machine a database may need longer than `load` waits. */
async function load(sessions: SessionStore, id: string): Promise<StoredSession | undefined> {
  for (let attempt = 1; attempt < 5; attempt += 1) {
    const found = await sessions.load(id);
    if (found) return found;
  }
  return await sessions.load(id);
}

async function presence(sessions: SessionStore, ids: readonly string[]): Promise<boolean[]> {
  return await Promise.all(ids.map(async (id) => (await load(sessions, id)) !== undefined));
}
