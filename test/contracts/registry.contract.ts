import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Secret } from '../../src/secret.ts';
import { followRegistry } from '../../src/store/follow-registry.ts';
import type {
  ChangeRecord,
  CommitResult,
  DocumentChange,
  RegistryNews,
  RegistryPosition,
  RegistryState,
  RegistryStore,
  StoredDocument,
} from '../../src/store/ports/registry.ts';
import type { Store } from '../../src/store/ports.ts';
import { until } from '../support/until.ts';

export function put(id: string, body: unknown, expects?: number, kind = 'upstream'): DocumentChange {
  return { kind, id, body: JSON.stringify(body), expects };
}

export function drop(id: string, expects: number, kind = 'upstream'): DocumentChange {
  return { kind, id, body: undefined, expects };
}

function record(id: string, changes: Partial<ChangeRecord> = {}): ChangeRecord {
  return { actor: 'member:ada', action: 'put', kind: 'upstream', id, detail: '{}', ...changes };
}

/** Commits what must not conflict; returns the position. */
export async function commit(registry: RegistryStore, ...changes: DocumentChange[]): Promise<RegistryPosition> {
  const result: CommitResult = await registry.commit(
    changes,
    changes.map(({ kind, id }) => record(id, { kind })),
  );
  if (result.kind === 'conflict') throw new Error(`Conflict: ${JSON.stringify(result.moved)}`);
  return result.position;
}

