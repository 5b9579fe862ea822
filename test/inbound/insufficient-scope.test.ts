import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startToolServer, type ToolServer } from '../admin/tool-server.ts';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { startOidcProvider, type TestIssuer } from '../support/oidc-provider.ts';
import { until } from '../support/until.ts';

const publicUrl = 'https://gatehouse.example.com';
let desk: ToolServer;
let issuer: TestIssuer;
let open: AdminGateway;
let closed: AdminGateway;

beforeAll(async () => {
  [desk, issuer] = await Promise.all([startToolServer(['look', 'write']), startOidcProvider()]);
  const toolboxes = 'toolboxes:\n  triage: { include: ["help/*"] }\n  refunds: { include: ["help/look"] }\n';
  const namespaces = { help: namespaceFor('help', desk.url, toolboxes) };
  const gatewayWith = (scopes: string, member = '') =>
    openAdminGateway({
      namespaces,
      file: `publicUrl: ${publicUrl}\nissuers:\n  - issuer: ${issuer.issuer}\n    claims:\n${member}      scopes:\n${scopes}`,
    });
  [closed, open] = await Promise.all([
    gatewayWith(`        tickets: { toolboxes: [triage] }\n        people: { namespaces: [hr] }\n`, '      member: email\n'),
    gatewayWith(`        tickets: { toolboxes: [triage] }\n        everything: all\n`),
  ]);
}, 60_000);

afterAll(async () => {
  await Promise.all([open?.stop(), closed?.stop()]);
  await Promise.all([desk?.close(), issuer?.close()]);
});

// The client's own: a person would need a role as well.
const tokenWith = (scope: string, claims: Record<string, unknown> = {}) =>
  issuer.forge({ aud: publicUrl, scope, sub: 'agent', ...claims });
const call = { name: 'help__look', arguments: {} };
const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } };

function legacy(gateway: AdminGateway, toolbox: string, token: string, more: RequestInit = {}): Promise<Response> {
  return fetch(`${gateway.url}/mcp/${toolbox}`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'initialize', params: initialize }),
    ...more,
  });
}

describe('a token that lacks the scope of a toolbox', () => {
  test.each([
    ['tools/call', call],
    ['tools/list', {}],
    ['server/discover', {}],
    ['subscriptions/listen', { notifications: { toolsListChanged: true } }],
  ])('gets 403 with the scope to ask for on %s of the modern era', async (method, params) => {
    const { status, headers, body } = await closed.mcp('triage', method, params, await tokenWith(''));
    expect(status).toBe(403);
    const challenge = headers.get('www-authenticate') ?? '';
    expect(challenge).toMatch(
      /^Bearer realm="gatehouse", error="insufficient_scope", error_description="[^"]+", scope="tickets", /,
    );
    expect(challenge).toContain(`resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp/triage"`);
    expect(body).toMatchObject({ id: 1, error: { code: 40310, message: expect.stringContaining('tickets') } });
  });

  test('gets the same in the legacy era, in a form that the official client reads', async () => {
    const refused = await legacy(closed, 'triage', await tokenWith(''));
    expect(refused.status).toBe(403);
    expect(extractWWWAuthenticateParams(refused)).toMatchObject({ scope: 'tickets', error: 'insufficient_scope' });
    expect(await refused.json()).toMatchObject({ id: 7, error: { code: 40310 } });
    const stream = await legacy(closed, 'triage', await tokenWith(''), { method: 'GET', body: null });
    expect(stream.status).toBe(405);
    const inSession = { 'mcp-session-id': 'x', authorization: `Bearer ${await tokenWith('')}`, accept: 'text/event-stream' };
    const taken = await legacy(closed, 'triage', '', { method: 'GET', body: null, headers: inSession });
    expect([taken.status, extractWWWAuthenticateParams(taken).scope]).toEqual([403, 'tickets']);
  });

  test('is let in with the scope, in both eras', async () => {
    const token = await tokenWith('tickets');
    const answer = await closed.mcp('triage', 'tools/call', call, token);
    expect(answer.body.result.content).toEqual([{ type: 'text', text: 'look' }]);
    expect((await legacy(closed, 'triage', token)).status).toBe(200);
  });

  test('is on record when it was a call', async () => {
    await closed.mcp('triage', 'tools/call', call, await tokenWith('', { sub: 'recorded', client_id: 'recorded' }));
    const found = () => closed.ok(`GET /audit?caller=${encodeURIComponent(`oauth:${issuer.issuer}#recorded`)}`);
    await until('it can be found', async () => (await found()).calls.length > 0);
    expect((await found()).calls).toMatchObject([{ code: 'insufficient_scope' }]);
  });

  test('nothing of it reaches the upstream', async () => {
    const before = desk.requests.length;
    await closed.mcp('triage', 'tools/call', call, await tokenWith(''));
    expect(desk.requests.length).toBe(before);
  });
});

