import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanSchema } from '../../../src/models/gemini/schema.ts';
import { isObject, type Json, type JsonObject } from '../../../src/wire/json.ts';
import { cpuMs } from '../../support/cpu-time.ts';

describe('a schema for Gemini', () => {
  test('keeps every keyword that its reference names', () => {
    const schema: JsonObject = {
      type: 'object',
      title: 'T',
      description: 'D',
      properties: {
        a: { type: ['string', 'null'], enum: ['x', 'y'] },
        b: { type: 'array', items: { $ref: '#/$defs/n' }, minItems: 1, maxItems: 3 },
        c: {
          anyOf: [
            { type: 'integer', minimum: 1, maximum: 2 },
            { type: 'string', format: 'date-time' },
          ],
        },
        d: { type: 'array', prefixItems: [{ type: 'string' }] },
      },
      required: ['a'],
      additionalProperties: false,
      propertyOrdering: ['b', 'a'],
      $defs: { n: { type: 'number' } },
    };
    expect(cleanSchema(schema)).toEqual(schema);
  });

  test('says in words what it would refuse', () => {
    const schema: JsonObject = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        a: { type: 'string', pattern: '^x', minLength: 2, description: 'An a.' },
        b: { const: 'only' },
        c: { enum: ['', 'x'] },
        d: { type: 'string', format: 'email' },
      },
      required: ['a', 'not_there'],
      patternProperties: { '^z': {} },
      unevaluatedProperties: false,
    };
    expect(cleanSchema(schema)).toEqual({
      type: 'object',
      properties: {
        a: { type: 'string', description: 'An a. (pattern: "^x"; minLength: 2)' },
        b: { enum: ['only'] },
        c: { description: '(one of: ["","x"])' },
        d: { type: 'string', description: '(format: "email")' },
      },
      required: ['a'],
    });
  });

  test('has definitions where they are looked for, references alone, and one schema in the place of all', () => {
    const schema: JsonObject = {
      type: 'object',
      properties: {
        a: { $ref: '#/definitions/p', description: 'beside' },
        b: { $ref: 'https://example.com/other.json' },
        c: {
          allOf: [{ $ref: '#/definitions/p' }, { properties: { y: { type: 'string' } }, required: ['y'] }],
          description: 'both',
        },
        d: { oneOf: [{ type: 'string' }, { type: 'null' }] },
      },
      definitions: { p: { type: 'object', properties: { x: { type: 'number' } }, required: ['x'] } },
    };
    const p = { type: 'object', properties: { x: { type: 'number' } }, required: ['x'] };
    expect(cleanSchema(schema)).toEqual({
      type: 'object',
      properties: {
        a: { $ref: '#/$defs/p' },
        b: {},
        c: {
          type: 'object',
          description: 'both',
          properties: { x: { type: 'number' }, y: { type: 'string' } },
          required: ['x', 'y'],
        },
        d: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      },
      $defs: { p },
    });
  });

  const allowed = new Set(
    '$ref $defs type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties additionalProperties required propertyOrdering'.split(
      ' ',
    ),
  );

  function keywordsOf(schema: Json): string[] {
    if (!isObject(schema)) return [];
    const { properties, $defs, items, anyOf, oneOf, prefixItems, additionalProperties: more } = schema;
    const maps = [properties, $defs].filter(isObject).flatMap((map) => Object.values(map));
    const lists = [anyOf, oneOf, prefixItems].flatMap((list) => (Array.isArray(list) ? list : []));
    return [...Object.keys(schema), ...[...maps, ...lists, items ?? null, more ?? null].flatMap(keywordsOf)];
  }

  test('never holds another keyword, whatever comes', () => {
    const { node } = fc.letrec<{ node: unknown }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.jsonValue(),
        fc.dictionary(
          fc.constantFrom(
            'type',
            'allOf',
            'anyOf',
            'oneOf',
            'items',
            'not',
            'enum',
            'const',
            '$ref',
            'required',
            '__proto__',
            'if',
          ),
          fc.oneof(tie('node'), fc.array(tie('node'), { maxLength: 3 }), fc.constant('#/$defs/a')),
          { maxKeys: 4 },
        ),
        fc.record({
          properties: fc.dictionary(fc.string(), tie('node'), { maxKeys: 3 }),
          $defs: fc.dictionary(fc.constantFrom('a', '__proto__'), tie('node'), { maxKeys: 2 }),
        }),
      ),
    }));
    fc.assert(
      fc.property(node, (given) => {
        const schema: JsonObject = { given: null, ...(isObject(given) ? given : {}) };
        expect(keywordsOf(cleanSchema(schema)).filter((name) => !allowed.has(name))).toEqual([]);
      }),
    );
  });

  test('that doubles with every step, goes round in circles or is nested without end is cut short', () => {
    const doubling: JsonObject = {};
    for (let n = 0; n < 60; n++) doubling[`d${n}`] = { allOf: [{ $ref: `#/$defs/d${n + 1}` }, { $ref: `#/$defs/d${n + 1}` }] };
    const started = cpuMs();
    cleanSchema({ allOf: [{ $ref: '#/$defs/d0' }], $defs: doubling });
    cleanSchema({ allOf: [{ $ref: '#/$defs/a' }], $defs: { a: { allOf: [{ $ref: '#/$defs/a' }] } } });
    let deep: JsonObject = {};
    for (let n = 0; n < 5_000; n++) deep = { items: deep };
    expect(JSON.stringify(cleanSchema(deep)).length).toBeLessThan(1_000);
    expect(cpuMs() - started).toBeLessThan(2_000);
  });
});
