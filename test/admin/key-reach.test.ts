import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import type { AdminPorts } from '../../src/admin/action.ts';
import { createKey } from '../../src/admin/keys.ts';
import { KeyRing } from '../../src/call/authenticate/key-ring.ts';
import type { Caller } from '../../src/call/authenticate.ts';
import { buildCatalog } from '../../src/catalog/build.ts';
import { modelsPlace } from '../../src/catalog/catalog.ts';
import { Policies } from '../../src/policy/policy.ts';
import type { RoleGrant, Scope } from '../../src/registry/documents.ts';
import { Registry } from '../../src/registry/registry.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { readableJournal } from '../support/call-ports.ts';

// Whatever key somebody has and whatever they ask for: what they get reaches nothing that theirs does not.

const namespaces = ['labs', 'ops', 'admin'] as const;
const toolboxes = ['', 'chat', 'admin'] as const;
const capabilities = ['labs/fast', 'labs/echo', 'ops/big', 'ops/run', 'admin/create_key'] as const;
const models: ReadonlySet<string> = new Set(['labs/fast', 'ops/big']);

const globs = fc.constantFrom(...capabilities, 'labs/*', 'ops/*', '*/*', 'l*/f*', '*/big', 'admin/*', 'labs/f*');
const list = <Value>(value: fc.Arbitrary<Value>) => fc.option(fc.array(value, { maxLength: 3 }), { nil: undefined, freq: 2 });
const scope: fc.Arbitrary<Scope> = fc
  .record({
    toolboxes: list(fc.constantFrom('chat', 'admin')),
    namespaces: list(fc.constantFrom(...namespaces)),
    capabilities: list(globs),
    models: list(globs),
  })
  .map((lists) => Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined)) as Scope);
const roles: fc.Arbitrary<RoleGrant[]> = fc.uniqueArray(
  fc.constantFrom<RoleGrant>(
    { role: 'developer' },
    { role: 'developer', namespace: 'labs' },
    { role: 'admin', namespace: 'ops' },
  ),
  { minLength: 1, selector: ({ role, namespace }) => `${role} ${namespace}` },
);

/** Everything that a caller may call, as `toolbox capability`. */
function reached(caller: Caller): string[] {
  const may = (toolbox: string, capability: Parameters<Caller['reaches'][number]>[1]) =>
    caller.reaches.every((reach) => reach(toolbox, capability));
  return [...toolboxes, modelsPlace].flatMap((toolbox) => {
    if (!may(toolbox, undefined)) return [];
    const open = capabilities.filter((name) => {
      const [namespace = ''] = name.split('/');
      const isModel = models.has(name);
      // Where models are called there is nothing else, and administration is only where it is.
      if (toolbox === modelsPlace && !isModel) return false;
      if ((namespace === 'admin') !== (toolbox === 'admin')) return false;
      return may(toolbox, { namespace, name, isModel });
    });
    return open.map((name) => `${toolbox} ${name}`);
  });
}

const log = pino({ level: 'silent' });
const pepper = randomBytes(32);
const clock = { nowMs: () => 1_000_000 };

async function open(own: Scope, grants: readonly RoleGrant[]) {
  const store = memoryStore();
  const registry = await Registry.open(store.registry, log);
  const keys = new KeyRing(pepper, clock, registry);
  const secrets = [{ hash: keys.hash('own-key'), hint: 'test', createdAtMs: 0 }];
  await registry.commit(
    [
      { kind: 'member', id: 'm', body: { title: 'm', identities: [], roles: [...grants], isDisabled: false } },
      {
        kind: 'key',
        id: 'own',
        body: { title: 'x', member: 'm', scope: own, state: 'active', secrets, issuedBy: 'key:admin', createdAtMs: 0 },
      },
    ],
    { actor: 'test', action: 'test' },
  );
  // What is there decides what a key is warned of, and not what it may be made for.
  const catalog = buildCatalog(0, [], new Map());
  const calls = { policies: () => new Policies([]), clock, maySeeAction: () => false };
  const ports = {
    ...{ registry, keys, keyUses: store.keyUses, clock, journal: readableJournal([]), refreshed: async () => {}, log },
    ...{ calls, catalog: () => catalog, files: () => [] },
  };
  return { keys, registry, ports: ports as unknown as AdminPorts };
}

test('a key never makes a key that reaches more; one that reaches as much it makes', async () => {
  let made = 0;
  let useful = 0;
  const runs = process.env.TEST_LONG === undefined ? 400 : 20_000;
  await fc.assert(
    fc.asyncProperty(scope, scope, roles, async (own, wanted, grants) => {
      const { keys, registry, ports } = await open(own, grants);
      const caller = keys.callerOf('own');
      if (caller === undefined) throw new Error('there is no caller');
      const before = new Set(reached(caller));
      const answer = await createKey
        .run(ports, caller, { id: 'made', title: 'x', scope: wanted } as never, '')
        .catch((error: { code?: string }) => error.code ?? 'thrown');
      if (typeof answer === 'string') {
        expect(['forbidden', 'bad_arguments']).toContain(answer);
      } else {
        const got = keys.callerOf('made');
        const after = got === undefined ? [] : reached(got);
        expect(after.filter((place) => !before.has(place))).toEqual([]);
        made++;
        if (after.length > 0) useful++;
      }
      // The same again, as it is.
      const same = await createKey.run(ports, caller, { id: 'same', title: 'x' } as never, '').catch(() => undefined);
      const twin = same === undefined ? undefined : keys.callerOf('same');
      if (twin !== undefined) expect(new Set(reached(twin))).toEqual(before);
      registry.close();
    }),
    { numRuns: runs },
  );
  expect([made > runs / 10, useful > runs / 40]).toEqual([true, true]);
});
