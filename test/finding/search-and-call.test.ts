import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type ClientKind, clientKinds, connectClient, type TestClient, textOf } from '../support/clients.ts';
import { type Spawned, startFixture } from '../support/processes.ts';
import { closeRawClients, codeOf, connectRaw, type RawClient, rawEras, toolText } from '../support/raw-clients.ts';
import { readJournal } from '../support/read-journal.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

const text = { type: 'object', properties: { text: { type: 'string', maxLength: 20 } }, additionalProperties: false };
const desk = [
  { name: 'refund_payment', description: 'Gives a customer their money back.', inputSchema: text },
  { name: 'open_ticket', description: 'Starts a support case.', inputSchema: text },
  { name: 'close_ticket', description: 'Ends a support case.', inputSchema: text },
  { name: 'rename_ship', description: 'Changes what a vessel is called.', inputSchema: text },
];
const secret = [{ name: 'refund_everything', description: 'Refunds every payment there ever was.', inputSchema: text }];
const many = Array.from({ length: 300 }, (_, n) => ({ name: `part_${n}`, description: `Part number ${n}. ${'x'.repeat(400)}` }));

let staged: StagedUpstream;
let hidden: StagedUpstream;
let large: StagedUpstream;
let fixtures: (Spawned & { url: string })[];
let admin: AdminGateway;
/** Of a member who sees nothing of the namespace `vault`. */
let guest: string;

beforeAll(async () => {
  [staged, hidden, large] = await Promise.all([
    startStagedUpstream({ tools: desk }),
    startStagedUpstream({ tools: secret }),
    startStagedUpstream({ tools: many }),
  ]);
  fixtures = await Promise.all([startFixture('everything-legacy.ts'), startFixture('everything-modern.ts')]);
  const [legacy, modern] = fixtures;
  admin = await openAdminGateway({
    namespaces: {
      desk: namespaceFor(
        'desk',
        staged.url,
        `toolboxes:
  found: { include: ["desk/*", "vault/*"], search: true, pinned: ["desk/open_ticket"] }
  listed: { include: ["desk/*"], search: false }
  small: { include: ["desk/*"] }
policy:
  limits: [{ per: key, match: ["desk/rename_*"], rpm: 2 }]
`,
      ),
      vault: namespaceFor('vault', hidden.url, `policy: { allow: ['caller.role == "admin"'] }\n`),
      parts: namespaceFor('parts', large.url, 'toolboxes:\n  large: { include: ["parts/*"], pinned: ["parts/part_7"] }\n'),
      legacy: namespaceFor('legacy', legacy?.url ?? '', 'toolboxes:\n  legacy-box: { include: ["legacy/*"], search: true }\n'),
      modern: namespaceFor('modern', modern?.url ?? '', 'toolboxes:\n  modern-box: { include: ["modern/*"], search: true }\n'),
    },
  });
  guest = await admin.person('guest', [{ role: 'developer' }]);
});

afterAll(async () => {
  await closeRawClients();
  await admin?.stop();
  await Promise.all([staged, hidden, large, ...(fixtures ?? [])].map((part) => ('stop' in part ? part.stop() : part.close())));
});

const connect = (era: RawClient['era'], toolbox: string, key = admin.key) =>
  connectRaw(era, { url: `${admin.url}/mcp/${toolbox}`, key });
// biome-ignore lint/suspicious/noExplicitAny: what a gateway answered; tests look into it.
const resultOf = (answered: { readonly message: any }) => answered.message.result;
const namesIn = async (client: RawClient) =>
  resultOf(await client.send('tools/list')).tools.map(({ name }: { name: string }) => name);
const found = async (client: RawClient, query: string) =>
  resultOf(await client.call('search_tools', { query })).structuredContent.tools.map(({ name }: { name: string }) => name);

