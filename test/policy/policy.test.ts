import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Verdict } from '../../src/content/screen.ts';
import { demandsFor } from '../../src/policy/compile-limits.ts';
import { buildPolicies, type CallPolicy, type Policies, type PolicyScope, type PolicySource } from '../../src/policy/policy.ts';
import type { Policy } from '../../src/policy/policy-schema.ts';
import { decide, mayAllow } from '../../src/policy/rule.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { withCaller } from './facts.ts';

const isLong = process.env.TEST_LONG !== undefined;
const capabilities = ['hr/find', 'hr/pay', 'it/find'] as const;
const secret = 'AKIAZ7QX3LWDT5HNV2PK';

const rule = fc.constantFrom(
  'true',
  'false',
  'caller.role == "admin"',
  'args.dryRun == true',
  'args.amount < 10',
  'capability.name.endsWith("find")',
  'network.isPrivate',
  'args.missing.member == 1',
);
const network = fc.subarray(['10.0.0.0/8', '203.0.113.0/24', '2001:db8::/32'], { minLength: 0 });
const limit = fc.record({
  per: fc.constantFrom('global' as const, 'namespace' as const, 'capability' as const, 'key' as const),
  rpm: fc.integer({ min: 1, max: 100 }),
});
const content = fc.record({
  match: fc.constantFrom('*/*', 'hr/*', '*/find').map((match) => [match]),
  rules: fc.constant('secrets').map((name) => [name]),
  do: fc.constantFrom('flag' as const, 'redact' as const, 'block' as const),
});
const policy: fc.Arbitrary<Policy> = fc.record(
  {
    allow: fc.array(rule, { maxLength: 3 }),
    network,
    limits: fc.uniqueArray(limit, { maxLength: 3, selector: ({ per }) => per }),
    content: fc.array(content, { maxLength: 2 }),
    timeoutMs: fc.integer({ min: 1, max: 1000 }),
  },
  { requiredKeys: [] },
);
const scope: fc.Arbitrary<PolicyScope> = fc.oneof(
  fc.constant({ kind: 'global' as const }),
  fc.constantFrom('hr', 'it').map((namespace) => ({ kind: 'namespace' as const, namespace })),
  fc.constantFrom(...capabilities).map((capability) => ({ kind: 'capability' as const, capability })),
);
const source: fc.Arbitrary<PolicySource> = fc.record({ scope, policy });

const callers = (
  [
    ['admin', '10.1.2.3'],
    ['developer', '203.0.113.9'],
    ['', '198.51.100.1'],
  ] as const
).map(([role, ip]) => ({ ...withCaller({ role }), ip }));
const argumentsTried: readonly JsonObject[] = [{}, { dryRun: true }, { amount: 5 }, { amount: 50, dryRun: false }];

/** What a policy lets happen, over everything that is tried. */
interface Reach {
  /** Which of the calls are allowed, and which callers may see it at all. */
  readonly calls: readonly boolean[];
  readonly visible: readonly boolean[];
  readonly limits: readonly string[];
  readonly content: readonly number[];
}

function kindOf(verdict: Verdict | undefined): keyof typeof strictness {
  return verdict !== undefined && 'kind' in verdict ? verdict.kind : 'clean';
}

const strictness = { clean: 0, flagged: 1, redacted: 2, blocked: 3 };

function reachOf(policies: Policies, capability: string): Reach {
  const namespace = capability.split('/')[0] ?? '';
  const made = policies.of(capability, namespace);
  const facts = callers.map((caller) => ({ ...caller, capability: { ...caller.capability, name: capability, namespace } }));
  const isIn = ({ ip }: (typeof facts)[number]) => made.networks.every((test) => test(ip));
  return {
    calls: facts.flatMap((caller) =>
      argumentsTried.map((args) => isIn(caller) && made.rules.every((rules) => decide(rules, caller, args).isAllowed)),
    ),
    visible: facts.map((caller) => isIn(caller) && made.rules.every((rules) => mayAllow(rules, caller))),
    limits: demandsFor(made.limits, { namespace, capability, key: 'k' }).map(({ key, limit: { amount } }) => `${key} ${amount}`),
    content: [made.contentIn, made.contentOut].map((screen) => strictness[kindOf(screen?.screenValue({ a: secret }))]),
  };
}

test('one more policy, wherever it stands, allows nothing that was not allowed and keeps all that restricts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(source, { maxLength: 4 }), source, fc.nat(4), async (sources, more, at) => {
      const [before, after] = await Promise.all([
        buildPolicies(sources),
        buildPolicies([...sources.slice(0, at), more, ...sources.slice(at)]),
      ]);
      for (const capability of capabilities) {
        const [wide, narrow] = [reachOf(before, capability), reachOf(after, capability)];
        for (const [n, isAllowed] of narrow.calls.entries()) expect(isAllowed && !wide.calls[n]).toBe(false);
        for (const [n, isVisible] of narrow.visible.entries()) expect(isVisible && !wide.visible[n]).toBe(false);
        expect(narrow.limits).toEqual(expect.arrayContaining([...wide.limits]));
        for (const [n, strict] of narrow.content.entries()) expect(strict).toBeGreaterThanOrEqual(wide.content[n] ?? 0);
      }
      expect(before.isOpen || !after.isOpen).toBe(true);
    }),
    { numRuns: isLong ? 5_000 : 200 },
  );
});

