import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

let upstream: StagedUpstream;
let gateway: AdminGateway;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', 'pay'] });
  const model = `  fast: { kind: model, targets: [{ provider: openai-compatible, url: "${upstream.url}", model: m }] }\n`;
  gateway = await openAdminGateway({
    namespaces: {
      hr: namespaceFor('hr', upstream.url),
      finance: namespaceFor('finance', upstream.url),
      models: `namespace: models\nupstreams:\n${model}`,
    },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'An application', kind: 'application' });
  await gateway.person('ann', [{ role: 'approver' }]);
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

async function warningsOf(scope: string, policy: object): Promise<readonly string[] | undefined> {
  return (await gateway.ok(`PUT /policies/${encodeURIComponent(scope)}`, { policy })).warnings;
}

const gate = (more: object) => ({ gates: [{ reason: 'x', ...more }] });

test.each([
  ['global', { limits: [{ per: 'key', match: ['hr/*', '*/pay'], rpm: 9 }] }],
  ['global', { labels: { sensitive: ['hr/desk', 'finance/echo'] } }],
  ['namespace:hr', gate({ match: 'hr/echo', by: { members: ['ann'] } })],
  ['namespace:admin', gate({ match: 'admin/create_key' })],
  ['capability:models/fast', { content: [{ rules: ['secrets'], do: 'flag' }] }],
  ['namespace:hr', { sampling: { model: 'models/fast' } }],
  ['global', { allow: ['caller.role == "admin" || "auditor" in caller.roles || caller.consumer == ""'] }],
  ['global', { allow: ['caller.role == "admin" || (caller.consumer in ["app"] && caller.member == "ann")'] }],
  ['global', { allow: ['caller.role == "admin" || (capability.namespace == "hr" && capability.upstream != "hr/desk")'] }],
  ['namespace:hr', gate({ when: 'capability.name == "hr/echo" && capability.kind == "tool" && time.weekday == "sun"' })],
  ['global', { allow: ['caller.role == "admin" || capability.namespace in ["hr", "gatehouse"]'] }],
  ['global', { allow: ['caller.role == "admin" || capability.name in ["hr/desk", "gatehouse/search_tools"]'] }],
  ['namespace:gatehouse', { limits: [{ per: 'key', match: 'gatehouse/*', rpm: 9 }] }],
  ['namespace:hr', gate({ when: 'args.consumer == "appp" || caller.consumer.startsWith("ap") || caller.kind == args.kind' })],
  ['namespace:hr', { labels: { outside: 'hr/echo' }, ...gate({ after: 'outside' }) }],
])('%s: what is there holds, without a warning', async (scope, policy) => {
  const warnings = await warningsOf(scope, policy);
  await gateway.ok(`PUT /policies/${encodeURIComponent(scope)}`, { policy: null });
  expect(warnings ?? []).toEqual(scope === 'global' && 'labels' in policy ? [expect.stringContaining('"hr/desk"')] : []);
});

