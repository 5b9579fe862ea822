import { describe, expect, test } from 'vitest';
import { compileProblem, convertBodySchema, convertOperation, fits } from '../../support/openapi.ts';

const old = { openapi: '3.0.3' };

describe('schemas of arguments', () => {
  test.each([
    ['nullable becomes a type', { type: 'string', nullable: true }, { type: ['string', 'null'] }],
    ['with values', { type: 'string', enum: ['a'], nullable: true }, { type: ['string', 'null'], enum: ['a', null] }],
    [
      'around alternatives',
      { nullable: true, anyOf: [{ type: 'string' }] },
      { anyOf: [{ anyOf: [{ type: 'string' }] }, { type: 'null' }] },
    ],
    ['and means nothing without a type', { nullable: true, description: 'Any.' }, { description: 'Any.' }],
    [
      'exclusive bounds become bounds',
      { type: 'number', minimum: 1, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: false },
      { type: 'number', exclusiveMinimum: 1, maximum: 5 },
    ],
    ['one example becomes several', { type: 'integer', example: 5 }, { type: 'integer', examples: [5] }],
    [
      'other words go',
      { type: 'object', xml: { name: 'x' }, externalDocs: {}, 'x-y': 1, properties: {} },
      { type: 'object', properties: {} },
    ],
    [
      'members say that it is an object',
      { properties: { a: { type: 'string' } } },
      { type: 'object', properties: { a: { type: 'string' } } },
    ],
    ['types of other languages are understood', { type: 'int' }, { type: 'integer' }],
    ['and of none are left out', { type: 'wibble' }, {}],
    [
      'a schema per item',
      { type: 'array', items: [{ type: 'string' }], additionalItems: false },
      { type: 'array', prefixItems: [{ type: 'string' }], items: false },
    ],
    [
      'values that cannot be applied go',
      { type: 'string', minLength: -1, maxLength: '5', enum: [], required: true },
      { type: 'string' },
    ],
    [
      'lists hold each thing once',
      { type: 'object', required: ['a', 'a', 1], properties: { a: { enum: [1, 1] } } },
      { type: 'object', required: ['a'], properties: { a: { enum: [1] } } },
    ],
  ])('%s', (_what, schema, expected) => {
    const { body } = convertBodySchema(schema, old);
    expect(body).toEqual(expected);
    expect(compileProblem({ ...(body as object) })).toBeUndefined();
  });

  test.each([
    ['^[a-z]+$', '^[a-z]+$'],
    ['^[\\w\\-]+\\@\\:$', '^[\\w\\x2d]+@:$'],
    ['^a\\\\-b$', '^a\\\\-b$'],
    ['(?i)x', undefined],
    ['[', undefined],
    [`${'a'.repeat(1_001)}`, undefined],
  ])('the pattern %s compiles as validators do it', (pattern, expected) => {
    expect(convertBodySchema({ type: 'string', pattern }).body).toEqual({
      type: 'string',
      ...(expected === undefined ? {} : { pattern: expected }),
    });
  });

  test('members that only the API sets are no arguments, wherever they are required', () => {
    const schemas = {
      Base: {
        type: 'object',
        properties: { id: { type: 'string', readOnly: true }, made: { $ref: '#/components/schemas/Time' } },
      },
      Time: { type: 'string', readOnly: true },
    };
    const { body, definitions } = convertBodySchema(
      {
        allOf: [{ $ref: '#/components/schemas/Base' }, { required: ['id', 'name', 'made'] }],
        properties: { name: { type: 'string' }, secret: { type: 'string', writeOnly: true } },
      },
      { schemas },
    );
    expect(body).toMatchObject({ allOf: [{ $ref: '#/$defs/Base' }, { required: ['name'] }], properties: { secret: {} } });
    expect(definitions).toEqual({ Base: { type: 'object', properties: {} } });
  });

  test('what contains itself stays finite', () => {
    const Person = {
      type: 'object',
      properties: { name: { type: 'string' }, parents: { type: 'array', items: { $ref: '#/components/schemas/Person' } } },
    };
    const { body, definitions } = convertBodySchema({ $ref: '#/components/schemas/Person' }, { schemas: { Person } });
    const schema = { ...(body as object), $defs: definitions };
    expect(fits(schema, { parents: [{ parents: [{ name: 'x' }] }] })).toBe(true);
    expect(fits(schema, { parents: [{ parents: [{ name: 1 }] }] })).toBe(false);
  });

  test.each([
    ['a reference to itself', { A: { $ref: '#/components/schemas/A' } }],
    ['two that refer to each other', { A: { $ref: '#/components/schemas/B' }, B: { $ref: '#/components/schemas/A' } }],
    [
      'two that include each other',
      { A: { allOf: [{ $ref: '#/components/schemas/B' }] }, B: { allOf: [{ $ref: '#/components/schemas/A' }] } },
    ],
    ['one that is not itself', { A: { not: { $ref: '#/components/schemas/A' } } }],
    ['one that is itself if it is', { A: { if: { $ref: '#/components/schemas/A' }, else: { type: 'string' } } }],
    ['alternatives that lead back', { A: { anyOf: [{ allOf: [{ oneOf: [{ $ref: '#/components/schemas/A' }] }] }] } }],
    [
      'three in a ring',
      {
        A: { allOf: [{ $ref: '#/components/schemas/B' }] },
        B: { oneOf: [{ $ref: '#/components/schemas/C' }] },
        C: { $ref: '#/components/schemas/A' },
      },
    ],
  ])('%s can be applied to a value', (_what, schemas) => {
    const { tool, problems } = convertOperation(
      { requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/A' } } } } },
      { schemas },
    );
    expect(compileProblem(tool.inputSchema)).toBeUndefined();
    expect(fits(tool.inputSchema, { body: {} })).toBe(true);
    expect(problems.map(({ message }) => message).join()).toMatch(/refers to itself|include the schema/);
  });

  test('a base that lists its variants keeps its members, and the variants include the base', () => {
    const schemas = {
      Pet: {
        type: 'object',
        required: ['kind'],
        properties: { kind: { type: 'string' } },
        oneOf: [{ $ref: '#/components/schemas/Cat' }],
        discriminator: { propertyName: 'kind' },
      },
      Cat: {
        allOf: [
          { $ref: '#/components/schemas/Pet' },
          { type: 'object', required: ['lives'], properties: { lives: { type: 'integer' } } },
        ],
      },
    };
    const cat = convertOperation(
      { requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Cat' } } } } },
      { schemas },
    ).tool.inputSchema;
    expect(fits(cat, { body: { kind: 'cat', lives: 9 } })).toBe(true);
    expect(fits(cat, { body: { lives: 9 } })).toBe(false);
    expect(fits(cat, { body: { kind: 'cat' } })).toBe(false);
  });

  test('a discriminator with a mapping tells alternatives apart, and without one a value may fit several', () => {
    const schemas = {
      Cat: { type: 'object', properties: { kind: { type: 'string' } } },
      Dog: { type: 'object', properties: { kind: { type: 'string' } } },
    };
    const oneOf = [{ $ref: '#/components/schemas/Cat' }, { $ref: '#/components/schemas/Dog' }];
    const schemaOf = (discriminator: object) =>
      convertOperation({ requestBody: { content: { 'application/json': { schema: { oneOf, discriminator } } } } }, { schemas })
        .tool.inputSchema;
    const mapped = schemaOf({ propertyName: 'kind', mapping: { cat: '#/components/schemas/Cat', kitten: 'Cat', dog: 'Dog' } });
    expect(fits(mapped, { body: { kind: 'kitten' } })).toBe(true);
    expect(fits(mapped, { body: { kind: 'mouse' } })).toBe(false);
    expect(JSON.stringify(mapped)).not.toContain('discriminator');
    expect(fits(schemaOf({ propertyName: 'kind' }), { body: { kind: 'cat' } })).toBe(true);
  });

  test('references by anchor and id, and through other references, are found', () => {
    const schemas = {
      A: { $anchor: 'here', type: 'object', properties: { x: { type: 'integer' } } },
      B: { $id: 'https://example.com/b', type: 'string' },
      C: { $ref: '#/components/schemas/A' },
    };
    const properties = {
      anchor: { $ref: '#here' },
      id: { $ref: 'https://example.com/b' },
      through: { $ref: '#/components/schemas/C/properties/x' },
      encoded: { $ref: '#/components/schemas/A/%70roperties/x' },
    };
    const { tool, problems } = convertOperation(
      { requestBody: { content: { 'application/json': { schema: { type: 'object', properties } } } } },
      { schemas },
    );
    expect(problems).toEqual([]);
    expect(compileProblem(tool.inputSchema)).toBeUndefined();
    expect(fits(tool.inputSchema, { body: { anchor: { x: 1 }, id: 'b', through: 1, encoded: 2 } })).toBe(true);
    expect(fits(tool.inputSchema, { body: { through: 'b' } })).toBe(false);
  });

  test.each([
    ['#/components/schemas/Missing', 'is not in the document'],
    ['file:///etc/passwd', 'is a local file; those are never read'],
    ['../other.yaml#/X', 'nothing it could be relative to'],
    ['https://example.com/other.yaml', 'is another document that is not fetched'],
    ['data:application/json,{}', 'is neither in the document nor on the web'],
    ['http://169.254.169.254/latest', 'is another document that is not fetched'],
  ])('a reference to %s takes any value, and says why', (reference, why) => {
    const { tool, problems } = convertOperation({
      requestBody: { content: { 'application/json': { schema: { $ref: reference } } } },
    });
    expect(problems.map(({ message }) => message).join()).toContain(why);
    expect(fits(tool.inputSchema, { body: 1 })).toBe(true);
  });

  test('names of components that are no names get one that is, and the same each time', () => {
    const schemas = { 'A b': { type: 'string' }, A_b: { type: 'integer' }, Ä: { type: 'boolean' } };
    const properties = {
      a: { $ref: '#/components/schemas/A b' },
      b: { $ref: '#/components/schemas/A_b' },
      c: { $ref: '#/components/schemas/%C3%84' },
    };
    const convertOnce = () => convertBodySchema({ type: 'object', properties }, { schemas });
    const { definitions } = convertOnce();
    expect(Object.keys(definitions as object).every((name) => /^[A-Za-z0-9._-]+$/.test(name))).toBe(true);
    expect(Object.keys(definitions as object)).toHaveLength(3);
    expect(convertOnce()).toEqual(convertOnce());
  });
});

describe('schemas of answers', () => {
  const answer = (schema: unknown, parts = {}) =>
    convertOperation({ responses: { 200: { description: '', content: { 'application/json': { schema } } } } }, parts);

  test('take what an API answers beside its description', () => {
    const schemas = {
      Item: {
        type: 'object',
        required: ['a'],
        properties: { a: { type: 'string', format: 'date', pattern: '^x', enum: ['x'] }, s: { type: 'string', writeOnly: true } },
        additionalProperties: false,
      },
    };
    const { tool } = answer(
      {
        type: 'object',
        required: ['items'],
        properties: {
          items: { type: 'array', minItems: 3, items: { $ref: '#/components/schemas/Item' } },
          n: { type: 'number', minimum: 5 },
        },
      },
      { schemas },
    );
    const { outputSchema } = tool;
    for (const value of [{}, { items: null }, { items: [null] }, { items: [{ a: 'other', b: 1 }], n: -1 }])
      expect(fits(outputSchema as object, value)).toBe(true);
    expect(fits(outputSchema as object, { items: 5 })).toBe(false);
    expect(JSON.stringify(outputSchema)).not.toMatch(/required|minItems|pattern|enum|format|"s"|additionalProperties":false/);
  });

  test('alternatives that overlap do not exclude each other', () => {
    const { tool } = answer({
      oneOf: [
        { type: 'object', properties: { a: {} } },
        { type: 'object', properties: { b: {} } },
      ],
    });
    expect(fits(tool.outputSchema as object, { a: 1 })).toBe(true);
  });

  test('what is no object is wrapped, and what is one is not', () => {
    const list = answer({ type: 'array', items: { type: 'string' } });
    expect(list.answer.isWrapped).toBe(true);
    expect(fits(list.tool.outputSchema as object, { result: ['a'] })).toBe(true);
    const schemas = { Base: { type: 'object' } };
    for (const schema of [
      { type: 'object' },
      { $ref: '#/components/schemas/Base' },
      { allOf: [{ $ref: '#/components/schemas/Base' }, {}] },
      { oneOf: [{ type: 'object' }, { properties: {} }] },
    ]) {
      const object = answer(schema, { schemas });
      expect([schema, object.answer.isWrapped, (object.tool.outputSchema as { type: string }).type]).toEqual([
        schema,
        false,
        'object',
      ]);
    }
    expect(answer({ oneOf: [{ type: 'object' }, { type: 'array' }] }).answer.isWrapped).toBe(true);
  });

  test('an answer that says nothing of itself has no schema', () => {
    expect(answer({}).tool.outputSchema).toBeUndefined();
    expect(answer(true).tool.outputSchema).toBeUndefined();
  });
});
