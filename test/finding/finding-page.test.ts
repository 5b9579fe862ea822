import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { readSearchSettings } from '../../src/finding/search-settings.ts';
import { type AdminGateway, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';

// Every example of the page, as its reader would try them.

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'finding-tools.md'), 'utf8');
const order = { type: 'object', properties: { order: { type: 'string', examples: ['A-1'] } }, required: ['order'] };
let upstream: StagedUpstream;
let admin: AdminGateway;

beforeAll(async () => {
  upstream = await startStagedUpstream({
    tools: [
      { name: 'refund_payment', description: 'Gives a customer the money of an order back.', inputSchema: order },
      { name: 'open_case', description: 'Starts a case for a customer.' },
      { name: 'close_case', description: 'Ends a case.' },
    ],
  });
  const [, shop = ''] = /```yaml\n(namespace: shop\n[\s\S]*?)```/.exec(page) ?? [];
  admin = await openAdminGateway({ namespaces: { shop: shop.replace('https://desk.example.com/mcp', upstream.url) } });
});

afterAll(async () => {
  await admin?.stop();
  await upstream?.close();
});

test('the toolbox shows what the page says', async () => {
  const { tools } = (await admin.mcp('support', 'tools/list', {})).body.result;
  expect(tools.map(({ name }: { name: string }) => name)).toEqual(['shop__open_case', 'search_tools', 'call_tool']);
});

test('the call arrives as the call that is inside it', async () => {
  const [, call = ''] = /```json\n(\{ "name": "call_tool"[\s\S]*?)```/.exec(page) ?? [];
  const { body } = await admin.mcp('support', 'tools/call', JSON.parse(call));
  expect(body.result.content).toEqual([{ type: 'text', text: '{"order":"A-1"}' }]);
  expect(upstream.arrivals.map(({ name }) => name)).toEqual(['refund_payment']);
});

test('the actions answer as the page says', async () => {
  const examples = Array.from(page.matchAll(/^`(\w+)`:\n\n```json\n([\s\S]*?)```/gm), ([, name = '', json = '']) => ({
    name,
    json,
  }));
  expect(examples.map(({ name }) => name)).toEqual(['list_capabilities', 'get_documentation']);
  const answers: { structuredContent: Record<string, unknown> }[] = [];
  for (const { name, json } of examples)
    answers.push((await admin.mcp('admin', 'tools/call', { name, arguments: JSON.parse(json) })).body.result);
  expect(answers[0]?.structuredContent).toMatchObject({
    capabilities: [{ name: 'shop/refund_payment', inputSchema: order, health: { state: 'healthy' } }],
  });
  expect(answers[1]?.structuredContent.markdown).toContain('"order": "A-1"');
});

test('the settings are settings', async () => {
  const texts = Array.from(page.matchAll(/```ya?ml\n(search:[\s\S]*?)```/g), ([, text = '']) => text);
  const inline = /`(search: \{[^`]*\})`/.exec(page)?.[1] ?? '';
  for (const text of [...texts, inline])
    expect(readSearchSettings((parse(text) as { search: unknown }).search)).toHaveProperty('value');
  expect(texts).toHaveLength(1);
});

test('the questions are as many as the page says', () => {
  const file = join(import.meta.dirname, '..', 'fixtures', 'search', 'questions.txt');
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  expect(page).toContain(`asks ${lines.length} questions`);
  for (const line of lines) expect(line).toMatch(/^[^|]+ \| [a-z]+:[^\s,]+(, [a-z]+:[^\s,]+)*$/);
  expect(new Set(lines).size).toBe(lines.length);
});
