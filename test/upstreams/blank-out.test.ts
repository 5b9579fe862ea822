import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { blankOut, blankText, secretForms, secretsByName } from '../../src/upstreams/blank-out.ts';

describe('SK-03: an answer that repeats a secret', () => {
  const secret = 's3cret/+"&=\\é';
  const forms = secretForms([secret]);
  test.each([
    ['as it is', secret],
    ['in JSON', JSON.stringify({ told: secret })],
    ['in a text that is JSON, in JSON', JSON.stringify(JSON.stringify({ told: secret }))],
    ['in JSON with escaped slashes', JSON.stringify({ told: secret }).replaceAll('/', '\\/')],
    ['in an address', `https://a.example/?key=${encodeURIComponent(secret)}`],
    ['in an address that escapes less', new URL(`https://a.example/?key=${secret}`).href],
    ['twice', `${secret} ${secret}`],
  ])('loses it %s, and nothing else', (_what, text) => {
    const blanked = blankText(`before ${text} after`, forms);
    expect(blanked).not.toMatch(/s3cret|é/);
    expect(blanked).toMatch(/^before .*\*{8,}.* after$/);
    expect(Buffer.byteLength(blanked)).toBe(Buffer.byteLength(`before ${text} after`));
  });

  test('stays JSON when it was', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8, unit: 'grapheme' }), fc.jsonValue(), (hidden, value) => {
        const bytes = Buffer.from(JSON.stringify({ a: `x${hidden}y`, [hidden]: value }));
        blankOut(bytes, secretForms([hidden]));
        expect(() => JSON.parse(bytes.toString())).not.toThrow();
      }),
    );
  });
});

test('what is too short to be told from other text is left alone', () => {
  expect(secretForms(['', 'seven77'])).toEqual([]);
});

test('values are secret by the names they have', () => {
  const named = (name: string) => secretsByName([[name, 'Bearer abc']]);
  for (const name of ['Authorization', 'X-Api-Key', 'api_key', 'X-Auth', 'cookie', 'ACCESS_TOKEN', 'clientSecret', 'DB_PASSWORD'])
    expect(named(name), name).toEqual(['abc']);
  for (const name of ['Accept-Language', 'X-Author', 'X-Tenant', 'region', 'PATH']) expect(named(name), name).toEqual([]);
});
