import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startAuthorizationServer, type TestAuthorizationServer } from '../support/authorization-server.ts';
import { openBrowser } from '../support/browser.ts';
import { type ClientKind, connectClient, type TestClient, type ToolResult, textOf } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { expectNoneLeft } from '../support/processes.ts';
import { until } from '../support/until.ts';
import { type ProtectedServer, startProtectedServer } from '../support/upstreams/protected-server.ts';

let server: TestAuthorizationServer;
let peers: { modern: ProtectedServer; legacy: ProtectedServer };
let gateway: Gateway;

beforeAll(async () => {
  server = await startAuthorizationServer();
  server.signInAs('ann@as');
  const options = { verify: server.verify, metadata: { authorization_servers: [server.issuer] } };
  const [modern, legacy] = await Promise.all([
    startProtectedServer({ era: 'modern', ...options }),
    startProtectedServer({ era: 'legacy', ...options }),
  ]);
  peers = { modern, legacy };
  // One each, so that every client finds an upstream that nobody has signed in to.
  const namespaces = (['modern', 'legacy'] as const).flatMap((era) =>
    [...kinds.keys(), '-plain0', '-plain1'].map((suffix) => describeUpstream(`${era}${suffix}`, peers[era].url)),
  );
  namespaces.push(describeUpstream('json-only', modern.url));
  gateway = await startGateway(namespaces, { GATEHOUSE_EGRESS_ALLOW: '127.0.0.1' }, { isHealthy: false });
});
afterAll(async () => {
  await gateway?.stop();
  await Promise.all([server?.close(), peers?.modern.close(), peers?.legacy.close()]);
  await expectNoneLeft();
});

const kinds: readonly ClientKind[] = ['v1', 'v2 legacy', 'v2 pinned'];

function describeUpstream(name: string, url: string): string {
  return `namespace: ${name}
upstreams:
  desk: { kind: mcp, url: "${url}", auth: { kind: user } }
toolboxes:
  ${name}: { include: ["${name}/*"], names: one-to-one }
`;
}

function connect(kind: ClientKind, toolbox: string, capabilities: object): Promise<TestClient> {
  return connectClient(kind, { url: gateway.mcpUrl(toolbox), key: gateway.key }, { capabilities });
}

const addressIn = (text: string): string => /https?:\S+\/oauth\/start\/\S+/.exec(text)?.[0] ?? '';

describe.each(['modern', 'legacy'] as const)('a tool of a %s upstream that its caller has to sign in to', (era) => {
  test.each(kinds.map((kind, at) => [kind, at] as const))(
    'goes on by itself once the person of a %s client has',
    async (kind, at) => {
      const client = await connect(kind, `${era}${at}`, { elicitation: { form: {}, url: {} } });
      const answer = client.call('sign_in_desk');
      const question = await until('the client is asked', () => client.asked.at(0));
      expect(question).toMatchObject({ method: 'elicitation/create', params: { mode: 'url' } });
      const end = await openBrowser().signIn(String(question.params.url));
      expect(end.text).toContain('Signed in to');
      expect(textOf(await answer)).toMatch(/^You are signed in/);
      await until('the tools are listed', async () => (await client.listTools()).includes('whoami'));
      expect(textOf(await client.call('whoami'))).toBe('ann@as');
      expect(client.asked).toHaveLength(1);
      await client.close();
    },
  );

  test.each([
    ['v1', 0],
    ['v2 pinned', 1],
  ] as const)('answers a %s client that can show no page with its address', async (kind, at) => {
    const client = await connect(kind, `${era}-plain${at}`, {});
    const result = (await client.call('sign_in_desk')) as ToolResult;
    expect(result.isError).toBe(true);
    const address = addressIn(textOf(result));
    expect(result._meta?.['dev.gatehouse/error']).toEqual({
      code: 'sign_in_required',
      url: address,
      trace: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect((await openBrowser().signIn(address)).status).toBe(200);
    expect(textOf(await client.call('sign_in_desk'))).toMatch(/^You are signed in/);
    await client.close();
  });
});

test('a client that declines is told, with the address, and nothing is asked twice', async () => {
  gateway.writeNamespace(
    'extra',
    `namespace: extra\nupstreams:\n  late: { kind: mcp, url: "${peers.modern.url}", auth: { kind: user } }\n`,
  );
  for (const kind of ['v2 pinned', 'v1'] as const) {
    const client = await connectClient(kind, { url: gateway.mcpUrl(), key: gateway.key });
    await until('the new upstream is listed', async () => (await client.listTools()).includes('extra__sign_in_late'));
    client.answers.elicitation = { action: 'decline' };
    const result = await client.call('extra__sign_in_late');
    expect(result.isError).toBe(true);
    expect(addressIn(textOf(result))).toContain(gateway.url);
    expect(client.asked).toHaveLength(1);
    await client.close();
  }
});

test('a legacy client that takes no event stream hears of the page in the error made for it', async () => {
  const post = async (body: object, session?: string) => {
    const response = await fetch(gateway.mcpUrl('json-only'), {
      method: 'POST',
      headers: {
        authorization: `Bearer ${gateway.key}`,
        'content-type': 'application/json',
        accept: 'application/json',
        ...(session === undefined ? {} : { 'mcp-session-id': session }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...body }),
    });
    return { session: response.headers.get('mcp-session-id') ?? '', text: await response.text() };
  };
  const capabilities = { elicitation: { url: {} } };
  const params = { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'plain', version: '0' } };
  const { session } = await post({ id: 1, method: 'initialize', params });
  const { text } = await post({ id: 2, method: 'tools/call', params: { name: 'sign_in_desk', arguments: {} } }, session);
  expect(JSON.parse(text)).toMatchObject({
    id: 2,
    error: { code: -32042, data: { elicitations: [{ mode: 'url', url: expect.stringContaining('/oauth/start/') }] } },
  });
});

test('OA-02: no ticket, code or token is in the log, and no byte of what a client showed Gatehouse at an upstream', () => {
  const log = [...gateway.process.stdout, ...gateway.process.stderr].join('\n');
  expect(log).toContain('sign_in_required');
  expect(log).not.toContain('/oauth/start/');
  const tokens = [...peers.modern.arrived, ...peers.legacy.arrived].flatMap(
    ({ headers }) => headers.authorization?.slice(7) ?? [],
  );
  expect(tokens.length).toBeGreaterThan(0);
  for (const token of [...tokens, gateway.key]) expect(log).not.toContain(token);
  const sent = JSON.stringify([...peers.modern.arrived, ...peers.legacy.arrived]);
  expect(sent).not.toContain(gateway.key);
});
