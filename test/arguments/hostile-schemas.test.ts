import { type AddressInfo, createServer } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { ArgumentChecks } from '../../src/arguments/argument-check.ts';
import { CheckPool } from '../../src/arguments/check-pool.ts';
import type { JsonObject } from '../../src/wire/json.ts';

// Other tests may keep the machine busy: what is meant to succeed gets time.
const checks = new ArgumentChecks(new CheckPool({ compileMs: 30_000, checkMs: 30_000 }));
const hasty = new ArgumentChecks(new CheckPool({ compileMs: 30_000, checkMs: 500 }));
afterAll(() => Promise.all([checks.close(), hasty.close()]));

function schemaOf(properties: JsonObject, more: JsonObject = {}): JsonObject {
  return { type: 'object', properties, ...more };
}

function nested(depth: number): JsonObject {
  let schema: JsonObject = { type: 'string' };
  for (let level = 0; level < depth; level++) schema = schemaOf({ a: schema });
  return schema;
}

/** `$defs` where each refers twice to the next: 2 to the power of `length` evaluations for one value. */
function doubling(length: number): JsonObject {
  const step = (n: number): JsonObject => ({ anyOf: [{ $ref: `#/$defs/s${n}` }, { $ref: `#/$defs/s${n}` }] });
  const $defs = Object.fromEntries(Array.from({ length }, (_, n) => [`s${n}`, n + 1 < length ? step(n + 1) : { type: 'null' }]));
  return schemaOf({ a: step(0) }, { $defs });
}

/** A tree whose every level may be read in two ways. */
const twoWays: JsonObject = {
  type: 'object',
  properties: { a: { anyOf: [{ $ref: '#' }, { $ref: '#' }, { type: 'null' }] } },
};

function deepArgs(depth: number): JsonObject {
  let args: JsonObject = { a: 1 };
  for (let level = 0; level < depth; level++) args = { a: args };
  return args;
}

const many = (count: number) => Array.from({ length: count }, (_, n) => n);

/** `$defs` where each refers to the next. */
function chain(length: number): JsonObject {
  const link = (n: number): JsonObject => (n + 1 < length ? { $ref: `#/$defs/d${n + 1}` } : { type: 'null' });
  return { $defs: Object.fromEntries(many(length).map((n) => [`d${n}`, link(n)])) };
}