test.each([
  [
    'namespace:hrr',
    { timeoutMs: 9 },
    'There is no namespace "hrr", so this policy holds nothing until there is. Did you mean "hr"?',
  ],
  ['capability:hr/ecko', gate({}), 'There is no capability "hr/ecko", so this policy holds nothing until there is. Did you mean'],
  ['namespace:hr', gate({ match: 'hr/ecko' }), 'policy.gates[0].match: "hr/ecko" takes nothing right now, so it holds nothing'],
  [
    'namespace:hr',
    gate({ match: ['hr/echo', 'finance/pay'] }),
    '"finance/pay" takes nothing right now: what it names is not in the scope',
  ],
  ['global', { limits: [{ per: 'key', match: 'hrr/*', rpm: 9 }] }, 'There is no namespace "hrr". Did you mean "hr"?'],
  ['global', { labels: { sensitive: 'hr/pey' } }, 'policy.labels.sensitive: "hr/pey" takes nothing right now'],
  [
    'namespace:hr',
    gate({ by: { members: ['anne'] } }),
    '"anne" is no registered member, so nobody can agree in that name unless a token says so.',
  ],
  [
    'namespace:hr',
    { sampling: { model: 'models/fats' } },
    'there is no model "models/fats", so nobody answers until there is. Did you mean "models/fast"?',
  ],
  [
    'namespace:hr',
    gate({ when: 'caller.consumer == "appp"' }),
    'policy.gates[0].when: it compares caller.consumer with "appp", but there is no such consumer, and no token brings one: it never is that until there is. Did you mean "app"?',
  ],
  [
    'namespace:hr',
    gate({ when: '!(caller.member in ["ann", "anna"])' }),
    'it compares caller.member with "anna", but there is no such',
  ],
  [
    'namespace:hr',
    gate({ when: '"aprover" in caller.roles' }),
    'it compares caller.roles with "aprover", which it never is. Did you mean "approver"?',
  ],
  [
    'namespace:hr',
    gate({ when: 'caller.kind == "session"' }),
    'caller.kind with "session", which it never is. It is one of key, oauth, local.',
  ],
  ['namespace:hr', gate({ when: 'time.weekday == "sunday"' }), 'time.weekday with "sunday", which it never is.'],
  [
    'namespace:hr',
    gate({ when: '"hrr" == capability.namespace' }),
    'but there is no such namespace: it never is that until there is. Did you mean "hr"?',
  ],
  ['namespace:hr', gate({ when: 'capability.upstream == "desk"' }), 'there is no such upstream: it never is that until'],
  ['namespace:hr', gate({ when: 'capability.name == "echo"' }), 'Did you mean "hr/echo"?'],
  [
    'namespace:hr',
    gate({ when: 'capability.name == "finance/echo"' }),
    'capability.name with "finance/echo", which is not in the scope of this policy.',
  ],
  [
    'namespace:hr',
    { labels: { outside: 'hr/echo' }, ...gate({ after: ['outsid'] }) },
    'policy.gates[0].after: no policy gives anything the label "outsid", so this gate holds every call that it is for. Did you mean "outside"?',
  ],
])('%s: a slip in %j is told', async (scope, policy, sentence) => {
  const warnings = await warningsOf(scope, policy);
  await gateway.ok(`PUT /policies/${encodeURIComponent(scope)}`, { policy: null });
  expect(warnings).toEqual([expect.stringContaining(sentence)]);
});

test('a content policy and an alert say it as well', async () => {
  const content = { categories: { violence: { in: 'block' } } };
  const slip = await gateway.ok('PUT /content-policies/capability:models%2Ffats', content);
  expect(slip.warnings).toEqual([expect.stringContaining('Did you mean "models/fast"?')]);
  expect((await gateway.ok('PUT /content-policies/capability:models%2Ffast', content)).warnings).toBeUndefined();
  const alert = { per: 'consumer', unit: 'usd', amount: 5, window: 'month' };
  expect((await gateway.ok('PUT /alerts/one', { alert: { ...alert, subject: 'app' } })).warnings).toBeUndefined();
  expect((await gateway.ok('PUT /alerts/two', { alert: { ...alert, subject: 'appp' } })).warnings).toEqual([
    'subject: there is no consumer "appp", so nobody is told until there is. Did you mean "app"?',
  ]);
  const { warnings } = await gateway.ok('PUT /alerts/three', { alert: { ...alert, per: 'model', match: ['models/fats'] } });
  expect(warnings).toEqual([expect.stringContaining('"models/fats" takes no model right now. Did you mean "models/fast"?')]);
});

test('a plan names the lines of a policy that hold nothing, each with its own line, and applies it all the same', async () => {
  const text = `policies:
  "namespace:hr":
    gates:
      - { match: hr/echo, by: caller }
      - { match: hr/ecko, by: caller }
      - { match: finance/pay, by: caller }
`;
  const planned = await gateway.ok('POST /configuration/plan', { text });
  expect(planned.isPossible).toBe(true);
  expect(planned.problems).toEqual([
    { severity: 'warning', line: 5, column: expect.any(Number), message: expect.stringContaining('Did you mean "hr/echo"?') },
    { severity: 'warning', line: 6, column: expect.any(Number), message: expect.stringContaining('not in the scope') },
  ]);
});

