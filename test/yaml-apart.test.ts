import { expect, test } from 'vitest';
import { readYamlApart } from '../src/yaml-apart.ts';
import { readYaml } from '../src/yaml-file.ts';

/** Enough lines that it is not read at once. */
const padding = Array.from({ length: 900 }, (_, n) => `pad${n}: { a: ${n}, b: [1, 2] }\n`).join('');

const text = `first: 1
list:
  - a: 1
  - [x, { y: z }]
anchored: &a { p: 1, q: { r: 2 } }
again: *a
more: [*a, *a]
10: ten
2: two
# A comment
quoted "key": yes
${padding}last: { deep: { deeper: 1 } }
`;

const paths: readonly (readonly PropertyKey[])[] = [
  [],
  ['first'],
  ['first', 'not there'],
  ['list', 1, 1, 'y'],
  ['list', 7],
  ['anchored', 'q', 'r'],
  ['again', 'q', 'r'],
  ['more', 0, 'q'],
  ['more', 1, 'q', 'r'],
  ['10'],
  ['2'],
  ['quoted "key"'],
  ['pad899', 'b', 1],
  ['last', 'deep', 'deeper'],
  ['not there', 'at all'],
];

test('a long text comes to the same values, in the same places', async () => {
  const [apart, whole] = [await readYamlApart(text, 'a.yaml'), readYaml(text, 'a.yaml')];
  expect(apart.problems).toEqual([]);
  expect(apart.value).toEqual(whole.value);
  for (const path of paths) expect([path, apart.locate(path)]).toEqual([path, whole.locate(path)]);
});

test.each([
  ['a key twice', `${padding}a: 1\na: 2\n`],
  ['a key of the language', `${padding}__proto__: 1\n`],
  ['no YAML', `${padding}a: [1, 2\n`],
  ['several documents', `${padding}---\na: 1\n`],
  [
    'aliases that grow',
    `${padding}a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n`,
  ],
])('a long text with a mistake is refused in the same words: %s', async (_what, wrong) => {
  const [apart, whole] = [await readYamlApart(wrong, 'a.yaml'), readYaml(wrong, 'a.yaml')];
  expect(whole.problems.length).toBeGreaterThan(0);
  expect(apart.problems).toEqual(whole.problems);
  expect(apart.value).toBeUndefined();
});

test('a short text is read at once, with the same answers', async () => {
  const yaml = await readYamlApart('a: { b: 1 }\n', 'a.yaml');
  expect(yaml.value).toEqual({ a: { b: 1 } });
  expect(yaml.locate(['a', 'b'])).toEqual({ file: 'a.yaml', line: 1, column: 6 });
});

test('what takes long to read holds up nobody', async () => {
  const large = Array.from({ length: 300 }, (_, n) => `entry${n}:\n${`  - { title: An entry, list: [1] }\n`.repeat(10)}`).join(
    '',
  );
  await readYamlApart(padding, 'a.yaml');
  const before = process.threadCpuUsage();
  readYaml(large, 'a.yaml');
  const here = process.threadCpuUsage(before);
  const between = process.threadCpuUsage();
  const { value, problems } = await readYamlApart(large, 'a.yaml');
  const apart = process.threadCpuUsage(between);
  expect(problems).toEqual([]);
  expect(Object.keys(value as object)).toHaveLength(300);
  expect(apart.user + apart.system).toBeLessThan((here.user + here.system) / 2);
});