describe('OP-04: a hostile schema costs its own calls, and nobody else anything', () => {
  test.each<[string, JsonObject, JsonObject, string | undefined]>([
    ['a pattern that backtracks', schemaOf({ a: { pattern: '^(a+)+$' } }), { a: `${'a'.repeat(50_000)}!` }, '/a must be'],
    [
      'a pattern that backtracks, on a fitting text',
      schemaOf({ a: { pattern: '^(a+)+$' } }),
      { a: 'a'.repeat(50_000) },
      undefined,
    ],
    [
      'a pattern on names',
      { type: 'object', patternProperties: { '^(x+x+)+y$': { type: 'null' } } },
      { ['x'.repeat(50_000)]: 1 },
      undefined,
    ],
    [
      'a large program for a pattern',
      schemaOf({ a: { pattern: '^(\\p{L}{1,90}[^\\n]{1,9}){1,9}$' } }),
      { a: 'ä'.repeat(5_000) },
      '/a must',
    ],
    [
      '20,000 alternatives',
      schemaOf({ a: { anyOf: many(20_000).map((n) => ({ const: n })) } }),
      { a: 5 },
      'holds more than 20000 parts',
    ],
    ['1,000 alternatives', schemaOf({ a: { anyOf: many(1_000).map((n) => ({ const: n })) } }), { a: 5 }, undefined],
    [
      '500 members',
      schemaOf(Object.fromEntries(many(500).map((n) => [`p${n}`, { type: 'string' }]))),
      { p1: 1 },
      '/p1 must be text.',
    ],
    ['a huge enum', schemaOf({ a: { enum: many(15_000).map((n) => `value-${n}`) } }), { a: 'value-14999' }, undefined],
    [
      'a huge enum that does not hold it',
      schemaOf({ a: { enum: many(15_000).map((n) => `value-${n}`) } }),
      { a: 'x' },
      'or 14938 more',
    ],
    ['depth', nested(10_000), { a: { a: 1 } }, 'nested deeper than 64'],
    ['references that double', doubling(40), { a: 1 }, 'too long to check'],
    ['references to references', schemaOf({ a: { $ref: '#/$defs/d0' } }, chain(9_000)), { a: 1 }, '/a must be null.'],
    ['a reference to itself at the same place', { type: 'object', allOf: [{ $ref: '#' }] }, { a: 1 }, 'cannot be checked'],
    ['a tree that is read in two ways', twoWays, deepArgs(50), 'too long to check'],
    [
      'items that are compared with each other',
      schemaOf({ a: { uniqueItems: true } }),
      { a: many(30_000).map((n) => ({ n: [n] })) },
      'too long',
    ],
    [
      'two megabytes of description',
      schemaOf({ a: { type: 'null', description: 'x'.repeat(2_000_000) } }),
      { a: null },
      undefined,
    ],
    ['two megabytes of enum', schemaOf({ a: { enum: ['x'.repeat(2_000_000)] } }), { a: null }, 'more than 1000000 characters'],
  ])('%s', async (_, schema, args, words) => {
    const before = process.threadCpuUsage();
    const sentence = await (words?.startsWith('too long') ? hasty : checks).of(schema).check(args);
    const { user, system } = process.threadCpuUsage(before);
    if (words === undefined) expect(sentence).toBeUndefined();
    else expect(sentence).toContain(words);
    expect(String(sentence).length).toBeLessThan(1_000);
    // Microseconds of this thread alone, whatever else runs: what everybody else had to wait for.
    expect((user + system) / 1000).toBeLessThan(200);
  });

  test('a recursive schema that is meant well works', async () => {
    const tree = schemaOf(
      { name: { type: 'string' }, children: { type: 'array', items: { $ref: '#' } } },
      { required: ['name'] },
    );
    expect(await checks.of(tree).check({ name: 'a', children: [{ name: 'b', children: [] }] })).toBeUndefined();
    expect(await checks.of(tree).check({ name: 'a', children: [{ name: 'b', children: [{}] }] })).toBe(
      '/children/0/children/0/name is missing; it must be text.',
    );
  });

  test('while one tool keeps its worker busy, another large one is answered', async () => {
    const pool = new CheckPool({ compileMs: 30_000, checkMs: 30_000 });
    const own = new ArgumentChecks(pool);
    try {
      const slow = own.of(twoWays);
      const other = own.of(schemaOf(Object.fromEntries(many(150).map((n) => [`p${n}`, { type: 'string' }]))));
      await Promise.all([slow.prepare(), other.prepare()]);
      const stuck = Promise.allSettled(many(20).map(async () => await slow.check(deepArgs(50))));
      expect(await other.check({ p1: 1 })).toBe('/p1 must be text.');
      await own.close();
      // Of twenty, one runs, eight wait, and the others are turned away at once.
      const busy = { code: 'checks_busy', message: expect.stringContaining('try again'), retryAfterMs: 2_000 };
      expect(await stuck).toEqual(many(20).map(() => ({ status: 'rejected', reason: expect.objectContaining(busy) })));
    } finally {
      await own.close();
    }
  });

  test('a worker that does not come back is replaced', async () => {
    const own = new ArgumentChecks(new CheckPool({ workers: 1, compileMs: 30_000, checkMs: 500 }));
    try {
      const slow = own.of(twoWays);
      expect(await slow.check(deepArgs(50))).toContain('too long to check');
      expect(await slow.check(deepArgs(3))).toContain('/a/a/a');
      expect(await slow.check({ a: { a: null } })).toBeUndefined();
    } finally {
      await own.close();
    }
  });

  test('a machine that is too busy is not held against a schema or its arguments, for as long as five deadlines', async () => {
    const wide = schemaOf(Object.fromEntries(many(150).map((n) => [`p${n}`, { type: 'string' }])));
    // A deadline that ends long before a thread has even started.
    const patient = new CheckPool({ workers: 1, compileMs: 5_000, checkMs: 150, queueMs: 150, cpuMs: () => 0 });
    const hasty = new CheckPool({ workers: 1, compileMs: 1, checkMs: 1, cpuMs: () => performance.now() });
    const [busy, idle] = [new ArgumentChecks(patient), new ArgumentChecks(hasty)];
    try {
      // Small enough to be compiled here, which may take longer than all the other needs.
      await busy.of(twoWays).prepare();
      const startedAtMs = performance.now();
      const slow = busy.of(twoWays).check(deepArgs(50));
      const waiting = expect(busy.of(wide).check({ p1: 1 })).rejects.toMatchObject({ code: 'checks_busy' });
      expect(await slow).toContain('too long to check');
      expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(5 * 150);
      await waiting;
      expect(await idle.of(wide).check({ p1: 1 })).toContain('takes too long to compile');
    } finally {
      await Promise.all([busy.close(), idle.close()]);
    }
  });

  test('a schema that takes too long to compile is not tried again for a while', async () => {
    let nowMs = 0;
    const own = new ArgumentChecks(new CheckPool({ workers: 1, compileMs: 1 }), { nowMs: () => nowMs });
    try {
      const check = own.of(schemaOf({ a: { anyOf: many(3_000).map((n) => ({ const: n })) } }));
      expect(await check.check({ a: 1 })).toContain('takes too long to compile');
      expect(check.check({ a: 1 })).toContain('takes too long to compile');
      expect(check.problem).toBe('takes too long to compile');
      nowMs = 61_000;
      expect(check.check({ a: 1 })).toBeInstanceOf(Promise);
    } finally {
      await own.close();
    }
  });
});

describe('PR-10: nothing is fetched', () => {
  test.each(['$ref', '$dynamicRef', '$recursiveRef', '$schema', '$id'])('an address in %s is never asked', async (keyword) => {
    let requests = 0;
    const server = createServer(() => requests++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/schema.json`;
      const sentence = await checks.of(schemaOf({ a: { [keyword]: url } })).check({ a: 1 });
      const isReference = keyword.endsWith('Ref') || keyword === '$ref';
      if (isReference) expect(sentence).toContain('is not within it; what is elsewhere is never fetched');
      else expect(sentence).toBeUndefined();
      expect(requests).toBe(0);
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test.each([
    'file:///etc/passwd',
    '../other.json',
    'other.json#/x',
    '#/nowhere',
    '#nowhere',
    '#/properties/%zz',
    'data:application/json,{}',
  ])('a reference to %s makes the tool unusable, never permissive', async (reference) => {
    const check = checks.of(schemaOf({ a: { $ref: reference } }));
    for (const args of [{}, { a: 1 }, { b: 2 }])
      expect(await check.check(args)).toContain('This tool cannot be called: its input schema refers to');
    expect(check.problem).toContain('refers to');
  });
});
