import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NamespaceConfig } from '../../src/catalog/namespace-config.ts';
import { LiveConfiguration } from '../../src/registry/live-configuration.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { SecretValues } from '../../src/registry/secret-values.ts';
import { Secret } from '../../src/secret.ts';
import { namespaceConfig, upstreamConfig } from '../catalog/offering-upstream.ts';
import { consumer, openRegistries, record, silent } from './registry-setup.ts';

async function setUp() {
  const { store, registries } = await openRegistries();
  const registry = registries[0] as Registry;
  const directory = join(tmpdir(), 'gatehouse-nowhere');
  const secrets = new SecretValues({ registry, vault: store.vault, environment: {}, directory, log: silent });
  const applied: (readonly NamespaceConfig[])[] = [];
  const own = namespaceConfig('admin', []);
  let fails = 0;
  const configuration = new LiveConfiguration({
    registry,
    secrets,
    directory,
    allowedCommands: [],
    own: [own],
    apply: (namespaces) => {
      if (fails-- > 0) throw new Error('cannot');
      applied.push(namespaces);
    },
    log: silent,
  });
  const setSecret = async (name: string, value: string) => {
    const sealed = await store.vault.seal({ kind: 'secret', id: name }, new Secret(value));
    await registry.commit([{ kind: 'secret', id: name, body: { sealed, changedAtMs: 0, changedBy: 'x' } }], record);
    await configuration.refresh();
  };
  return { registry, configuration, applied, setSecret, failNext: (times: number) => (fails = times) };
}

const names = (namespaces: readonly NamespaceConfig[] | undefined) => namespaces?.map(({ name }) => name);
const upstream = (url: string) => ({ namespace: 'hr', entry: { kind: 'mcp', url, headers: { 'X-Key': `\${secret:KEY}` } } });

test('files, registry and the gateway’s own are applied together', async () => {
  const { registry, configuration, applied } = await setUp();
  await configuration.take([namespaceConfig('hr', [upstreamConfig('hr/file')])]);
  expect(names(applied.at(-1))).toEqual(['hr', 'admin']);
  await registry.create('namespace', 'it', {}, record);
  await configuration.refresh();
  expect(names(applied.at(-1))).toEqual(['hr', 'it', 'admin']);
});

test('policies stay as they are until one of them is changed', async () => {
  const { registry, configuration } = await setUp();
  await registry.create('policy', 'global', { policy: { allow: ['true'] } }, record);
  await configuration.take([]);
  const { policies } = configuration;
  await registry.create('consumer', 'shop', consumer('Shop'), record);
  await configuration.refresh();
  expect(configuration.policies).toBe(policies);
  await registry.create('policy', 'namespace:hr', { policy: { allow: [] } }, record);
  await configuration.refresh();
  expect(configuration.policies).not.toBe(policies);
  expect(configuration.policies.of('hr/find', 'hr').rules.map((group) => group.length)).toEqual([1, 0]);
  await registry.commit([{ kind: 'policy', id: 'namespace:hr', body: undefined }], record);
  await configuration.refresh();
  expect(configuration.policies.of('hr/find', 'hr').rules.map((group) => group.length)).toEqual([1]);
});

test('what changes no namespace builds no catalog; a policy is in effect all the same', async () => {
  const { registry, configuration, applied } = await setUp();
  await configuration.take([]);
  const before = applied.length;
  await registry.create('consumer', 'shop', consumer('Shop'), record);
  await registry.create('policy', 'global', { policy: { allow: [] } }, record);
  await configuration.refresh();
  expect(applied).toHaveLength(before);
  expect(configuration.policies.isOpen).toBe(false);
});

test('an upstream whose secret was set anew is another one', async () => {
  const { registry, configuration, applied, setSecret } = await setUp();
  await configuration.take([]);
  await setSecret('KEY', 'one');
  await registry.create('upstream', 'hr/crm', upstream('https://crm.example.com/mcp'), record);
  await configuration.refresh();
  const [before, count] = [applied.at(-1)?.[0]?.upstreams[0], applied.length];
  await setSecret('OTHER', 'two');
  expect(applied).toHaveLength(count);
  await setSecret('KEY', 'three');
  expect(applied).toHaveLength(count + 1);
  expect(applied.at(-1)?.[0]?.upstreams[0]).not.toEqual(before);
});

test('files that say what is in effect are applied again: that ends the problems of those before', async () => {
  const { configuration, applied } = await setUp();
  await configuration.take([]);
  await configuration.take([]);
  expect(applied).toHaveLength(2);
});

describe('a change that cannot be taken up', () => {
  test('leaves what is in effect, and the next one is', async () => {
    const { registry, configuration, applied, failNext } = await setUp();
    await configuration.take([]);
    failNext(5);
    await registry.create('namespace', 'first', {}, record);
    await configuration.refresh();
    expect(names(applied.at(-1))).toEqual(['admin']);
    failNext(0);
    await registry.create('namespace', 'second', {}, record);
    await configuration.refresh();
    expect(names(applied.at(-1))).toEqual(['first', 'second', 'admin']);
  });
});

test('whenever changes come, the last one is in effect once its refresh has ended', async () => {
  // Some turns apart: within one refresh, between two, or at the very end of one.
  const pauses = fc.array(fc.nat(30), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(pauses, async (turns) => {
      const { configuration, applied } = await setUp();
      const refreshes: Promise<void>[] = [];
      for (const [n, count] of turns.entries()) {
        const taken = configuration.take([namespaceConfig(`n-${n}`, [])]);
        refreshes.push(taken.then(() => expect(Number(names(applied.at(-1))?.[0]?.slice(2))).toBeGreaterThanOrEqual(n)));
        for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
      }
      await Promise.all(refreshes);
      expect(names(applied.at(-1))).toEqual([`n-${turns.length - 1}`, 'admin']);
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 200 : 5_000 },
  );
});
