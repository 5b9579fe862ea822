import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Registry } from '../../src/registry/registry.ts';
import { SecretValues } from '../../src/registry/secret-values.ts';
import { Secret } from '../../src/secret.ts';
import type { SecretVault } from '../../src/store/ports/secret-vault.ts';
import { openRegistries, record, silent } from './registry-setup.ts';

async function setUp(environment: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const { store, registries } = await openRegistries();
  const registry = registries[0] as Registry;
  let opened = 0;
  const vault: SecretVault = {
    ...store.vault,
    open: (place, sealed) => {
      opened += 1;
      return store.vault.open(place, sealed);
    },
  };
  const values = new SecretValues({ registry, vault, environment, directory, log: silent });
  const set = async (name: string, value: string, place = name) => {
    const sealed = await store.vault.seal({ kind: 'secret', id: place }, new Secret(value));
    await registry.commit([{ kind: 'secret', id: name, body: { sealed, changedAtMs: 0, changedBy: 'key:admin' } }], record);
    await values.refresh();
  };
  const remove = async (name: string) => {
    await registry.commit([{ kind: 'secret', id: name, body: undefined }], record);
    await values.refresh();
  };
  const file = (name: string, text: string) => writeFileSync(join(directory, name), text);
  return { values, set, remove, file, opened: () => opened };
}

const reference = (name: string) => `\${secret:${name}}`;

test('what was set at run time comes before a file, and a file before the environment', async () => {
  const { values, set, remove, file } = await setUp({ TOKEN: 'of the environment' });
  expect(values.resolve(`a ${reference('TOKEN')} b`)).toBe('a of the environment b');
  file('TOKEN', 'of a file\n');
  expect(values.resolve(reference('TOKEN'))).toBe('of a file');
  await set('TOKEN', 'set');
  expect(values.resolve(reference('TOKEN'))).toBe('set');
  await remove('TOKEN');
  expect(values.resolve(reference('TOKEN'))).toBe('of a file');
});

test('what stands for nothing is named, and no value with it', async () => {
  const { values, set } = await setUp({ THERE: 'value-4711' });
  await set('ALSO', 'value-4712');
  const resolve = () => values.resolve(['THERE', 'ALSO', 'GONE'].map(reference).join(' '));
  expect(resolve).toThrow(
    expect.objectContaining({ code: 'bad_configuration', message: expect.stringMatching(/^GONE is not set/) }),
  );
  expect(resolve).not.toThrow(/value-471/);
});

test('where names come from is told, and nothing of what they stand for', async () => {
  const { values, set, file } = await setUp({ FROM_ENVIRONMENT: 'x' });
  file('FROM_FILE', 'value-4711');
  file('not a name', 'value-4712');
  file('.hidden', 'value-4713');
  await set('SET', 'value-4714');
  expect([...values.sources()]).toEqual([
    ['FROM_FILE', 'file'],
    ['SET', 'registry'],
  ]);
});

test('each is opened once, as long as it is the same', async () => {
  const { values, set, opened } = await setUp();
  await set('A', 'one');
  await set('B', 'two');
  await values.refresh();
  expect(opened()).toBe(2);
  await set('A', 'three');
  expect(opened()).toBe(3);
  expect(values.resolve(reference('A'))).toBe('three');
});

test('one that was sealed for another name stands for nothing, the others stay', async () => {
  const { values, set } = await setUp({ MOVED: 'of the environment' });
  await set('GOOD', 'good');
  await set('MOVED', 'moved', 'GOOD');
  expect(values.resolve(reference('GOOD'))).toBe('good');
  expect([...values.sources().keys()]).toEqual(['GOOD']);
});

test('a directory that is not there is no reason to fail', async () => {
  const { registries, store } = await openRegistries();
  const directory = join(tmpdir(), 'gatehouse-nowhere');
  const values = new SecretValues({
    registry: registries[0] as Registry,
    vault: store.vault,
    environment: { A: 'a' },
    directory,
    log: silent,
  });
  await values.refresh();
  expect(values.resolve(reference('A'))).toBe('a');
});
