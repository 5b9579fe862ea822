import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { configurationJsonSchema } from '../../src/admin/configuration-format.ts';
import { connectClient } from '../support/clients.ts';
import { type Administered, act, startAdministered } from './operator.ts';
import { startToolServer, type ToolServer } from './tool-server.ts';

let people: ToolServer;
let ledger: ToolServer;
let gateway: Administered;

beforeAll(async () => {
  people = await startToolServer(['find_person', 'list_people']);
  ledger = await startToolServer(['get_balance']);
  gateway = await startAdministered(
    [`namespace: legal\nupstreams:\n  contracts: { kind: mcp, url: ${people.url} }\n`],
    [
      { id: 'hana', roles: [{ role: 'admin', namespace: 'hr' }] },
      { id: 'dev', roles: [{ role: 'developer' }] },
    ],
    { GATEHOUSE_EGRESS_ALLOW: '127.0.0.1', HR__TOKEN: 'a-secret-of-hr' },
  );
});
// What a test has imported goes again; the two who have keys stay.
afterEach(async () => {
  const text =
    'members:\n  hana: { title: hana, roles: [{ role: admin, namespace: hr }] }\n  dev: { title: dev, roles: [{ role: developer }] }\n';
  const { status } = await act(gateway, 'import_configuration', { text, prune: true });
  expect(status).toBe(200);
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([people?.close(), ledger?.close()]);
});

const configuration = () => `namespaces:
  - namespace: hr
    description: People
    upstreams:
      people:
        kind: mcp
        url: ${people.url}
        headers: { Authorization: "Bearer \${secret:HR__TOKEN}" }
    toolboxes:
      staff: { title: Staff, include: [hr/find_person] }
    policy:
      limits: [{ per: consumer, rpm: 600 }]
  - namespace: finance
    upstreams:
      ledger: { kind: mcp, url: "${ledger.url}", timeoutMs: 5000 }
consumers:
  payroll: { title: Payroll, kind: application, limits: [{ per: consumer, rpm: 60 }] }
members:
  ada: { title: Ada, identities: [ada@example.com], roles: [{ role: developer, namespace: hr }] }
  hana: { title: hana, roles: [{ role: admin, namespace: hr }] }
  dev: { title: dev, roles: [{ role: developer }] }
policies:
  capability:hr/find_person: { timeoutMs: 3000 }
drafts:
  next: { namespace: hr, include: [hr/list_people] }
alerts:
  spend: { per: consumer, unit: usd, amount: 500, window: month }
modelPrices:
  - { provider: openai, model: house-model, price: { input: 0.4, output: 1.2 } }
`;

