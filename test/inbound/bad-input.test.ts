import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CountingUpstream, startCountingUpstream } from '../support/counting-upstream.ts';
import { type Gateway, startGateway } from '../support/gateway.ts';
import { readJournal } from '../support/read-journal.ts';
import { until } from '../support/until.ts';

let upstream: CountingUpstream;
let gateway: Gateway;

beforeAll(async () => {
  upstream = await startCountingUpstream();
  gateway = await startGateway([
    `namespace: demo
upstreams:
  echo: { kind: mcp, url: "${upstream.url}" }
toolboxes:
  box: { include: ["demo/*"] }
  empty: { include: ["demo/*"], exclude: ["demo/echo"] }
`,
  ]);
});

afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

beforeEach(() => {
  upstream.calls.length = 0;
});

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly json: {
    id?: unknown;
    result?: Record<string, unknown>;
    error?: { code: number; message: string; data?: Record<string, unknown> };
  };
}

interface Sending {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string | Buffer;
}

function send({ path = '/mcp', method = 'POST', headers = {}, body = '' }: Sending): Promise<Reply> {
  const all = {
    authorization: `Bearer ${gateway.key}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...headers,
  };
  const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    const sending = httpRequest(
      new URL(path, gateway.url),
      { method, headers: given as Record<string, string>, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            json: text.startsWith('{') ? JSON.parse(text) : {},
          });
        });
      },
    );
    sending.on('error', reject);
    sending.end(body);
  });
}

const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };

function modern(
  method: string,
  params: Record<string, unknown> = {},
  headers: Sending['headers'] = {},
  path = '/mcp',
): Promise<Reply> {
  const name = params.name ?? params.uri;
  return send({
    path,
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof name === 'string' ? { 'mcp-name': name } : {}),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { _meta: meta, ...params } }),
  });
}

const callEcho = (args: Record<string, unknown> = {}, headers: Sending['headers'] = {}) =>
  modern('tools/call', { name: 'demo__echo', arguments: args }, headers);

async function initialize(path = '/mcp', version = '2025-11-25'): Promise<string> {
  const reply = await send({
    path,
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 't', version: '1' } },
    }),
  });
  expect(reply.status).toBe(200);
  return String(reply.headers['mcp-session-id']);
}

const legacy = (session: string, message: object, headers: Sending['headers'] = {}, path = '/mcp') =>
  send({
    path,
    headers: { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25', ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
  });

test('the twin of all that follows: a good call goes through in both eras', async () => {
  expect((await callEcho({ a: 1 })).json.result).toMatchObject({
    content: [{ type: 'text', text: '{"a":1}' }],
    resultType: 'complete',
  });
  const session = await initialize();
  const reply = await legacy(session, { id: 5, method: 'tools/call', params: { name: 'demo__echo', arguments: { b: 2 } } });
  expect(reply.json).toEqual({ jsonrpc: '2.0', id: 5, result: { content: [{ type: 'text', text: '{"b":2}' }] } });
  expect(upstream.calls).toHaveLength(2);
});

test('without a valid key nothing is served, on any address and method', async () => {
  for (const path of ['/mcp', '/mcp/box', '/mcp/nowhere', '/api/status']) {
    for (const authorization of [undefined, 'Bearer wrong', `Basic ${gateway.key}`, gateway.key]) {
      for (const method of ['POST', 'GET', 'DELETE']) {
        const reply = await send({ path, method, headers: { authorization } });
        expect(reply.status, `${method} ${path} ${authorization}`).toBe(401);
        expect(reply.headers['www-authenticate']).toMatch(/^Bearer/);
      }
    }
  }
  expect((await send({ path: `/mcp?key=${gateway.key}`, headers: { authorization: undefined } })).status).toBe(401);
});

test.each([
  ['not JSON', '{"jsonrpc":"2.0",', 400, -32700],
  ['two documents', '{"jsonrpc":"2.0","id":1,"method":"ping"}{}', 400, -32700],
  ['a byte order mark', '\uFEFF{"jsonrpc":"2.0","id":1,"method":"ping"}', 400, -32700],
  ['a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400, -32600],
  ['another JSON-RPC', '{"jsonrpc":"1.0","id":1,"method":"ping"}', 400, -32600],
  ['nothing', '', 400, -32700],
  ['params that are no object', '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', 400, -32600],
  [
    'a depth bomb',
    `{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
    400,
    -32600,
  ],
  ['a name twice', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}', 400, -32600],
  ['a method twice in other case', '{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}', 400, -32600],
])('PR-01 PR-04: %s is refused with the code of the specification', async (_what, body, status, code) => {
  const reply = await send({ body });
  expect(reply.status).toBe(status);
  expect(reply.json.error?.code).toBe(code);
  expect(reply.text).not.toMatch(/\bat .*\.(ts|mjs):/);
  expect(upstream.calls).toHaveLength(0);
});

