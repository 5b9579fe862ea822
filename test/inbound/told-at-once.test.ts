import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AdminGateway, namespaceFor, openAdminGateway } from '../support/admin-gateway.ts';
import { type StagedUpstream, startStagedUpstream } from '../support/staged-upstream.ts';
import { until } from '../support/until.ts';

const inputSchema = {
  type: 'object',
  properties: { city: { type: 'string' }, nights: { type: 'integer', minimum: 1 } },
  required: ['city'],
  additionalProperties: false,
};

let upstream: StagedUpstream;
let gateway: AdminGateway;
let developer: string;
let consumer: string;

beforeAll(async () => {
  upstream = await startStagedUpstream({ tools: ['echo', { name: 'book', inputSchema }] });
  gateway = await openAdminGateway({ namespaces: { hr: namespaceFor('hr', upstream.url) } });
  developer = await gateway.person('dev', [{ role: 'developer' }]);
  await gateway.ok('POST /consumers', { id: 'app', title: 'x', kind: 'application' });
  consumer = (await gateway.ok('POST /keys', { id: 'ci', title: 'x', consumer: 'app' })).secret;
}, 60_000);
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const wrongKey = { id: 'No Such', titel: 'x', expiresInS: 5, scope: { toolboxes: 'all', agent: [] } };
const pathsOf = (errors: readonly { path: string }[]) => errors.map(({ path }) => path).toSorted();

describe('everything that is wrong with a request is told at once', () => {
  test('by REST, with the place, what is expected and what was meant', async () => {
    const { status, body } = await gateway.api('POST /keys', wrongKey);
    expect([status, body.error.code]).toEqual([400, 'bad_arguments']);
    const { errors } = body.error.data;
    expect(pathsOf(errors)).toEqual(['/expiresInS', '/id', '/scope/agent', '/scope/toolboxes', '/titel', '/title']);
    expect(errors).toContainEqual({
      path: '/titel',
      message: '/titel is not known here; leave it out. Did you mean "title"?',
      didYouMean: 'title',
    });
    expect(errors).toContainEqual(
      expect.objectContaining({ path: '/scope/toolboxes', expected: expect.stringContaining('a list') }),
    );
    for (const { message } of errors) expect(body.error.message).toContain(message);
  });

  test('by the tool of the same name, and nothing was done', async () => {
    const { body } = await gateway.mcp('admin', 'tools/call', { name: 'create_key', arguments: wrongKey });
    expect(body.result.isError).toBe(true);
    const { code, errors } = body.result._meta['dev.gatehouse/error'];
    expect([code, pathsOf(errors)]).toEqual([
      'bad_arguments',
      ['/expiresInS', '/id', '/scope/agent', '/scope/toolboxes', '/titel', '/title'],
    ]);
    const found = await until('it is on record', async () => {
      const { calls } = await gateway.ok('GET /audit?capability=admin/create_key&code=bad_arguments');
      return calls.length >= 2 && calls;
    });
    expect(found.map(({ outcome }: { outcome: string }) => outcome)).toEqual(found.map(() => 'refused'));
  });

  test('of a tool of an upstream, which hears nothing until the call was mended by what was told', async () => {
    const arguments_ = { citty: 'Rome', nights: 0 };
    const { body } = await gateway.mcp('', 'tools/call', { name: 'hr__book', arguments: arguments_ });
    expect(body.result.content[0].text).toBe(
      [
        'These arguments do not fit in 3 places:',
        '- /city is missing; it must be text.',
        '- /citty is not known here; leave it out. Did you mean "city"?',
        '- /nights must be a whole number of at least 1.',
      ].join('\n'),
    );
    expect(pathsOf(body.result._meta['dev.gatehouse/error'].errors)).toEqual(['/citty', '/city', '/nights']);
    expect(upstream.callsOf('book')).toHaveLength(0);
    const mended = await gateway.mcp('', 'tools/call', { name: 'hr__book', arguments: { city: 'Rome', nights: 1 } });
    expect(mended.body.result.isError).toBeUndefined();
    expect(upstream.callsOf('book')).toHaveLength(1);
  });

  test('where the description of the API says it', async () => {
    const { components } = await gateway.ok('GET /openapi.json');
    expect(components.schemas.Error.properties.error.properties.data.properties.errors.items.required).toEqual([
      'path',
      'message',
    ]);
  });
});

