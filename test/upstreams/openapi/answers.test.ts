import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AnswerRules, ApiTransport } from '../../../src/catalog/config.ts';
import { GatewayError } from '../../../src/errors.ts';
import type { Operation } from '../../../src/upstreams/openapi/conversion.ts';
import { FailedAnswer, type Upstream } from '../../../src/upstreams/upstream.ts';
import { Cancel } from '../../../src/wire/cancel.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { type ApiServer, startApiServer } from '../../support/upstreams/api-server.ts';
import { type CallOverrides, overApi, started, toolCall } from '../../support/upstreams/harness.ts';
import { conversionOf, operation, parameter, schemes } from './conversions.ts';

let server: ApiServer;
const open: Upstream[] = [];

beforeAll(async () => {
  server = await startApiServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close()));
});
afterAll(() => server.close());

const pet = { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] };
const getPet = operation('GET /pet', 'getPet', { outputSchema: pet });
const listPets = operation('GET /pets', 'listPets', {
  outputSchema: { type: 'object', properties: { result: { type: 'array' } }, required: ['result'] },
  isWrapped: true,
  parameters: [parameter('query', 'page')],
});
const anything = operation('GET /any', 'any', { parameters: [parameter('query', 'page')] });
const operations = [getPet, listPets, anything];

async function api(transport: Partial<ApiTransport> = {}, of: readonly Operation[] = operations): Promise<Upstream> {
  const harness = overApi(`${server.url}/v1`, conversionOf(of, { securitySchemes: schemes }), transport, {
    secrets: { KEY: 'a-secret-value-123' },
  });
  open.push((await started(harness)).upstream);
  return harness.upstream;
}

async function ask(upstream: Upstream, name: string, overrides: CallOverrides = {}): Promise<JsonObject> {
  const answer = await upstream.call(toolCall(name, {}, overrides));
  if (answer.kind !== 'result') throw new Error(`the answer is ${answer.kind}`);
  return answer.result.value;
}

const json = { 'content-type': 'application/json; charset=utf-8' };
const rules = (answer: Partial<AnswerRules>): Partial<ApiTransport> => ({
  answer: { select: undefined, trim: [], maxItems: undefined, limitBytes: undefined, ...answer },
});
const text = (value: JsonObject) => (value.content as { text: string }[]).map((block) => block.text);

describe('a success', () => {
  test('is its text, and its structure as it came', async () => {
    const source = '{ "id": 5, "big": 12345678901234567890 }';
    server.answer(200, json, source);
    const upstream = await api();
    const answer = await upstream.call(toolCall('getPet'));
    if (answer.kind !== 'result') throw new Error(answer.kind);
    expect(answer.result.source('structuredContent')).toBe(source);
    expect(answer.result.get('content')).toEqual([{ type: 'text', text: source }]);
    expect(answer.result.has('isError')).toBe(false);
  });

  test('that is no object stands in "result"', async () => {
    server.answer(200, json, '[{"id":1}]');
    expect(await ask(await api(), 'listPets')).toEqual({
      content: [{ type: 'text', text: '[{"id":1}]' }],
      structuredContent: { result: [{ id: 1 }] },
    });
  });

  test('that is no object and promised nowhere is text', async () => {
    server.answer(200, json, '[1,2]');
    expect(await ask(await api(), 'any')).toEqual({ content: [{ type: 'text', text: '[1,2]' }] });
  });

  test('that is not what the description promises is text, marked as an error, and says why', async () => {
    server.answer(200, json, '{"id":"five"}');
    const value = await ask(await api(), 'getPet');
    expect(value).toMatchObject({ isError: true });
    expect(value.structuredContent).toBeUndefined();
    expect(text(value)).toEqual([
      expect.stringMatching(/The call succeeded, but .*\/id must be .*Do not call again/),
      '{"id":"five"}',
    ]);
  });

  test('that claims to be JSON and is not is passed on as text', async () => {
    server.answer(200, json, '{"id":');
    expect(await ask(await api(), 'any')).toEqual({ content: [{ type: 'text', text: '{"id":' }] });
  });

  test('nested deeper than any message may be is text', async () => {
    const source = `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`;
    server.answer(200, json, source);
    expect(await ask(await api(), 'any')).toEqual({ content: [{ type: 'text', text: source }] });
  });

  test('without content is a sentence', async () => {
    server.answer(204, {});
    expect(await ask(await api(), 'any')).toEqual({
      content: [{ type: 'text', text: 'Done: the API answered HTTP 204 without content.' }],
    });
  });

  test('to HEAD is its headers, and of a list that goes on where it does', async () => {
    const head = operation('HEAD /file', 'head');
    server.answer(200, { 'content-type': 'image/png', 'content-length': '5', etag: '"a"', 'set-cookie': 'a=b' });
    expect(text(await ask(await api({}, [head]), 'head'))).toEqual([
      'Done: the API answered HTTP 200 without content.\ncontent-type: image/png\ncontent-length: 5\netag: "a"',
    ]);
    server.answer(200, { ...json, link: '<https://x.example/?page=2>; rel="next"' }, '{}');
    expect(text(await ask(await api(), 'any'))[1]).toBe(
      'The API says that there is more: <https://x.example/?page=2>; rel="next"',
    );
  });

  test.each([
    ['text/plain', 'hello', { type: 'text', text: 'hello' }],
    ['text/plain; charset=iso-8859-1', Buffer.from([0xe9]), { type: 'text', text: 'é' }],
    ['application/xml', '<a/>', { type: 'text', text: '<a/>' }],
    ['image/png', Buffer.from([1, 2]), { type: 'image', data: 'AQI=', mimeType: 'image/png' }],
    ['audio/ogg', Buffer.from([1, 2]), { type: 'audio', data: 'AQI=', mimeType: 'audio/ogg' }],
  ])('of type %s', async (type, body, block) => {
    server.answer(200, { 'content-type': type }, body);
    expect(await ask(await api(), 'any')).toEqual({ content: [block] });
  });

  test('of bytes is a file with the address it came from', async () => {
    server.answer(200, { 'content-type': 'application/pdf' }, Buffer.from([1, 2]));
    expect(await ask(await api(), 'any')).toEqual({
      content: [{ type: 'resource', resource: { uri: `${server.url}/v1/any`, mimeType: 'application/pdf', blob: 'AQI=' } }],
    });
  });

  test('that was compressed unasked is read; one that grows beyond the limit is not', async () => {
    server.answer(200, { ...json, 'content-encoding': 'gzip' }, gzipSync('{"id":1}'));
    expect(await ask(await api(), 'getPet')).toMatchObject({ structuredContent: { id: 1 } });
    server.answer(200, { ...json, 'content-encoding': 'gzip' }, gzipSync(Buffer.alloc(8 * 1024 * 1024, 0x20)));
    await expect(ask(await api(), 'getPet')).rejects.toMatchObject({ code: 'answer_too_large' });
    server.answer(200, { ...json, 'content-encoding': 'zip' }, 'x');
    await expect(ask(await api(), 'getPet')).rejects.toMatchObject({ code: 'upstream_failed' });
  });
});