test('PR-05: ids come back as they were, or are refused', async () => {
  for (const id of ['0', '-5', '"x"', '""', '9223372036854775808', '"\\u00e9"', '"__proto__"']) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'tools/list', params: { _meta: meta } }).replace(
      '"id":0',
      `"id":${id}`,
    );
    const reply = await send({ headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' }, body });
    expect(reply.status, id).toBe(200);
    expect(reply.text).toContain(`"id":${id},`);
  }
  for (const id of ['1.5', 'true', 'null', '{}', '[1]', `"${'x'.repeat(2000)}"`]) {
    const reply = await send({ body: `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}` });
    expect(reply.status, id).toBe(400);
    expect(reply.json.error?.code, id).toBe(-32600);
  }
});

test('numbers that a double cannot hold reach the upstream with every digit', async () => {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { _meta: meta, name: 'demo__echo', arguments: { n: 0 } },
  }).replace('"n":0', '"n":12345678901234567890');
  await send({ headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'demo__echo' }, body });
  expect(upstream.calls[0]).toContain('12345678901234567890');
});

test('PR-01: what was judged is what is sent: a duplicate inside the arguments arrives once', async () => {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { _meta: meta, name: 'demo__echo', arguments: { n: 0 } },
  }).replace('"n":0', '"path":"safe","path":"evil"');
  await send({ headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'demo__echo' }, body });
  expect(upstream.calls[0]?.match(/"path"/g)).toHaveLength(1);
});

test.each([
  ['Mcp-Method is missing', { 'mcp-method': undefined }],
  ['Mcp-Method is another', { 'mcp-method': 'tools/list' }],
  ['Mcp-Name is missing', { 'mcp-name': undefined }],
  ['Mcp-Name is another', { 'mcp-name': 'demo__other' }],
  ['Mcp-Name claims to be encoded', { 'mcp-name': '=?base64?!!!?=' }],
  ['MCP-Protocol-Version is missing', { 'mcp-protocol-version': undefined }],
  ['MCP-Protocol-Version is of the other era', { 'mcp-protocol-version': '2025-11-25' }],
])('PR-02: %s: 400 and -32020, and nothing is sent', async (_what, headers) => {
  const reply = await callEcho({}, headers);
  expect(reply.status).toBe(400);
  expect(reply.json.error?.code).toBe(-32020);
  expect(upstream.calls).toHaveLength(0);
});

test('a call that is refused for its headers is on record, as one that is done is', async () => {
  const records = (code: string | undefined) =>
    readJournal(gateway.dataDir).filter((line) => line.kind === 'outcome' && line.code === code).length;
  const before = [records('header_mismatch'), records(undefined)];
  await callEcho({}, { 'mcp-name': 'demo__other' });
  await callEcho();
  await until('both are on record', () => records('header_mismatch') > (before[0] ?? 0) && records(undefined) > (before[1] ?? 0));
});

test('Mcp-Name may travel encoded', async () => {
  const encoded = `=?base64?${Buffer.from('demo__echo').toString('base64')}?=`;
  expect((await callEcho({}, { 'mcp-name': encoded })).json.result).toBeDefined();
});

