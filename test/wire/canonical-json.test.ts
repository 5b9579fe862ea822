import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hmac, hmacInTurns, hmacKey } from '../../src/hmac.ts';
import { encodeInTurns } from '../../src/turns.ts';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { canonicalPieces } from '../../src/wire/canonical-pieces.ts';
import type { Json } from '../../src/wire/json.ts';
import { maxDepth } from '../../src/wire/json-scan.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';

/** The same value with its keys in another order. */
function shuffled(value: Json): Json {
  if (Array.isArray(value)) return value.map(shuffled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, shuffled(inner)]),
  );
}

describe('canonical JSON', () => {
  it('writes what RFC 8785 (3.2.3 and 3.2.4) says', () => {
    const value = JSON.parse(
      '{"\\u20ac":"Euro Sign","\\r":"Carriage Return","\\ufb33":"Hebrew","1":"One","\\ud83d\\ude00":"Smiley","\\u0080":"Control","\\u00f6":"o"}',
    );
    expect(Object.keys(JSON.parse(canonicalJson(value)))).toHaveLength(7);
    expect(canonicalJson(value)).toBe(
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"o","€":"Euro Sign","\u{1F600}":"Smiley","\ufb33":"Hebrew"}',
    );
    expect(
      canonicalJson(JSON.parse('[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, true, null]')),
    ).toBe('[333333333.3333333,1e+30,4.5,0.002,1e-27,0,true,null]');
  });

  it('is the same for the same value in any order, and reads back as it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (any) => {
        const value = JSON.parse(JSON.stringify(any)) as Json;
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
    );
  });

  it('writes keys of the prototype like any other', () => {
    expect(canonicalJson(JSON.parse('{"b":1,"__proto__":{"a":2},"constructor":3}'))).toBe(
      '{"__proto__":{"a":2},"b":1,"constructor":3}',
    );
  });

  it('writes numbers that a double cannot keep digit for digit, and tells them from objects that look like them', () => {
    const long = parseExact('{"a":12345678901234567890,"b":[0.1234567890123456789]}') as Json;
    expect(canonicalJson(long)).toBe('{"a":12345678901234567890,"b":[0.1234567890123456789]}');
    const fake = JSON.parse('{"a":{"rawJSON":"12345678901234567890"}}') as Json;
    expect(canonicalJson(fake)).toBe('{"a":{"rawJSON":"12345678901234567890"}}');
  });

  it('takes what is nested as deep as a message may be', () => {
    const text = '['.repeat(maxDepth) + ']'.repeat(maxDepth);
    expect(canonicalJson(JSON.parse(text))).toBe(text);
  });
});

it('in pieces it is the same text, and its digest the same', async () => {
  const long = 'a"\u{1f511}\n'.repeat(200_000);
  for (const value of [
    {},
    { b: 1, a: [null, { d: 1, c: 2 }] },
    { text: long, a: `x${long}`, z: { long } },
    { lone: '\ud83d'.repeat(300_000) },
  ]) {
    const pieces = [...canonicalPieces(value)];
    const whole = canonicalJson(value);
    expect(pieces.join('') === whole).toBe(true);
    const key = hmacKey(Buffer.alloc(32, 1));
    expect(await hmacInTurns(key, pieces, 'hex')).toBe(hmac(key, whole, 'hex'));
    expect((await encodeInTurns(whole)).equals(Buffer.from(whole))).toBe(true);
  }
});
