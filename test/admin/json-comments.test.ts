import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readText } from '../../src/admin/configuration-format.ts';
import { blankComments } from '../../src/admin/json-comments.ts';

describe('comments and trailing commas of JSON', () => {
  test('become blanks; nothing of a string does, and every line and column stays', () => {
    const text = '{ // a "b\n"c": "// d /* , }", /* e\n */ "f": [1, 2, ], }\n// ,}';
    const blanked = blankComments(text);
    expect(JSON.parse(blanked)).toEqual({ c: '// d /* , }', f: [1, 2] });
    expect(blanked.length).toBe(text.length);
    expect(blanked.split('\n').map((line) => line.length)).toEqual(text.split('\n').map((line) => line.length));
  });

  test('JSON without them is what it was, whatever its texts hold', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(blankComments(text)).toBe(text);
      }),
    );
  });

  test('what never ends does not either, in no more than linear time', () => {
    for (const open of ['"', '/*', '//', '"\\', ','])
      expect(blankComments(`{${open.repeat(200_000)}`)).toHaveLength(1 + open.length * 200_000);
  });
});

test.each([
  ['{ "a": true // on\n}', { a: true }],
  ['{ "a": http://x/y }', { a: 'http://x/y' }],
  ['a: http://x/y # no JSON', { a: 'http://x/y' }],
  ['\uFEFF/* x */ {}', {}],
  ['{ a: b, }', { a: 'b' }],
])('%s', async (text, value) => {
  expect(await readText(text)).toMatchObject({ value, problems: [] });
});

test('a mistake is told at its own line, not at the comment before it', async () => {
  expect((await readText('{\n// fine\n"a": 1,\n"a": 2 }')).problems).toMatchObject([{ line: 4 }]);
});
