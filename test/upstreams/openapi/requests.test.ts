import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ApiTransport } from '../../../src/catalog/config.ts';
import type { Operation } from '../../../src/upstreams/openapi/conversion.ts';
import type { Upstream } from '../../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { parseExact } from '../../../src/wire/parse-exact.ts';
import { type ApiServer, type Arrived, startApiServer } from '../../support/upstreams/api-server.ts';
import { overApi, started, textOf, toolCall } from '../../support/upstreams/harness.ts';
import { body, conversionOf, operation, parameter } from './conversions.ts';

let server: ApiServer;
const open: Upstream[] = [];

beforeAll(async () => {
  server = await startApiServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close()));
});
afterAll(() => server.close());

async function api(operations: readonly Operation[], transport: Partial<ApiTransport> = {}): Promise<Upstream> {
  const { upstream } = await started(overApi(`${server.url}/v1`, conversionOf(operations), transport));
  open.push(upstream);
  return upstream;
}

/** Calls, and gives back the request that arrived; undefined where none did. */
async function send(upstream: Upstream, name: string, args: JsonObject): Promise<Arrived | undefined> {
  const before = server.arrived.length;
  await upstream.call(toolCall(name, args));
  expect(server.arrived.length - before).toBeLessThanOrEqual(1);
  return server.arrived[before];
}

