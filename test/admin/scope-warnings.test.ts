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
      hr: namespaceFor('hr', upstream.url, 'toolboxes:\n  people: { include: [hr/echo] }\n'),
      finance: namespaceFor('finance', upstream.url),
      models: `namespace: models\nupstreams:\n${model}`,
    },
  });
  await gateway.ok('POST /consumers', { id: 'app', title: 'An application', kind: 'application' });
  await gateway.ok('POST /toolboxes', { name: 'later', namespace: 'hr', include: ['hr/echo'] });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

async function warningsOf(scope: object, withKey?: string): Promise<readonly string[] | undefined> {
  const owner = withKey === undefined ? { consumer: 'app' } : {};
  return (await gateway.ok('POST /keys', { title: 'x', ...owner, scope }, withKey)).warnings;
}

test('a key whose scope names what is there is made without a warning', async () => {
  for (const scope of [
    {},
    { toolboxes: ['people'] },
    { toolboxes: ['people'], namespaces: ['hr'], capabilities: ['hr/echo'] },
    { namespaces: ['hr', 'finance'] },
    { capabilities: ['hr/*', '*/pay', 'models/fast', 'admin/list_keys'] },
    { models: ['models/fast'] },
    { toolboxes: ['admin'] },
    { toolboxes: [] },
  ])
    expect(await warningsOf(scope), JSON.stringify(scope)).toBeUndefined();
});

test.each([
  [{ toolboxes: ['poeple'] }, 'toolboxes "poeple" is not there, so it opens nothing until it is. Did you mean "people"?'],
  [{ toolboxes: ['people@3'] }, 'the toolbox people has no version 3'],
  [{ toolboxes: ['later'] }, 'toolboxes "later": it is a draft'],
  [{ namespaces: ['finanse'] }, 'namespaces "finanse" is not there, so it opens nothing until it is. Did you mean "finance"?'],
  [{ capabilities: ['hr/ecko'] }, 'takes nothing right now, so it opens nothing until it does. Did you mean "hr/echo"?'],
  [{ capabilities: ['hrr/echo'] }, 'There is no namespace "hrr". Did you mean "hr"?'],
  [{ capabilities: ['hr/get_*'] }, 'capabilities "hr/get_*" takes nothing right now'],
  [{ models: ['models/fats'] }, 'Did you mean "models/fast"?'],
  [{ models: ['hr/echo'] }, 'models "hr/echo" is no model'],
  [{ namespaces: ['hr'], capabilities: ['finance/pay'] }, 'no capability is in all of the lists'],
  [{ toolboxes: ['people'], capabilities: ['hr/pay'] }, 'no capability is in all of the lists'],
])('%j is made, and said to open nothing', async (scope, sentence) => {
  const warnings = await warningsOf(scope);
  expect(warnings).toHaveLength(1);
  expect(warnings?.[0]).toContain(sentence);
});

test('what is there and what may come are told apart', async () => {
  const warnings = await warningsOf({ namespaces: ['hr', 'later-on'] });
  expect(warnings).toEqual([expect.stringContaining('namespaces "later-on" is not there')]);
});

test('whoever may not see something is told nothing else than of what is not there', async () => {
  const developer = await gateway.person('hr-dev', [{ role: 'developer', namespace: 'hr' }]);
  const [hidden] = (await warningsOf({ capabilities: ['hr/echo'], toolboxes: ['people'] }, developer)) ?? [];
  expect(hidden).toBeUndefined();
  const toolboxes = await gateway.ok('POST /toolboxes', { name: 'money', namespace: 'finance', include: ['finance/pay'] });
  expect(toolboxes.toolbox.name).toBe('money');
  const draft = await warningsOf({ toolboxes: ['money'], capabilities: ['hr/echo'] }, developer);
  const none = await warningsOf({ toolboxes: ['mooney'], capabilities: ['hr/echo'] }, developer);
  expect(draft?.[0]?.replace('money', '')).toBe(none?.[0]?.replace('mooney', ''));
});

test('tools say it beside the key, and so does a key that was requested', async () => {
  const input = { title: 'x', consumer: 'app', scope: { toolboxes: ['poeple'] } };
  const { body } = await gateway.mcp('admin', 'tools/call', { name: 'create_key', arguments: input });
  expect(body.result.structuredContent.warnings[0]).toContain('Did you mean "people"?');
  const developer = await gateway.person('dev', [{ role: 'developer' }]);
  const requested = await gateway.ok('POST /keys/request', { title: 'x', toolboxes: ['poeple'] }, developer);
  expect(requested.warnings[0]).toContain('Did you mean "people"?');
});
