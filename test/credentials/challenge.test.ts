import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readChallenge, readScopes } from '../../src/credentials/challenge.ts';

describe('a challenge', () => {
  test.each([
    ['Bearer', { resourceMetadata: undefined, scopes: undefined, error: undefined }],
    ['bearer realm="x"', { resourceMetadata: undefined, scopes: undefined, error: undefined }],
    [
      'Bearer error="insufficient_scope", scope="a b a", resource_metadata="https://x/y?z=1"',
      { resourceMetadata: 'https://x/y?z=1', scopes: ['a', 'b'], error: 'insufficient_scope' },
    ],
    ['Bearer scope=one', { resourceMetadata: undefined, scopes: ['one'], error: undefined }],
    ['Basic realm="Bearer scope=evil", Bearer scope="good"', { resourceMetadata: undefined, scopes: ['good'], error: undefined }],
    [
      'Bearer realm="a \\"quoted\\", scope=evil", scope="good"',
      { resourceMetadata: undefined, scopes: ['good'], error: undefined },
    ],
    ['Bearer scope="first", scope="second"', { resourceMetadata: undefined, scopes: ['first'], error: undefined }],
    ['Bearer scope="a", Basic realm="x"', { resourceMetadata: undefined, scopes: ['a'], error: undefined }],
  ])('%s', (header, expected) => {
    expect(readChallenge(header)).toEqual(expected);
  });

  test.each(['Basic realm="x"', 'NotBearer scope="x"', '', undefined, `Bearer scope="${'x'.repeat(9_000)}"`])(
    'is not one of ours: %#',
    (header) => {
      expect(readChallenge(header)).toBeUndefined();
    },
  );

  test('is read without failing and in time, whatever it is', () => {
    const pieces = fc.constantFrom('Bearer ', 'scope', '=', '"', '\\', ', ', ' ', 'a', 'error', '\n', 'é', 'Basic ');
    const header = fc.array(pieces, { maxLength: 2_000 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(header, (text) => {
        const startedAtMs = performance.now();
        readChallenge(text);
        expect(performance.now() - startedAtMs).toBeLessThan(200);
      }),
      { numRuns: process.env.TEST_LONG === undefined ? 200 : 5_000 },
    );
  });

  test('scopes hold nothing that could end a parameter or a line', () => {
    expect(readScopes('a "b" c\\d e\tf g')).toEqual(['a', 'g']);
    expect(readScopes(' ')).toBeUndefined();
    expect(readScopes(7)).toBeUndefined();
  });
});