test('what tokens may bring is not taken for a slip', async () => {
  const issuer = (claims: string) => `issuers: [{ issuer: "https://login.example.com", audience: x, claims: { ${claims} } }]\n`;
  const rule = 'caller.role == "admin" || caller.consumer == "crew" || caller.member == "zoe"';
  const warned = async (file: string) => {
    const other = await openAdminGateway({ file, namespaces: { hr: namespaceFor('hr', upstream.url) } });
    try {
      const { warnings = [] } = await other.ok('PUT /policies/global', { policy: { allow: [rule] } });
      expect((await other.ok('GET /health')).policies.map(({ message }: { message: string }) => message)).toEqual(warnings);
      return warnings.map((warning: string) => /compares (\S+)/.exec(warning)?.[1]);
    } finally {
      await other.stop();
    }
  };
  expect(await warned('')).toEqual(['caller.consumer', 'caller.member']);
  expect(await warned(issuer('consumer: azp'))).toEqual(['caller.member']);
  expect(await warned(issuer('consumer: { fixed: crew }, member: email'))).toEqual([]);
  expect(await warned(issuer('consumer: { fixed: crews }, member: sub'))).toEqual(['caller.consumer']);
});

test('rules by which a model chooses its targets are looked over as well', async () => {
  const model = (when: string) =>
    `  slow:\n    kind: model\n    targets: [{ provider: openai-compatible, url: "${upstream.url}", model: m }]\n    routing:\n      rules:\n        - when: '${when}'\n          targets: [openai-compatible]\n`;
  const other = await openAdminGateway({
    namespaces: {
      models: `namespace: models\nupstreams:\n${model('caller.role == "develper" || capability.name == "models/slow"')}`,
    },
  });
  try {
    expect((await other.ok('GET /health')).policies).toEqual([
      {
        scope: 'model:models/slow',
        file: expect.stringContaining('models.yaml'),
        message: 'routing.rules[0].when: it compares caller.role with "develper", which it never is. Did you mean "developer"?',
      },
    ]);
    const text = `namespaces:\n  - namespace: fresh\n    upstreams:\n${model('caller.consumer == "ap"').replaceAll(/^/gm, '    ')}\nconsumers:\n  app: { title: A, kind: team }\n`;
    expect((await other.ok('POST /configuration/plan', { text })).problems).toEqual([
      { severity: 'warning', line: 9, column: expect.any(Number), message: expect.stringContaining('Did you mean "app"?') },
    ]);
  } finally {
    await other.stop();
  }
});

test('a plan says nothing of what its own upstreams, models and members may bring', async () => {
  const text = `namespaces:
  - namespace: fresh
    upstreams:
      desk: { kind: mcp, url: "https://desk.example.com/mcp" }
    policy:
      labels: { outside: fresh/anything }
      gates:
        - { match: fresh/anything, by: { members: [zoe] }, after: outside }
        - { when: 'caller.consumer == "crew" && caller.member == "zoe" && capability.name == "fresh/anything"' }
        - { when: 'capability.upstream == "fresh/desk" && capability.namespace == "fresh"' }
members:
  zoe: { title: Zoe, identities: [zoe@example.com] }
consumers:
  crew: { title: Crew, kind: team }
`;
  expect((await gateway.ok('POST /configuration/plan', { text })).problems).toEqual([]);
});

test('lines of a file that hold nothing are shown to whoever operates the gateway, and to nobody else', async () => {
  const bob = await gateway.person('bob', [{ role: 'auditor', namespace: 'hr' }]);
  await warningsOf('namespace:hr', gate({ match: 'hr/ecko' }));
  const notes = async (key?: string) =>
    (await gateway.ok('GET /health', undefined, key)).policies.filter(({ scope }: { scope: string }) => scope === 'namespace:hr');
  expect(await notes()).toEqual([
    { scope: 'namespace:hr', message: expect.stringContaining('policy.gates[0].match: "hr/ecko" takes nothing') },
  ]);
  expect(await notes(bob)).toEqual([]);
  await warningsOf('namespace:hr', gate({ match: 'hr/echo' }));
  expect(await notes()).toEqual([]);
});
