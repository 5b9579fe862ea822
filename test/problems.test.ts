import { join } from 'node:path';
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
