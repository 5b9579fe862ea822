import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Caller, makeCaller, type Reach, reachOfRoles, reachOfScope } from '../../src/call/authenticate/caller.ts';
import { authorize, type Circumstances, visibleToolbox } from '../../src/call/authorize.ts';
import { resolve } from '../../src/call/resolve.ts';
import { buildCatalog } from '../../src/catalog/build.ts';
import { compileNetworks } from '../../src/policy/network.ts';
import { buildPolicies, type PolicySource } from '../../src/policy/policy.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { memberOf, namespaceConfig, toolboxConfig, tools, upstreamConfig } from '../catalog/offering-upstream.ts';
import { askFor } from '../support/call-ports.ts';

const namespaces = ['hr', 'it'] as const;
const members = namespaces.map((name) =>
  memberOf(upstreamConfig(`${name}/main`), {
    tools: tools('get', 'set', 'drop'),
    prompts: [{ name: 'greet' }],
    resources: [{ uri: 'res://one', name: 'one' }],
  }),
);
const catalog = buildCatalog(
  1,
  members.map(({ config }) =>
    namespaceConfig(config.namespace, [config], config.namespace === 'hr' ? [toolboxConfig('box', ['hr/*', 'it/get'])] : []),
  ),
  new Map(members.map((member) => [member.id, member])),
);

function callerWith(
  rights: {
    readonly reaches?: readonly (Reach | undefined)[];
    readonly network?: readonly string[];
    readonly role?: 'admin';
  } = {},
): Caller {
  const { reaches = [], network, role } = rights;
  return makeCaller({
    id: 'key:k',
    kind: 'key',
    key: 'k',
    consumer: undefined,
    member: undefined,
    roles: role === undefined ? [] : [{ role }],
    reaches: reaches.filter((reach) => reach !== undefined),
    isInNetwork: network === undefined ? undefined : compileNetworks(network),
  });
}

async function circumstancesWith(sources: readonly PolicySource[], ip = '10.0.0.1'): Promise<Circumstances> {
  return { policies: await buildPolicies(sources), ip, nowMs: 0, maySeeAction: () => false };
}

