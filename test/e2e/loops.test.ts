import { afterEach, beforeEach, expect, test } from 'vitest';
import { startToolServer, type ToolServer } from '../admin/tool-server.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { openRegistrar } from '../support/registrar.ts';
import { until } from '../support/until.ts';

type Name = 'a' | 'b' | 'c';

let tools: Record<Name, ToolServer>;
let gateways: Record<Name, AdminGateway>;

/** Three gateways, each with one tool of its own, in a toolbox of its own too. */
beforeEach(async () => {
  const open = async (name: Name) => {
    const server = await startToolServer([`tool_of_${name}`]);
    const own = namespaceFor(name, server.url, `toolboxes:\n  own-${name}: { include: ["${name}/*"] }\n`);
    return { server, gateway: await openAdminGateway({ namespaces: { [name]: own } }) };
  };
  const [a, b, c] = await Promise.all([open('a'), open('b'), open('c')]);
  tools = { a: a.server, b: b.server, c: c.server };
  gateways = { a: a.gateway, b: b.gateway, c: c.gateway };
  for (const { ok, key } of Object.values(gateways)) {
    await ok('PUT /secrets/PEER', { value: key });
    await ok('POST /namespaces', { namespace: 'peer' });
  }
});

afterEach(async () => {
  await Promise.all(Object.values(gateways ?? {}).map((gateway) => gateway.stop()));
  await Promise.all(Object.values(tools ?? {}).map((server) => server.close()));
});

const entryFor = (to: Name, toolbox = '') => ({
  url: `${gateways[to].url}/mcp${toolbox}`,
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a reference to a secret
  headers: { Authorization: 'Bearer ${secret:PEER}' },
});
const federate = (from: Name, to: Name, toolbox = '', more = {}) =>
  gateways[from].api('POST /upstreams', { namespace: 'peer', name: to, entry: { ...entryFor(to, toolbox), ...more } });
const listed = async (name: Name): Promise<string[]> =>
  (await gateways[name].mcp('', 'tools/list', {})).body.result.tools
    .map((tool: { name: string }) => tool.name)
    .filter((tool: string) => !tool.startsWith('admin'));
const call = async (name: Name, tool: string) =>
  (await gateways[name].mcp('', 'tools/call', { name: tool, arguments: {} })).body.result;

test.each(['modern', 'legacy'])(
  'a gateway that would lead back to the one that registers it is refused, in the %s era',
  async (era) => {
    expect((await federate('a', 'b', '', { era })).status).toBe(200);
    const refused = await federate('b', 'a', '', { era });
    expect(refused.status).not.toBe(200);
    expect(refused.body.error.message).toContain('leads back to this gateway');
    expect(await listed('a')).toEqual(['a__tool_of_a', 'peer__b__tool_of_b']);
    expect(await listed('b')).toEqual(['b__tool_of_b']);
    expect((await call('a', 'peer__b__tool_of_b')).content[0].text).toBe('tool_of_b');
  },
);

test('also over three of them', async () => {
  expect((await federate('b', 'c')).status).toBe(200);
  expect((await federate('a', 'b')).status).toBe(200);
  expect(await listed('a')).toContain('peer__peer__c__tool_of_c');
  const refused = await federate('c', 'a');
  expect(refused.body.error.message).toContain('leads back to this gateway');
  expect(await listed('c')).toEqual(['c__tool_of_c']);
});

test('two that offer each other only what is their own are no loop', async () => {
  expect((await federate('a', 'b', '/own-b')).status).toBe(200);
  expect((await federate('b', 'a', '/own-a')).status).toBe(200);
  expect(await listed('a')).toEqual(['a__tool_of_a', 'peer__b__tool_of_b']);
  expect(await listed('b')).toEqual(['b__tool_of_b', 'peer__a__tool_of_a']);
  expect((await call('a', 'peer__b__tool_of_b')).content[0].text).toBe('tool_of_b');
  expect((await call('b', 'peer__a__tool_of_a')).content[0].text).toBe('tool_of_a');
});

test('two that take each other up at the same moment notice it too: no list grows, and the reason is shown', async () => {
  const registrars = await Promise.all(
    (['a', 'b'] as const).map((name) => openRegistrar({ dataDir: gateways[name].dataDir, masterKey: gateways[name].masterKey })),
  );
  await Promise.all(
    registrars.map((registrar, at) => {
      const to = at === 0 ? 'b' : 'a';
      return registrar.put('upstream', `peer/${to}`, { namespace: 'peer', entry: { kind: 'mcp', ...entryFor(to) } });
    }),
  );
  const reasons = () =>
    (['a', 'b'] as const).flatMap((name) => gateways[name].gateway.status().upstreams.map(({ lastError }) => lastError?.message));
  await until('one of them refuses', () => reasons().some((reason) => reason?.includes('leads back here') === true));
  for (const name of ['a', 'b'] as const) expect((await listed(name)).filter((tool) => /peer.*peer/.test(tool))).toEqual([]);
  await Promise.all(registrars.map((registrar) => registrar.close()));
}, 60_000);

test('a request that came through this gateway before, or through too many, is refused; one through others passes and says so', async () => {
  const { a } = gateways;
  await call('a', 'a__tool_of_a');
  const own = String(tools.a.requests.at(-1)?.['x-gatehouse-hop']);
  expect(own).toMatch(/^[0-9a-f]{16}$/);
  const through = (hops: string) =>
    a.mcp('', 'tools/call', { name: 'a__tool_of_a', arguments: {} }, a.key, { 'x-gatehouse-hop': hops });
  const others = Array.from({ length: 9 }, (_, n) => n.toString(16).repeat(16));
  for (const hops of [own, `${others[1]}, ${own}`, `${own},${others[1]},${others[2]}`, others.join(', ')]) {
    const { status, body } = await through(hops);
    expect([status, body.error.code]).toEqual([508, 50800]);
  }
  expect((await through(`${others[1]}, ${own}`)).body.error.message).toContain('came through this gateway before');
  const passed = await through(`${others[1]}, ${others[2]}`);
  expect(passed.body.result.content[0].text).toBe('tool_of_a');
  expect(tools.a.requests.at(-1)?.['x-gatehouse-hop']).toBe(`${own}, ${others[1]}, ${others[2]}`);
  await through('not one of ours');
  expect(tools.a.requests.at(-1)?.['x-gatehouse-hop']).toBe(own);
});

test('which gateways are behind a list is told to gateways only', async () => {
  await federate('a', 'b');
  const { body } = await gateways.a.mcp('', 'tools/list', {});
  expect(JSON.stringify(body)).not.toContain('dev.gatehouse/hops');
});
