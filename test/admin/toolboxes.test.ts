import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clientKinds, connectClient, textOf } from '../support/clients.ts';
import { until } from '../support/until.ts';
import { type Administered, act, startAdministered } from './operator.ts';
import { startToolServer, type ToolServer } from './tool-server.ts';

let people: ToolServer;
let ledger: ToolServer;
let gateway: Administered;
const as = (id: string) => ({ url: gateway.url, key: gateway.keyOf(id) });
const names = ({ body }: { body: { capabilities?: { name: string }[] } }) => body.capabilities?.map(({ name }) => name);

beforeAll(async () => {
  people = await startToolServer(['find_person', 'list_people', 'dismiss']);
  ledger = await startToolServer(['get_balance', 'book']);
  gateway = await startAdministered(
    [
      `namespace: hr\ndescription: People\nupstreams:\n  people: { kind: mcp, url: ${people.url} }\npolicy:\n  limits: [{ per: consumer, rpm: 100 }]\n  allow: ["capability.name != 'hr/dismiss' || caller.role == 'admin'"]\n`,
      `namespace: finance\nupstreams:\n  ledger: { kind: mcp, url: ${ledger.url} }\ntoolboxes:\n  books: { include: [finance] }\n`,
    ],
    [
      { id: 'dev', roles: [{ role: 'developer', namespace: 'hr' }] },
      { id: 'narrow', roles: [{ role: 'developer' }], scope: { toolboxes: ['admin', 'books'] } },
      { id: 'pinned', roles: [{ role: 'developer' }], scope: { toolboxes: ['staff@1'] } },
      { id: 'named', roles: [{ role: 'developer' }], scope: { toolboxes: ['staff'] } },
      { id: 'auditor', roles: [{ role: 'auditor' }] },
    ],
  );
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([people?.close(), ledger?.close()]);
});