test('PR-02: Mcp-Param headers must repeat the marked arguments, and are mirrored to the upstream', async () => {
  expect((await callEcho({ region: 'eu' }, { 'mcp-param-region': 'eu' })).json.result).toBeDefined();
  expect(upstream.headers['mcp-param-region']).toBe('eu');
  for (const header of [undefined, 'us', '=?base64?ZXU?=']) {
    const reply = await callEcho({ region: 'eu' }, { 'mcp-param-region': header });
    expect(reply.json.error?.code, String(header)).toBe(-32020);
  }
  expect((await callEcho({}, { 'mcp-param-region': 'eu' })).json.error?.code).toBe(-32020);
  expect((await callEcho({ region: 'eu' }, { 'mcp-param-region': '=?base64?ZXU=?=' })).json.result).toBeDefined();
  expect(upstream.calls).toHaveLength(2);
});

test('an unknown protocol version is told which ones are known', async () => {
  const reply = await send({
    headers: { 'mcp-protocol-version': '2099-01-01', 'mcp-method': 'tools/list' },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/list',
      params: { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } },
    }),
  });
  expect(reply.status).toBe(400);
  expect(reply.json.error).toMatchObject({ code: -32022, data: { requested: '2099-01-01' } });
  expect(reply.json.error?.data?.supported).toContain('2026-07-28');
});

test('a modern request without its envelope is refused', async () => {
  const reply = await send({
    headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  });
  expect([reply.status, reply.json.error?.code]).toEqual([400, -32602]);
});

test('unknown methods are 404 in the modern era, and methods of the other era are unknown', async () => {
  for (const method of ['nope', 'ping', 'logging/setLevel', 'resources/subscribe', '__proto__', 'toString']) {
    const reply = await modern(method);
    expect([method, reply.status, reply.json.error?.code]).toEqual([method, 404, -32601]);
  }
  const session = await initialize();
  const reply = await legacy(session, { id: 1, method: 'nope' });
  expect(reply.json.error?.code).toBe(-32601);
});

test('AZ-02: unknown tools and tools hidden from this toolbox look the same', async () => {
  const unknown = await modern('tools/call', { name: 'demo__nope' });
  const hidden = await modern('tools/call', { name: 'demo__echo' }, {}, '/mcp/empty');
  for (const reply of [unknown, hidden]) expect([reply.status, reply.json.error?.code]).toEqual([200, -32602]);
  for (const name of ['echo', 'Demo__echo', 'demo__echo ', 'demo/echo', 'constructor', '__proto__']) {
    expect(
      (await modern('tools/call', { name }, { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` })).json.error
        ?.code,
      name,
    ).toBe(-32602);
  }
  expect((await modern('tools/list', {}, {}, '/mcp/empty')).json.result?.tools).toEqual([]);
  expect(upstream.calls).toHaveLength(0);
});

test('an unknown toolbox is 404', async () => {
  const reply = await modern('tools/list', {}, {}, '/mcp/nowhere');
  expect(reply.status).toBe(404);
});

test('PR-04: a body over the limit is 413, at once and also when its length was not declared', async () => {
  const huge = Buffer.alloc(5 * 1024 * 1024, 0x20);
  expect((await send({ body: huge })).status).toBe(413);
  expect((await send({ headers: { 'transfer-encoding': 'chunked' }, body: huge })).status).toBe(413);
  expect((await callEcho({ fill: 'x'.repeat(3 * 1024 * 1024) })).json.result).toBeDefined();
});

test('foreign hosts and origins are 403, each on its own', async () => {
  const own = new URL(gateway.url).host;
  for (const headers of [
    { host: 'evil.example' },
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { host: 'evil.example', origin: `http://${own}` },
    { host: own, origin: 'https://evil.example' },
  ]) {
    expect((await callEcho({}, headers)).status, JSON.stringify(headers)).toBe(403);
  }
  for (const headers of [{ host: 'localhost' }, { origin: `http://${own}` }, { origin: 'http://localhost:3000' }]) {
    expect((await callEcho({}, headers)).status, JSON.stringify(headers)).toBe(200);
  }
  expect(upstream.calls).toHaveLength(3);
});

test('content types, accept headers and methods are held to', async () => {
  expect((await send({ headers: { 'content-type': 'text/plain' }, body: '{}' })).status).toBe(415);
  expect((await callEcho({}, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(200);
  expect((await callEcho({}, { accept: 'text/html' })).status).toBe(406);
  expect((await callEcho({}, { accept: 'application/json' })).status).toBe(200);
  for (const method of ['PUT', 'PATCH', 'HEAD']) expect((await send({ method })).status, method).toBe(405);
  expect((await send({ method: 'GET', headers: { accept: 'text/event-stream' } })).status).toBe(405);
});

test('SE-01: sessions: missing is 400, unknown, foreign, ended and of another toolbox is 404', async () => {
  const ping = { id: 1, method: 'ping' };
  const session = await initialize();
  expect((await legacy(session, ping)).json.result).toEqual({});
  expect(
    (await send({ headers: { 'mcp-protocol-version': '2025-11-25' }, body: JSON.stringify({ jsonrpc: '2.0', ...ping }) })).status,
  ).toBe(400);
  expect((await legacy('nonsense', ping)).status).toBe(404);
  expect((await legacy(`${session.slice(0, -2)}AA`, ping)).status).toBe(404);
  expect((await legacy(session, ping, {}, '/mcp/box')).status).toBe(404);
  expect((await legacy(session, ping, { 'mcp-protocol-version': '1999-01-01' })).status).toBe(400);
  expect((await send({ method: 'DELETE', headers: { 'mcp-session-id': session } })).status).toBe(200);
  expect((await legacy(session, ping)).status).toBe(404);
  expect((await send({ method: 'DELETE', headers: { 'mcp-session-id': session } })).status).toBe(404);
});

test('a legacy client that asks for a version we do not know is offered the newest of its era', async () => {
  for (const [asked, given] of [
    ['2026-07-28', '2025-11-25'],
    ['1999-01-01', '2025-11-25'],
    ['2025-06-18', '2025-06-18'],
    ['2024-11-05', '2024-11-05'],
  ]) {
    const reply = await send({
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: asked, capabilities: {} } }),
    });
    expect(reply.json.result?.protocolVersion).toBe(given);
  }
});

test('PR-06: prototypes stay what they were, whatever keys a client sends', async () => {
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":${JSON.stringify(meta).slice(0, -1)},"__proto__":{"x":1}},"name":"demo__echo","arguments":{"__proto__":{"polluted":true}}}}`;
  const reply = await send({
    headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'demo__echo' },
    body,
  });
  expect(reply.json.result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining('__proto__') }] });
  expect(upstream.calls).toHaveLength(0);
  expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  expect((await callEcho()).json.result).toBeDefined();
});