describe.each(rawEras)('in the %s era', (era) => {
  test('a toolbox with a search lists what is pinned and the two tools, and says how to use them', async () => {
    const client = await connect(era, 'found');
    expect(await namesIn(client)).toEqual(['desk__open_ticket', 'search_tools', 'call_tool']);
    const opened = era === 'modern' ? resultOf(await client.send('server/discover')) : await opening(era);
    expect(opened.instructions).toContain('find one with search_tools, then call it with call_tool');
    expect(opened.instructions).toContain('desk, vault');
  });

  test('a toolbox without one lists all its tools, and knows nothing of the two', async () => {
    const client = await connect(era, 'listed');
    expect(await namesIn(client)).toEqual(desk.map(({ name }) => `desk__${name}`));
    for (const name of ['search_tools', 'call_tool']) {
      const answered = await client.call(name, { query: 'x', name: 'desk__open_ticket' });
      expect(answered.message?.error?.message).toBe(`Unknown tool: ${name}`);
    }
  });

  test('left to itself, a toolbox has a search when its list is long, and none when it is short', async () => {
    expect(await namesIn(await connect(era, 'small'))).toHaveLength(desk.length);
    const client = await connect(era, 'large');
    expect(await namesIn(client)).toEqual(['parts__part_7', 'search_tools', 'call_tool']);
    expect((await found(client, 'part number 211'))[0]).toBe('parts__part_211');
  });

  test('search answers with names, descriptions and schemas, the best first, as structure and as text', async () => {
    const client = await connect(era, 'found');
    const result = resultOf(await client.call('search_tools', { query: 'give the money back', limit: 2 }));
    expect(result.structuredContent.tools[0]).toEqual({
      name: 'desk__refund_payment',
      description: 'Gives a customer their money back.',
      inputSchema: text,
    });
    expect(result.structuredContent.tools.length).toBeLessThanOrEqual(2);
    expect(JSON.parse(result.content[0].text)).toEqual(result.structuredContent);
    expect(resultOf(await client.call('search_tools', { query: 'zzz' })).structuredContent).toEqual({ tools: [] });
    expect(toolText(await client.call('search_tools', {}))).toContain('query');
  });

  test('what a caller must not see is neither found nor called, and moves nothing in the ranking', async () => {
    const [operator, visitor] = [await connect(era, 'found'), await connect(era, 'found', guest)];
    expect(await found(operator, 'refund every payment')).toContain('vault__refund_everything');
    const seen = await found(visitor, 'refund every payment');
    expect(seen).not.toContain('vault__refund_everything');
    expect(seen).toEqual(await found(await connect(era, 'found', guest), 'refund every payment'));
    const call = (client: RawClient, name: string) => client.call('call_tool', { name, arguments: {} });
    const [denied, missing] = [await call(visitor, 'vault__refund_everything'), await call(visitor, 'vault__nothing')];
    expect(denied.message?.error?.message).toBe('Unknown tool: vault__refund_everything');
    expect(denied.message?.error?.code).toBe(missing.message?.error?.code);
    const before = hidden.arrivals.length;
    expect(toolText(await call(operator, 'vault__refund_everything'))).toBe('{}');
    expect(hidden.arrivals.length).toBe(before + 1);
  });

  test('call_tool makes the call it is asked for: the same arguments arrive, judged by the tool itself', async () => {
    const client = await connect(era, 'found');
    const before = staged.callsOf('rename_ship').length;
    const answered = await client.call('call_tool', { name: 'desk__close_ticket', arguments: { text: 'fin' } });
    expect(toolText(answered)).toBe('{"text":"fin"}');
    const refused = await client.call('call_tool', { name: 'desk__rename_ship', arguments: { text: 'x'.repeat(21) } });
    expect([codeOf(refused), toolText(refused)]).toEqual(['bad_arguments', expect.stringContaining('text')]);
    expect(staged.callsOf('rename_ship').length).toBe(before);
  });

  test.each([
    ['no name', { arguments: {} }],
    ['arguments that are text', { name: 'desk__open_ticket', arguments: '{}' }],
    ['something else beside them', { name: 'desk__open_ticket', arguments: {}, toolbox: 'listed' }],
    ['itself inside', { name: 'call_tool', arguments: { name: 'desk__open_ticket' } }],
  ])('call_tool with %s is refused for its arguments, and nothing is called', async (_what, args) => {
    const before = staged.arrivals.length;
    const client = await connect(era, 'found');
    expect(codeOf(await client.call('call_tool', args))).toBe('bad_arguments');
    expect(staged.arrivals.length).toBe(before);
  });

  test('it is recorded as the call that it is', async () => {
    const client = await connect(era, 'found');
    await client.call('call_tool', { name: 'desk__open_ticket', arguments: { text: `record ${era}` } });
    await client.call('search_tools', { query: 'open a case' });
    await until('both are on record', () => {
      const capabilities = readJournal(admin.dataDir).map((entry) => (entry as { capability?: string }).capability);
      return capabilities.includes('desk/open_ticket') && capabilities.includes('gatehouse/search_tools');
    });
    const done = readJournal(admin.dataDir).filter((entry) => (entry as { decision?: string }).decision === 'allow');
    expect(done.some((entry) => (entry as { capability?: string }).capability === 'gatehouse/call_tool')).toBe(false);
  });

  test('RL-06: a limit counts both ways of calling as one', async () => {
    const key = await admin.person(`limited-${era}`, [{ role: 'developer' }]);
    const client = await connect(era, 'found', key);
    const through = () => client.call('call_tool', { name: 'desk__rename_ship', arguments: {} });
    expect(toolText(await through())).toBe('{}');
    expect(toolText(await client.call('desk__rename_ship', {}))).toBe('{}');
    expect((await through()).status).toBe(429);
    expect((await client.call('desk__rename_ship', {})).status).toBe(429);
  });
});