function verdict(
  circumstances: Circumstances,
  caller: Caller,
  toolbox: string,
  params: JsonObject,
  method = 'tools/call' as const,
): string {
  const ask = askFor({ toolbox, method, params });
  try {
    authorize(circumstances, caller, resolve(catalog, ask), ask);
    return 'allowed';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const args = [{}, { go: true }, { go: false }, { n: 5 }] as const;
const rule = fc.constantFrom(
  'true',
  'false',
  'args.go == true',
  'args.n > 3',
  'caller.role == "admin"',
  'capability.name.endsWith("get")',
  'network.isPrivate',
);
const network = fc.subarray(['10.0.0.0/8', '203.0.113.0/24'], { maxLength: 1 });
const capability = fc
  .tuple(fc.constantFrom(...namespaces), fc.constantFrom('get', 'set', 'drop'))
  .map(([namespace, tool]) => `${namespace}/${tool}`);
const source: fc.Arbitrary<PolicySource> = fc.record({
  scope: fc.oneof(
    fc.constant({ kind: 'global' as const }),
    fc.constantFrom(...namespaces).map((namespace) => ({ kind: 'namespace' as const, namespace })),
    capability.map((name) => ({ kind: 'capability' as const, capability: name })),
  ),
  policy: fc.record({ allow: fc.array(rule, { maxLength: 2 }), network }, { requiredKeys: [] }),
});
const scope = fc.record(
  {
    toolboxes: fc.subarray(['box', 'other']),
    namespaces: fc.subarray([...namespaces]),
    capabilities: fc.array(fc.oneof(capability, fc.constantFrom('*/get', 'hr/*')), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const caller = fc
  .record({
    scope,
    roles: fc.option(
      fc.array(fc.constantFrom({ role: 'developer' as const, namespace: 'hr' }, { role: 'auditor' as const }), { maxLength: 2 }),
    ),
    network: fc.option(network, { nil: undefined }),
    isAdmin: fc.boolean(),
  })
  .map(({ scope: given, roles, network: from, isAdmin }) =>
    callerWith({
      reaches: [reachOfScope(given), roles === null ? undefined : reachOfRoles(roles)],
      ...(from === undefined ? {} : { network: from }),
      ...(isAdmin ? { role: 'admin' as const } : {}),
    }),
  );

test('a list shows what some arguments can call and nothing else, for whatever policies and callers', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(source, { maxLength: 5 }), caller, fc.constantFrom('', 'box'), async (sources, who, name) => {
      const circumstances = await circumstancesWith(sources);
      const whole = name === '' ? catalog.everything : catalog.toolboxes.get(name);
      let shown: ReadonlySet<string> | undefined;
      try {
        shown = new Set(visibleToolbox(circumstances, catalog, who, name).tools.keys());
      } catch (error) {
        expect(error).toMatchObject({ code: 'not_found' });
      }
      for (const tool of whole?.tools.keys() ?? []) {
        const verdicts = args.map((given) => verdict(circumstances, who, name, { name: tool, arguments: given }));
        if (shown === undefined) expect(new Set(verdicts)).toEqual(new Set(['not_found']));
        else if (!shown.has(tool)) expect(new Set(verdicts)).toEqual(new Set(['unknown_capability']));
        else expect(verdicts).toContain('allowed');
      }
      for (const kind of ['prompts', 'resources'] as const) {
        const visible = shown === undefined ? undefined : new Set(visibleToolbox(circumstances, catalog, who, name)[kind].keys());
        for (const key of whole?.[kind].keys() ?? []) {
          const method = kind === 'prompts' ? 'prompts/get' : 'resources/read';
          const told = verdict(
            circumstances,
            who,
            name,
            kind === 'prompts' ? { name: key } : { uri: key },
            method as 'tools/call',
          );
          const refused = visible === undefined ? 'not_found' : 'unknown_capability';
          // A prompt has arguments, and was asked for without any.
          const mayNeedMore = kind === 'prompts' && visible?.has(key) === true;
          expect(mayNeedMore ? ['allowed', 'not_allowed'] : [visible?.has(key) === true ? 'allowed' : refused]).toContain(told);
        }
      }
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 300 : 10_000 },
  );
});

describe('what is not for somebody', () => {
  const getter = callerWith({ reaches: [reachOfScope({ capabilities: ['hr/get'] })] });
  const told = (name: string, toolbox = '') => {
    const ask = askFor({ toolbox, params: { name } });
    try {
      authorize(open, getter, resolve(catalog, ask), ask);
    } catch (error) {
      return (error as Error).message.replaceAll(name, '?');
    }
    return 'allowed';
  };
  let open: Circumstances;

  test('is refused in the words for what is not there', async () => {
    open = await circumstancesWith([]);
    expect(told('hr__get')).toBe('allowed');
    expect(told('hr__set')).toBe('Unknown tool: ?');
    expect(told('hr__nope')).toBe('Unknown tool: ?');
  });

  test('is not seen in what its upstream says of itself either', async () => {
    open = await circumstancesWith([]);
    const seen = visibleToolbox(open, catalog, getter, '');
    expect([...seen.tools.keys()]).toEqual(['hr__get']);
    expect(seen.members.map(({ id }) => id)).toEqual(['hr/main']);
    expect(seen.instructions).toBeUndefined();
  });

  test('callers with the same rights share one list, and it is the toolbox itself where nothing is hidden', async () => {
    open = await circumstancesWith([]);
    const again = callerWith({ reaches: [reachOfScope({ capabilities: ['hr/get'] })] });
    expect(visibleToolbox(open, catalog, getter, '')).toBe(visibleToolbox(open, catalog, again, ''));
    expect(visibleToolbox(open, catalog, callerWith(), '')).toBe(catalog.everything);
    const all = callerWith({ reaches: [reachOfScope({ namespaces: ['hr', 'it'] })] });
    expect(visibleToolbox(open, catalog, all, '')).toBe(catalog.everything);
  });
});

test.each<[string, PolicySource['policy'], Partial<Circumstances>, Partial<Circumstances>]>([
  ['where a rule asks for the time', { allow: ['time.hour < 12'] }, { nowMs: 0 }, { nowMs: 13 * 3_600_000 }],
  ['where a rule asks for the address', { allow: ['network.ip == "10.0.0.1"'] }, { ip: '10.0.0.1' }, { ip: '10.0.0.2' }],
  ['where a policy names a network', { network: ['10.0.0.0/30'] }, { ip: '10.0.0.1' }, { ip: '10.0.0.9' }],
])('what somebody saw is not what they see later, %s', async (_, policy, now, later) => {
  const circumstances = await circumstancesWith([{ scope: { kind: 'global' }, policy }]);
  const who = callerWith();
  const count = (at: Partial<Circumstances>) => visibleToolbox({ ...circumstances, ...at }, catalog, who, 'box').tools.size;
  expect([count(now), count(later), count(now)]).toEqual([4, 0, 4]);
});

test('what somebody saw under one policy is not what they see under the next', async () => {
  const who = callerWith();
  const count = async (allow: readonly string[] | undefined) => {
    const policy = allow === undefined ? {} : { allow: [...allow] };
    return visibleToolbox(await circumstancesWith([{ scope: { kind: 'global' }, policy }]), catalog, who, 'box').tools.size;
  };
  expect([await count(['true']), await count(['capability.name == "hr/get"']), await count([]), await count(undefined)]).toEqual([
    4, 1, 0, 4,
  ]);
});

test('a process that was started on this machine has no address that a network could refuse', async () => {
  const sources: PolicySource[] = [{ scope: { kind: 'global' }, policy: { network: ['203.0.113.0/24'] } }];
  const [local, remote] = [await circumstancesWith(sources, ''), await circumstancesWith(sources, '10.0.0.1')];
  expect(verdict(local, callerWith(), '', { name: 'hr__get' })).toBe('allowed');
  expect(verdict(remote, callerWith(), '', { name: 'hr__get' })).toBe('unknown_capability');
});

test('an empty list of rules or networks lets nobody through', async () => {
  for (const policy of [{ allow: [] }, { network: [] }]) {
    const circumstances = await circumstancesWith([{ scope: { kind: 'namespace', namespace: 'hr' }, policy }]);
    expect(verdict(circumstances, callerWith({ role: 'admin' }), '', { name: 'hr__get' })).toBe('unknown_capability');
    expect(verdict(circumstances, callerWith(), '', { name: 'it__get' })).toBe('allowed');
  }
});
