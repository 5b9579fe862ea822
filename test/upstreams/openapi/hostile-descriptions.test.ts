import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { GatewayError } from '../../../src/errors.ts';
import { type ConvertOptions, convertDescription } from '../../../src/upstreams/openapi/convert-description.ts';
import { bytesOf, compileProblem, convert, describeApi, fits, invalidSchemas } from '../../support/openapi.ts';

// Imports wait for each other, and the machine may be busy.
vi.setConfig({ testTimeout: 120_000 });

async function outcome(document: unknown, options: ConvertOptions = {}): Promise<string> {
  const bytes = document instanceof Uint8Array ? document : bytesOf(document);
  try {
    const conversion = await convertDescription(bytes, options);
    return `${conversion.operations.length} tools`;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'bad_description') return error.message;
    throw error;
  }
}

const withSchema = (schema: unknown, schemas: Record<string, unknown> = {}) =>
  describeApi({
    schemas,
    paths: {
      '/a': {
        post: {
          requestBody: { content: { 'application/json': { schema } } },
          responses: { 200: { description: '', content: { 'application/json': { schema } } } },
        },
      },
    },
  });

/** So many operations, each of which takes any of 300 schemas that refer to each other. */
function allReferringToAll(operations: number): Record<string, unknown> {
  const names = Array.from({ length: 300 }, (_, n) => `S${n}`);
  const properties = Object.fromEntries(names.map((name) => [name, { $ref: `#/components/schemas/${name}` }]));
  const schemas = Object.fromEntries(names.map((name) => [name, { type: 'object', description: 'x'.repeat(1_000), properties }]));
  const post = (n: number) => ({
    requestBody: { content: { 'application/json': { schema: { $ref: `#/components/schemas/S${n % 300}` } } } },
    responses: { 200: { description: '' } },
  });
  const paths = Object.fromEntries(Array.from({ length: operations }, (_, n) => [`/p${n}`, { post: post(n) }]));
  return describeApi({ schemas, paths });
}

