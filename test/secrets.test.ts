import { inspect } from 'node:util';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { GatewayError } from '../src/errors.ts';
import { Secret } from '../src/secret.ts';
import { resolveSecrets, secretNames } from '../src/secrets.ts';

function failure(text: string, environment: Readonly<Record<string, string>> = {}): GatewayError {
  try {
    resolveSecrets(text, environment);
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('did not throw');
}

test('a reference becomes the value of the environment variable it names', () => {
  const text = `Bearer \${secret:TOKEN}, \${secret:OTHER_1}\${secret:TOKEN}`;
  expect(resolveSecrets(text, { TOKEN: 'one', OTHER_1: 'two' })).toBe('Bearer one, twoone');
  expect(secretNames(text)).toEqual(['TOKEN', 'OTHER_1', 'TOKEN']);
  expect(resolveSecrets(`no reference, $TOKEN, \${TOKEN}`, {})).toBe(`no reference, $TOKEN, \${TOKEN}`);
});

test('SK-06: a value is never read as a reference or a replacement pattern', () => {
  const value = `\${secret:B} $& $1`;
  expect(resolveSecrets(`\${secret:A}`, { A: value, B: 'hunter2' })).toBe(value);
});

test('a missing or empty variable is bad_configuration and named', () => {
  const error = failure(`\${secret:A}\${secret:B}\${secret:C}`, { B: 'hunter2', C: '' });
  expect(error.code).toBe('bad_configuration');
  expect(error.message).toContain('A, C are not set');
  expect(error.message).not.toContain('hunter2');
});

test.each([
  `\${secret:\${secret:A}}`,
  `\${secret:*}`,
  `\${secret:A*}`,
  `\${secret:}`,
  `\${secret:A`,
  `\${secret:a.b}`,
  `\${secrets:A}`,
])('%s is no reference', (text) => {
  expect(failure(text, { A: 'A' }).code).toBe('bad_configuration');
});

test("Gatehouse's own settings do not leave it", () => {
  expect(failure(`\${secret:GATEHOUSE_MASTER_KEY}`, { GATEHOUSE_MASTER_KEY: 'hunter2' }).message).toContain('own settings');
});

test('names that every object has are not in the environment', () => {
  expect(failure(`\${secret:constructor}`).message).toContain('constructor is not set');
});

test('a secret does not print', () => {
  const secret = new Secret('hunter2');
  const lines: string[] = [];
  pino({}, { write: (line: string) => lines.push(line) }).info(
    { secret, deep: { secret } },
    'secret %s %o %j',
    secret,
    secret,
    secret,
  );
  const seen = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ secret }, { showHidden: true, depth: 9 }),
  ];
  for (const text of [...seen, ...lines]) expect(text).not.toContain('hunter2');
  expect(seen[0]).toBe('[secret]');
  expect(secret.reveal()).toBe('hunter2');
});