describe('a refusal', () => {
  test('is told with status, problem details (RFC 9457) and what to do', async () => {
    const problem = {
      type: 'https://p.example/limit',
      title: 'Out of range',
      status: 422,
      detail: '"page" must be below 10',
      page: 99,
    };
    server.answer(422, { 'content-type': 'application/problem+json' }, JSON.stringify(problem));
    const value = await ask(await api(), 'any');
    expect(value).toMatchObject({ isError: true });
    expect(text(value)[0]).toBe(
      'The API answered HTTP 422 Unprocessable Entity.\nIt says: Out of range\n"page" must be below 10\ntype: https://p.example/limit\n{"page":99}\nCorrect the arguments as it says, then call again.',
    );
  });

  test('never shows credentials, even where the API repeats them', async () => {
    const security = [{ headerKey: [] }];
    const transport = { credentials: { headerKey: { kind: 'value', value: `\${secret:KEY}` } } } as const;
    const upstream = await api(transport, [operation('GET /s', 's', { security })]);
    for (const status of [200, 302, 401, 403, 500]) {
      server.answer(status, { ...json, location: `https://x.example/?k=a-secret-value-123` }, '{"sent":"a-secret-value-123"}');
      const answer = await upstream.call(toolCall('s')).catch((error: FailedAnswer) => error.answer);
      const shown = answer?.kind === 'result' ? JSON.stringify(answer.result.value) : '';
      expect(shown).not.toContain('a-secret-value-123');
      expect(shown).toContain('****');
    }
  });

  test('for want of rights speaks of the credentials of the upstream', async () => {
    for (const status of [401, 403]) {
      server.answer(status, json, '{"message":"no scope"}');
      expect(text(await ask(await api(), 'any'))[0]).toMatch(/no scope[\s\S]*credentials that Gatehouse has for it/);
    }
  });

  test('of too many calls is busy for as long as it says, and not its fault', async () => {
    server.answer(429, { 'retry-after': '7' });
    const error = await ask(await api(), 'any').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FailedAnswer);
    expect(error).toMatchObject({
      code: 'upstream_busy',
      retryAfterMs: 7000,
      isItsFault: false,
      message: expect.stringContaining('in 7 s'),
    });
  });

  test('with a status of 500 and more counts against the API, and its words still arrive', async () => {
    server.answer(500, json, '{"title":"Broken","detail":"disk full"}');
    const error = await ask(await api(), 'any').catch((thrown: unknown) => thrown as FailedAnswer);
    expect(error).toMatchObject({ code: 'upstream_failed', isItsFault: true });
    const { answer } = error as FailedAnswer;
    expect(answer?.kind === 'result' && text(answer.result.value)[0]).toContain('disk full');
    server.answer(503, { 'retry-after': '3' });
    await expect(ask(await api(), 'any')).rejects.toMatchObject({ code: 'upstream_busy', isItsFault: true, retryAfterMs: 3000 });
  });

  test('is no failure of the API below that', async () => {
    for (const status of [400, 404, 409, 418]) {
      server.answer(status, { 'content-type': 'text/html' }, '<h1>No</h1><script>x</script>');
      const upstream = await api();
      expect(text(await ask(upstream, 'any'))[0]).toContain(`HTTP ${status}`);
      expect(upstream.health()).toMatchObject({ state: 'healthy', calls: { failed: 0 } });
    }
  });

  test('that sends on is not followed, whereto', async () => {
    const before = server.arrived.length;
    server.answer(302, { location: `${server.url}/admin` });
    const value = await ask(await api(), 'any');
    expect(text(value)[0]).toContain(`/admin, and Gatehouse follows no redirect`);
    expect(server.arrived.length).toBe(before + 1);
  });
});

