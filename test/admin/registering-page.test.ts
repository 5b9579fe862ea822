import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Administered, act, startAdministered } from './operator.ts';
import { startToolServer, type ToolServer } from './tool-server.ts';

// Every example of the page, one after the other, as its reader would try them.

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'registering.md'), 'utf8');
let server: ToolServer;
let gateway: Administered;

beforeAll(async () => {
  server = await startToolServer(['find_person', 'list_people']);
  const secrets = { HR__PEOPLE_TOKEN: 'token-of-people', TRAVEL__TOKEN: 'token-of-trips', TRIPS_TOKEN: 'token-of-trips' };
  gateway = await startAdministered([], [], { GATEHOUSE_EGRESS_ALLOW: `127.0.0.1:${server.port}`, ...secrets });
});
afterAll(async () => {
  await gateway?.stop();
  await server?.close();
});

const here = (text: string) => text.replaceAll(/https:\/\/\w+\.example\.com\/mcp/g, server.url);

test('the actions do what the page says', async () => {
  const examples = Array.from(page.matchAll(/^`(\w+)`:\n\n```json\n([\s\S]*?)```/gm), ([, name = '', json = '']) => ({
    name,
    json,
  }));
  expect(examples.length).toBeGreaterThan(6);
  for (const { name, json } of examples) {
    const { status, body } = await act(gateway, name, JSON.parse(here(json)));
    expect([name, status, body.error?.message, body.findings ?? []]).toEqual([name, 200, undefined, []]);
  }
  const { body } = await act(gateway, 'list_toolboxes', { name: 'staff' });
  expect(body.toolboxes).toMatchObject([
    { published: 1, tools: ['hr/find_person'], changes: { added: ['hr/list_people'], removed: [] } },
  ]);
});

test('the configuration is imported, and exported as it is', async () => {
  const [, text = ''] = /```yaml\n(# configuration\n[\s\S]*?)```/.exec(page) ?? [];
  const imported = await act(gateway, 'import_configuration', { text: here(text) });
  expect([imported.status, imported.body.problems, imported.body.changes]).toEqual([200, [], 10]);
  const exported = await act(gateway, 'export_configuration');
  expect((await act(gateway, 'plan_configuration', { text: exported.body.text, prune: true })).body.lines).toEqual([]);
});

test("a client's file is imported", async () => {
  const [, text = ''] = /```json\n(\{\n {2}"mcpServers"[\s\S]*?)```/.exec(page) ?? [];
  const { status, body } = await act(gateway, 'import_configuration', { text: here(text), namespace: 'planning' });
  expect([status, body.entries?.at(-1)]).toMatchObject([200, { id: 'planning/trip-planner', state: 'healthy' }]);
});
