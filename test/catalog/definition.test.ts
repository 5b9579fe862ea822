import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareDefinitions, hashDefinition } from '../../src/catalog/definition.ts';
import type { ToolDefinition } from '../../src/upstreams/upstream.ts';
import type { Json } from '../../src/wire/json.ts';

const find: ToolDefinition = { name: 'find', title: 'Find', description: 'Finds.', inputSchema: { type: 'object', title: 'x' } };
const hashOf = (definition: object, instructions?: string) => hashDefinition(definition as ToolDefinition, instructions).hash;

test('equal definitions are called the same, whatever order they came in; others are not', () => {
  const one = hashOf(find);
  expect(one).toMatch(/^[\w-]{43}$/);
  const { name, ...rest } = find;
  expect(hashOf({ ...rest, inputSchema: { title: 'x', type: 'object' }, name })).toBe(one);
  for (const other of [
    { ...find, name: 'find2' },
    { ...find, title: 'find' },
    { ...find, description: 'Finds' },
    { ...find, inputSchema: { type: 'object', title: 'y' } },
    { ...find, outputSchema: { type: 'object' } },
    { ...find, annotations: {} },
    { ...find, icons: [] },
    { ...find, _meta: { ui: { resourceUri: 'ui://x' } } },
  ])
    expect(hashOf(other), JSON.stringify(other)).not.toBe(one);
});

test('instructions of the upstream belong to it, what is for the host does not', () => {
  expect(hashOf({ ...find }, 'Read me.')).not.toBe(hashOf({ ...find }));
  expect(hashOf({ ...find }, '')).toBe(hashOf({ ...find }));
  expect(hashOf({ ...find, _meta: { at: 1 } })).toBe(hashOf(find));
  // One object that is offered again under other instructions.
  const same = { ...find };
  expect(hashOf(same, 'one')).not.toBe(hashOf(same, 'two'));
});

test('what was only renamed keeps its shape', () => {
  const shapeOf = (definition: object) => hashDefinition(definition as ToolDefinition, undefined).shape;
  expect(shapeOf({ ...find, name: 'other', title: 'Other' })).toBe(shapeOf(find));
  expect(shapeOf({ ...find, description: 'x' })).not.toBe(shapeOf(find));
});

test('differences are named by their places', () => {
  const after = { ...find, description: 'Finds all.', inputSchema: { type: 'object', required: ['a/b'] } };
  expect(compareDefinitions(find, after)).toEqual([
    { path: '/description', before: '"Finds."', after: '"Finds all."' },
    { path: '/inputSchema/required', before: undefined, after: '["a/b"]' },
    { path: '/inputSchema/title', before: '"x"', after: undefined },
  ]);
  expect(compareDefinitions(find, { ...find })).toEqual([]);
});

test('two values have no difference exactly where their canonical forms are one', () => {
  const sorted = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(sorted)
      : typeof value === 'object' && value !== null
        ? Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, part]) => [key, sorted(part)])
        : Object.is(value, -0)
          ? 0
          : value;
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (a, b) => {
      expect(compareDefinitions(a as Json, structuredClone(a) as Json)).toEqual([]);
      const isSame = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
      const empty = [a, b].some((value) => JSON.stringify(value) === '{}' || JSON.stringify(value) === '[]');
      if (!empty) expect(compareDefinitions(a as Json, b as Json).length === 0).toBe(isSame);
    }),
    { numRuns: 200 },
  );
});