describe('US-T-A8 bulk import', () => {
  test('a plan says line by line what would change, and changes nothing', async () => {
    const { status, body } = await act(gateway, 'plan_configuration', { text: configuration() });
    expect([status, body.problems, body.isPossible]).toEqual([200, [], true]);
    expect(body.lines).toEqual([
      '+ namespace hr (line 2)',
      '+ upstream hr/people (line 5)',
      '+ toolbox staff (line 10)',
      '+ policy namespace:hr (line 11)',
      '+ namespace finance (line 13)',
      '+ upstream finance/ledger (line 15)',
      '+ consumer payroll (line 17)',
      '+ member ada (line 19)',
      '+ policy capability:hr/find_person (line 23)',
      '+ draft next (line 25)',
      '+ alert spend (line 27)',
      '+ model-price openai/house-model (line 29)',
    ]);
    expect((await act(gateway, 'list_consumers')).body.consumers).toEqual([]);
  });

  test('an import does all of it at once; a second one has nothing to do', async () => {
    const { status, body } = await act(gateway, 'import_configuration', { text: configuration() });
    expect([status, body.changes]).toEqual([200, 12]);
    expect((await act(gateway, 'list_alerts')).body.alerts).toMatchObject([{ id: 'spend', amount: 500 }]);
    expect((await act(gateway, 'list_model_prices')).body.models).toMatchObject([{ model: 'house-model', source: 'edited' }]);
    expect(body.entries.filter((one: { kind: string }) => one.kind === 'upstream')).toMatchObject([
      { id: 'hr/people', state: 'healthy', tools: ['hr__find_person', 'hr__list_people'] },
      { id: 'finance/ledger', state: 'healthy', tools: ['finance__get_balance'] },
    ]);
    const client = await connectClient('v2 auto', { url: gateway.mcpUrl('staff'), key: gateway.key });
    expect(await client.listTools()).toEqual(['hr__find_person']);
    await client.close();
    const again = await act(gateway, 'import_configuration', { text: configuration() });
    expect([again.status, again.body.changes, again.body.lines]).toEqual([200, 0, []]);
  });

  test('what is exported is what there is: its plan has nothing to do, in either format', async () => {
    await act(gateway, 'import_configuration', { text: configuration() });
    await act(gateway, 'update_toolbox', { name: 'staff', title: 'Everybody' });
    for (const format of ['yaml', 'json']) {
      const { body } = await act(gateway, 'export_configuration', { format });
      expect(body.text).not.toContain('a-secret-of-hr');
      const plan = await act(gateway, 'plan_configuration', { text: body.text, prune: true });
      expect([plan.body.lines, plan.body.problems]).toEqual([[], []]);
    }
    const { body } = await act(gateway, 'export_configuration');
    const empty = await startAdministered([], [], { GATEHOUSE_EGRESS_ALLOW: '127.0.0.1', HR__TOKEN: 'a-secret-of-hr' });
    expect((await act(empty, 'import_configuration', { text: body.text })).status).toBe(200);
    expect((await act(empty, 'export_configuration')).body.text).toBe(body.text);
    await empty.stop();
  });

  test('changes are told key by key, and what is not named goes only where it is asked for', async () => {
    await act(gateway, 'import_configuration', { text: configuration() });
    const next = configuration()
      .replace('timeoutMs: 5000', 'timeoutMs: 9000')
      .replace('Staff, include: [hr/find_person]', 'Staff, include: [hr/*]')
      .replace(/ {2}capability:hr.*\n/, '  global: { timeoutMs: 60000 }\n')
      .replace(/drafts:[\s\S]*$/, '');
    const kept = await act(gateway, 'plan_configuration', { text: next });
    expect(kept.body.lines).toEqual([
      '~ toolbox staff (line 10)',
      '    ~ include: ["hr/find_person"] -> ["hr/*"]',
      '~ upstream finance/ledger (line 15)',
      '    ~ timeoutMs: 5000 -> 9000',
      '+ policy global (line 23)',
    ]);
    const pruned = await act(gateway, 'import_configuration', { text: next, prune: true });
    expect(pruned.body.lines.slice(-4)).toEqual([
      '- policy capability:hr/find_person',
      '- alert spend',
      '- model-price openai/house-model',
      '- toolbox next',
    ]);
    const { body } = await act(gateway, 'list_toolboxes', { name: 'staff' });
    expect(body.toolboxes).toMatchObject([
      { published: 2, tools: ['hr/find_person', 'hr/list_people'], versions: [{ note: 'imported' }, {}] },
    ]);
    expect((await act(gateway, 'import_configuration', { text: next, prune: true })).body.changes).toBe(0);
  });

  test.each<[string, (text: string) => string, number, RegExp]>([
    ['a key that is not known', (text) => text.replace('timeoutMs: 5000', 'timeouts: 5'), 15, /not known here/],
    [
      'a part with a slip in its name',
      (text) => text.replace('consumers:', 'consumrs:'),
      16,
      /"consumrs" is not known here. Did you mean "consumers"/,
    ],
    [
      'a field with a slip in its name',
      (text) => text.replace('kind: application', 'kinds: application'),
      17,
      /"kinds" is not known here. Did you mean "kind"/,
    ],
    [
      'a field that is missing',
      (text) => text.replace(', kind: application', ''),
      17,
      /^"kind" is missing; add it: team or application\.$/,
    ],
    ['a flaw of form', (text) => text.replace('kind: application', 'kind: robot'), 17, /application/],
    [
      'a rule that does not compile',
      (text) => text.replace('rpm: 600 }]', 'rpm: 600 }]\n      allow: ["caller.nobody("]'),
      13,
      /./,
    ],
    ['a toolbox of nowhere', (text) => text.replace('include: [hr/find_person]', 'include: [hrr/x]'), 10, /Did you mean "hr"/],
    ['a secret in plain text', (text) => text.replace(`\${secret:HR__TOKEN}`, 'sk-abcdefgh'), 8, /HR__PEOPLE_AUTHORIZATION/],
    ['a command', (text) => text.replace(/url: "[^"]*"/, 'command: [sh]'), 15, /GATEHOUSE_ALLOWED_COMMANDS/],
    [
      'what a file declares',
      (text) => text.replace('namespace: finance', 'namespace: legal\n    description: x'),
      13,
      /legal\.yaml/,
    ],
    ['a namespace twice', (text) => text.replace('namespace: finance', 'namespace: hr'), 13, /stands here twice/],
    [
      'two members with one identity',
      (text) => text.replace('title: dev,', 'title: dev, identities: [ada@example.com],'),
      21,
      /already speaks/,
    ],
    ['a policy of nothing', (text) => text.replace('capability:hr/find_person', 'everything'), 23, /A policy is called/],
    ['no YAML', (text) => text.replace('consumers:', 'consumers: ['), 18, /YAML/],
  ])('nothing is done while there is an error: %s, on its line', async (_name, spoil, line, message) => {
    const text = spoil(configuration());
    const plan = await act(gateway, 'plan_configuration', { text });
    expect(plan.body.isPossible).toBe(false);
    expect(plan.body.problems).toContainEqual(expect.objectContaining({ line, message: expect.stringMatching(message) }));
    const { status, body } = await act(gateway, 'import_configuration', { text });
    expect([status, body.error.data.problems]).toEqual([400, plan.body.problems]);
    expect(JSON.stringify(body)).not.toContain('sk-abcdefgh');
    expect((await act(gateway, 'list_consumers')).body.consumers).toEqual([]);
  });

  test('whoever has keys is not pruned', async () => {
    const { status, body } = await act(gateway, 'import_configuration', { text: 'consumers: {}', prune: true });
    expect([status, body.error.message]).toEqual([
      400,
      expect.stringContaining('The member "hana" would go, but has the keys hana'),
    ]);
  });

  test('it is for those who administer all of it', async () => {
    for (const name of ['plan_configuration', 'import_configuration', 'export_configuration']) {
      const args = name === 'export_configuration' ? {} : { text: configuration() };
      expect((await act({ url: gateway.url, key: gateway.keyOf('hana') }, name, args)).status).toBe(403);
      expect((await act({ url: gateway.url, key: gateway.keyOf('dev') }, name, args)).status).toBe(403);
    }
  });

  test('a map of namespaces is as good as a list', async () => {
    const text = `namespaces:\n  hr:\n    upstreams:\n      people: { kind: mcp, url: "${people.url}" }\n`;
    expect((await act(gateway, 'import_configuration', { text })).body.lines).toEqual([
      '+ namespace hr (line 2)',
      '+ upstream hr/people (line 4)',
    ]);
  });

  test('hundreds of tools come in one text', async () => {
    const upstreams = Array.from({ length: 60 }, (_, n) => {
      const server = n % 2 === 0 ? people : ledger;
      return `      u${n}: { kind: mcp, url: "${server.url}", rename: { find_person: find_${n}, list_people: list_${n}, get_balance: get_${n} } }`;
    });
    const text = `namespaces:\n  many:\n    upstreams:\n${upstreams.join('\n')}\n`.replaceAll(
      /rename: \{ [^}]*\}/g,
      (rename) => rename,
    );
    const { status, body } = await act(gateway, 'import_configuration', { text });
    expect([status, body.changes]).toEqual([200, 61]);
    const { body: found } = await act(gateway, 'list_capabilities', { namespace: 'many', limit: 1 });
    expect(found.total).toBe(90);
  });
});

