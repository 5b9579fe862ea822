import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readNamespaceFile } from '../../src/catalog/namespace-file.ts';
import { type GateRow, gatesSchema } from '../../src/policy/gate-schema.ts';
import { buildPolicies, type PolicySource, policyVersion } from '../../src/policy/policy.ts';
import { checkRules } from '../../src/policy/policy-schema.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { readYaml } from '../../src/yaml-file.ts';
import { facts } from './facts.ts';

const namespace = (gates: readonly GateRow[], name = 'support'): PolicySource => ({
  scope: { kind: 'namespace', namespace: name },
  policy: { gates: [...gates] },
});

async function heldBy(sources: readonly PolicySource[], capability: string, args: JsonObject = {}): Promise<string[]> {
  const { gates } = (await buildPolicies(sources)).of(capability, capability.slice(0, capability.indexOf('/')));
  return gates.filter((gate) => gate.holds(facts, args)).map(({ source, reason }) => `${source}: ${reason}`);
}

describe('the example of docs/approvals.md', () => {
  const page = readFileSync(new URL('../../docs/approvals.md', import.meta.url), 'utf8');
  const source = /```yaml\n(namespace: support[\s\S]*?)```/.exec(page)?.[1] ?? '';
  const read = readNamespaceFile(readYaml(source, 'docs/approvals.md').value);
  const policy = 'file' in read ? (read.file.policy ?? {}) : {};
  const sources: readonly PolicySource[] = [{ scope: { kind: 'namespace', namespace: 'support' }, policy }];

  test.each<[string, JsonObject, number]>([
    ['support/delete_ticket', {}, 1],
    ['support/get_ticket', {}, 0],
    ['support/refund', { amount: 100 }, 0],
    ['support/refund', { amount: 100.5 }, 1],
    ['support/refund', {}, 1],
    ['support/refund', { amount: 'much' }, 1],
    ['support/send_mail', {}, 1],
    ['hr/delete_person', {}, 0],
  ])('%s with %j is held by %d gates', async (capability, args, count) => {
    expect(await heldBy(sources, capability, args)).toHaveLength(count);
  });
});

describe('gates', () => {
  test('of every scope add up', async () => {
    const all: readonly PolicySource[] = [
      { scope: { kind: 'global' }, policy: { gates: [{ match: '*/delete_*', reason: 'g' }] } },
      namespace([{ match: 'support/*', reason: 'n' }]),
      { scope: { kind: 'capability', capability: 'support/delete_x' }, policy: { gates: [{ reason: 'c' }] } },
    ];
    expect(await heldBy(all, 'support/delete_x')).toEqual([
      'global: g',
      'namespace support: n',
      'capability support/delete_x: c',
    ]);
    expect(await heldBy(all, 'support/get')).toEqual(['namespace support: n']);
    expect(await heldBy(all, 'hr/delete_y')).toEqual(['global: g']);
  });

  test('of the gateway leave its administration alone; its own policy may gate it, but for the decisions', async () => {
    const all: readonly PolicySource[] = [
      { scope: { kind: 'global' }, policy: { gates: [{ reason: 'g' }] } },
      namespace([{ reason: 'own' }], 'admin'),
    ];
    expect(await heldBy(all, 'admin/delete_namespace')).toEqual(['namespace admin: own']);
    for (const name of ['list_approvals', 'get_approval', 'decide_approval'])
      expect(await heldBy(all, `admin/${name}`)).toEqual([]);
  });

  test('whose rule no longer compiles hold whatever they might have held', async () => {
    const broken = namespace([{ match: 'support/x', when: 'nonsense(', reason: 'b' }]);
    expect(await heldBy([broken], 'support/x')).toEqual(['namespace support: b']);
    expect(await heldBy([broken], 'support/y')).toEqual([]);
  });

  test.each<[object, string]>([
    [{ by: 'nobody' }, 'Write "caller"'],
    [{ by: { role: 'king' } }, 'Write "caller"'],
    [{ by: { members: [] } }, '"members" is empty'],
    [{ by: { members: ['ann', 'ann'] }, quorum: 2 }, 'more than there are members'],
    [{ by: 'caller', quorum: 2 }, 'There is one caller'],
    [{ match: 'support' }, 'Write "namespace/name"'],
    [{ match: [] }, '"match" is empty'],
    [{ expiresMs: 1 }, '1000'],
    [{ until: 'tomorrow' }, 'until'],
    [{ after: 'web/*' }, 'A label is small letters'],
    [{ after: [] }, '"after" is empty'],
    [{ after: '__proto__' }, 'A label is small letters'],
    [{ after: 7 }, 'Write a label, or a list of labels'],
    [{ withinMs: 60_000 }, '"withinMs" goes with "after"'],
    [{ after: 'untrusted-source', withinMs: 59_999 }, '"withinMs" must be at least 60000'],
    [{ after: 'untrusted-source', withinMs: 8 * 86_400_000 }, '"withinMs" must be at most 604800000'],
  ])('%j is refused with a reason', (row, reason) => {
    expect(JSON.stringify(gatesSchema.safeParse([row]).error?.issues.map(({ message }) => message))).toContain(
      JSON.stringify(reason).slice(1, -1),
    );
  });

  test('that are right are taken, and their rules are compiled when they are written', async () => {
    expect(gatesSchema.safeParse([{}, { by: 'caller' }, { by: { members: ['ann', 'bob'] }, quorum: 2 }]).success).toBe(true);
    expect(await checkRules({ gates: [{ when: 'true' }] })).toEqual([]);
    expect(await checkRules({ gates: [{}, { when: 'args.x' }] })).toMatchObject([{ path: ['gates', 1, 'when'] }]);
  });
});

