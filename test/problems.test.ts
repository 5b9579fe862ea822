import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConfigurationError, formatProblem, suggestName } from '../src/problems.ts';

test('a problem reads file:line:column: message, as far as that is known', () => {
  expect(formatProblem({ message: 'No.' })).toBe('No.');
  expect(formatProblem({ file: '/elsewhere/a.yaml', message: 'No.' })).toBe('/elsewhere/a.yaml: No.');
  expect(formatProblem({ file: join(process.cwd(), 'a.yaml'), line: 2, column: 3, message: 'No.' })).toBe('a.yaml:2:3: No.');
});

test('an error of several problems has one line for each', () => {
  expect(new ConfigurationError([{ message: 'One.' }, { message: 'Two.' }]).message).toBe('One.\nTwo.');
});

test.each([
  ['timoutMs', ' Did you mean "timeoutMs"?'],
  ['timeoutms', ' Did you mean "timeoutMs"?'],
  ['tiemoutMs', ' Did you mean "timeoutMs"?'],
  ['ear', ' Did you mean "era"?'],
  ['zebra', ''],
  ['', ''],
])('%s brings the suggestion%s', (given, expected) => {
  expect(suggestName(given, ['timeoutMs', 'era'])).toBe(expected);
});

test('the closest of many names is found in a moment', () => {
  const names = Array.from({ length: 22_000 }, (_, n) => `graph/users_${n}_list_messages_${(n * 7919) % 1000}`);
  const startMs = performance.now();
  expect(suggestName('graph/users_21999_list_mesages_81', names)).toBe(' Did you mean "graph/users_21999_list_messages_81"?');
  // Two seconds before; the rest is for slow machines.
  expect(performance.now() - startMs).toBeLessThan(1_000);
});

test('the least distance counts, however the others fill the search', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'B', 'c'), maxLength: 6 });
  fc.assert(
    fc.property(letters, fc.array(letters, { maxLength: 4 }), (given, known) => {
      const near = known.map((name) => ({ name, distance: plainDistance(given.toLowerCase(), name.toLowerCase()) }));
      const close = near.filter(({ name, distance }) => distance <= Math.ceil(Math.min(given.length, name.length) / 3));
      const [best] = close.toSorted((a, b) => a.distance - b.distance);
      expect(suggestName(given, known)).toBe(best === undefined ? '' : ` Did you mean "${best.name}"?`);
    }),
  );
});

/** Optimal string alignment as it is written down, without a thought for time. */
function plainDistance(a: string, b: string): number {
  if (a === '' || b === '') return a.length + b.length;
  const [shortA, shortB] = [a.slice(0, -1), b.slice(0, -1)];
  const ways = [
    plainDistance(shortA, b) + 1,
    plainDistance(a, shortB) + 1,
    plainDistance(shortA, shortB) + (a.at(-1) === b.at(-1) ? 0 : 1),
  ];
  const isSwapped = a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1);
  return Math.min(...ways, ...(isSwapped ? [plainDistance(a.slice(0, -2), b.slice(0, -2)) + 1] : []));
}
