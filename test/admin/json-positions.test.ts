import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readText } from '../../src/admin/configuration-format.ts';
import { findPlaces, offsetAt } from '../../src/admin/json-positions.ts';
import { readYaml } from '../../src/yaml-file.ts';

const pathsOf = (value: unknown, path: readonly PropertyKey[] = []): (readonly PropertyKey[])[] => [
  path,
  [...path, 'not there'],
  ...(typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, Array.isArray(value) ? Number(key) : key]))
    : []),
];

test('everything stands where a reader of YAML says that it stands', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        fc.string().filter((key) => key !== '__proto__' && key !== 'not there'),
        fc.jsonValue({ maxDepth: 3 }),
        { minKeys: 1 },
      ),
      fc.constantFrom(0, 2),
      async (given, indent) => {
        const value: unknown = JSON.parse(JSON.stringify(given));
        const text = JSON.stringify(value, undefined, indent);
        const [own, yaml] = [await readText(text), readYaml(text, '')];
        expect(own.value).toEqual(value);
        if (yaml.problems.length > 0) return;
        for (const path of pathsOf(value))
          if (path.length > 0) expect([path, own.locate(path)]).toEqual([path, yaml.locate(path)]);
      },
    ),
    { numRuns: 200 },
  );
});

test('a key that stands twice, or has a meaning of its own, is left to a reader that says so', async () => {
  expect(findPlaces('{"a": 1, "b": {"a": 2}}')).toBeDefined();
  for (const text of ['{"a": 1, "a": 2}', '{"b": [{"a": 1, "\\u0061": 2}]}', '{"__proto__": 1}']) {
    expect(findPlaces(text)).toBeUndefined();
    expect((await readText(text)).problems).toHaveLength(1);
  }
});

test('what is not there is where the nearest thing above it is', () => {
  const places = findPlaces('{"a": {"b": [1, 2]}}')!;
  expect([['a'], ['a', 'b'], ['a', 'b', 1], ['a', 'b', 7, 'c'], ['x']].map((path) => offsetAt(places, path))).toEqual([
    1, 7, 16, 7, 0,
  ]);
});
