import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileGlob } from '../../src/catalog/glob.ts';
import { cpuMs } from '../support/cpu-time.ts';

test.each([
  ['echo', 'echo', true],
  ['echo', 'echo2', false],
  ['*', '', true],
  ['get_*', 'get_', true],
  ['get_*', 'forget_', false],
  ['*_file', 'read_file', true],
  ['*_file', 'read_files', false],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'acb', false],
  ['ab*ba', 'aba', false],
  ['a.c', 'abc', false],
  ['a*aa*a', 'aaa', false],
  ['a*aa*a', 'aaaa', true],
])('%s over %s is %s', (pattern, text, expected) => {
  expect(compileGlob(pattern)(text)).toBe(expected);
});

test('agrees with the same pattern as a regular expression', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', 'b', '_'), maxLength: 10 });
  const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '_', '*'), maxLength: 8 });
  fc.assert(
    fc.property(patterns, texts, (pattern, text) => {
      expect(compileGlob(pattern)(text)).toBe(new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(text));
    }),
  );
});

test('a pattern made to backtrack takes no time', () => {
  const matches = compileGlob(`${'*a'.repeat(500)}*b`);
  const startedAt = cpuMs();
  expect(matches('a'.repeat(100_000))).toBe(false);
  expect(cpuMs() - startedAt).toBeLessThan(200);
});