async function opening(era: RawClient['era']) {
  const answered = await fetch(`${admin.url}/mcp/found`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${admin.key}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: era, version: '1' } },
    }),
  });
  const body = (await answered.json()) as { result: { instructions: string } };
  return body.result;
}

test('a caller who sees little of a large toolbox sees its list', async () => {
  const key = (
    await admin.ok('POST /keys', {
      id: 'narrow',
      title: 'narrow',
      member: 'guest',
      scope: { toolboxes: ['large'], capabilities: ['parts/part_1*'] },
    })
  ).secret;
  const client = await connect('modern', 'large', key);
  const names = await namesIn(client);
  expect(names).toContain('parts__part_1');
  expect(names).toHaveLength(111);
});

describe.each(clientKinds.flatMap((kind) => (['legacy', 'modern'] as const).map((upstream) => ({ kind, upstream }))))(
  '$kind client to a $upstream upstream',
  ({ kind, upstream }) => {
    let client: TestClient;
    const connectTo = async (which: ClientKind) =>
      connectClient(which, { url: `${admin.url}/mcp/${upstream}-box`, key: admin.key });
    const inner = (name: string, args: object = {}) => ['call_tool', { name: `${upstream}__${name}`, arguments: args }] as const;

    beforeAll(async () => {
      client = await connectTo(kind);
    });
    afterAll(() => client?.close());

    test('progress, questions and content of every kind pass through call_tool', async () => {
      const heard: number[] = [];
      await client.call(...inner('test_progress_steps', { steps: 3, label: 'x' }), {
        onProgress: ({ progress }) => heard.push(progress),
      });
      expect(heard).toEqual([1, 2, 3]);
      client.answers.elicitation = { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } };
      expect(textOf(await client.call(...inner('test_elicitation', { message: 'Who are you?' })))).toContain('ada');
      const { content } = await client.call(...inner('test_multiple_content_types'));
      expect(content.map(({ type }) => type)).toEqual(['text', 'image', 'resource']);
    });

    test('a cancelled call_tool cancels the call inside it', async () => {
      const controller = new AbortController();
      const key = `found-${kind}-${upstream}`;
      const calling = client
        .call(...inner('test_hold', { key }), { signal: controller.signal, onProgress: () => controller.abort() })
        .then(
          () => 'answered',
          () => 'cancelled',
        );
      expect(await calling).toBe('cancelled');
      await until('the upstream was told', async () => {
        const { upstreams } = admin.gateway.status();
        return upstreams.find(({ id }) => id === `${upstream}/desk`)?.callsInFlight === 0;
      });
    });
  },
);