describe('an answer that is larger than wanted', () => {
  const items = Array.from({ length: 50 }, (_, id) => ({
    id,
    name: `pet ${id}`,
    owner: { login: 'ada', url: 'https://x' },
    _links: {},
  }));

  test('has only the fields that are selected, or all but those that are trimmed; nothing is promised of it then', async () => {
    server.answer(200, json, JSON.stringify({ items: items.slice(0, 2), total: 2, big: 1 }));
    const selecting = await api(rules({ select: ['items.id', 'items.owner.l*', 'total'] }));
    expect((await ask(selecting, 'any')).structuredContent).toEqual({
      items: [0, 1].map((id) => ({ id, owner: { login: 'ada' } })),
      total: 2,
    });
    expect(selecting.offer().tools.every(({ outputSchema }) => outputSchema === undefined)).toBe(true);
    const trimming = await api(rules({ trim: ['items.*.url', 'items._links', 'big'] }));
    expect((await ask(trimming, 'any')).structuredContent).toEqual({
      items: [0, 1].map((id) => ({ id, name: `pet ${id}`, owner: { login: 'ada' } })),
      total: 2,
    });
  });

  test('has only so many items, and a note says so and how to have the rest', async () => {
    server.answer(200, json, JSON.stringify(items));
    const value = await ask(await api(rules({ maxItems: 3 })), 'listPets');
    expect((value.structuredContent as JsonObject).result).toEqual(items.slice(0, 3));
    expect(text(value).slice(1)).toEqual([
      'The list is cut: the first 3 of 50 items are shown.',
      'Ask for the rest with "page".',
    ]);
  });

  test('has as much of its longest list as fits', async () => {
    server.answer(200, json, JSON.stringify({ total: 50, items }));
    const value = await ask(await api(rules({ limitBytes: 1000 })), 'any');
    const shown = (value.structuredContent as { items: unknown[]; total: number }).items;
    expect(shown.length).toBeGreaterThan(5);
    expect(shown).toEqual(items.slice(0, shown.length));
    expect(Buffer.byteLength(text(value)[0] ?? '')).toBeLessThanOrEqual(1000);
    expect(text(value)[1]).toContain(`the first ${shown.length} of 50 items`);
  });

  test('has as much of its text as fits', async () => {
    server.answer(200, { 'content-type': 'text/plain' }, 'é'.repeat(1000));
    const [shown, note] = text(await ask(await api(rules({ limitBytes: 301 })), 'any'));
    expect(shown).toBe('é'.repeat(150));
    expect(note).toBe('The text is cut: the first 301 of 2000 bytes are shown.');
  });

  test('is not read beyond what may be read at all', async () => {
    server.answer(200, json, JSON.stringify('x'.repeat(5000)));
    const error = await ask(await api(), 'any', { limitBytes: 4096 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ code: 'answer_too_large' });
  });
});

describe('no answer', () => {
  test('for a call that was given up: the request ends, and the health says so', async () => {
    const upstream = await api();
    const gone = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    server.respond((_arrived, _response, request) => {
      request.socket.on('close', () => gone.resolve());
      arrived.resolve();
    });
    const cancel = new Cancel();
    const call = ask(upstream, 'any', { cancel });
    await arrived.promise;
    cancel.cancel('timeout');
    await expect(call).rejects.toMatchObject({ code: 'cancelled' });
    await gone.promise;
    expect(upstream.health()).toMatchObject({ state: 'failing', callsInFlight: 0 });
  });

  test('from a server that breaks off is a failure that says what is not known', async () => {
    server.respond((_arrived, _response, request) => request.socket.destroy());
    await expect(ask(await api(), 'any')).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('Whether the call was carried out is not known'),
    });
  });

  test('where nobody listens is unavailable', async () => {
    const harness = await started(overApi('http://127.0.0.1:9', conversionOf(operations)));
    open.push(harness.upstream);
    await expect(ask(harness.upstream, 'any')).rejects.toMatchObject({ code: 'upstream_unavailable' });
  });
});
