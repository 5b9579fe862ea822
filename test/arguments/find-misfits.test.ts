import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import { describeMisfits, findMisfits, type Misfits } from '../../src/arguments/find-misfits.ts';
import type { Json, JsonObject } from '../../src/wire/json.ts';
import { cpuMs } from '../support/cpu-time.ts';

const checks = new ArgumentChecks();
afterAll(() => checks.close());

async function misfits(schema: JsonObject, args: JsonObject): Promise<Misfits> {
  const check = checks.of(schema);
  const sentence = await check.check(args);
  if (sentence === undefined) throw new Error('these arguments fit');
  return check.misfits(args, sentence);
}

const booking = {
  type: 'object',
  properties: {
    city: { type: 'string', minLength: 2 },
    nights: { type: 'integer', minimum: 1, maximum: 30 },
    room: { enum: ['single', 'double'] },
    code: { type: 'string', pattern: '^[A-Z]{3}$', description: 'Three capitals.' },
    guests: {
      type: 'array',
      items: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false },
    },
  },
  required: ['city', 'nights'],
  additionalProperties: false,
};

describe('everything that does not fit is told at once', () => {
  test('each with its path, what is wrong, what is expected and what was meant', async () => {
    const args = { citty: 'Rome', nights: 0, room: 'suite', code: 'abc', guests: [{ name: 'A' }, { nam: 'B' }, 5] };
    const all = await misfits(booking, args);
    expect(all.found).toEqual(
      [
        {
          path: '/city',
          message: '/city is missing; it must be text of at least 2 characters.',
          expected: 'text of at least 2 characters',
        },
        { path: '/citty', message: '/citty is not known here; leave it out. Did you mean "city"?', didYouMean: 'city' },
        { path: '/nights', message: '/nights must be a whole number of 1 to 30.', expected: 'a whole number of 1 to 30' },
        { path: '/room', message: '/room must be one of "single", "double".', expected: 'one of "single", "double"' },
        {
          path: '/code',
          message: '/code must be text that matches ^[A-Z]{3}$ (Three capitals).',
          expected: 'text that matches ^[A-Z]{3}$ (Three capitals)',
        },
        { path: '/guests/1/name', message: '/guests/1/name is missing; it must be text.', expected: 'text' },
        {
          path: '/guests/1/nam',
          message: '/guests/1/nam is not known here; leave it out. Did you mean "name"?',
          didYouMean: 'name',
        },
        { path: '/guests/2', message: '/guests/2 must be an object.', expected: 'an object' },
      ].toSorted((a, b) => order(args, a.path) - order(args, b.path)),
    );
    expect(describeMisfits(all)).toMatch(/^These arguments do not fit in 8 places:\n- \/city is missing/);
  });

  test('and what was mended by it fits', async () => {
    const mended = { city: 'Rome', nights: 1, room: 'single', code: 'ABC', guests: [{ name: 'A' }, { name: 'B' }] };
    expect(await checks.of(booking).check(mended)).toBeUndefined();
  });

  test('one problem stays one sentence', async () => {
    const one = await misfits(booking, { city: 'Rome', nights: 31 });
    expect(describeMisfits(one)).toBe('/nights must be a whole number of 1 to 30.');
    expect(one.found).toHaveLength(1);
  });

  test('of alternatives, what is wrong with the one that was meant', async () => {
    const shape = (kind: string, more: JsonObject) => ({
      type: 'object',
      properties: { kind: { const: kind }, ...more },
      required: ['kind', ...Object.keys(more)],
    });
    const schema = {
      type: 'object',
      properties: { at: { oneOf: [shape('point', { x: { type: 'number' } }), shape('line', { from: { type: 'number' } })] } },
    };
    expect((await misfits(schema, { at: { kind: 'line', from: 'a' } })).found.map(({ message }) => message)).toEqual([
      '/at/from must be a number.',
    ]);
    expect((await misfits(schema, { at: 5 })).found.map(({ path }) => path)).toEqual(['/at']);
  });

  describe('of alternatives that one member tells apart', () => {
    const alternative = (kind: Json, more: JsonObject, required: readonly string[] = []): JsonObject => ({
      type: 'object',
      properties: { kind, ...more },
      required: ['kind', ...required],
      additionalProperties: false,
    });
    const size = { type: 'number', minimum: 0 };
    const block = alternative({ const: 'block' }, { size, style: { type: 'string', enum: ['bold', 'plain'] } }, ['size']);
    const alternatives = [
      alternative({ enum: ['text', 'note'] }, { words: { type: 'string' } }, ['words']),
      block,
      alternative(
        { $ref: '#/$defs/picture' },
        { at: { type: 'object', properties: { x: size, y: size }, required: ['x', 'y'] } },
        ['at'],
      ),
    ];
    const schema = (keyword: string, more: JsonObject = {}) => ({
      type: 'object',
      properties: { parts: { type: 'array', items: { [keyword]: [...alternatives, { type: 'string' }] } }, ...more },
      $defs: { picture: { const: 'picture' } },
    });

    test.each(['oneOf', 'anyOf'])(
      '%s: all that is wrong with the one it chooses is told, however much that is',
      async (keyword) => {
        const parts = [{ kind: 'picture', at: { x: -1 }, words: 'a' }, { kind: 'note' }, 'plain', { kind: 'block', size: 1 }];
        const { found, isPartial } = await misfits(schema(keyword), { parts });
        expect(found.map(({ message }) => message).sort()).toEqual([
          '/parts/0/at/x must be a number of at least 0.',
          '/parts/0/at/y is missing; it must be a number of at least 0.',
          '/parts/0/words is not known here; leave it out. Known are kind, at.',
          '/parts/1/words is missing; it must be text.',
        ]);
        expect(isPartial).toBe(false);
      },
    );

    test('nothing is said of another one, where what else there is cannot be told whole either', async () => {
      const parts = [{ kind: 'picture', at: { x: 1, y: 1 }, words: 'a' }];
      const { found, isPartial } = await misfits(schema('oneOf', { ids: { uniqueItems: true } }), { ids: [1, 1], parts });
      expect(isPartial).toBe(true);
      expect(found.map(({ message }) => message)).toEqual([
        '/parts/0/words is not known here; leave it out. Known are kind, at.',
      ]);
    });

    test('all its values are told where it has none of them, or is missing', async () => {
      const all = 'one of "text", "note", "block", "picture"';
      const { found } = await misfits(schema('oneOf'), { parts: [{ kind: 'blok', size: 1 }, { kind: {} }, { words: 'a' }] });
      expect(found).toEqual([
        { path: '/parts/0/kind', message: `/parts/0/kind must be ${all}.`, expected: all },
        { path: '/parts/1/kind', message: `/parts/1/kind must be ${all}.`, expected: all },
        { path: '/parts/2/kind', message: `/parts/2/kind is missing; it must be ${all}.`, expected: all },
      ]);
    });

    test('those put together from others count, and one within another', async () => {
      const inner = { oneOf: [alternative({ const: 1 }, { a: size }), alternative({ const: 2 }, { b: size })] };
      const base = { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] };
      const part = (op: string, more: JsonObject) => ({
        allOf: [{ $ref: '#/$defs/base' }, { properties: { op: { const: op }, ...more }, required: ['op'] }],
      });
      const whole = {
        type: 'object',
        properties: { do: { oneOf: [part('add', { what: inner }), part('drop', { why: { type: 'string' } })] } },
        $defs: { base },
      };
      const { found } = await misfits(whole, { do: { op: 'add', what: { kind: 2, b: -1 } } });
      expect(found.map(({ message }) => message)).toEqual([
        '/do/id is missing; it must be text.',
        '/do/what/b must be a number of at least 0.',
      ]);
    });

    test('a member that alternatives share, or may do without, chooses nothing', async () => {
      const shared = { type: 'object', properties: { at: { oneOf: [block, block] } } };
      expect((await misfits(shared, { at: { kind: 'x' } })).found.map(({ path }) => path)).toEqual(['/at']);
      const free = (kind: string) => ({ type: 'object', properties: { kind: { const: kind }, size }, required: ['size'] });
      const optional = { type: 'object', properties: { at: { anyOf: [free('a'), free('b')] } } };
      expect((await misfits(optional, { at: { size: -1 } })).found.map(({ path }) => path)).toEqual(['/at']);
      expect((await misfits(optional, { at: { kind: 'b', size: -1 } })).found.map(({ path }) => path)).toEqual(['/at/size']);
    });

    test('many are found fast, and many values are told as far as there is room', () => {
      const many = Array.from({ length: 900 }, (_, n) => alternative({ const: `kind-number-${n}` }, { size }, ['size']));
      const large = { type: 'object', properties: { parts: { type: 'array', items: { oneOf: many } } } };
      const parts = Array.from({ length: 2_000 }, (_, n) => ({ kind: `kind-number-${n % 900}`, size: n < 1_990 ? 1 : -1 }));
      const startedMs = cpuMs();
      const { found, isPartial } = findMisfits(large, { parts });
      expect(cpuMs() - startedMs).toBeLessThan(300);
      expect(isPartial).toBe(false);
      expect(found.map(({ path }) => path)).toEqual(Array.from({ length: 10 }, (_, n) => `/parts/${1_990 + n}/size`));
      const [wrong] = findMisfits(large, { parts: [{ kind: 'x' }] }).found;
      expect(wrong?.message).toMatch(/^\/parts\/0\/kind must be one of "kind-number-0", .* or 8\d\d more\.$/);
      expect(wrong?.message.length).toBeLessThan(1_000);
    });
  });

  test('what only the compiled schema understands is told beside what is understood', async () => {
    const schema = {
      type: 'object',
      properties: { ids: { type: 'array', uniqueItems: true }, name: { type: 'string' } },
    };
    const { found, isPartial } = await misfits(schema, { ids: [1, 1], name: 5 });
    expect(found.map(({ message }) => message)).toContain('/name must be text.');
    expect(isPartial).toBe(true);
    expect((await misfits(schema, { ids: [1, 1] })).found).toEqual([
      { path: '/ids', message: '/ids must not hold the same item twice.' },
    ]);
  });

  test('at most twenty are told, and that there are more, whatever there is to look at', async () => {
    const schema = { type: 'object', properties: { rows: { type: 'array', items: { type: 'number' } } } };
    const rows = Array.from({ length: 90_000 }, () => 'x');
    const all = await misfits(schema, { rows });
    const startedAtMs = performance.now();
    const again = checks.of(schema).misfits({ rows }, all.found[0]?.message ?? '');
    expect(performance.now() - startedAtMs).toBeLessThan(500);
    expect(again.found).toHaveLength(20);
    expect(describeMisfits(again)).toMatch(/There may be more to change\.$/);
    expect(describeMisfits(again).length).toBeLessThan(4_000);
  });

  test('names are told in part and values never', async () => {
    const secret = 'sk-live-0123456789abcdef0123456789abcdef0123456789abcdef';
    const all = await misfits(booking, { city: 5, nights: secret, [secret]: { [secret]: secret }, room: [secret] });
    expect(JSON.stringify(all)).not.toContain(secret);
    expect(all.found.length).toBeGreaterThanOrEqual(4);
  });

  test('what no schema should have to look at is told alone', async () => {
    const check = checks.of(booking);
    const args = { rows: Array.from({ length: 100_001 }, () => 0) };
    const sentence = (await check.check(args)) ?? '';
    expect(check.misfits(args, sentence).found).toEqual([{ path: '', message: sentence }]);
  });
});

/** Missing members first, then in the order in which the arguments have them. */
function order(args: JsonObject, path: string): number {
  const [, first = ''] = path.split('/');
  return Object.keys(args).indexOf(first);
}
