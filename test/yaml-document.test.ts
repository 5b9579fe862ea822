import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineCounter, parseDocument } from 'yaml';
import { readPlacedYaml, readYaml } from '../src/yaml-file.ts';
import { cpuMs } from './support/cpu-time.ts';

const rounds = process.env.TEST_LONG === undefined ? 200 : 5_000;

const keys = fc.constantFrom(
  'a',
  '"a"',
  "'a'",
  'b',
  '1',
  '"1"',
  '1.0',
  '01',
  'null',
  '~',
  'true',
  '.nan',
  '&x a',
  '!!str 1',
  '[a]',
  '{a: 1}',
);
const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('1', 'x', '"y"', '[1, 2]', '&y z'),
    fc
      .array(fc.tuple(keys, tie('value')), { minLength: 1, maxLength: 5 })
      .map((entries) => `{ ${entries.map(([key, inner]) => `? ${key} : ${inner}`).join(', ')} }`),
  ),
}));
const documents = fc
  .array(fc.tuple(keys, value), { minLength: 1, maxLength: 8 })
  .map((entries) => entries.map(([key, inner]) => `? ${key}\n: ${inner}\n`).join(''));

/** What the library's own check finds, which compares each key with each other. */
function flawsOf(text: string): readonly object[] {
  const lineCounter = new LineCounter();
  const { errors, warnings } = parseDocument(text, { version: '1.2', uniqueKeys: true, lineCounter, prettyErrors: false });
  return [...errors, ...warnings].map(({ message, pos }) => {
    const { line, col } = lineCounter.linePos(pos[0]);
    return { file: 'a.yaml', line, column: col, message: `This is not valid YAML: ${message}.` };
  });
}

// The library looks at a key of a map in braces once it has read its value.
function byPlace(flaws: readonly object[]): readonly string[] {
  return flaws.map((flaw) => JSON.stringify(Object.entries(flaw).sort())).sort();
}

describe('keys that are there twice', () => {
  test('are told in the words and at the places of the library', () => {
    let told = 0;
    fc.assert(
      fc.property(documents, (text) => {
        const { problems } = readYaml(text, 'a.yaml');
        expect(byPlace(problems)).toEqual(byPlace(flawsOf(text)));
        told += problems.length;
      }),
      { numRuns: rounds },
    );
    expect(told).toBeGreaterThan(rounds);
  });

  test('are told among other flaws as they stand in the text', () => {
    const text = 'a: 1\na: @x\nb: { c: 1, c: 2 }\nb: 3\n';
    expect(readYaml(text, '').problems.map(({ line, message }) => `${line} ${message}`)).toEqual([
      '2 This is not valid YAML: Map keys must be unique.',
      expect.stringMatching(/^2 .*Plain value cannot start with reserved character @/),
      '3 This is not valid YAML: Map keys must be unique.',
      '4 This is not valid YAML: Map keys must be unique.',
    ]);
  });

  test('are two where one is a text and the other a number, as ever', () => {
    expect(readYaml('"1": a\n2: b\n.nan: c\n.NaN: d\n', '').problems).toEqual([]);
  });
});

test('what is told of a file is as much as somebody can read', () => {
  expect(readYaml(']\n'.repeat(5_000), '').problems).toHaveLength(200);
});

test('kinds of values that no format has are said to be unknown', () => {
  for (const tag of ['!!set', '!!omap', '!!binary', '!!timestamp'])
    expect(readYaml(`a: ${tag} x\n`, '').problems).toMatchObject([
      { line: 1, message: expect.stringContaining('Unresolved tag') },
    ]);
});

test('the places of all values are those that are told one by one', () => {
  const text = 'first: &a { p: [1, { q: r }] }\nsecond: *a\nthird: [*a, x]\n? [x]\n: { y: 1 }\n10: ten\n2: two\n';
  const { value, places } = readPlacedYaml(text, '');
  const { locate } = readYaml(text, '');
  let at = 0;
  const visit = (part: unknown, path: readonly PropertyKey[]): void => {
    const { line, column } = locate(path);
    expect([path, places[at * 3], places[at * 3 + 1]]).toEqual([path, line, column]);
    at++;
    if (typeof part === 'object' && part !== null) for (const [key, inner] of Object.entries(part)) visit(inner, [...path, key]);
  };
  visit(value, []);
  expect(at * 3).toBe(places.length);
});

describe('a text of twice the length takes about twice as long', () => {
  const many = (count: number, line: (n: number) => string) => Array.from({ length: count }, (_, n) => line(n)).join('');

  test.each<[string, (count: number) => string]>([
    ['keys of one map', (count) => many(count, (n) => `key${n}: 1\n`)],
    ['aliases of one anchor each', (count) => many(count / 4, (n) => `- &a${n} x\n- *a${n}\n`)],
    ['values under an alias', (count) => `a: &a [${many(count / 2, () => 'x,')}]\nb: *a\n`],
    ['values below many lists', (count) => `${'['.repeat(400)}${many(count / 2, () => 'x,')}${']'.repeat(400)}`],
  ])('of %s', (_what, make) => {
    const took = (count: number) => {
      const text = make(count);
      const before = cpuMs();
      const { problems } = readPlacedYaml(text, '');
      expect(problems).toEqual([]);
      return cpuMs() - before;
    };
    took(2_500);
    const less = Math.min(took(5_000), took(5_000));
    // The square of it would be sixteen times as long.
    expect(took(20_000)).toBeLessThan(Math.max(less, 20) * 9);
  });
});