describe('OP-01: a hostile description', () => {
  test('of 50 MB is read or refused by its size, and nobody waits for it', async () => {
    const delays = monitorEventLoopDelay({ resolution: 5 });
    delays.enable();
    const text = `{"openapi":"3.1.0","paths":{},"x":"${'y'.repeat(50 * 1024 * 1024)}"}`;
    expect(await outcome(bytesOf(text))).toContain('50 MB; at most 48 MB are read');
    delays.disable();
    expect(delays.percentile(50) / 1e6).toBeLessThan(50);
  });

  test('that takes too much memory ends its process, and only that', async () => {
    const objects = `{"openapi":"3.1.0","paths":{},"x":[${'{"a":{}},'.repeat(2_000_000)}0]}`;
    expect(await outcome(bytesOf(objects), { memoryMegabytes: 64 })).toContain('takes more than 64 MB of memory');
    expect(await outcome(withSchema({}))).toBe('1 tools');
  });

  test('that takes too much CPU time ends its process, and the next is served within the same', async () => {
    const cpuLimitMs = 2_000;
    const said = 'takes more than 2 s of CPU time to convert';
    expect(await outcome(allReferringToAll(16_000), { cpuLimitMs })).toContain(said);
    expect(await outcome(withSchema({}), { cpuLimitMs })).toBe('1 tools');
  });

  test('that waits for ever ends its process, one that waits for longer than it may compute does not', async () => {
    const waiting = withSchema({ $ref: 'https://example.com/slow.json' });
    const fetchReference = () => new Promise<Uint8Array>(() => {});
    const said = 'was not converted within 0.5 s by the clock, in less than the 5 s of CPU time';
    expect(await outcome(waiting, { timeoutMs: 500, fetchReference })).toContain(said);
    const cpuLimitMs = 2_000;
    const fetchSlowly = () => pause(cpuLimitMs, bytesOf({ type: 'string' }));
    expect(await outcome(waiting, { cpuLimitMs, fetchReference: fetchSlowly })).toBe('1 tools');
  });

  test('with 10,000 operations is whole, with more than its limit it is refused', async () => {
    const paths = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [`/p${n}`, { get: { summary: 'x', operationId: 'same' } }]),
    );
    expect(await outcome(describeApi({ paths }))).toBe('10000 tools');
    expect(await outcome(describeApi({ paths }), { limits: { operations: 9_999 } })).toContain('10000 operations; at most 9999');
  });

  test('with a chain of 10,000 references is finite', async () => {
    const schemas = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [`S${n}`, { $ref: `#/components/schemas/S${(n + 1) % 10_000}` }]),
    );
    const members = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [
        `S${n}`,
        { type: 'object', properties: { next: { $ref: `#/components/schemas/S${(n + 1) % 10_000}` } } },
      ]),
    );
    expect(await outcome(withSchema({ $ref: '#/components/schemas/S0' }, schemas))).toBe('1 tools');
    expect(convert(withSchema({ $ref: '#/components/schemas/S0' }, members)).operations).toHaveLength(1);
    const pointers = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [`S${n}`, { $ref: `#/components/schemas/S${n + 1}/properties/x` }]),
    );
    expect(convert(withSchema({ $ref: '#/components/schemas/S0/properties/x' }, pointers)).operations).toHaveLength(1);
  });

  test('whose schema is as wide as it may be keeps within the size, or has no tool', () => {
    const members = Array.from({ length: 20_000 }, (_, n) => [`member${n}`, { type: 'string', description: 'x' }]);
    const { operations } = convert(withSchema({ type: 'object', properties: Object.fromEntries(members) }));
    expect(operations.length).toBe(1);
    expect(JSON.stringify(operations[0]?.tool).length).toBeLessThan(64 * 1024);
    const parameters = Array.from({ length: 20_000 }, (_, n) => ({ name: `p${n}`, in: 'query', schema: { type: 'string' } }));
    const many = convert(describeApi({ paths: { '/a': { get: { parameters } } } }));
    expect(many.operations).toEqual([]);
    expect(many.problems).toMatchObject([{ kind: 'lost', operation: 'GET /a' }]);
  });

  test('with every schema referring to every other keeps within the size', async () => {
    const conversion = await convertDescription(bytesOf(allReferringToAll(1)));
    expect(JSON.stringify(conversion.operations[0]?.tool).length).toBeLessThan(32 * 1024);
    expect(invalidSchemas(conversion)).toEqual([]);
  });

  test('OP-04: with patterns that never end compiles none of them', async () => {
    const { operations } = await convertDescription(bytesOf(withSchema({ type: 'string', pattern: '^(a+)+$', enum: undefined })));
    expect(compileProblem(operations[0]?.tool.inputSchema ?? {})).toBeUndefined();
  });

  test('with a text of a megabyte is cut', async () => {
    const long = 'x'.repeat(1024 * 1024);
    const { operations } = await convertDescription(
      bytesOf(
        describeApi({
          info: { title: long, description: long, version: long },
          paths: {
            '/a': {
              get: {
                summary: long,
                description: long,
                operationId: long,
                tags: [long],
                parameters: [
                  {
                    name: 'a',
                    in: 'query',
                    description: long,
                    schema: { type: 'string', title: long, default: long, example: long, enum: [long] },
                  },
                ],
              },
            },
          },
        }),
      ),
    );
    expect(JSON.stringify(operations[0]?.tool).length).toBeLessThan(16 * 1024);
  });

  test('made of the wrong things throughout has problems, not crashes', () => {
    const odd = [null, true, 0, '', [], {}, [[]], 'x', { $ref: 1 }, { $ref: '#' }, { $ref: '#/paths' }];
    for (const thing of odd) {
      const operation = {
        parameters: thing,
        requestBody: thing,
        responses: thing,
        security: thing,
        tags: thing,
        servers: thing,
        operationId: thing,
        summary: thing,
      };
      const inner = {
        parameters: [thing],
        requestBody: { content: thing },
        responses: { 200: thing, default: thing },
        security: [thing],
      };
      const schema = {
        requestBody: { content: { 'application/json': thing } },
        parameters: [
          { name: thing, in: 'query', schema: thing, content: thing, examples: thing },
          {
            name: 'a',
            in: 'query',
            schema: {
              properties: thing,
              allOf: thing,
              items: thing,
              required: thing,
              enum: thing,
              discriminator: thing,
              oneOf: thing,
              type: thing,
            },
          },
        ],
      };
      const paths = { '/a': { get: operation, put: inner, post: schema, patch: thing }, '/b': thing, c: thing };
      const conversion = convert({
        openapi: '3.1.0',
        info: thing,
        servers: thing,
        security: thing,
        components: { schemas: thing, securitySchemes: { x: thing } },
        paths,
      });
      expect(conversion.operations.length).toBeGreaterThanOrEqual(3);
      expect(conversion.problems.filter(({ message }) => message.includes('could not be converted'))).toEqual([]);
      expect(invalidSchemas(conversion)).toEqual([]);
      for (const version of [{ swagger: '2.0' }, { openapi: '3.0.0' }])
        expect(
          convert({ ...version, paths: thing, definitions: thing, components: thing, host: thing, securityDefinitions: thing })
            .operations,
        ).toBeInstanceOf(Array);
    }
  });
});