describe('labels', () => {
  const gate = { after: ['untrusted-source', 'private-data'] };
  const labelsOf = async (sources: readonly PolicySource[], capability: string) => [
    ...(await buildPolicies(sources)).of(capability, capability.slice(0, capability.indexOf('/'))).labels,
  ];

  test('of every scope add up; those that no gate asks after are not looked at', async () => {
    const all: readonly PolicySource[] = [
      { scope: { kind: 'global' }, policy: { labels: { 'untrusted-source': ['web/*', '*/read_*'], idle: 'web/*' } } },
      { scope: { kind: 'namespace', namespace: 'hr' }, policy: { labels: { 'private-data': 'hr/*', constructor: 'hr/*' } } },
      { scope: { kind: 'capability', capability: 'web/own' }, policy: { labels: { 'private-data': 'web/own' } } },
      namespace([gate]),
    ];
    expect(await labelsOf(all, 'web/x')).toEqual(['untrusted-source']);
    expect(await labelsOf(all, 'web/own')).toEqual(['untrusted-source', 'private-data']);
    expect(await labelsOf(all, 'hr/read_x')).toEqual(['untrusted-source', 'private-data']);
    expect(await labelsOf(all, 'support/x')).toEqual([]);
    expect(await labelsOf(all.slice(0, -1), 'hr/read_x')).toEqual([]);
    expect(
      await labelsOf(
        [...all, { scope: { kind: 'namespace', namespace: 'web' }, policy: { labels: { 'private-data': 'hr/*' } } }],
        'web/x',
      ),
    ).toEqual(['untrusted-source']);
  });

  test('of which nobody says what they are make a gate hold everything, and a gate that knows all of them does not', async () => {
    const known = { scope: { kind: 'global' }, policy: { labels: { 'untrusted-source': 'web/*' } } } as const;
    const both = {
      scope: { kind: 'global' },
      policy: { labels: { 'untrusted-source': 'web/*', 'private-data': 'hr/*' } },
    } as const;
    const afterOf = async (sources: readonly PolicySource[]) =>
      (await buildPolicies(sources)).of('support/x', 'support').gates[0]?.after;
    expect(await afterOf([known, namespace([gate])])).toMatchObject({ unknown: ['private-data'] });
    expect(await afterOf([both, namespace([gate])])).toEqual({ labels: gate.after, withinMs: 3_600_000 });
  });
});

describe('the version of a policy', () => {
  const versionOf = async (sources: readonly PolicySource[]) =>
    policyVersion((await buildPolicies(sources)).of('support/x', 'support'));

  test('is the same for the same policy, in whatever order it was written', async () => {
    const one = { timeoutMs: 5, gates: [{ quorum: 2, reason: 'x' }] };
    const two = { gates: [{ reason: 'x', quorum: 2 }], timeoutMs: 5 };
    const scope = { kind: 'global' } as const;
    expect(await versionOf([{ scope, policy: one }])).toBe(await versionOf([{ scope, policy: two }]));
  });

  test('is another one when anything that holds the capability was changed, and not for what holds others', async () => {
    const before = await versionOf([namespace([{}])]);
    expect(await versionOf([namespace([{ quorum: 2 }])])).not.toBe(before);
    expect(await versionOf([namespace([{}]), { scope: { kind: 'global' }, policy: { timeoutMs: 5 } }])).not.toBe(before);
    expect(await versionOf([namespace([{}]), namespace([{}], 'hr')])).toBe(before);
  });
});