describe('PA-01 a path keeps to its template', () => {
  const getUser = operation('GET /users/{id}/x', 'getUser', { parameters: [parameter('path', 'id')] });

  test.each([
    '..',
    '.',
    '',
    '../admin',
    '..\\admin',
    'a/../b',
    '..%2f',
    '%2e%2e',
    '%2E%2E/',
    '..;/x',
    '%252e%252e',
    'a\0b',
    'a%00b',
  ])('%j is refused in words that say what to change, and nothing is sent', async (id) => {
    const upstream = await api([getUser]);
    const before = server.arrived.length;
    const answer = await upstream.call(toolCall('getUser', { id }));
    expect(answer).toMatchObject({ kind: 'result', result: { value: { isError: true } } });
    expect(textOf(answer)).toMatch(/argument "id"/);
    expect(server.arrived.length).toBe(before);
  });

  test.each([
    ['a/b', 'a%2Fb'],
    ['?q', '%3Fq'],
    ['#f', '%23f'],
    [';p', '%3Bp'],
    ['a\\b', 'a%5Cb'],
    ['...', '...'],
    ['.hidden', '.hidden'],
    ['v1.2', 'v1.2'],
    ['é', '%C3%A9'],
    ['%', '%25'],
    ["!'()*", '%21%27%28%29%2A'],
    ['\ud800', '%EF%BF%BD'],
  ])('%j is one segment, %s', async (id, segment) => {
    const upstream = await api([getUser]);
    expect((await send(upstream, 'getUser', { id }))?.target).toBe(`/v1/users/${segment}/x`);
  });

  test('whatever the values are, the path has the segments of its template, and the server reads what was given', async () => {
    const upstream = await api([
      operation('GET /a/{one}/b/{two}.{three}', 'many', {
        parameters: ['one', 'two', 'three'].map((name) => parameter('path', name)),
      }),
    ]);
    const part = fc.string({
      unit: fc.constantFrom('.', '/', '\\', '%', '2', 'e', 'F', '\0', ';', '?', '#', 'a', 'é'),
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(part, part, part, async (one, two, three) => {
        const arrived = await send(upstream, 'many', { one, two, three });
        if (arrived === undefined) return;
        const segments = arrived.target.split('/');
        expect(segments.length).toBe(6);
        expect(new URL(arrived.target, 'http://x').pathname).toBe(arrived.target);
        expect(decodeURIComponent(segments[3] ?? '')).toBe(one);
        expect(decodeURIComponent(segments[5] ?? '')).toBe(`${two}.${three}`);
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 200 : 5_000 },
    );
  });

  test('values beside each other are held to the same as one', async () => {
    const names = ['one', 'two'].map((name) => parameter('path', name));
    const upstream = await api([operation('GET /x/{one}{two}', 'both', { parameters: names })]);
    for (const [one = '', two = ''] of [
      ['%2', 'e%2e'],
      ['%', '2e%2e'],
      ['%25', '2e%2e'],
      ['.', '.'],
      ['', '..'],
      ['.', ''],
    ])
      expect(await send(upstream, 'both', { one, two })).toBeUndefined();
    expect((await send(upstream, 'both', { one: '%2', two: '5' }))?.target).toBe('/v1/x/%2525');
    expect((await send(upstream, 'both', { one: 'a.', two: '.b' }))?.target).toBe('/v1/x/a..b');
  });

  test('lists and objects in a path are held to the same', async () => {
    const upstream = await api([getUser]);
    expect(await send(upstream, 'getUser', { id: ['..'] })).toBeUndefined();
    expect(await send(upstream, 'getUser', { id: { a: '../x' } })).toBeUndefined();
    expect((await send(upstream, 'getUser', { id: ['a', 'b/c'] }))?.target).toBe('/v1/users/a,b%2Fc/x');
  });
});

describe('PA-02 a query holds exactly what was declared', () => {
  const find = operation('GET /pets', 'findPets', {
    parameters: [
      parameter('query', 'name'),
      parameter('query', 'tags'),
      parameter('query', 'filter', { style: 'deepObject' }),
      parameter('query', 'where', { contentType: 'application/json' }),
    ],
  });

  test('values cannot add parameters', async () => {
    const upstream = await api([find]);
    const arrived = await send(upstream, 'findPets', {
      name: 'x&admin=1#y=z+ %26',
      tags: ['a', 'b&c=d'],
      filter: { 'a]&b[': 'c' },
      where: { a: ['&x=1'] },
    });
    const read = new URL(arrived?.target ?? '', 'http://x').searchParams;
    expect([...read]).toEqual([
      ['name', 'x&admin=1#y=z+ %26'],
      ['tags', 'a'],
      ['tags', 'b&c=d'],
      ['filter[a]&b[]', 'c'],
      ['where', '{"a":["&x=1"]}'],
    ]);
  });

  test('numbers keep every digit, and what is not given is not sent', async () => {
    const upstream = await api([find]);
    const args = parseExact('{"name": 12345678901234567890, "tags": null}') as JsonObject;
    expect((await send(upstream, 'findPets', args))?.target).toBe('/v1/pets?name=12345678901234567890');
    expect((await send(upstream, 'findPets', {}))?.target).toBe('/v1/pets');
  });

  test('a whole query (OpenAPI 3.2) and a query that stands in the template', async () => {
    const upstream = await api([
      operation('GET /search', 'search', {
        parameters: [parameter('querystring', 'q', { contentType: 'application/x-www-form-urlencoded' })],
      }),
      operation('POST /?Action=List', 'list', { parameters: [parameter('query', 'n')] }),
      operation('GET /#Action=Other', 'other', {}),
    ]);
    expect((await send(upstream, 'search', { q: { a: '1&2', b: 'c' } }))?.target).toBe('/v1/search?a=1%262&b=c');
    expect((await send(upstream, 'list', { n: 5 }))?.target).toBe('/v1/?Action=List&n=5');
    expect((await send(upstream, 'other', {}))?.target).toBe('/v1/');
  });
});

describe('PA-03 a header value stays one value', () => {
  const get = operation('GET /h', 'get', { parameters: [parameter('header', 'X-Note')] });

  test.each(['a\r\nX-Admin: 1', 'a\nb', 'a\0b', 'a\r b', 'é', 'x'.repeat(65_536)])('%j is refused', async (value) => {
    const upstream = await api([get]);
    const before = server.arrived.length;
    const answer = await upstream.call(toolCall('get', { 'X-Note': value }));
    expect(textOf(answer)).toContain('argument "X-Note"');
    expect(server.arrived.length).toBe(before);
  });

  test('plain text, lists and objects arrive as one header', async () => {
    const upstream = await api([get]);
    expect((await send(upstream, 'get', { 'X-Note': 'a, b: c' }))?.headers['x-note']).toBe('a, b: c');
    expect((await send(upstream, 'get', { 'X-Note': ['a', 'b'] }))?.headers['x-note']).toBe('a,b');
    const arrived = await send(upstream, 'get', { 'X-Note': { a: 1 } });
    expect(arrived?.rawHeaders.filter((name) => name === 'X-Note')).toHaveLength(1);
    expect(arrived?.headers['x-note']).toBe('a,1');
  });
});

describe("PA-04 what belongs to the connection or to credentials is nobody else's to set", () => {
  const names = [
    'Host',
    'Authorization',
    'Cookie',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'X-Forwarded-For',
    'Mcp-Session-Id',
    'Proxy-Authorization',
    'Accept-Encoding',
  ];

  test('such parameters are neither offered nor sent', async () => {
    const upstream = await api([
      operation('GET /h', 'get', { parameters: names.map((name) => parameter('header', name, { isRequired: true })) }),
    ]);
    const [tool] = upstream.offer().tools;
    expect(tool?.inputSchema).toEqual({ type: 'object', properties: {}, additionalProperties: false });
    const arrived = await send(upstream, 'get', Object.fromEntries(names.map((name) => [name, 'sneaky'])));
    expect(JSON.stringify(arrived?.rawHeaders)).not.toContain('sneaky');
    expect(arrived?.headers.host).toBe(`127.0.0.1:${server.port}`);
  });

  test('a configured header wins over a parameter of its name; others of it arrive', async () => {
    const parameters = [parameter('header', 'X-Team'), parameter('header', 'X-Other')];
    const upstream = await api([operation('GET /h', 'get', { parameters })], { headers: { 'x-team': 'ours' } });
    expect(Object.keys(upstream.offer().tools[0]?.inputSchema.properties as object)).toEqual(['X-Other']);
    const arrived = await send(upstream, 'get', { 'X-Team': 'theirs', 'X-Other': 'o' });
    expect(arrived?.headers).toMatchObject({ 'x-team': 'ours', 'x-other': 'o' });
  });
});

describe('cookies', () => {
  test('values are encoded, so that none adds another', async () => {
    const upstream = await api([
      operation('GET /c', 'get', { parameters: [parameter('cookie', 'a'), parameter('cookie', 'b', { style: 'cookie' })] }),
    ]);
    expect((await send(upstream, 'get', { a: 'x; admin=1', b: 'y,z"' }))?.headers.cookie).toBe('a=x%3B%20admin%3D1; b=y%2Cz%22');
  });
});

describe('bodies', () => {
  test('JSON as it was judged, long numbers included', async () => {
    const upstream = await api([operation('POST /pets', 'add', { body: body('json', 'application/json') })]);
    const source = '{"name":"Rex","big":12345678901234567890,"deep":[{"a":null}]}';
    const arrived = await send(upstream, 'add', { body: parseExact(source) as JsonObject });
    expect(arrived?.body.toString()).toBe(source);
    expect(arrived?.headers).toMatchObject({ 'content-type': 'application/json', 'content-length': String(source.length) });
  });

  test('a form, each property by its style', async () => {
    const plan = body('form', 'application/x-www-form-urlencoded', {
      properties: {
        list: { contentType: undefined, isFile: false, style: 'form', explode: false, allowReserved: false },
        filter: { contentType: undefined, isFile: false, style: 'deepObject', explode: true, allowReserved: false },
      },
    });
    const upstream = await api([operation('POST /form', 'form', { body: plan })]);
    const value = { name: 'a&b=c', tags: ['x', 'y'], list: ['1', '2'], filter: { a: 'b' }, object: { c: 1 }, nothing: null };
    const arrived = await send(upstream, 'form', { body: value });
    expect(arrived?.body.toString()).toBe('name=a%26b%3Dc&tags=x&tags=y&list=1,2&filter%5Ba%5D=b&object=%7B%22c%22%3A1%7D');
  });

  test('parts with files: names, types and bytes arrive, and no value ends its part', async () => {
    const file = { contentType: undefined, isFile: true, style: undefined, explode: undefined, allowReserved: false };
    const plan = body('multipart', 'multipart/form-data', { properties: { photo: file, more: file } });
    const upstream = await api([operation('POST /upload', 'upload', { body: plan })]);
    const bytes = Buffer.from([0, 1, 2, 13, 10, 45, 45, 255]);
    const arrived = await send(upstream, 'upload', {
      body: {
        note: '--x\r\nContent-Disposition: form-data; name="admin"\r\n\r\n1',
        'na"me\r\n': 'quoted',
        photo: { data: bytes.toString('base64'), filename: '../../etc/pa"ss\r\nwd.png', contentType: 'image/png' },
        more: [{ data: '' }, { data: 'AAE=', filename: 'é.bin', contentType: 'bad\r\ntype' }],
        object: { a: 1 },
        tags: ['x', 'y'],
      },
    });
    const form = await new Response(new Uint8Array(arrived?.body ?? []), {
      headers: { 'content-type': arrived?.headers['content-type'] ?? '' },
    }).formData();
    expect([...form.keys()]).toEqual(['note', 'na"me\r\n', 'photo', 'more', 'more', 'object', 'tags', 'tags']);
    expect(form.get('note')).toBe('--x\r\nContent-Disposition: form-data; name="admin"\r\n\r\n1');
    const photo = form.get('photo') as File;
    expect([photo.name, photo.type, Buffer.from(await photo.arrayBuffer())]).toEqual(['pa_ss__wd.png', 'image/png', bytes]);
    expect(form.getAll('more').map((part) => [(part as File).name, (part as File).type])).toEqual([
      ['file', 'application/octet-stream'],
      ['é.bin', 'application/octet-stream'],
    ]);
    expect(form.get('object')).toBeTruthy();
  });

  test('text and bytes', async () => {
    const upstream = await api([
      operation('PUT /xml', 'xml', { body: body('text', 'application/xml') }),
      operation('PUT /note', 'note', { body: body('text', 'text/plain') }),
      operation('PUT /raw', 'raw', { body: body('binary', '*/*') }),
    ]);
    expect(await send(upstream, 'xml', { body: '<a>é</a>' })).toMatchObject({
      body: Buffer.from('<a>é</a>'),
      headers: { 'content-type': 'application/xml' },
    });
    expect((await send(upstream, 'note', { body: 'é' }))?.headers['content-type']).toBe('text/plain; charset=utf-8');
    const raw = { data: Buffer.from([1, 2, 255]).toString('base64'), contentType: 'image/webp' };
    expect(await send(upstream, 'raw', { body: raw })).toMatchObject({
      body: Buffer.from([1, 2, 255]),
      headers: { 'content-type': 'image/webp' },
    });
  });

  test('a file that is no base64 is refused with what to give', async () => {
    const upstream = await api([operation('PUT /raw', 'raw', { body: body('binary', 'image/png') })]);
    expect(textOf(await upstream.call(toolCall('raw', { body: { data: 'not base64!' } })))).toContain(
      'needs "data" with its bytes as base64',
    );
  });

  test('whatever a form holds, a server reads it back', async () => {
    const upstream = await api([operation('POST /form', 'form', { body: body('form', 'application/x-www-form-urlencoded') })]);
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(text, fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })), { maxKeys: 4 }),
        async (value) => {
          const arrived = await send(upstream, 'form', { body: value });
          const read = new URLSearchParams(arrived?.body.toString());
          for (const [key, member] of Object.entries(value)) expect(read.getAll(key)).toEqual([member].flat());
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('what is missing', () => {
  const parameters = [parameter('path', 'id'), parameter('query', 'version', { isRequired: true })];
  const get = operation('POST /x/{id}', 'get', { parameters, body: body('json', 'application/json') });

  test('is named, and nothing is sent', async () => {
    const upstream = await api([get]);
    const before = server.arrived.length;
    for (const [args, name] of [
      [{ version: '1', body: {} }, 'id'],
      [{ id: 'a', body: {} }, 'version'],
      [{ id: 'a', version: '1' }, 'body'],
    ] as const)
      expect(textOf(await upstream.call(toolCall('get', args)))).toBe(`The argument "${name}" is missing; call again with it.`);
    expect(server.arrived.length).toBe(before);
  });

  test('is filled in where the import says with what; callers need not give it, and what they give counts', async () => {
    const upstream = await api([get], { defaults: { version: '2024-01-01', unknown: 1 } });
    const [tool] = upstream.offer().tools;
    expect(tool?.inputSchema.required).toEqual(['id', 'body']);
    expect((await send(upstream, 'get', { id: 'a', body: {} }))?.target).toBe('/v1/x/a?version=2024-01-01');
    expect((await send(upstream, 'get', { id: 'a', body: {}, version: '2' }))?.target).toBe('/v1/x/a?version=2');
  });
});

test('every request says who asks and what it takes, and asks for nothing compressed', async () => {
  const upstream = await api([operation('GET /x', 'get')], { headers: { 'X-Team': 'a' } });
  const arrived = await send(upstream, 'get', {});
  expect(arrived?.headers).toMatchObject({
    accept: 'application/json, */*;q=0.1',
    'accept-encoding': 'identity',
    'user-agent': 'gatehouse/0.0.0-test',
    'x-team': 'a',
  });
  expect(arrived?.headers['content-type']).toBeUndefined();
});

test('connections are kept between calls', async () => {
  const upstream = await api([operation('GET /x', 'get')]);
  const ports = new Set<number | undefined>();
  server.respond((_arrived, response, request) => {
    ports.add(request.socket.remotePort);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  for (let at = 0; at < 20; at++) await upstream.call(toolCall('get'));
  // The next call may come before the last one's connection is free again.
  expect(ports.size).toBeLessThanOrEqual(2);
});
