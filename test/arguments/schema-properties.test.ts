import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import { cleanSchema, UnusableSchema } from '../../src/arguments/clean-schema.ts';
import { compileSchema } from '../../src/arguments/compile-schema.ts';
import { argumentWords } from '../../src/arguments/describe-error.ts';
import { findMisfits } from '../../src/arguments/find-misfits.ts';
import type { Json, JsonObject } from '../../src/wire/json.ts';

const rounds = process.env.TEST_LONG ? 1_500 : 100;
const checks = new ArgumentChecks();
afterAll(() => checks.close());

const names = fc.constantFrom('a', 'b', 'constructor', '$ref', 'type');
const scalars = fc.constantFrom<Json>(0, 1, 2.5, -1, '', 'a', 'ab', true, null);
const values = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalars,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(names, tie('value'), { maxKeys: 3 }),
  ),
})).value;

const some = <Value>(arbitrary: fc.Arbitrary<Value>) => fc.option(arbitrary, { nil: undefined, freq: 2 });
const { schema } = fc.letrec<{ schema: Json }>((tie) => ({
  schema: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.boolean(),
    fc
      .record({
        type: some(fc.constantFrom<Json>('string', 'number', 'integer', 'object', 'array', 'boolean', ['string', 'null'])),
        description: some(fc.constant('words')),
        enum: some(fc.uniqueArray(scalars, { minLength: 1, maxLength: 3 })),
        const: some(scalars),
        minimum: some(fc.constantFrom(0, 1)),
        maxLength: some(fc.constantFrom(0, 1)),
        pattern: some(fc.constantFrom('^a', 'b$')),
        minItems: some(fc.constantFrom(0, 1)),
        properties: some(fc.dictionary(names, tie('schema'), { maxKeys: 3 })),
        patternProperties: some(fc.dictionary(fc.constantFrom('^a', 'b'), tie('schema'), { maxKeys: 2 })),
        required: some(fc.uniqueArray(names, { maxLength: 2 })),
        additionalProperties: some(tie('schema')),
        items: some(tie('schema')),
        prefixItems: some(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
        anyOf: some(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
        allOf: some(fc.array(tie('schema'), { minLength: 1, maxLength: 2 })),
        not: some(tie('schema')),
        if: some(tie('schema')),
        // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
        then: some(tie('schema')),
        $ref: some(fc.constantFrom('#/$defs/a', '#/$defs/b')),
      })
      .map((keywords) => Object.fromEntries(Object.entries(keywords).filter(([, value]) => value !== undefined)) as JsonObject),
  ),
}));
const roots = fc.record({ body: schema, a: schema, b: schema }).map(
  ({ body, a, b }): JsonObject => ({
    type: 'object',
    properties: { x: body },
    $defs: { a: withoutReferences(a), b: withoutReferences(b) },
  }),
);

// References among the definitions may go round at one place, and then no validator comes to an end.
function withoutReferences(value: Json): Json {
  return JSON.parse(
    JSON.stringify(value)
      .replaceAll(/"\$ref":"#[^"]*",?/g, '')
      .replaceAll(',}', '}'),
  ) as Json;
}

// The compiler itself fails for a few odd schemas. What cannot be checked must not pass.
function fits(validate: (value: Json) => boolean, value: Json): boolean {
  try {
    return validate(value);
  } catch {
    return false;
  }
}

describe('for any schema', () => {
  test('what the compiler makes a mistake about is refused', async () => {
    const odd = { anyOf: [{ anyOf: [{ prefixItems: [false] }, false], not: true }, true] };
    const properties = { x: { $ref: '#/$defs/a' } };
    expect(await checks.of({ type: 'object', properties, $defs: { a: odd } }).check({ x: 0 })).toContain('cannot be checked');
    expect(
      await checks.of({ type: 'object', properties: { x: { anyOf: [{ not: true }, true] } } }).check({ x: 1 }),
    ).toBeUndefined();
  });

  test('the verdict is that of a validator which was given the schema as it is', async () => {
    let fitting = 0;
    await fc.assert(
      fc.asyncProperty(roots, fc.array(values, { minLength: 3, maxLength: 6 }), async (root, attempts) => {
        const validate = new Ajv2020({
          strict: false,
          ownProperties: true,
          logger: false,
          meta: false,
          validateSchema: false,
        }).compile(root);
        for (const x of attempts) {
          const sentence = await checks.of(root).check({ x });
          if (sentence === undefined) fitting++;
          expect([sentence, sentence === undefined]).toEqual([sentence, fits(validate, { x })]);
        }
      }),
      { numRuns: rounds },
    );
    expect(fitting).toBeGreaterThan(rounds / 2);
  }, 300_000);

  test('what is told of misfits is never more than there is, and something where all of the schema is understood', async () => {
    let told = 0;
    await fc.assert(
      fc.asyncProperty(roots, fc.array(values, { minLength: 3, maxLength: 6 }), async (root, attempts) => {
        const { schema: clean, patterns } = cleanSchema(root);
        const validator = await compileSchema(clean, patterns, argumentWords);
        for (const x of attempts) {
          const sentence = validator.check({ x });
          if (sentence?.includes('cannot be checked') === true) continue;
          const { found, isPartial } = findMisfits(clean, { x }, validator.patterns);
          if (sentence === undefined) expect(found).toEqual([]);
          else if (!isPartial) expect([found.length > 0, sentence]).toEqual([true, sentence]);
          told += found.length;
        }
      }),
      { numRuns: rounds },
    );
    expect(told).toBeGreaterThan(rounds / 2);
  }, 300_000);

  test('alternatives that one member tells apart: all that is told is so, and mending it mends the call', async () => {
    const kinds = fc.constantFrom<Json>('a', 'b', 1, true, null);
    const tag = fc.oneof(
      kinds.map((value) => ({ const: value })),
      fc.uniqueArray(kinds, { minLength: 1, maxLength: 2 }).map((values) => ({ enum: values })),
    );
    const number = fc.constantFrom<Json>({ type: 'number', minimum: 1 }, { type: 'string' }, true);
    const object = fc
      .record({ kind: fc.option(tag, { nil: undefined, freq: 6 }), n: number, isNeeded: fc.boolean(), isTyped: fc.boolean() })
      .map(
        ({ kind, n, isNeeded, isTyped }): JsonObject => ({
          ...(isTyped ? { type: 'object' } : {}),
          properties: { ...(kind === undefined ? {} : { kind }), n },
          required: isNeeded ? ['kind', 'n'] : ['n'],
        }),
      );
    const parts = fc.array(fc.oneof({ arbitrary: object, weight: 5 }, fc.constant<Json>({ type: 'null' })), {
      minLength: 2,
      maxLength: 4,
    });
    const value = fc.record(
      { kind: fc.oneof(kinds, fc.constant<Json>('x')), n: fc.constantFrom<Json>(0, 1, 'a') },
      { requiredKeys: [] },
    );
    let chosen = 0;
    await fc.assert(
      fc.asyncProperty(parts, fc.constantFrom('oneOf', 'anyOf'), value, async (list, keyword, x) => {
        const root: JsonObject = { type: 'object', properties: { x: { [keyword]: list } } };
        const validate = new Ajv2020({ strict: false, allErrors: false }).compile(root);
        const isFit = validate({ x });
        const { found, isPartial } = findMisfits(cleanSchema(root).schema, { x: x as JsonObject });
        if (isFit) expect(found).toEqual([]);
        else if (!isPartial) expect(found.length).toBeGreaterThan(0);
        if (found.some(({ path }) => path.startsWith('/x/'))) chosen++;
      }),
      { numRuns: rounds * 2 },
    );
    expect(chosen).toBeGreaterThan(rounds / 5);
  }, 300_000);

  test('older dialects mean what they meant', async () => {
    const draft = (schema: JsonObject) =>
      checks.of({ $schema: 'http://json-schema.org/draft-04/schema#', type: 'object', ...schema });
    const range = draft({ properties: { n: { minimum: 0, exclusiveMinimum: true, maximum: 5, exclusiveMaximum: false } } });
    expect(await Promise.all([0, 1, 5, 6].map((n) => range.check({ n })))).toEqual(
      ['/n must be a value of more than 0.', undefined, undefined, '/n must be a value of more than 0 and at most 5.'].map(
        (sentence) => sentence && expect.stringContaining('/n must be'),
      ),
    );
    const tuple = draft({ properties: { at: { items: [{ type: 'number' }, { type: 'string' }], additionalItems: false } } });
    expect(await tuple.check({ at: [1, 'a'] })).toBeUndefined();
    expect(await tuple.check({ at: ['a'] })).toBe('/at/0 must be a number.');
    expect(await tuple.check({ at: [1, 'a', 2] })).toBe('/at must have at most 2 items.');
    const needs = draft({ dependencies: { card: ['address'], gift: { required: ['note'] } } });
    expect(await needs.check({ card: 1, address: 1 })).toBeUndefined();
    expect(await needs.check({ card: 1 })).toBe('/address is missing; it goes with "card".');
    expect(await needs.check({ gift: 1 })).toBe('/note is missing.');
    // A reference is alone, whatever stands beside it.
    const alone = draft({ properties: { a: { $ref: '#/definitions/t', maxLength: 1 } }, definitions: { t: { type: 'string' } } });
    expect(await alone.check({ a: 'abc' })).toBeUndefined();
    expect(await alone.check({ a: 1 })).toBe('/a must be text.');
    const open = draft({ properties: { a: { type: 'string', nullable: true, enum: ['x'] } } });
    expect([await open.check({ a: null }), await open.check({ a: 'x' })]).toEqual([undefined, undefined]);
    expect(await open.check({ a: 'y' })).toBe('/a must be one of "x", null.');
  });

  test('ids and anchors lead within it and nowhere else', async () => {
    const check = checks.of({
      $id: 'https://example.com/root.json',
      type: 'object',
      properties: {
        a: { $ref: 'https://example.com/root.json#/$defs/text' },
        b: { $ref: '#words' },
        c: { $ref: 'item.json' },
        d: { $dynamicRef: '#words' },
        $id: { type: 'number' },
      },
      $defs: {
        text: { $id: 'urn:text', type: 'string' },
        words: { $anchor: 'words', type: 'array' },
        item: { $id: 'item.json', properties: { e: { $ref: '#/$defs/inner' } }, $defs: { inner: { type: 'null' } } },
      },
    });
    expect(await check.check({ a: '', b: [], c: { e: null }, d: [], $id: 1 })).toBeUndefined();
    for (const [args, words] of [
      [{ a: 1 }, '/a must be text'],
      [{ b: 1 }, '/b must be a list'],
      [{ c: { e: 1 } }, '/c/e must be null'],
      [{ d: 1 }, '/d must be a list'],
      [{ $id: '' }, '/$id must be a number'],
    ] as const)
      expect(await check.check(args)).toContain(words);
  });

  test('what cannot be applied is left out and noted, and the rest still holds', async () => {
    const check = checks.of({
      type: 'object',
      properties: {
        a: { type: 'file', maxLength: 2 },
        b: { type: 'string', pattern: '^(?!x)' },
        c: { minimum: '5', required: true, enum: [] },
        d: 'text',
      },
      patternProperties: { '^(?=y)': { type: 'number' } },
      additionalProperties: false,
    });
    expect(await check.check({ a: 'ab', b: 'x', c: 1, d: 1, y: 'z', other: 1 })).toBeUndefined();
    expect(await check.check({ a: 'abc' })).toContain('/a');
    expect(await check.check({ b: 1 })).toContain('/b must be text');
    expect(check.warnings.join('\n')).toMatch(
      /"type"[\s\S]*"minimum"[\s\S]*"required"[\s\S]*"enum"[\s\S]*"d"[\s\S]*\(\?!x\)[\s\S]*\(\?=y\)/,
    );
    expect(check.problem).toBeUndefined();
  });

  test('whatever is sent as a schema is either cleaned or refused', () => {
    const junk = fc.oneof(
      fc.json().map((text) => JSON.parse(text) as Json),
      values,
    );
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('type', '$ref', '$id', 'properties', 'items', 'enum', 'allOf', 'required', '__proto__', '$defs'),
          junk,
        ),
        (root) => {
          try {
            cleanSchema(root as JsonObject);
          } catch (error) {
            expect(error).toBeInstanceOf(UnusableSchema);
          }
        },
      ),
      { numRuns: rounds * 10 },
    );
  });
});