describe('OP-02: references to other documents', () => {
  const heard: string[] = [];
  const server = createServer((request, response) => {
    heard.push(request.url ?? '');
    response.end('{"X": {"type": "integer"}, "Y": {"$ref": "second.json#/Z"}, "Z": {"type": "boolean"}}');
  });
  let base = '';
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());

  const document = () =>
    withSchema({
      type: 'object',
      properties: {
        x: { $ref: 'first.json#/X' },
        y: { $ref: `${base}/first.json#/Y` },
        file: { $ref: 'file:///etc/hostname' },
        data: { $ref: 'data:application/json,%7B%22type%22%3A%22string%22%7D' },
      },
    });

  test('fetch nothing where nobody allows it, and say so', async () => {
    const { operations, problems } = await convertDescription(bytesOf(document()), { url: `${base}/openapi.json` });
    expect(heard).toEqual([]);
    const messages = problems.map(({ message }) => message).join('\n');
    expect(messages).toContain('another document that is not fetched');
    expect(messages).toContain('local file; those are never read');
    expect(fits(operations[0]?.tool.inputSchema ?? {}, { body: { x: 'anything' } })).toBe(true);
  });

  test('are fetched by the one who may, each once, and never a file', async () => {
    const asked: string[] = [];
    const fetchReference = async (url: string) => {
      asked.push(url);
      return new Uint8Array(await (await fetch(url)).arrayBuffer());
    };
    const conversion = await convertDescription(bytesOf(document()), { url: `${base}/openapi.json`, fetchReference });
    expect(asked).toEqual([`${base}/first.json`, `${base}/second.json`]);
    const { inputSchema } = conversion.operations[0]?.tool ?? { inputSchema: {} };
    expect(fits(inputSchema, { body: { x: 1, y: true } })).toBe(true);
    expect(fits(inputSchema, { body: { x: 'a' } })).toBe(false);
    expect(fits(inputSchema, { body: { y: 1 } })).toBe(false);
    expect(JSON.stringify(conversion)).toContain('local file');
  });

  test('that cannot be fetched take any value', async () => {
    const refused = async () => {
      throw new GatewayError('forbidden', 'That address is not allowed.');
    };
    const { problems } = await convertDescription(bytesOf(document()), {
      url: `${base}/openapi.json`,
      fetchReference: refused,
    });
    expect(problems.map(({ message }) => message).join('\n')).toContain('could not be fetched: That address is not allowed.');
  });

  test('have a limit', async () => {
    const properties = Object.fromEntries(
      Array.from({ length: 60 }, (_, n) => [`p${n}`, { $ref: `https://example.com/${n}.json` }]),
    );
    let asked = 0;
    const fetchReference = async () => {
      asked++;
      return bytesOf({ type: 'string' });
    };
    const { problems } = await convertDescription(bytesOf(withSchema({ type: 'object', properties })), {
      fetchReference,
    });
    expect(asked).toBe(50);
    expect(problems.map(({ message }) => message).join('\n')).toContain('one more document than the 50');
  });
});
