import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileTemplate } from '../../src/catalog/uri-template.ts';
import { cpuMs } from '../support/cpu-time.ts';

test.each([
  ['x://{id}', 'x://7', true],
  ['x://{id}', 'x://', true],
  ['x://{id}', 'x://7/8', false],
  ['x://{id}', 'y://7', false],
  ['x://{id}/end', 'x://a/end', true],
  ['x://{id}/end', 'x://a/ending', false],
  ['file:///{+path}', 'file:///a/b?c#d', true],
  ['file:///{path*}', 'file:///a/b', true],
  ['x://a{/more*}', 'x://a/b/c', true],
  ['x://a{?q,r}', 'x://a?q=1&r=2', true],
  ['x://a{?q,r}', 'x://a', true],
  ['x://a{#part}', 'x://a#b', true],
  ['{+a}x{b}', '1x2/3x4', true],
  ['{a}{b}', 'xy', true],
  ['x://fixed', 'x://fixed', true],
  ['x://fixed', 'x://fixed2', false],
  ['', '', true],
])('%s over %s is %s', (template, uri, expected) => {
  expect(compileTemplate(template)?.(uri)).toBe(expected);
});

test.each(['x://{', 'x://}', 'x://{}', 'x://{a{b}}', '{a}'.repeat(9), 'x'.repeat(1025)])('%s is not matched', (template) => {
  expect(compileTemplate(template)).toBeUndefined();
});

test('agrees with a regular expression', () => {
  const pieces = fc.array(fc.constantFrom('a', 'b', '/', '{x}', '{+x}'), { maxLength: 8 });
  const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/', '?'), maxLength: 12 });
  fc.assert(
    fc.property(pieces, texts, (parts, text) => {
      const source = parts.map((part) => (part === '{x}' ? '[^/?#]*' : part === '{+x}' ? '.*' : part)).join('');
      expect(compileTemplate(parts.join(''))?.(text)).toBe(new RegExp(`^${source}$`).test(text));
    }),
  );
});

test('a template made to backtrack takes little time', () => {
  const matches = compileTemplate(`${'{+a}aaaaaaaa'.repeat(8)}b`);
  const startedAt = cpuMs();
  expect(matches?.('a'.repeat(2048))).toBe(false);
  expect(matches?.('a'.repeat(1_000_000))).toBe(false);
  expect(cpuMs() - startedAt).toBeLessThan(200);
});