describe('US-T-D2 build toolboxes', () => {
  const staff = { name: 'staff', namespace: 'hr', title: 'Staff', include: ['hr/find_person'] };

  test('a developer makes a toolbox of what that developer may call; nothing is served before it is published', async () => {
    const { status, body } = await act(as('dev'), 'create_toolbox', staff);
    expect([status, body.toolbox, body.findings]).toMatchObject([
      200,
      { name: 'staff', tools: [], changes: { added: ['hr/find_person'], removed: [] }, versions: [] },
      [],
    ]);
    await expect(connectClient('v1', { url: gateway.mcpUrl('staff'), key: gateway.key })).rejects.toThrow(/no toolbox/);
    expect((await act(as('dev'), 'create_toolbox', staff)).status).toBe(409);
  });

  test('AZ-01: a toolbox that a file declares is, for those who see none of its namespace, not there', async () => {
    const tries = (name: string): [string, object][] => [
      ['update_toolbox', { name, title: 'x' }],
      ['publish_toolbox', { name, note: 'x' }],
      ['rollback_toolbox', { name, version: 1 }],
      ['delete_toolbox', { name }],
    ];
    for (const [at, [action, input]] of tries('books').entries()) {
      const foreign = await act(as('dev'), action, input);
      const nowhere = await act(as('dev'), action, tries('nobooks')[at]?.[1] ?? {});
      expect([action, foreign.status]).toEqual([action, 404]);
      expect(JSON.stringify(foreign.body).replaceAll('books', 'nobooks')).toBe(JSON.stringify(nowhere.body));
      const own = await act(gateway, action, input);
      expect([own.status, own.body.error.message]).toEqual([409, expect.stringMatching(/is declared in .*\.yaml/)]);
    }
    const taken = await act(as('dev'), 'create_toolbox', { ...staff, name: 'books' });
    expect([taken.status, taken.body.error.message]).toEqual([409, expect.not.stringMatching(/yaml|declared/)]);
  });

  test.each(['finance/*', 'finance/get_balance', 'h*/list_people', '*', 'admin/*', 'hr/*', 'hr/dismiss', 'nowhere/x'])(
    'a line that reaches beyond that is refused by name: %s',
    async (line) => {
      const { status, body } = await act(as('dev'), 'create_toolbox', {
        ...staff,
        name: 'more',
        include: ['hr/find_person', line],
      });
      expect(status).toBe(400);
      expect(body.error.data.findings).toEqual([
        {
          severity: 'error',
          path: '/include/1',
          message: `"${line}" reaches beyond what key:dev may call. Name what you may call.`,
        },
      ]);
    },
  );

  test('who administers all of it may take all of it; a wrong name is told', async () => {
    const box = { name: 'all', namespace: 'hr', include: ['hr/*', 'finance/ledger/*'] };
    expect((await act(gateway, 'create_toolbox', box)).body.toolbox.changes.added).toHaveLength(5);
    const { body } = await act(gateway, 'create_toolbox', { ...box, name: 'wrong', include: ['finanse/*'] });
    expect(body.error.message).toContain('Did you mean "finance"?');
    const idle = await act(gateway, 'create_toolbox', { ...box, name: 'idle', include: ['hr/nothing_yet'] });
    expect(idle.body.findings).toMatchObject([{ severity: 'warning', path: '/include/0' }]);
    for (const name of ['all', 'idle']) expect((await act(gateway, 'delete_toolbox', { name })).status).toBe(200);
  });

  test('a key for single toolboxes takes what is in these, by full name', async () => {
    const box = { name: 'mine', namespace: 'finance', include: ['finance/book'] };
    expect((await act(as('narrow'), 'create_toolbox', { ...box, include: ['hr/find_person'] })).status).toBe(400);
    expect((await act(as('narrow'), 'create_toolbox', { ...box, include: ['finance/*'] })).status).toBe(400);
    expect((await act(as('narrow'), 'create_toolbox', box)).status).toBe(200);
    expect((await act(gateway, 'delete_toolbox', { name: 'mine' })).status).toBe(200);
  });

  test('published versions never change, each has an address, and the name serves the one that is published', async () => {
    const first = await act(as('dev'), 'publish_toolbox', { name: 'staff', note: 'first' });
    expect(first.body).toMatchObject({ version: 1, toolbox: { published: 1, tools: ['hr/find_person'] } });
    expect((await act(as('dev'), 'publish_toolbox', { name: 'staff' })).status).toBe(409);
    const drafted = await act(as('dev'), 'update_toolbox', { name: 'staff', include: ['hr/list_people'] });
    expect(drafted.body.toolbox).toMatchObject({
      published: 1,
      changes: { added: ['hr/list_people'], removed: ['hr/find_person'] },
    });
    const second = await act(as('dev'), 'publish_toolbox', { name: 'staff' });
    expect(second.body).toMatchObject({
      version: 2,
      toolbox: { published: 2, versions: [{ version: 2 }, { version: 1, note: 'first' }] },
    });
    for (const kind of clientKinds) {
      for (const [address, tool] of [
        ['staff', 'hr__list_people'],
        ['staff@2', 'hr__list_people'],
        ['staff@1', 'hr__find_person'],
        ['staff%401', 'hr__find_person'],
      ] as const) {
        const client = await connectClient(kind, { url: gateway.mcpUrl(address), key: gateway.key });
        expect([address, await client.listTools()]).toEqual([address, [tool]]);
        expect(textOf(await client.call(tool, { text: 'x' }))).toBe(`${tool.slice(4)} x`);
        await client.close();
      }
    }
    await expect(connectClient('v1', { url: gateway.mcpUrl('staff@3'), key: gateway.key })).rejects.toThrow(/no toolbox/);
  });

  test('a client of the name hears of a new version, one of a number does not', async () => {
    const named = await connectClient('v1', { url: gateway.mcpUrl('staff'), key: gateway.key });
    const pinned = await connectClient('v1', { url: gateway.mcpUrl('staff@2'), key: gateway.key });
    await act(as('dev'), 'update_toolbox', { name: 'staff', include: ['hr/find_person', 'hr/list_people'] });
    expect(await named.listTools()).toEqual(['hr__list_people']);
    await act(as('dev'), 'publish_toolbox', { name: 'staff' });
    await until('the client is told', () => named.changes.includes('tools'));
    expect(await named.listTools()).toEqual(['hr__find_person', 'hr__list_people']);
    expect([await pinned.listTools(), pinned.changes]).toEqual([['hr__list_people'], []]);
    await Promise.all([named.close(), pinned.close()]);
  });

  test('an earlier version is served again', async () => {
    const { body } = await act(as('dev'), 'rollback_toolbox', { name: 'staff', version: 1 });
    expect(body.toolbox).toMatchObject({ published: 1, tools: ['hr/find_person'] });
    expect((await act(as('dev'), 'rollback_toolbox', { name: 'staff', version: 9 })).status).toBe(404);
    const client = await connectClient('v2 auto', { url: gateway.mcpUrl('staff'), key: gateway.key });
    expect(await client.listTools()).toEqual(['hr__find_person']);
    await client.close();
  });

  test('a key for a version reaches that version, one for the name what is published', async () => {
    const opens = (who: string, toolbox: string) =>
      connectClient('v2 auto', { url: gateway.mcpUrl(toolbox), key: gateway.keyOf(who) }).then(
        async (client) => {
          await client.close();
          return true;
        },
        () => false,
      );
    expect(await Promise.all(['staff@1', 'staff@2', 'staff'].map((box) => opens('pinned', box)))).toEqual([true, false, false]);
    expect(await Promise.all(['staff@1', 'staff@2', 'staff'].map((box) => opens('named', box)))).toEqual([false, false, true]);
  });

  test("at use the caller's own rights hold", async () => {
    await act(gateway, 'create_toolbox', { name: 'wide', namespace: 'hr', include: ['hr/*', 'finance/*'] });
    await act(gateway, 'publish_toolbox', { name: 'wide' });
    const client = await connectClient('v2 auto', { url: gateway.mcpUrl('wide'), key: gateway.keyOf('dev') });
    expect(await client.listTools()).toEqual(['hr__find_person', 'hr__list_people']);
    await expect(client.call('finance__book')).rejects.toThrow(/Unknown tool/);
    await client.close();
  });

  test('who may not call all of a toolbox does not change, publish or roll it back', async () => {
    const change = await act(as('dev'), 'update_toolbox', { name: 'wide', title: 'Mine' });
    expect([change.status, change.body.error.message]).toEqual([400, expect.stringContaining('"hr/*" reaches beyond')]);
    expect((await act(as('dev'), 'rollback_toolbox', { name: 'wide', version: 1 })).status).toBe(400);
    expect((await act(as('auditor'), 'update_toolbox', { name: 'wide', title: 'Mine' })).status).toBe(403);
  });

  test('what a file declares is read-only here', async () => {
    for (const [name, args] of [
      ['update_toolbox', { title: 'x' }],
      ['publish_toolbox', {}],
      ['delete_toolbox', {}],
    ] as const) {
      const { status, body } = await act(gateway, name, { name: 'books', ...args });
      expect([status, body.error.message]).toEqual([409, expect.stringContaining('finance.yaml')]);
    }
    const { body } = await act(as('auditor'), 'list_toolboxes');
    expect(body.toolboxes.map((box: { name: string; source: string }) => `${box.name} ${box.source}`)).toEqual([
      'books file',
      'staff registry',
      'wide registry',
    ]);
    const own = await act(as('dev'), 'list_toolboxes');
    expect(own.body.toolboxes.map((box: { name: string }) => box.name)).toEqual(['staff', 'wide']);
  });
});