test('policies of other namespaces and capabilities change nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(source, { maxLength: 4 }), policy, async (sources, other) => {
      const foreign: PolicySource[] = [
        { scope: { kind: 'namespace', namespace: 'it' }, policy: other },
        { scope: { kind: 'capability', capability: 'hr/pay' }, policy: other },
      ];
      const [before, after] = await Promise.all([buildPolicies(sources), buildPolicies([...sources, ...foreign])]);
      expect(reachOf(after, 'hr/find')).toEqual(reachOf(before, 'hr/find'));
    }),
    { numRuns: isLong ? 2_000 : 50 },
  );
});

test('what may be called can be seen', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(source, { maxLength: 4 }), async (sources) => {
      const policies = await buildPolicies(sources);
      for (const capability of capabilities) {
        const { calls, visible } = reachOf(policies, capability);
        for (const [n, isAllowed] of calls.entries())
          expect(isAllowed && visible[Math.floor(n / argumentsTried.length)] === false).toBe(false);
      }
    }),
    { numRuns: isLong ? 2_000 : 50 },
  );
});

describe('numbers that cannot add up', () => {
  const global = (given: Policy): PolicySource => ({ scope: { kind: 'global' }, policy: given });
  const namespace = (given: Policy): PolicySource => ({ scope: { kind: 'namespace', namespace: 'hr' }, policy: given });
  const own = (given: Policy): PolicySource => ({ scope: { kind: 'capability', capability: 'hr/find' }, policy: given });
  const made = async (...sources: PolicySource[]): Promise<CallPolicy> => (await buildPolicies(sources)).of('hr/find', 'hr');

  test('the nearest scope’s counts, in whatever order they were written', async () => {
    const sources = [global({ timeoutMs: 3 }), namespace({ timeoutMs: 2 }), own({ timeoutMs: 1 })];
    expect(await made(...sources)).toMatchObject({ timeoutMs: 2, ownTimeoutMs: 1 });
    expect(await made(...sources.toReversed())).toMatchObject({ timeoutMs: 2, ownTimeoutMs: 1 });
    expect(await made(...sources.slice(0, 1))).toMatchObject({ timeoutMs: 3, ownTimeoutMs: undefined });
    expect(await made()).toMatchObject({ timeoutMs: undefined, ownTimeoutMs: undefined });
  });

  test('of a breaker each number for itself; a capability’s own is another one', async () => {
    const found = await made(
      global({ breaker: { errorRate: 0.9, openMs: 5 } }),
      namespace({ breaker: { errorRate: 0.1 } }),
      own({ breaker: { consecutiveFailures: 2 } }),
    );
    expect(found.breaker).toEqual({ errorRate: 0.1, openMs: 5 });
    expect(found.ownBreaker).toEqual({ consecutiveFailures: 2 });
    expect((await made(global({}))).ownBreaker).toBeUndefined();
  });

  test('a call is repeated only where the nearest list of what may be names it', async () => {
    expect((await made()).attempts).toBe(1);
    expect((await made(global({ retry: { match: ['it/*'] } }))).attempts).toBe(1);
    expect((await made(global({ retry: { match: ['hr/*'] } }))).attempts).toBe(2);
    expect((await made(global({ retry: { match: ['hr/*'], attempts: 5 } }))).attempts).toBe(5);
    expect(
      (await made(global({ retry: { match: ['hr/*'], attempts: 5 } }), namespace({ retry: { match: ['hr/get_*'] } }))).attempts,
    ).toBe(1);
  });
});

test('a rule that does not compile allows nothing, and neither does an empty list', async () => {
  for (const allow of [['caller.nothing == 1'], ['(('], []]) {
    const policies = await buildPolicies([{ scope: { kind: 'global' }, policy: { allow } }]);
    expect(reachOf(policies, 'hr/find').calls).not.toContain(true);
    expect(policies.isOpen).toBe(false);
  }
  const both = await buildPolicies([{ scope: { kind: 'global' }, policy: { allow: ['((', 'true'] } }]);
  expect(reachOf(both, 'hr/find').calls).not.toContain(false);
});

test('what goes into the gateway’s own administration and comes out of it is left as it is', async () => {
  const policies = await buildPolicies([
    { scope: { kind: 'global' }, policy: { content: [{ rules: ['secrets'], do: 'block' }] } },
  ]);
  expect(policies.of('admin/create_key', 'admin').contentIn).toBeUndefined();
  expect(policies.of('hr/find', 'hr').contentIn?.screenValue({ a: secret })).toMatchObject({ kind: 'blocked' });
});
