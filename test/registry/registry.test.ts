import { describe, expect, test } from 'vitest';
import { Registry } from '../../src/registry/registry.ts';
import { consumer, openRegistries, openRegistry, record, silent } from './registry-setup.ts';

test('a commit is in effect when it resolves, and told to everybody who listens', async () => {
  const registry = await openRegistry();
  let told = 0;
  const stop = registry.onChange(() => (told += 1));
  await registry.create('consumer', 'shop', consumer('Shop'), record);
  expect(registry.require('consumer', 'shop').body).toEqual(consumer('Shop'));
  expect(told).toBe(1);
  await registry.commit([{ kind: 'consumer', id: 'shop', body: undefined }], record);
  expect(registry.get('consumer', 'shop')).toBeUndefined();
  expect(told).toBe(2);
  stop();
  await registry.create('consumer', 'other', consumer('Other'), record);
  expect(told).toBe(2);
});

test('other processes follow', async () => {
  const { registries } = await openRegistries(3);
  await registries[0]?.create('consumer', 'shop', consumer('Shop'), record);
  await expect
    .poll(() => registries.map((registry) => registry.get('consumer', 'shop')?.body.title))
    .toEqual(['Shop', 'Shop', 'Shop']);
});

test('who did what is on record with it, for each document', async () => {
  const { store, registries } = await openRegistries();
  const edits = ['a', 'b'].map((id) => ({ kind: 'consumer', id, body: consumer(id) }) as const);
  await registries[0]?.commit(edits, { ...record, detail: { why: 'both' } });
  expect(await store.registry.changeRecords({ limit: 10 })).toMatchObject([
    { actor: 'key:admin', action: 'test', kind: 'consumer', id: 'b', revision: 1, detail: '{"why":"both"}' },
    { actor: 'key:admin', action: 'test', kind: 'consumer', id: 'a', revision: 1 },
  ]);
});

test('what could not be read again is not written: what is there stays', async () => {
  const { store, registries } = await openRegistries();
  const registry = registries[0]!;
  await registry.create('consumer', 'shop', consumer('Shop'), record);
  const edits = [
    { kind: 'consumer', id: 'other', body: consumer('Other') },
    { kind: 'consumer', id: 'shop', body: { ...consumer('Shop'), title: '' } },
  ] as const;
  await expect(registry.commit(edits, record)).rejects.toThrow('the consumer shop was not written');
  expect(registry.require('consumer', 'shop').body.title).toBe('Shop');
  expect(registry.get('consumer', 'other')).toBeUndefined();
  expect((await store.registry.load()).documents.map(({ id }) => id)).toEqual(['shop']);
  await registry.commit([edits[0]], record);
  expect(registry.get('consumer', 'other')?.body.title).toBe('Other');
});

test('nothing to commit is no revision', async () => {
  const registry = await openRegistry();
  await registry.commit([], record);
  expect(registry.revision).toBe(0);
});

describe('two who change the same', () => {
  test('a second one of a name is refused, and the first stays as it was', async () => {
    const registry = await openRegistry();
    await registry.create('consumer', 'shop', consumer('first'), record);
    await expect(registry.create('consumer', 'shop', consumer('second'), record)).rejects.toMatchObject({ code: 'conflict' });
    expect(registry.require('consumer', 'shop').body.title).toBe('first');
  });

  test('at once: one of them wins, the other is told what moved, and all of it stays undone', async () => {
    const { registries } = await openRegistries(2);
    const results = await Promise.allSettled(
      registries.map((registry, n) =>
        registry.commit(
          [
            { kind: 'consumer', id: 'shop', body: consumer(`by ${n}`) },
            { kind: 'consumer', id: `own-${n}`, body: consumer(`own of ${n}`) },
          ],
          record,
        ),
      ),
    );
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(results[1]).toMatchObject({ reason: { code: 'conflict', message: expect.stringContaining('consumer shop') } });
    await expect.poll(() => registries[1]?.list('consumer').map(({ id }) => id)).toEqual(['own-0', 'shop']);
  });
});

test('lists are in the order of ids', async () => {
  const registry = await openRegistry();
  for (const id of ['c', 'a', 'b']) await registry.create('consumer', id, consumer(id), record);
  expect(registry.list('consumer').map(({ id }) => id)).toEqual(['a', 'b', 'c']);
  expect(registry.list('member')).toEqual([]);
});

describe('rows that nobody here could have written', () => {
  const put = async (kind: string, id: string, body: object) => {
    const { store } = await openRegistries();
    const change = { kind, id, body: JSON.stringify(body), expects: undefined };
    await store.registry.commit([change], [{ ...record, kind, id, detail: '{}' }]);
    const registry = await Registry.open(store.registry, silent);
    registry.close();
    return registry;
  };

  test('give no right: what is not valid is left out', async () => {
    const key = { title: 'k', scope: { toolboxes: ['*'] }, state: 'active', secrets: [], issuedBy: 'x', createdAtMs: 0 };
    expect((await put('key', 'k', key)).get('key', 'k')).toBeUndefined();
    expect((await put('key', 'k', { ...key, scope: {} })).get('key', 'k')?.id).toBe('k');
    expect((await put('key', 'k', { ...key, scope: {}, isAdmin: true })).get('key', 'k')).toBeUndefined();
  });

  test('of a newer release are left to it', async () => {
    const registry = await put('constellation', 'x', {});
    expect(registry.revision).toBe(1);
  });
});

test('a listener that fails keeps nobody else from hearing', async () => {
  const registry = await openRegistry();
  let told = 0;
  registry.onChange(() => {
    throw new Error('no');
  });
  registry.onChange(() => (told += 1));
  await registry.create('consumer', 'shop', consumer('Shop'), record);
  expect(told).toBe(1);
});

test('what was removed by a change that made it invalid is not shown as it was', async () => {
  const { store, registries } = await openRegistries();
  const [registry] = registries;
  await registry?.create('consumer', 'shop', consumer('Shop'), record);
  const change = { kind: 'consumer', id: 'shop', body: '{"title":1}', expects: 1 };
  await store.registry.commit([change], [{ ...record, kind: 'consumer', id: 'shop', detail: '{}' }]);
  await expect.poll(() => registry?.get('consumer', 'shop')).toBeUndefined();
});

test('a list is the same until something of its kind changes, and right afterwards', async () => {
  const registry = await openRegistry();
  const ids = () => registry.list('consumer').map(({ id }) => id);
  for (const id of ['b', 'c', 'a']) await registry.create('consumer', id, consumer(id), record);
  const before = registry.list('consumer');
  await registry.create('namespace', 'hr', {}, record);
  expect(registry.list('consumer')).toBe(before);
  await registry.commit([{ kind: 'consumer', id: 'b', body: consumer('B') }], record);
  expect(registry.list('consumer').map(({ body }) => body.title)).toEqual(['a', 'B', 'c']);
  await registry.commit([{ kind: 'consumer', id: 'b', body: undefined }], record);
  expect(ids()).toEqual(['a', 'c']);
  expect(before.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
});
