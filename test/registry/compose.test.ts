import { describe, expect, test } from 'vitest';
import { composeNamespaces, composePolicies, readScope, scopeId } from '../../src/registry/compose.ts';
import type { Registry } from '../../src/registry/registry.ts';
import { namespaceConfig, toolboxConfig, upstreamConfig } from '../catalog/offering-upstream.ts';
import { openRegistry, record } from './registry-setup.ts';

const entry = (more: object = {}) => ({ kind: 'mcp', url: 'https://crm.example.com/mcp', ...more });

async function addUpstream(registry: Registry, id: string, given: Record<string, unknown> = entry()): Promise<void> {
  const [namespace = ''] = id.split('/');
  await registry.create('upstream', id, { namespace, entry: given }, record);
}

async function addToolbox(registry: Registry, id: string, versions: number, published: number | undefined): Promise<void> {
  const selection = (version: number) => ({ include: [`hr/v${version}_*`] });
  const state = { draft: selection(0), latest: versions, owner: 'key:admin', ...(published === undefined ? {} : { published }) };
  await registry.create('toolbox', id, { namespace: 'hr', ...state }, record);
  for (let version = 1; version <= versions; version += 1) {
    const body = {
      toolbox: id,
      version,
      namespace: 'hr',
      selection: selection(version),
      publishedBy: 'key:admin',
      publishedAtMs: 0,
    };
    await registry.create('toolbox-version', `${id}@${version}`, body, record);
  }
}

const compose = (
  registry: Registry,
  files = [] as Parameters<typeof composeNamespaces>[0],
  allowedCommands = [] as readonly (readonly string[])[],
) => composeNamespaces(files, registry, { directory: '/namespaces', allowedCommands });

describe('namespaces', () => {
  test('of files and registry are one list by name; what both have is one', async () => {
    const registry = await openRegistry();
    await addUpstream(registry, 'hr/crm');
    await addUpstream(registry, 'it/tickets');
    await registry.create('namespace', 'empty', { description: 'nothing yet' }, record);
    const { namespaces, problems } = compose(registry, [namespaceConfig('hr', [upstreamConfig('hr/file')])]);
    expect(problems).toEqual([]);
    expect(namespaces.map(({ name, upstreams }) => [name, upstreams.map(({ id }) => id)])).toEqual([
      ['empty', []],
      ['hr', ['hr/file', 'hr/crm']],
      ['it', ['it/tickets']],
    ]);
    expect(namespaces[0]?.description).toBe('nothing yet');
  });

  test('what a file declares counts, whatever was registered under its name', async () => {
    const registry = await openRegistry();
    await addUpstream(registry, 'hr/crm', entry({ url: 'https://evil.example.com/mcp' }));
    await addToolbox(registry, 'box', 1, 1);
    const file = namespaceConfig('hr', [upstreamConfig('hr/crm')], [toolboxConfig('box', ['hr/*'])]);
    const { namespaces } = compose(registry, [file]);
    expect(namespaces[0]?.upstreams).toEqual(file.upstreams);
    expect(namespaces[0]?.toolboxes).toEqual(file.toolboxes);
  });

  test('an entry that is not valid is left out and named, the rest is served', async () => {
    const registry = await openRegistry();
    await addUpstream(registry, 'hr/bad', { kind: 'nonsense' });
    await addUpstream(registry, 'hr/good');
    const { namespaces, problems } = compose(registry);
    expect(namespaces[0]?.upstreams.map(({ id }) => id)).toEqual(['hr/good']);
    expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining('bad of hr')]);
  });

  test('a command runs only word for word as it is allowed now', async () => {
    const registry = await openRegistry();
    await addUpstream(registry, 'hr/child', { kind: 'mcp', command: ['node', 'server.mjs'] });
    expect(compose(registry).namespaces[0]?.upstreams).toEqual([]);
    expect(compose(registry).problems).toHaveLength(1);
    expect(compose(registry, [], [['node', 'server.mjs', '--more']]).namespaces[0]?.upstreams).toEqual([]);
    expect(compose(registry, [], [['node', 'server.mjs']]).namespaces[0]?.upstreams).toHaveLength(1);
  });
});

describe('a toolbox', () => {
  const names = (registry: Registry) => compose(registry).namespaces[0]?.toolboxes.map(({ name }) => name) ?? [];

  test('is served under its name once it is published, and each version under its number', async () => {
    const registry = await openRegistry();
    await addToolbox(registry, 'draft', 2, undefined);
    await addToolbox(registry, 'live', 3, 2);
    expect(names(registry).sort()).toEqual(['draft@1', 'draft@2', 'live', 'live@1', 'live@2', 'live@3']);
    const live = compose(registry).namespaces[0]?.toolboxes.find(({ name }) => name === 'live');
    expect(live?.include).toEqual(['hr/v2_*']);
  });

  test('keeps the address of its newest versions and of the one that is served, however old', async () => {
    const registry = await openRegistry();
    await addToolbox(registry, 'old', 30, 1);
    const served = names(registry);
    expect(served).toContain('old');
    expect(served).toContain('old@1');
    expect(served).not.toContain('old@10');
    expect(served).toContain('old@11');
    expect(served).toContain('old@30');
  });
});

test('policies of files and of the registry stand beside each other', async () => {
  const registry = await openRegistry();
  await registry.create('policy', 'global', { policy: { timeoutMs: 1 } }, record);
  await registry.create('policy', 'capability:hr/find', { policy: { allow: [] } }, record);
  await registry.create('policy', 'nonsense', { policy: { allow: [] } }, record);
  const file = { ...namespaceConfig('hr', []), policy: { network: [] } };
  expect(composePolicies([file], registry)).toEqual([
    { scope: { kind: 'namespace', namespace: 'hr' }, policy: { network: [] } },
    { scope: { kind: 'capability', capability: 'hr/find' }, policy: { allow: [] } },
    { scope: { kind: 'global' }, policy: { timeoutMs: 1 } },
  ]);
});

test.each([
  { kind: 'global' as const },
  { kind: 'namespace' as const, namespace: 'hr' },
  { kind: 'capability' as const, capability: 'hr/find:person' },
])('the name of a policy’s document says what it is for: %j', (scope) => {
  expect(readScope(scopeId(scope))).toEqual(scope);
});
