import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxDepth, scanMessage } from '../../src/wire/json-scan.ts';
import { parseExact } from '../../src/wire/parse-exact.ts';
import { ScanError } from '../../src/wire/scan-error.ts';
import { cpuMs } from '../support/cpu-time.ts';

const scan = (text: string) => scanMessage(Buffer.from(text));

test('members are found where they are, whatever JSON surrounds them', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 1, '\t'), (value, indent) => {
      const distinct = new Set(Object.keys(value).map((key) => key.toLowerCase()));
      fc.pre(distinct.size === Object.keys(value).length);
      const text = JSON.stringify(value, undefined, indent);
      const bytes = Buffer.from(text);
      const { members } = scanMessage(bytes);
      expect(members.map(({ key }) => key)).toEqual(Object.keys(JSON.parse(text)));
      for (const { key, start, end } of members) {
        expect(JSON.parse(bytes.toString('utf8', start, end))).toEqual(JSON.parse(text)[key]);
      }
    }),
  );
});

test('what JSON.parse refuses at the level of structure is refused here too', () => {
  const broken = [
    '',
    '{',
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    '{"a":1]',
    '{a:1}',
    '{"a":[1}',
    '{"a":"x}',
    '{"a":"\\"}',
    '[1]',
    '1',
    '{}x',
    '{"a":tru}',
    '{"a":}',
  ];
  for (const text of broken) expect(() => scan(text), text).toThrow(ScanError);
});

test('PR-01: duplicate members of a message and of its params are refused, in any case and any spelling', () => {
  for (const text of [
    '{"method":"a","method":"b"}',
    '{"method":"a","Method":"b"}',
    '{"method":"a","\\u006dethod":"b"}',
    '{"params":{"name":"a","name":"b"}}',
    '{"params":{"name":"a","NAME":"b"}}',
  ]) {
    expect(() => scan(text), text).toThrow(/appears twice/);
  }
  expect(scan('{"params":{"name":"a","names":"b"},"name":"c"}').body).toHaveLength(2);
});

test('PR-01: exactly the members are duplicates that are equal, or of one length and equal but for case', () => {
  const unit = fc.constantFrom(
    'a',
    'A',
    'k',
    '\u212a',
    'é',
    'É',
    'İ',
    'i\u0307',
    'Σ',
    'ς',
    'σ',
    'ß',
    'ẞ',
    'N',
    '1',
    ':',
    '😀',
    '𐐀',
    '𐐨',
    '"',
  );
  const key = fc.oneof(
    fc.string({ unit, maxLength: 3 }),
    fc.string({ unit, maxLength: 3 }).map((end) => 'x'.repeat(80) + end),
  );
  const others = fc.uniqueArray(fc.nat(400), { maxLength: 60 }).map((numbers) => numbers.map((number) => `m${number}`));
  const keys = fc.tuple(others, fc.uniqueArray(key, { maxLength: 5 }), fc.boolean());
  fc.assert(
    fc.property(keys, fc.nat(), ([some, more, isBody], seed) => {
      const all = [...some, ...more].sort((a, b) => hash(a, seed) - hash(b, seed));
      const members = `{${all.map((one) => `${JSON.stringify(one)}:1`).join()}}`;
      const scanned = () => scan(isBody ? `{"params":${members}}` : members);
      if (hasDuplicate(all)) expect(scanned).toThrow(/appears twice/);
      else expect(scanned()[isBody ? 'body' : 'members'].map((member) => member.key)).toEqual(all);
    }),
    { numRuns: process.env.TEST_LONG ? 100_000 : 1500 },
  );
});

/** The rule, word by word. */
function hasDuplicate(keys: readonly string[]): boolean {
  return keys.some((key, at) =>
    keys.slice(0, at).some((other) => other.length === key.length && other.toLowerCase() === key.toLowerCase()),
  );
}

function hash(text: string, seed: number): number {
  return [...text].reduce((sum, unit) => Math.imul(sum ^ unit.codePointAt(0)!, 16_777_619), seed);
}

test('PR-01: a duplicate behind many other members is refused, and a thousand that are apart are taken', () => {
  const many = (last: string) => `{${Array.from({ length: 999 }, (_, at) => `"m${at}":1,`).join('')}"${last}":1}`;
  expect(() => scan(many('M7'))).toThrow(/appears twice/);
  expect(scan(many('m999')).members).toHaveLength(1000);
  expect(() => scan(many('m999","x":1,"'))).toThrow(ScanError);
});

/** The least of some rounds, so that what else the machine does is left out. */
function cpuUs(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const beforeMs = cpuMs();
    work();
    least = Math.min(least, (cpuMs() - beforeMs) * 1000);
  }
  return least;
}

test('PR-04: a thousand long members cost no more than what is proportional to their bytes, wherever they stand', () => {
  for (const letter of ['a', 'A', 'é']) {
    const text = JSON.stringify(Object.fromEntries(Array.from({ length: 980 }, (_, at) => [letter.repeat(900) + at, 0])));
    for (const message of [text, `{"params":${text}}`, `{"result":${text}}`]) {
      const bytes = Buffer.from(message);
      const parsedUs = cpuUs(() => JSON.parse(message));
      // Comparing each with each costs some hundred times as much as parsing.
      expect(cpuUs(() => scanMessage(bytes))).toBeLessThan(40 * Math.max(parsedUs, 500));
    }
  }
});

test('PR-04: a few keys may be of any length, and many may not, wherever they stand', () => {
  const keys = (count: number, length: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [String(at).padStart(length, 'k'), 0])));
  for (const around of [(text: string) => text, (text: string) => `{"params":{"arguments":[${text}]}}`]) {
    expect(() => scan(around(keys(33, 16_384)))).toThrow(/more than 32 keys of more than 16383 bytes/);
    expect(scan(around(keys(32, 16_384))).members).not.toHaveLength(0);
    expect(scan(around(keys(100, 16_383))).members).not.toHaveLength(0);
  }
  const two = `{"a":${keys(20, 20_000)},"b":${keys(20, 20_000)}}`;
  expect(() => scan(two)).toThrow(/more than 32 keys/);
});

test('nesting up to the limit is taken, one more is refused', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  expect(scan(nested(maxDepth)).depth).toBe(maxDepth);
  expect(() => scan(nested(maxDepth + 1))).toThrow(/nested deeper/);
  expect(() => scan(nested(1_000_000))).toThrow(/nested deeper/);
});

test('numbers that a double cannot hold keep their digits', () => {
  const text = '{"a":12345678901234567890,"b":[0.1234567890123456789],"c":9007199254740993,"d":1e400,"e":3}';
  expect(scan(text).hasLongNumber).toBe(true);
  expect(JSON.stringify(parseExact(text))).toBe(text.replace('1e400', 'null'));
  expect(scan('{"a":1234567890}').hasLongNumber).toBe(false);
});

test('a member named __proto__ is a member like any other', () => {
  expect(scan('{"__proto__":{"x":1}}').members[0]?.key).toBe('__proto__');
  expect(Object.getPrototypeOf(parseExact('{"__proto__":{"x":1},"n":12345678901234567890}'))).toBe(Object.prototype);
});
