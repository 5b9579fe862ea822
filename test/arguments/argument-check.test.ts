import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import type { JsonObject } from '../../src/wire/json.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';

const checks = new ArgumentChecks();
afterAll(() => checks.close());

function schemaOf(properties: JsonObject, more: JsonObject = {}): JsonObject {
  return { type: 'object', properties, ...more };
}

async function check(schema: JsonObject, args: JsonObject): Promise<string | undefined> {
  return await checks.of(schema).check(args);
}

describe('arguments that fit pass, and others are refused with a sentence to repair them by', () => {
  const order = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'], additionalProperties: false };
  test.each<[string, JsonObject, JsonObject, JsonObject, string]>([
    [
      'a bound',
      { limit: { type: 'integer', maximum: 100 } },
      { limit: 100 },
      { limit: 101 },
      '/limit must be a whole number of at most 100.',
    ],
    [
      'a kind',
      { limit: { type: 'integer', minimum: 1, maximum: 100 } },
      { limit: 1 },
      { limit: '1' },
      '/limit must be a whole number of 1 to 100.',
    ],
    ['a choice', { unit: { enum: ['c', 'f'] } }, { unit: 'c' }, { unit: 'k' }, '/unit must be one of "c", "f".'],
    ['a constant', { kind: { const: 'a' } }, { kind: 'a' }, { kind: 'b' }, '/kind must be "a".'],
    [
      'a length',
      { name: { type: 'string', minLength: 1 } },
      { name: 'x' },
      { name: '' },
      '/name must be text of at least 1 characters.',
    ],
    [
      'a pattern, in the words of the schema',
      { id: { type: 'string', pattern: '^T-[0-9]+$', description: 'A ticket, as it is printed.' } },
      { id: 'T-1' },
      { id: 'T' },
      '/id must be text that matches ^T-[0-9]+$ (A ticket, as it is printed).',
    ],
    [
      'a pattern, without words that hold what does not show',
      { id: { type: 'string', pattern: '^T-[0-9]+$', description: 'A ticket\u200b.' } },
      { id: 'T-1' },
      { id: 'T' },
      '/id must be text that matches ^T-[0-9]+$.',
    ],
    [
      'a pattern',
      { id: { type: 'string', pattern: '^T-[0-9]+$' } },
      { id: 'T-1' },
      { id: 'T' },
      '/id must be text that matches ^T-[0-9]+$.',
    ],
    [
      'an item',
      { tags: { type: 'array', items: { type: 'string' } } },
      { tags: ['a'] },
      { tags: ['a', 1] },
      '/tags/1 must be text.',
    ],
    ['a missing member', { order }, { order: { id: '1' } }, { order: {} }, '/order/id is missing; it must be text.'],
    [
      'a surplus member',
      { order },
      {},
      { order: { id: '1', ix: 2 } },
      '/order/ix is not known here; leave it out. Did you mean "id"?',
    ],
    [
      'an alternative',
      { at: { anyOf: [{ type: 'string' }, { type: 'null' }] } },
      { at: null },
      { at: 1 },
      '/at must be text, or null.',
    ],
    [
      'an alternative within',
      { at: { anyOf: [order, { type: 'null' }] } },
      { at: null },
      { at: { id: 1 } },
      '/at/id must be text.',
    ],
    [
      'a repeated item',
      { ids: { type: 'array', uniqueItems: true } },
      { ids: [1, 2] },
      { ids: [1, 1] },
      '/ids must not hold the same item twice.',
    ],
    [
      'a multiple',
      { price: { type: 'number', multipleOf: 0.01 } },
      { price: 1.15 },
      { price: 1.155 },
      '/price must be a number that is a multiple of 0.01.',
    ],
    [
      'an exclusive bound',
      { n: { type: 'number', exclusiveMinimum: 0 } },
      { n: 0.1 },
      { n: 0 },
      '/n must be a number of more than 0.',
    ],
    ['several kinds', { n: { type: ['string', 'null'] } }, { n: null }, { n: 1 }, '/n must be text or null.'],
    ['a name with a slash', { 'a/b~c': { type: 'string' } }, { 'a/b~c': '' }, { 'a/b~c': 1 }, '/a~1b~0c must be text.'],
    ['nothing at all', { old: false }, {}, { old: 1 }, '/old is not allowed here; leave it out.'],
  ])('%s', async (_, properties, right, wrong, sentence) => {
    expect(await check(schemaOf(properties), right)).toBeUndefined();
    expect(await check(schemaOf(properties), wrong)).toBe(sentence);
  });

  test('a sentence never repeats a value, and names only in part', async () => {
    const secret = 'sk-live-0123456789abcdef0123456789abcdef0123456789abcdef';
    const strict = schemaOf({ id: { type: 'string', maxLength: 3, pattern: '^a' } }, { additionalProperties: false });
    for (const args of [{ id: secret }, { id: [secret] }, { [secret]: 1 }, { id: { [secret]: secret } }]) {
      const sentence = await check(strict, args as JsonObject);
      expect(sentence).toBeDefined();
      expect(sentence).not.toContain(secret);
      expect(sentence?.length).toBeLessThan(400);
    }
    expect(await check(strict, { 'a\n\u202eb': 1 })).toContain('/a??b is not known');
  });

  test('each pattern is its own, in values and in names', async () => {
    const schema = schemaOf(
      { a: { pattern: '^a$' }, b: { pattern: '^b$' } },
      { patternProperties: { '^n_': { type: 'number' } } },
    );
    expect(await check(schema, { a: 'a', b: 'b', n_1: 1 })).toBeUndefined();
    expect(await check(schema, { a: 'a', b: 'a' })).toContain('/b');
    expect(await check(schema, { a: 'b', b: 'b' })).toContain('/a');
    expect(await check(schema, { n_1: 'x' })).toBe('/n_1 must be a number.');
  });

  test('members are own members: nothing is there because objects have it', async () => {
    const schema = schemaOf({ constructor: { type: 'string' }, toString: { type: 'string' } }, { required: ['valueOf'] });
    expect(await check(schema, { valueOf: 1 })).toBeUndefined();
    expect(await check(schema, {})).toBe('/valueOf is missing.');
    expect(await check(schemaOf({}, { additionalProperties: false }), { constructor: 1 })).toContain('/constructor is not known');
  });
});