describe('a request that would hold up everybody while it is read', () => {
  const lists = Array.from({ length: 100_001 }, () => []);

  test('is refused by name at every door', async () => {
    const mcp = await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: { lists } });
    expect([mcp.status, mcp.body.error.code]).toEqual([400, -32600]);
    expect(mcp.body.error.message).toContain('it has more than 100000 lists and objects');
    for (const [route, body] of [
      ['PUT /policies/global', { policy: { lists } }],
      ['POST /keys', { lists }],
    ] as const) {
      const rest = await gateway.api(route, body);
      expect([rest.status, rest.body.error.code]).toEqual([400, 'invalid_request']);
      expect(rest.body.error.message).toContain('it has more than 100000 lists and objects');
    }
    const models = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'x', messages: lists }),
    });
    expect(models.status).toBe(400);
    expect(await models.text()).toContain('more than 100000 lists and objects');
  });

  test('and one that holds as much as a tool is passed is not', async () => {
    const numbers = Array.from({ length: 90_000 }, (_, at) => at);
    const { body } = await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: { numbers } });
    expect(body.result.isError).toBeUndefined();
    expect((await gateway.api('POST /keys', { numbers })).body.error.code).toBe('bad_arguments');
  });

  test('a body of administration that is no object, or no JSON, is still told apart', async () => {
    const send = async (body: string, type = 'application/json') => {
      const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': type };
      const response = await fetch(`${gateway.url}/api/keys`, { method: 'POST', headers, body });
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    expect(await send('[1]')).toEqual([400, 'invalid_params']);
    expect(await send('{"a":')).toEqual([400, 'parse_error']);
    expect(await send('')).toEqual([400, 'bad_arguments']);
    expect(await send('{}', 'application/json; charset=utf-16')).toEqual([415, 'unsupported_media_type']);
  });
});

describe('an action that is not for its caller', () => {
  test('says over REST which role it needs, to whoever has one here', async () => {
    const { status, body } = await gateway.api('POST /consumers', { id: 'b', title: 'x', kind: 'application' }, developer);
    expect([status, body.error.code]).toEqual([403, 'not_allowed']);
    expect(body.error.message).toContain('create_consumer needs the role admin, and key:dev has developer alone.');
  });

  test('is unknown in MCP, where it is not listed either, and to keys without a role', async () => {
    const call = { name: 'create_consumer', arguments: { id: 'b', title: 'x', kind: 'application' } };
    const { body } = await gateway.mcp('admin', 'tools/call', call, developer);
    expect(body.error.message).toBe('Unknown tool: create_consumer');
    const listed = await gateway.mcp('admin', 'tools/list', {}, developer);
    const names = listed.body.result.tools.map(({ name }: { name: string }) => name);
    expect([names.includes('create_consumer'), names.includes('search_audit')]).toEqual([false, true]);
    const byApp = await gateway.api('POST /consumers', call.arguments, consumer);
    expect([byApp.status, byApp.body.error.message]).toEqual([404, 'Unknown tool: create_consumer']);
  });
});

describe('an answer over HTTP is named by a header, and so is the record of its call', () => {
  const recordOf = async (id: string | null) =>
    await until('it is on record', async () => {
      const { calls } = await gateway.ok(`GET /audit?call=${id}`);
      // The index is a moment behind, and may have the intent alone.
      return calls.length > 0 && calls[0].outcome !== null && calls;
    });

  test('of the current protocol, whether it went well or not', async () => {
    const well = await gateway.mcp('', 'tools/call', { name: 'hr__echo', arguments: {} });
    const id = well.headers.get('x-request-id');
    expect(id).toMatch(/^[0-9a-f]{24}$/);
    expect(await recordOf(id)).toMatchObject([{ call: id, capability: 'hr/echo', outcome: 'done' }]);
    const refused = await gateway.mcp('', 'tools/call', { name: 'hr__book', arguments: {} });
    const other = refused.headers.get('x-request-id');
    expect(other).not.toBe(id);
    expect(await recordOf(other)).toMatchObject([{ call: other, outcome: 'refused', code: 'bad_arguments' }]);
  });

  test('of earlier protocols', async () => {
    const send = async (session: string | null, message: object) =>
      await fetch(`${gateway.url}/mcp`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${gateway.key}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...(session === null ? {} : { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }),
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
      });
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } };
    const opened = await send(null, { method: 'initialize', params });
    await opened.text();
    const answered = await send(opened.headers.get('mcp-session-id'), {
      method: 'tools/call',
      params: { name: 'hr__echo', arguments: {} },
    });
    await answered.text();
    const id = answered.headers.get('x-request-id');
    expect(await recordOf(id)).toMatchObject([{ call: id, capability: 'hr/echo', outcome: 'done' }]);
  });

  test('one that no call was made of has an id as well, and no record', async () => {
    const { headers } = await gateway.mcp('', 'tools/list', {});
    expect((await gateway.ok(`GET /audit?call=${headers.get('x-request-id')}`)).calls).toEqual([]);
  });
});