function sendRaw(raw: string): Promise<string> {
  const { hostname, port } = new URL(gateway.url);
  return new Promise<string>((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.end(raw));
    let got = '';
    socket.on('data', (chunk) => {
      got += chunk;
    });
    socket.on('close', () => resolve(got));
    socket.on('error', () => resolve(got));
  });
}

test('PR-09: a raw request that breaks HTTP is refused and the next one is served', async () => {
  for (const raw of [
    'GET\r\n\r\n',
    'POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    '\x00\x01\x02\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n folded: c\x00\r\n\r\n',
    'GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n',
    'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello',
    'GET /healthz HTTP/1.1\r\n\r\n',
  ])
    expect(await sendRaw(raw), JSON.stringify(raw)).toMatch(/^HTTP\/1\.1 400/);
  expect((await callEcho()).status).toBe(200);
});

test('PR-09: who may do what is decided for the path that is served, however host and target are written', async () => {
  const bare = 'Connection: close\r\n\r\n';
  for (const [line, host] of [
    ['GET http://localhost/api/status HTTP/1.1', 'localhost'],
    ['GET /api/status HTTP/1.1', 'localhost/healthz?x='],
    ['GET /api/status HTTP/1.1', 'localhost:1/healthz'],
    ['GET /api/status?path=/healthz HTTP/1.1', 'localhost'],
    ['GET //api/status HTTP/1.1', 'localhost'],
    ['GET  /api/status HTTP/1.1', 'localhost'],
    ['GET /healthz/../api/status HTTP/1.1', 'localhost'],
    ['GET /api/status#/healthz HTTP/1.1', 'localhost'],
    ['POST http://evil.example/mcp HTTP/1.1', 'localhost'],
  ])
    expect(await sendRaw(`${line}\r\nHost: ${host}\r\n${bare}`), `${line} at ${host}`).toMatch(/^HTTP\/1\.1 40[0134]/);
  const twice = `GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nAuthorization: Bearer ${gateway.key}\r\n${bare}`;
  expect(await sendRaw(twice)).toMatch(/^HTTP\/1\.1 40[03]/);
  const targeted = (target: string) =>
    sendRaw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${gateway.key}\r\n${bare}`);
  for (const target of ['http://evil.example/api/status', 'http://localhost.evil.example/api/status', 'http://a@evil/api/status'])
    expect(await targeted(target), target).toMatch(/^HTTP\/1\.1 403/);
  expect(await targeted('http://localhost:80/api/status')).toMatch(/^HTTP\/1\.1 200/);
  const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n';
  expect(await sendRaw(`GET /api/status HTTP/1.1\r\nHost: localhost\r\n${upgrade}`)).not.toMatch(/^HTTP\/1\.1 (101|200)/);
  expect(upstream.calls).toHaveLength(0);
  const right = `GET /api/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${gateway.key}\r\n${bare}`;
  expect(await sendRaw(right)).toMatch(/^HTTP\/1\.1 200/);
});

test('PR-04: a compressed body is not unpacked, however small it is', async () => {
  const body = gzipSync(Buffer.alloc(20 * 1024 * 1024, 0x20));
  const startedAtMs = performance.now();
  const reply = await callEcho({}, {});
  expect(reply.status).toBe(200);
  for (const encoding of ['gzip', 'deflate', 'br']) {
    const refused = await send({ headers: { 'content-encoding': encoding }, body });
    expect([encoding, Math.floor(refused.status / 100)]).toEqual([encoding, 4]);
  }
  expect(performance.now() - startedAtMs).toBeLessThan(5_000);
  expect(upstream.calls).toHaveLength(1);
});

test('PR-09: an address that cannot be read is refused in our own words, with a key and without', async () => {
  const bare = 'Connection: close\r\n\r\n';
  const key = `Authorization: Bearer ${gateway.key}\r\n`;
  for (const target of ['/approvals/%zz', '/approvals/%', '/approvals/%c3%28', 'http://[bad/x', 'http://[/api/status'])
    for (const shown of ['', key]) {
      const answer = await sendRaw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n${shown}${bare}`);
      expect(answer, target).toMatch(/^HTTP\/1\.1 400/);
      expect(answer, target).toMatch(/"code":"invalid_request"/);
      expect(answer, target).not.toMatch(/<html|Error:|internal/i);
    }
  expect(await sendRaw(`GET /approvals/a%20b HTTP/1.1\r\nHost: localhost\r\n${bare}`)).toMatch(/^HTTP\/1\.1 (200|401)/);
  expect(await sendRaw(`GET /api/%zz HTTP/1.1\r\nHost: localhost\r\n${key}${bare}`)).toMatch(/^HTTP\/1\.1 40[04]/);
  expect(await sendRaw(`GET /api/status HTTP/1.1\r\nHost: localhost\r\n${key}${bare}`)).toMatch(/^HTTP\/1\.1 200/);
  expect(gateway.process.stderr.join('')).not.toContain('a request failed');
});

test('PR-04: a body that administration cannot read is the fault of who sent it, and no line in the log', async () => {
  const path = '/api/policies/global';
  const body = JSON.stringify({ policy: {} });
  const put = (headers: Record<string, string>, bytes: string | Buffer) => send({ path, method: 'PUT', headers, body: bytes });
  expect((await put({}, body)).status).toBe(200);
  expect((await put({ 'content-encoding': 'br' }, brotliCompressSync(body))).status).toBe(200);
  for (const encoding of ['br', 'gzip', 'deflate'])
    expect(await put({ 'content-encoding': encoding }, body)).toMatchObject({
      status: 400,
      json: { error: { code: 'parse_error' } },
    });
  expect(await put({}, '{"policy"')).toMatchObject({ status: 400, json: { error: { code: 'parse_error' } } });
  for (const headers of [{ 'content-type': 'application/json; charset=foo' }, { 'content-encoding': 'foo' }])
    expect(await put(headers, body)).toMatchObject({ status: 415, json: { error: { code: 'unsupported_media_type' } } });
  expect(gateway.process.stderr.join('')).not.toContain('a request failed');
});
