import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readText } from '../../src/admin/configuration-format.ts';
import { findPlaces, offsetAt } from '../../src/admin/json-positions.ts';
import { atOnce } from '../../src/turns.ts';
import { readYaml } from '../../src/yaml-file.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { longestTurnMs } from '../support/longest-turn.ts';

const placesIn = (text: string) => atOnce(findPlaces(text));

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
  expect(placesIn('{"a": 1, "b": {"a": 2}}')).toBeDefined();
  for (const text of ['{"a": 1, "a": 2}', '{"b": [{"a": 1, "\\u0061": 2}]}', '{"__proto__": 1}']) {
    expect(placesIn(text)).toBeUndefined();
    expect((await readText(text)).problems).toHaveLength(1);
  }
});

test('what is not there is where the nearest thing above it is', () => {
  const places = placesIn('{"a": {"b": [1, 2]}}')!;
  expect([['a'], ['a', 'b'], ['a', 'b', 1], ['a', 'b', 7, 'c'], ['x']].map((path) => offsetAt(places, path))).toEqual([
    1, 7, 16, 7, 0,
  ]);
});

test('a text of a megabyte is looked through in turns, and its lines are found at once', async () => {
  const text = `{\n"a": [${'1,\n'.repeat(300_000)}0]}`;
  const before = cpuMs();
  placesIn(text);
  const atOnceMs = cpuMs() - before;
  let yaml: Awaited<ReturnType<typeof readText>> | undefined;
  expect(await longestTurnMs(async () => (yaml = await readText(text)))).toBeLessThan(Math.max(atOnceMs * 0.6, 100));
  const since = cpuMs();
  for (let n = 0; n < 10_000; n++) expect(yaml?.locate(['a', n * 30]).line).toBe(n * 30 + 2);
  expect(cpuMs() - since).toBeLessThan(2_000);
});