describe('what asking for a scope would not open stays unknown', () => {
  test('a toolbox that no scope reaches', async () => {
    for (const toolbox of ['refunds', 'nowhere']) {
      const { status, headers, body } = await closed.mcp(toolbox, 'tools/call', call, await tokenWith('tickets'));
      expect([status, headers.get('www-authenticate')]).toEqual([404, null]);
      expect(body.error.message.replace(toolbox, 'X')).toContain('There is no toolbox "X" here');
      expect((await legacy(closed, toolbox, await tokenWith('tickets'))).status).toBe(404);
    }
  });

  test('one that the roles of its person keep closed', async () => {
    const person = { email: 'eve@example.com', email_verified: true };
    const { status, headers } = await closed.mcp('triage', 'tools/list', {}, await tokenWith('', person));
    expect([status, headers.get('www-authenticate')]).toEqual([404, null]);
  });

  test('a tool inside a toolbox that the token reaches: list and call are one decision', async () => {
    const token = await tokenWith('people');
    const { body: listed } = await closed.mcp('triage', 'tools/list', {}, token);
    expect(listed.result.tools).toEqual([]);
    const { status, body } = await closed.mcp('triage', 'tools/call', call, token);
    expect(status).toBe(200);
    expect(body.error).toMatchObject({ code: -32602, message: 'Unknown tool: help__look' });
  });

  test('and whether a toolbox exists: the answer is made of the token and the rules alone', async () => {
    const answers = await Promise.all(
      ['refunds', 'nowhere'].map(async (toolbox) => {
        const { status, headers, body } = await open.mcp(toolbox, 'tools/call', call, await tokenWith('tickets'));
        return JSON.stringify([status, headers.get('www-authenticate'), body]).replaceAll(toolbox, 'X');
      }),
    );
    expect(answers[0]).toBe(answers[1]);
    expect(answers[0]).toContain('scope=\\"everything\\"');
    const wide = await tokenWith('everything');
    expect((await open.mcp('refunds', 'tools/call', call, wide)).status).toBe(200);
    expect((await open.mcp('nowhere', 'tools/call', call, wide)).status).toBe(404);
  });

  test('and for a key of another toolbox, whatever tool it asks for', async () => {
    await closed.ok('POST /consumers', { id: 'app', title: 'app', kind: 'application' });
    const made = await closed.ok('POST /keys', { id: 'app', title: 'app', consumer: 'app', scope: { toolboxes: ['refunds'] } });
    const answers = await Promise.all(
      ['triage', 'nowhere'].flatMap((toolbox) =>
        ['help__look', 'nothing'].map(async (name) => {
          const { status, body } = await closed.mcp(toolbox, 'tools/call', { name, arguments: {} }, made.secret);
          return `${status} ${body.error.message.replace(toolbox, 'X')}`;
        }),
      ),
    );
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/^404 /);
    expect((await closed.mcp('refunds', 'tools/call', call, made.secret)).status).toBe(200);
  });
});

test('at /mcp itself, scopes of namespaces are offered where none reaches all', async () => {
  const refused = await closed.mcp('', 'tools/list', {}, await tokenWith(''));
  expect(refused.headers.get('www-authenticate')).toContain('error="insufficient_scope"');
  expect(refused.headers.get('www-authenticate')).toContain('scope="people"');
  expect((await closed.mcp('', 'tools/list', {}, await tokenWith('people'))).status).toBe(200);
});
