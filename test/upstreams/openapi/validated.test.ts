import { createServer } from 'node:http';
import express, { type NextFunction, type Request, type Response } from 'express';
import { middleware } from 'express-openapi-validator';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { convertDescription } from '../../../src/upstreams/openapi/convert-description.ts';
import type { Upstream } from '../../../src/upstreams/upstream.ts';
import type { JsonObject } from '../../../src/wire/json.ts';
import { overApi, started, textOf, toolCall } from '../../support/upstreams/harness.ts';
import { listenOn, type TestServer } from '../../support/upstreams/listen-on.ts';

// Each request is checked against the description by a validator that knows nothing of ours, and what a server reads is what was given.

const text = { type: 'string' } as const;
const texts = { type: 'array', items: text } as const;
const ok = { responses: { 200: { description: 'ok', content: { 'application/json': { schema: { type: 'object' } } } } } };
const filter = { type: 'object', properties: { color: text, size: { type: 'integer' } }, additionalProperties: false };
const pet = {
  type: 'object',
  required: ['name'],
  properties: { name: text, tags: texts, age: { type: 'integer' }, owner: { type: 'object', properties: { login: text } } },
  additionalProperties: false,
};

const description = {
  openapi: '3.0.3',
  info: { title: 'Everything', version: '1' },
  servers: [{ url: '/v1' }],
  paths: {
    '/things/{id}/{ids}': {
      get: {
        operationId: 'inPath',
        parameters: [
          { name: 'id', in: 'path', required: true, schema: text },
          { name: 'ids', in: 'path', required: true, schema: texts },
        ],
        ...ok,
      },
    },
    '/query': {
      get: {
        operationId: 'inQuery',
        parameters: [
          { name: 'plain', in: 'query', required: true, schema: text },
          { name: 'count', in: 'query', schema: { type: 'integer' } },
          { name: 'flag', in: 'query', schema: { type: 'boolean' } },
          { name: 'many', in: 'query', schema: texts },
          { name: 'piped', in: 'query', style: 'pipeDelimited', explode: false, schema: texts },
          { name: 'listed', in: 'query', style: 'form', explode: false, schema: texts },
          { name: 'filter', in: 'query', style: 'deepObject', schema: filter },
          { name: 'where', in: 'query', content: { 'application/json': { schema: pet } } },
        ],
        ...ok,
      },
    },
    '/header': {
      get: {
        operationId: 'inHeader',
        parameters: [
          { name: 'X-Note', in: 'header', required: true, schema: text },
          { name: 'X-List', in: 'header', style: 'simple', schema: texts },
          { name: 'session', in: 'cookie', schema: text },
        ],
        ...ok,
      },
    },
    '/json': {
      post: {
        operationId: 'asJson',
        requestBody: { required: true, content: { 'application/json': { schema: pet } } },
        ...ok,
      },
    },
    '/form': {
      post: {
        operationId: 'asForm',
        requestBody: {
          required: true,
          content: {
            'application/x-www-form-urlencoded': {
              schema: { type: 'object', required: ['a'], properties: { a: text, b: texts }, additionalProperties: false },
            },
          },
        },
        ...ok,
      },
    },
    '/upload': {
      post: {
        operationId: 'upload',
        requestBody: {
          required: true,
          content: {
            'multipart/form-data': {
              schema: {
                type: 'object',
                required: ['photo'],
                properties: { note: text, photo: { type: 'string', format: 'binary' } },
                additionalProperties: false,
              },
            },
          },
        },
        ...ok,
      },
    },
  },
};

let server: TestServer;
let upstream: Upstream;
/** Of the last request that the validator let through. */
let read: Record<string, unknown> = {};

beforeAll(async () => {
  const app = express();
  app.use(express.json(), express.urlencoded({ extended: false }));
  app.use(
    middleware({
      apiSpec: description as never,
      validateRequests: { coerceTypes: true },
      validateResponses: false,
      fileUploader: { limits: { fileSize: 1_000_000 } },
    }),
  );
  app.use((request: Request, response: Response) => {
    const { params, query, headers, body, files } = request;
    const { openapi } = request as Request & { openapi?: { pathParams?: object } };
    read = { params: openapi?.pathParams ?? params, query: { ...query }, headers, body, files };
    response.json({});
  });
  app.use((error: Error & { status?: number; errors?: unknown }, _request: Request, response: Response, _next: NextFunction) => {
    response.status(error.status ?? 500).json({ message: error.message, errors: error.errors });
  });
  server = await listenOn(createServer(app), 0, '/v1');
  const conversion = await convertDescription(Buffer.from(JSON.stringify(description)));
  expect(conversion.problems).toEqual([]);
  const harness = await started(overApi(server.url, conversion));
  upstream = harness.upstream;
});
afterAll(async () => {
  await upstream?.close();
  await server?.close();
});

