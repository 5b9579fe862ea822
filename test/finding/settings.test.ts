import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { closeRawClients, connectRaw, type OpenStream, rawEras } from '../support/raw-clients.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

let upstream: StagedUpstream;
let directory: string;
let admin: AdminGateway;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-search-'));
  writeFileSync(
    join(directory, 'gatehouse.yaml'),
    'search:\n  everything: true\n  synonyms:\n    - [zebra, order]\n    - [blue form, ticket]\n',
  );
  upstream = await startStagedUpstream({
    tools: [
      {
        name: 'get_order',
        description: 'Finds one.',
        annotations: { readOnlyHint: true },
        _meta: { 'dev.gatehouse/tags': ['Orders'] },
      },
      { name: 'delete_order', annotations: { destructiveHint: true }, _meta: { 'dev.gatehouse/tags': ['Orders'] } },
      { name: 'open_ticket', annotations: { destructiveHint: false } },
    ],
  });
  const boxes = 'toolboxes:\n  always: { include: ["shop/*"], search: true, pinned: ["shop/get_*"] }\n';
  admin = await openAdminGateway({ namespaces: { shop: namespaceFor('shop', upstream.url, boxes) }, directory });
});

afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await upstream?.close();
  rmSync(directory, { recursive: true, force: true });
});

const toolsOf = async (toolbox: string): Promise<string[]> =>
  (await admin.mcp(toolbox, 'tools/list', {})).body.result.tools.map(({ name }: { name: string }) => name);
const search = async (toolbox: string, query: string): Promise<string[]> => {
  const { body } = await admin.mcp(toolbox, 'tools/call', { name: 'search_tools', arguments: { query } });
  return body.result.structuredContent.tools.map(({ name }: { name: string }) => name);
};
const listed = async (query: string): Promise<string[]> =>
  (await admin.ok(`GET /capabilities?${query}`)).capabilities.map(({ name }: { name: string }) => name);

test('"everything" gives /mcp itself a search', async () => {
  expect(await toolsOf('')).toEqual(['search_tools', 'call_tool']);
});

test("an admin's synonyms count in search_tools and in the catalog", async () => {
  expect((await search('', 'get the zebra'))[0]).toBe('shop__get_order');
  expect(await search('', 'fill in a blue form')).toContain('shop__open_ticket');
  expect(await listed('text=zebra')).toEqual(expect.arrayContaining(['shop/get_order', 'shop/delete_order']));
});

test('the catalog is filtered by tag, risk, and what is not in a toolbox yet; the last word may be half typed', async () => {
  expect(await listed('tag=orders')).toEqual(['shop/get_order', 'shop/delete_order']);
  expect(await listed('risk=read-only')).toEqual(['shop/get_order']);
  expect(await listed('risk=changes')).toEqual(['shop/open_ticket']);
  expect(await listed('risk=destructive&text=order')).toEqual(['shop/delete_order']);
  expect(await listed('notIn=always')).toEqual([]);
  expect(await listed('text=tick')).toEqual(['shop/open_ticket']);
});

test('with details each shows its schema, an example, limits and health', async () => {
  const [first] = (await admin.ok('GET /capabilities?detailed=true&text=ticket')).capabilities;
  expect(first).toMatchObject({
    name: 'shop/open_ticket',
    risk: 'changes',
    toolboxes: ['always'],
    inputSchema: { type: 'object' },
    example: { method: 'tools/call', params: { name: 'shop__open_ticket', arguments: {} } },
    limits: [],
    health: { state: 'healthy', breaker: 'closed' },
  });
});

test('an admin switches the search of a toolbox on and off, and pins tools', async () => {
  const box = { name: 'mine', namespace: 'shop', include: ['shop/*'], search: true, pinned: ['shop/open_*'] };
  await admin.ok('POST /toolboxes', box);
  await admin.ok('POST /toolboxes/mine/publish', {});
  expect(await toolsOf('mine')).toEqual(['shop__open_ticket', 'search_tools', 'call_tool']);
  await admin.ok('PATCH /toolboxes/mine', { search: false });
  expect(await toolsOf('mine')).toHaveLength(3);
  await admin.ok('POST /toolboxes/mine/publish', {});
  expect(await toolsOf('mine')).toEqual(['shop__get_order', 'shop__delete_order', 'shop__open_ticket']);
  const refused = await admin.api('PATCH /toolboxes/mine', { search: 'maybe' });
  expect(refused.status).toBe(400);
});

test('the namespace that Gatehouse records its own tools under is nobody else’s', async () => {
  expect((await admin.api('POST /namespaces', { namespace: 'gatehouse' })).body.error.message).toContain('belongs to Gatehouse');
});

test.each(rawEras)('a %s client hears of a change of what is listed, and of no other', async (era) => {
  const box = { name: `told-${era}`, namespace: 'shop', include: ['shop/*'], search: true, pinned: ['shop/get_*'] };
  await admin.ok('POST /toolboxes', box);
  await admin.ok(`POST /toolboxes/told-${era}/publish`, {});
  const client = await connectRaw(era, { url: `${admin.url}/mcp/told-${era}`, key: admin.key });
  const stream: OpenStream = await client.stream();
  const notices = () => stream.messages.filter(({ method }) => method === 'notifications/tools/list_changed').length;
  // What leaves the toolbox was in no list.
  await admin.ok(`PATCH /toolboxes/told-${era}`, { exclude: ['shop/delete_*'] });
  await admin.ok(`POST /toolboxes/told-${era}/publish`, {});
  expect(await search(`told-${era}`, 'delete order')).not.toContain('shop__delete_order');
  expect(notices()).toBe(0);
  await admin.ok(`PATCH /toolboxes/told-${era}`, { pinned: ['shop/open_*'] });
  await admin.ok(`POST /toolboxes/told-${era}/publish`, {});
  await until('the client was told', () => notices() === 1);
  stream.close();
});
