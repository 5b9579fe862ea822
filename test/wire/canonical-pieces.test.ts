import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/wire/canonical-json.ts';
import { canonicalPieces } from '../../src/wire/canonical-pieces.ts';
import type { Json } from '../../src/wire/json.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';

const inPieces = (value: Json) => [...canonicalPieces(value)];
const longest = 40_000;

describe('canonical JSON in pieces', () => {
  it('is the same text', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(3_000), (any, times) => {
        const one = JSON.parse(JSON.stringify(any)) as Json;
        for (const value of [one, Array.from({ length: times % 50 }, () => one), { b: one, a: [one, {}], '': null }])
          expect(inPieces(value).join('')).toBe(canonicalJson(value));
      }),
    );
  });

  it('is the same for long texts, wherever they are cut, halves of characters as well', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }), fc.nat(5), (unit, before) => {
        const text = 'x'.repeat(before) + unit.repeat(Math.ceil(30_000 / unit.length));
        expect(inPieces({ text, [text]: 1 }).join('')).toBe(canonicalJson({ text, [text]: 1 }));
      }),
      { numRuns: 30 },
    );
    for (const text of [
      '\ud83d\ude00'.repeat(20_000),
      `x${'\ud83d\ude00'.repeat(20_000)}`,
      '\ud83d'.repeat(20_000),
      '\ude00'.repeat(20_000),
    ])
      expect(inPieces([text]).join('')).toBe(canonicalJson([text]));
  });

  it('is the same for numbers that no double holds, and for what is not there', () => {
    const value = parseExact('{"b":[12345678901234567890,1.0000000000000000001],"a":{"rawJSON":"5"}}') as Json;
    expect(inPieces(value).join('')).toBe(canonicalJson(value));
    const odd = { a: undefined, b: [1] } as unknown as Json;
    expect(inPieces(odd).join('')).toBe(canonicalJson(odd));
  });

  it.each<[string, () => Json]>([
    ['numbers', () => Array.from({ length: 400_000 }, (_, at) => at)],
    ['empty lists', () => Array.from({ length: 100_000 }, () => [])],
    ['one long text', () => '"'.repeat(2_000_000)],
    ['members', () => Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`k${at}`, at]))],
  ])('has no piece that takes long to write, for many %s', (_what, make) => {
    const value = make();
    const pieces = inPieces(value);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(longest);
    expect(pieces.join('')).toBe(canonicalJson(value));
  });
});