async function send(name: string, args: JsonObject): Promise<typeof read> {
  read = {};
  const answer = await upstream.call(toolCall(name, args));
  if (answer.kind !== 'result' || answer.result.value.isError === true)
    throw new Error(`${JSON.stringify(args)}: ${textOf(answer)}`);
  return read;
}

/** The argument that holds the body. */
function bodyOf(tool: string): string {
  const { inputSchema } = upstream.offer().tools.find(({ name }) => name === tool) ?? {};
  return Object.keys(inputSchema?.properties ?? {})[0] ?? '';
}

const numRuns = process.env.TEST_LONG === undefined ? 60 : 2_000;
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });
// A separator within an item cannot be told from one between two: the styles have no way to say it.
const item = fc.string({
  unit: fc.constantFrom('a', 'B', '0', '-', '_', '~', '!', '*', '/', '?', '#', '&', '=', '+', 'é', '日'),
  minLength: 1,
  maxLength: 8,
});
const ascii = fc
  .string({ unit: fc.constantFrom(...'abcXYZ019 .:;!/?@[]{}()<>=+*&%$#'), minLength: 1, maxLength: 12 })
  .map((value) => value.trim() || 'x');

test('in paths', async () => {
  const segment = word.filter((value) => !/^\.|[/\\]\.|%|\0/.test(value));
  await fc.assert(
    fc.asyncProperty(segment, fc.array(item, { minLength: 1, maxLength: 3 }), async (id, ids) => {
      expect((await send('inPath', { id, ids })).params).toEqual({ id, ids });
    }),
    { numRuns },
  );
});

test('in queries', async () => {
  const optional = { requiredKeys: ['plain'] } as { requiredKeys: ['plain'] };
  const args = fc.record(
    {
      plain: word,
      count: fc.integer(),
      flag: fc.boolean(),
      many: fc.array(word, { minLength: 2, maxLength: 3 }),
      piped: fc.array(item, { minLength: 2, maxLength: 3 }),
      listed: fc.array(item, { minLength: 2, maxLength: 3 }),
      // This validator decodes a query with deep objects before it takes it apart, so here they hold nothing that it would part at.
      filter: fc.record({ color: fc.constantFrom('red', 'dark-blue', 'é'), size: fc.integer() }),
      where: fc.record({ name: word, tags: fc.array(word, { maxLength: 2 }), age: fc.integer() }),
    },
    optional,
  );
  await fc.assert(
    fc.asyncProperty(args, async (given) => {
      // The validator reads a deep object that is not there as an empty one.
      expect((await send('inQuery', given as JsonObject)).query).toEqual({ filter: {}, ...given });
    }),
    { numRuns },
  );
});

test('in headers and cookies', async () => {
  await fc.assert(
    fc.asyncProperty(
      ascii,
      fc.array(fc.constantFrom('a', 'b', 'c-d'), { minLength: 2, maxLength: 3 }),
      item,
      async (note, list, session) => {
        const { headers } = await send('inHeader', { 'X-Note': note, 'X-List': list, session });
        const { cookie, ...rest } = headers as Record<string, unknown>;
        expect([rest['x-note'], [rest['x-list']].flat().join(',')]).toEqual([note, list.join(',')]);
        expect(decodeURIComponent(String(cookie))).toBe(`session=${session}`);
      },
    ),
    { numRuns },
  );
});

test('in JSON bodies and forms', async () => {
  const body = fc.record(
    { name: word, tags: fc.array(word, { maxLength: 3 }), age: fc.integer(), owner: fc.record({ login: word }) },
    { requiredKeys: ['name'] },
  );
  await fc.assert(
    fc.asyncProperty(body, fc.record({ a: word, b: fc.array(word, { minLength: 2, maxLength: 3 }) }), async (json, form) => {
      expect((await send('asJson', { [bodyOf('asJson')]: json as JsonObject })).body).toEqual({ ...json });
      expect((await send('asForm', { [bodyOf('asForm')]: form as JsonObject })).body).toEqual({ ...form });
    }),
    { numRuns },
  );
});

test('in parts with files', async () => {
  await fc.assert(
    fc.asyncProperty(word, fc.uint8Array({ maxLength: 200 }), async (note, bytes) => {
      const photo = { data: Buffer.from(bytes).toString('base64'), filename: 'a.png', contentType: 'image/png' };
      const { body, files } = await send('upload', { [bodyOf('upload')]: { note, photo } });
      const [file] = files as { fieldname: string; originalname: string; mimetype: string; buffer: Buffer }[];
      expect((body as { note: string }).note).toBe(note);
      expect([file?.fieldname, file?.originalname, file?.mimetype]).toEqual(['photo', 'a.png', 'image/png']);
      expect(Buffer.compare(file?.buffer ?? Buffer.alloc(0), Buffer.from(bytes))).toBe(0);
    }),
    { numRuns: Math.ceil(numRuns / 2) },
  );
});

test('the validator does refuse what the description does not allow', async () => {
  await expect(send('inQuery', { plain: 'x', count: 'many' })).rejects.toThrow(/must be integer/);
});
