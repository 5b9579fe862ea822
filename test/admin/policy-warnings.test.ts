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

test('a plan says nothing of what its own upstreams, models and members may bring', async () => {
  const text = `namespaces:
  - namespace: fresh
    upstreams:
      desk: { kind: mcp, url: "https://desk.example.com/mcp" }
    policy:
      gates: [{ match: fresh/anything, by: { members: [zoe] } }]
members:
  zoe: { title: Zoe, identities: [zoe@example.com] }
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