/** What every registry promises; `open` opens the same empty place each time. */
export function registryContract(makeOpen: () => Promise<() => Promise<Store>>, isShared: boolean): void {
  async function open(): Promise<RegistryStore> {
    return (await (await makeOpen())()).registry;
  }

  it('starts with an empty registry at revision 0', async () => {
    const registry = await open();
    const state = await registry.load();
    expect(state).toEqual({ position: { revision: 0, mark: '' }, documents: [], restored: undefined });
    expect(await registry.since(state.position)).toEqual({ kind: 'changes', position: state.position, changes: [] });
    expect(await registry.changeRecords({ limit: 10 })).toEqual([]);
  });

  it('loads documents as they were committed, by kind and id', async () => {
    const registry = await open();
    const odd = { text: 'ünïcode \u{1F600} " \' \\ \u0000 \ud800', big: 'x'.repeat(1_000_000) };
    const first = await commit(registry, put('b', odd), put('a', 1, undefined, 'toolbox'), put('a|b', 2));
    await commit(registry, put('B', 3));
    const { documents, position } = await registry.load();
    expect(documents.map(({ kind, id }) => `${kind}/${id}`)).toEqual(
      ['toolbox/a', 'upstream/B', 'upstream/a|b', 'upstream/b'].sort(),
    );
    expect(documents.map(({ id, revision }) => [id, revision])).toContainEqual(['b', 1]);
    expect(JSON.parse(documents.at(-1)?.body ?? '')).toEqual(odd);
    expect(first.revision).toBe(1);
    expect(position.revision).toBe(2);
    expect(documents.every(({ updatedAtMs }) => updatedAtMs > 1_700_000_000_000)).toBe(true);
  });

  it('changes a document only from the revision that is expected', async () => {
    const registry = await open();
    await commit(registry, put('a', 1), put('b', 1));
    const before = await registry.load();
    const result = await registry.commit([put('c', 1), put('a', 2, 7), put('b', 2), drop('d', 1)], [record('a')]);
    const moved = [
      { kind: 'upstream', id: 'a', revision: 1 },
      { kind: 'upstream', id: 'b', revision: 1 },
      { kind: 'upstream', id: 'd', revision: undefined },
    ];
    expect(result).toEqual({ kind: 'conflict', moved });
    expect(await registry.load()).toEqual(before);
    expect(await registry.changeRecords({ limit: 10 })).toHaveLength(2);
    expect((await commit(registry, put('a', 2, 1))).revision).toBe(2);
  });

  it('lets one of many win that change a document at once', async () => {
    const registry = await open();
    await commit(registry, put('a', 0));
    const attempts = await Promise.all(Array.from({ length: 12 }, (_, n) => registry.commit([put('a', n, 1)], [record('a')])));
    expect(attempts.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
    expect((await registry.load()).position.revision).toBe(2);
    expect(await registry.changeRecords({ limit: 50 })).toHaveLength(2);
  });

  it('tells what changed since a revision, each document once, removed ones too', async () => {
    const registry = await open();
    const first = await commit(registry, put('a', 1), put('b', 1), put('c', 1));
    await commit(registry, put('a', 2, 1));
    await commit(registry, put('a', 3, 2), drop('b', 1));
    const news = await registry.since(first);
    expect(news).toMatchObject({ kind: 'changes', position: { revision: 3 } });
    expect(news.kind === 'changes' && news.changes.map(({ id, body, revision }) => ({ id, body, revision }))).toEqual([
      { id: 'a', body: '3', revision: 3 },
      { id: 'b', body: undefined, revision: 3 },
    ]);
    expect((await registry.load()).documents.map(({ id }) => id)).toEqual(['a', 'c']);
  });

  it('lets a removed document be made again, and not changed', async () => {
    const registry = await open();
    await commit(registry, put('a', 1));
    await commit(registry, drop('a', 1));
    expect(await registry.commit([put('a', 2, 2)], [])).toMatchObject({ kind: 'conflict', moved: [{ revision: undefined }] });
    expect((await commit(registry, put('a', 3))).revision).toBe(3);
    expect((await registry.load()).documents).toMatchObject([{ id: 'a', body: '3', revision: 3 }]);
  });

  it('brings whoever knew any earlier state to the present one, whatever was committed (model)', {
    timeout: 60_000,
  }, async () => {
    const ids = ['a', 'b', 'c', 'd'] as const;
    const step = fc.record({ id: fc.constantFrom(...ids), removes: fc.boolean(), isStale: fc.integer({ min: 0, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { maxLength: 3 }), { minLength: 5, maxLength: 25 }), async (steps) => {
        const registry = await open();
        const model = new Map<string, StoredDocument>();
        const seen: RegistryState[] = [await registry.load()];
        for (const [n, some] of steps.entries()) {
          const changes = [...new Map(some.map((each) => [each.id, each])).values()].map(({ id, removes, isStale }) => {
            const there = model.get(id)?.revision;
            const expects = isStale === 0 ? (there ?? 0) + 1_000 : there;
            return put(id, removes && expects !== undefined ? undefined : n, expects);
          });
          const result = await registry.commit(changes, []);
          const isExpected = changes.every(({ id, expects }) => model.get(id)?.revision === expects);
          expect(result.kind).toBe(isExpected ? 'committed' : 'conflict');
          if (result.kind === 'conflict') continue;
          const { revision } = result.position;
          expect(revision).toBe((seen.at(-1)?.position.revision ?? 0) + 1);
          for (const { kind, id, body } of changes) {
            if (body === undefined) model.delete(id);
            else model.set(id, { kind, id, body, revision, updatedAtMs: expect.any(Number) as number });
          }
          seen.push(await registry.load());
        }
        const now = [...model.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
        expect((await registry.load()).documents).toEqual(now);
        for (const { position, documents } of seen) {
          const known = new Map(documents.map((document) => [document.id, document]));
          const news = await registry.since(position);
          for (const { body, ...rest } of news.kind === 'changes' ? news.changes : []) {
            if (body === undefined) known.delete(rest.id);
            else known.set(rest.id, { ...rest, body });
          }
          expect([...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(now);
        }
      }),
      { numRuns: 4 },
    );
  });

  it('says when a position was never in its past', async () => {
    const registry = await open();
    const position = await commit(registry, put('a', 1));
    expect(await registry.since({ revision: 1, mark: 'another' })).toEqual({ kind: 'regressed', position });
    expect(await registry.since({ revision: 2, mark: position.mark })).toEqual({ kind: 'regressed', position });
    expect(await registry.since(position)).toMatchObject({ kind: 'changes' });
  });

  it('finds records by actor, document and time, newest first, page by page', async () => {
    const registry = await open();
    await registry.commit([put('a', 1)], [record('a'), record('b', { actor: 'member:bob' })]);
    await registry.commit([put('b', 1)], [record('b', { action: 'approve', detail: '{"n":1}' })]);
    const all = await registry.changeRecords({ limit: 10 });
    expect(all.map(({ revision, place, actor, id }) => [revision, place, actor, id])).toEqual([
      [2, 0, 'member:ada', 'b'],
      [1, 1, 'member:bob', 'b'],
      [1, 0, 'member:ada', 'a'],
    ]);
    expect(all[0]).toMatchObject({ action: 'approve', kind: 'upstream', detail: '{"n":1}' });
    expect(await registry.changeRecords({ limit: 10, actor: 'member:bob' })).toEqual([all[1]]);
    expect(await registry.changeRecords({ limit: 10, kind: 'upstream', id: 'a' })).toEqual([all[2]]);
    expect(await registry.changeRecords({ limit: 10, kind: 'toolbox' })).toEqual([]);
    const atMs = all[0]?.atMs ?? 0;
    expect(await registry.changeRecords({ limit: 10, fromMs: atMs + 1 })).toEqual([]);
    expect((await registry.changeRecords({ limit: 10, fromMs: 0, untilMs: atMs + 1 })).length).toBe(3);
    const page = await registry.changeRecords({ limit: 1 });
    expect(await registry.changeRecords({ limit: 2, before: page[0]! })).toEqual(all.slice(1));
    expect(await registry.changeRecords({ limit: 2, before: all[1]! })).toEqual(all.slice(2));
  });

  it('takes thousands of changes at once, and none of them when one has moved', { timeout: 60_000 }, async () => {
    const registry = await open();
    const many = Array.from({ length: 2_500 }, (_, n) => put(`u${n}`, n, undefined, n % 2 === 0 ? 'upstream' : 'toolbox'));
    await commit(registry, ...many);
    expect((await registry.load()).documents).toHaveLength(2_500);
    const again = many.map((change, n) => ({ ...change, expects: n === 2_400 ? 9 : 1 }));
    expect(await registry.commit(again, [])).toMatchObject({ kind: 'conflict', moved: [{ id: 'u2400' }] });
    expect((await registry.load()).position.revision).toBe(1);
  });

  it('refuses what no store can keep, and keeps nothing of it', async () => {
    const registry = await open();
    const refused: [string, DocumentChange[], RegExp][] = [
      ['an id that is empty', [put('', 1)], /1 to 512 characters/],
      ['an id with a NUL', [put('a\0', 1)], /none of them a control character/],
      ['an id that is half a character', [put('\ud800', 1)], /none of them a control character/],
      ['an id that is too long', [put('x'.repeat(513), 1)], /1 to 512 characters/],
      ['a body that is too large', [put('a', 'x'.repeat(9_000_000))], /larger than 8 MiB/],
      ['one document twice', [put('a', 1), put('a', 2)], /changes upstream\|a twice/],
      ['a strange kind', [put('a', 1, undefined, '__proto__')], /is no kind of document/],
    ];
    for (const [what, changes, pattern] of refused) await expect(registry.commit(changes, []), what).rejects.toThrow(pattern);
    expect((await registry.load()).position.revision).toBe(0);
  });

  it('tells its own watchers at once, until they stop', async () => {
    const registry = await open();
    const heard: number[] = [];
    const stop = registry.watch(({ revision }) => heard.push(revision));
    await commit(registry, put('a', 1));
    expect(heard.at(-1)).toBe(1);
    stop();
    await commit(registry, put('b', 1));
    expect(heard.at(-1)).toBe(1);
  });

  it('remembers when keys were last used', async () => {
    const { keyUses } = await (await makeOpen())();
    await keyUses.note([
      { keyId: 'b', atMs: 1_795_000_000_123 },
      { keyId: 'a', atMs: 5 },
      { keyId: 'a', atMs: 3 },
    ]);
    await keyUses.note([{ keyId: 'a', atMs: 4 }]);
    await keyUses.note([]);
    expect(await keyUses.load(['b', 'none', 'a', 'a'])).toEqual([
      { keyId: 'a', atMs: 5 },
      { keyId: 'b', atMs: 1_795_000_000_123 },
    ]);
    expect(await keyUses.load([])).toEqual([]);
  });

  it('opens a sealed secret in its own place only, and not after it was forgotten', async () => {
    const { vault } = await (await makeOpen())();
    const place = { kind: 'secret', id: 'CRM_TOKEN' };
    const sealed = await vault.seal(place, new Secret('tök"en'));
    expect((await vault.open(place, sealed)).reveal()).toBe('tök"en');
    expect(await vault.seal(place, new Secret('tök"en'))).not.toBe(sealed);
    await expect(vault.open({ kind: 'secret', id: 'OTHER' }, sealed)).rejects.toThrow(/secret "OTHER" cannot be opened/);
    await expect(vault.open(place, `${sealed.slice(0, -2)}AA`)).rejects.toThrow(/cannot be opened/);
    await expect(vault.open(place, '')).rejects.toThrow(/cannot be opened/);
    await expect(vault.seal(place, new Secret('x'.repeat(60_000)))).rejects.toThrow(/at most 32 KiB/);
    expect((await vault.open(place, await vault.seal(place, new Secret('x'.repeat(32_768))))).reveal()).toHaveLength(32_768);
    await vault.forget(sealed);
    await expect(vault.open(place, sealed)).rejects.toThrow(/cannot be opened/);
  });

  it.runIf(isShared)('lets every replica follow what the others commit, in order', async () => {
    const openAgain = await makeOpen();
    const [a, b] = [(await openAgain()).registry, (await openAgain()).registry];
    const news: RegistryNews[] = [];
    const from = (await b.load()).position;
    const stop = followRegistry(b, { from, take: (each) => void news.push(each), warn: () => {} });
    await commit(a, put('a', 1));
    await until('the first change', () => news.length > 0, 5_000);
    const last = await commit(a, put('b', 1), drop('a', 1));
    await until('the second change', () => news.at(-1)?.position.revision === last.revision, 5_000);
    stop();
    const told = news.flatMap((each) => (each.kind === 'changes' ? each.changes : []));
    expect(told.map(({ id, body, revision }) => [id, body, revision])).toEqual([
      ['a', '1', 1],
      ['a', undefined, 2],
      ['b', '1', 2],
    ]);
    expect(await b.load()).toEqual(await a.load());
  });

  it.runIf(isShared)('opens in one replica what another sealed', async () => {
    const openAgain = await makeOpen();
    const [a, b] = [(await openAgain()).vault, (await openAgain()).vault];
    const place = { kind: 'secret', id: 'CRM_TOKEN' };
    expect((await b.open(place, await a.seal(place, new Secret('token')))).reveal()).toBe('token');
  });
}