describe("a client's servers", () => {
  const claude = () =>
    JSON.stringify(
      {
        mcpServers: {
          'Company People': {
            type: 'http',
            url: people.url,
            headers: { Authorization: 'Bearer sk-123456789', 'X-Region': 'eu' },
          },
          old: { url: ledger.url, disabled: true },
        },
      },
      undefined,
      2,
    );

  test("VS Code's file is read with its comments, tabs and trailing commas; a flaw is named at its line", async () => {
    const text = (more = '') => `// What this workspace starts
{
\t/* asked for
\t   when a server starts */
\t"inputs": [{ "id": "token", "type": "promptString", "password": true, }],
\t"servers": {
\t\t"people": { // the directory
\t\t\t"type": "http",
\t\t\t"url": "${people.url}", // "not": "part of it",
\t\t\t"enabled": true // on
\t\t},${more}
\t},
}
`;
    const planned = await act(gateway, 'plan_configuration', { text: text(), namespace: 'desk' });
    expect(planned.body).toMatchObject({ isPossible: true, problems: [], secrets: [] });
    expect((await act(gateway, 'import_configuration', { text: text(), namespace: 'desk' })).status).toBe(200);
    const { body } = await act(gateway, 'list_upstreams', { namespace: 'desk' });
    expect(body.upstreams).toMatchObject([{ id: 'desk/people', entry: { url: people.url } }]);
    const broken = await act(gateway, 'plan_configuration', { text: text('\n\t\t"bad": 5,'), namespace: 'desk' });
    expect(broken.body.problems).toMatchObject([{ line: 12, message: expect.stringContaining('A server is a map') }]);
  });

  test('are proposed as upstreams, a secret in plain text as the secret to set', async () => {
    const { body } = await act(gateway, 'plan_configuration', { text: claude(), namespace: 'hr' });
    expect(body.isPossible).toBe(false);
    expect(body.secrets).toEqual(['HR__COMPANY_PEOPLE_AUTHORIZATION']);
    expect(body.problems).toMatchObject([
      { severity: 'warning', line: 3 },
      { severity: 'error', line: 7, message: expect.stringContaining('Set it as the secret HR__COMPANY_PEOPLE_AUTHORIZATION') },
      { severity: 'warning', line: 11, message: expect.stringContaining('switched off') },
    ]);
    expect(JSON.stringify(body)).not.toContain('sk-123456789');
    expect(body.proposal).toContain(`Authorization: Bearer \${secret:HR__COMPANY_PEOPLE_AUTHORIZATION}`);
    expect((await act(gateway, 'import_configuration', { text: claude(), namespace: 'hr' })).status).toBe(400);
    const proposed = await act(gateway, 'plan_configuration', { text: body.proposal });
    expect([proposed.body.isPossible, proposed.body.lines]).toEqual([
      true,
      ['+ namespace hr (line 2)', '+ upstream hr/company-people (line 4)'],
    ]);
  });

  test('without secrets they are imported as they are, from Cursor and from VS Code', async () => {
    const cursor = JSON.stringify({ mcpServers: { people: { url: people.url } } });
    expect((await act(gateway, 'import_configuration', { text: cursor, namespace: 'hr' })).body.entries).toMatchObject([
      { kind: 'namespace', change: 'create' },
      { id: 'hr/people', state: 'healthy' },
    ]);
    const vscode = JSON.stringify({
      inputs: [{ id: 'token', type: 'promptString' }],
      servers: {
        ledger: {
          type: 'http',
          url: ledger.url,
          headers: { Authorization: `Bearer \${input:token}`, 'X-T': `\${env:HR__TOKEN}` },
        },
      },
    });
    const { status, body } = await act(gateway, 'import_configuration', { text: vscode, namespace: 'hr' });
    expect([status, body.secrets]).toEqual([200, ['HR__LEDGER_TOKEN', 'HR__TOKEN']]);
    expect(body.entries.at(-1)).toMatchObject({
      id: 'hr/ledger',
      state: 'down',
      lastError: expect.stringContaining('HR__LEDGER_TOKEN is not set'),
    });
  });

  test('ST-06: commands are taken when they are allowed word for word, and never else', async () => {
    const text = JSON.stringify({
      mcpServers: { files: { command: 'npx', args: ['-y', 'server'], env: { NODE_OPTIONS: '--x' } } },
    });
    const { status, body } = await act(gateway, 'import_configuration', { text, namespace: 'hr' });
    expect([status, body.error.message]).toEqual([400, expect.stringMatching(/GATEHOUSE_ALLOWED_COMMANDS[\s\S]*NODE_OPTIONS/)]);
    const command = [process.execPath, new URL('../support/upstreams/stdio-legacy.ts', import.meta.url).pathname];
    const own = await startAdministered([], [], { GATEHOUSE_ALLOWED_COMMANDS: JSON.stringify([command]) });
    const allowed = JSON.stringify({ mcpServers: { files: { command: command[0], args: command.slice(1) } } });
    const { body: done } = await act(own, 'import_configuration', { text: allowed, namespace: 'hr' });
    expect(done.entries?.at(-1)).toMatchObject({ id: 'hr/files', state: 'healthy' });
    await own.stop();
  });

  test('need a namespace', async () => {
    const { body } = await act(gateway, 'plan_configuration', { text: claude() });
    expect(body.problems).toMatchObject([{ severity: 'error', line: 2, message: expect.stringContaining('which namespace') }]);
  });
});

test('the JSON Schema for editors is up to date (npm run schema writes it)', () => {
  const file = join(import.meta.dirname, '..', '..', 'namespaces', 'configuration.schema.json');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(configurationJsonSchema())));
});