describe('what no tool may be sent is refused whatever its schema says', () => {
  const anything: JsonObject = { type: 'object' };
  const parsed = (text: string) => parseExact(text) as JsonObject;
  test.each<[string, string, string]>([
    ['a number beyond all doubles', '{"a": {"n": 1e400}}', '/a/n is a number too large'],
    ['one with many digits', `{"n": 1${'0'.repeat(400)}}`, '/n is a number too large'],
    ['a prototype', '{"a": [{"__proto__": {"isAdmin": true}}]}', '/a/0 has a member "__proto__"'],
    ['depth', `{"a": ${'['.repeat(100)}${']'.repeat(100)}}`, 'is nested deeper than 64 levels'],
    ['very many items', `{"a": [${'0,'.repeat(100_000)}0]}`, 'The arguments hold more than 100000 values'],
    ['very many members', `{${Array.from({ length: 100_001 }, (_, n) => `"k${n}":0`).join()}}`, 'hold more than 100000 values'],
  ])('%s', async (_, text, words) => {
    const sentence = checks.of(anything).check(parsed(text));
    expect(sentence).toContain(words);
    expect(String(sentence).length).toBeLessThan(400);
  });

  test('what is close to these limits passes', async () => {
    const texts = [
      '{"a": 1e308}',
      '{"n": 123456789012345678901234567890}',
      `{"a": ${'['.repeat(60)}${']'.repeat(60)}}`,
      '{"rawJSON": "5"}',
    ];
    for (const text of texts) expect(await check(anything, parsed(text))).toBeUndefined();
    expect(await check(anything, { a: Array(90_000).fill(0) })).toBeUndefined();
  });

  test('numbers of many digits are numbers', async () => {
    const schema = schemaOf({ id: { type: 'integer', minimum: 5 } });
    expect(await check(schema, parsed('{"id": 12345678901234567890}'))).toBeUndefined();
    expect(await check(schema, parsed('{"id": -12345678901234567890}'))).toBe('/id must be a whole number of at least 5.');
    expect(await check(schema, parsed('{"id": {"rawJSON": "7"}}'))).toBe('/id must be a whole number of at least 5.');
  });
});

describe('checks are shared', () => {
  test('the second time the answer is there at once', async () => {
    const check = checks.of(schemaOf({ a: { type: 'string', maxLength: 17 } }));
    expect(check.check({ a: 'x' })).toBeInstanceOf(Promise);
    await check.prepare();
    expect([check.check({ a: 'x' }), check.check({ a: 1 })]).toEqual([undefined, '/a must be text of at most 17 characters.']);
  });

  test('a thousand equal schemas are compiled once, whatever their descriptions say', async () => {
    const same = () =>
      schemaOf({ city: { type: 'string', description: String(Math.random()) } }, { title: String(Math.random()) });
    const first = checks.of(same());
    await first.prepare();
    const others = Array.from({ length: 1000 }, () => checks.of(same()));
    // A check that was compiled before answers without a promise.
    expect(others.map((other) => other.check({ city: 'Bonn' }))).toEqual(Array(1000).fill(undefined));
  });

  test('one schema object has one check', () => {
    const schema = schemaOf({});
    expect(checks.of(schema)).toBe(checks.of(schema));
    expect(checks.of(schema)).not.toBe(checks.of({ ...schema }));
  });
});