test('toolboxes are listed page by page, and one alone by its name', async () => {
  const listed: string[] = [];
  for (let after: string | undefined; ; ) {
    const { status, body } = await act(gateway, 'list_toolboxes', { limit: 2, ...(after === undefined ? {} : { after }) });
    expect([status, body.toolboxes.length <= 2]).toEqual([200, true]);
    listed.push(...body.toolboxes.map(({ name }: { name: string }) => name));
    after = body.next;
    if (after === undefined) break;
  }
  const { body } = await act(gateway, 'list_toolboxes', {});
  expect(listed).toEqual(body.toolboxes.map(({ name }: { name: string }) => name));
  expect(listed).toContain('books');
  const one = await act(gateway, 'list_toolboxes', { name: 'books' });
  expect(one.body).toMatchObject({ toolboxes: [{ name: 'books', source: 'file', toolCount: 2 }] });
  expect(one.body.toolboxes[0].tools.toSorted()).toEqual(['finance/book', 'finance/get_balance']);
});

describe('the catalog', () => {
  test('is searched by words, namespace, upstream, toolbox and kind', async () => {
    expect(names(await act(gateway, 'list_capabilities', { text: 'FIND says' }))).toEqual(['hr/find_person']);
    expect(names(await act(gateway, 'list_capabilities', { text: 'person find' }))).toEqual(['hr/find_person']);
    expect(names(await act(gateway, 'list_capabilities', { namespace: 'finance' }))).toEqual([
      'finance/get_balance',
      'finance/book',
    ]);
    expect(names(await act(gateway, 'list_capabilities', { upstream: 'hr/people', kind: 'tool' }))).toHaveLength(3);
    expect(names(await act(gateway, 'list_capabilities', { toolbox: 'staff@1' }))).toEqual(['hr/find_person']);
    const paged = await act(gateway, 'list_capabilities', { limit: 2, after: 1 });
    expect([names(paged), paged.body.total]).toEqual([['finance/book', 'hr/find_person'], 5]);
    expect(names(await act(gateway, 'list_capabilities', { text: 'nothing like it' }))).toEqual([]);
  });

  test('shows what the caller may call, and nothing else', async () => {
    expect(names(await act(as('dev'), 'list_capabilities'))).toEqual(['hr/find_person', 'hr/list_people']);
    expect(names(await act(as('narrow'), 'list_capabilities'))).toEqual(['finance/get_balance', 'finance/book']);
    expect(names(await act(as('dev'), 'list_capabilities', { toolbox: 'books' }))).toEqual([]);
    for (const name of ['finance/book', 'hr/dismiss', 'hr/nothing']) {
      const { status, body } = await act(as('dev'), 'get_capability', { name });
      expect([status, body.error.message]).toEqual([
        404,
        `There is no tool "${name}". Search the catalog with list_capabilities.`,
      ]);
    }
  });

  test('tells of a capability what calls of it need to know', async () => {
    const { status, body } = await act(gateway, 'get_capability', { name: 'hr/find_person' });
    expect([status, body]).toMatchObject([
      200,
      {
        calledAs: 'hr__find_person',
        upstream: 'hr/people',
        toolboxes: ['staff', 'wide'],
        definition: { name: 'hr__find_person', inputSchema: { type: 'object' } },
        policies: [{ scope: 'namespace hr', limits: [{ rpm: 100 }], allow: [expect.any(String)] }],
        health: { state: 'healthy', breaker: 'closed' },
        example: { method: 'tools/call', params: { name: 'hr__find_person', arguments: {} } },
      },
    ]);
    const seen = await act(as('dev'), 'get_capability', { name: 'hr/find_person' });
    expect(seen.body.policies).toEqual([
      { scope: 'namespace hr', limits: [expect.anything()], hasRules: true, isForNetworks: false },
    ]);
  });
});
