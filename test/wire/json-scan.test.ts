import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxDepth, parseExact, ScanError, scanMessage } from '../../src/wire/json-scan.ts';

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
