import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasTooManyKeys, maxDifferentKeys } from '../../src/wire/different-keys.ts';
import { scanMessage } from '../../src/wire/json-scan.ts';
import { readMessage } from '../../src/wire/message.ts';

/** A call whose arguments are objects of so many members each; `name` is the key of each member. */
function call(count: number, perObject: number, name: (at: number) => string): Buffer {
  const objects = Array.from({ length: count / perObject }, (_, object) =>
    Object.fromEntries(Array.from({ length: perObject }, (_, at) => [name(object * perObject + at), 'a": "b'])),
  );
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a', arguments: { objects } } };
  return Buffer.from(JSON.stringify(message));
}

test.each([1, 100, 25_000])(
  'PR-04: a request of very many different keys is refused before it is parsed, %i an object',
  (per) => {
    expect(() => readMessage(call(25_000, per, (at) => `"k${at}`))).toThrow(/more than 20000 different keys/);
    expect(readMessage(call(15_000, Math.min(per, 15_000), (at) => `"k${at}`))).toMatchObject({ kind: 'request' });
  },
);

test('PR-04: a request of very many objects with the same keys is taken, and so is a result of any', () => {
  expect(readMessage(call(100_000, 10, (at) => `k${at % 10}`))).toMatchObject({ kind: 'request' });
  const members = JSON.stringify(Object.fromEntries(Array.from({ length: 25_000 }, (_, at) => [`k${at}`, 0])));
  const result = Buffer.from(`{"jsonrpc":"2.0","id":1,"result":{"structuredContent":${members}}}`);
  expect(readMessage(result)).toMatchObject({ kind: 'result' });
});

test('a scan counts every key, in short messages and long ones', () => {
  const value = fc.jsonValue({ maxDepth: 4 });
  fc.assert(
    fc.property(fc.array(value), fc.constantFrom(0, 2000), fc.constantFrom(0, 1), (values, padding, indent) => {
      const text = JSON.stringify({ padding: 'x'.repeat(padding), values }, undefined, indent);
      let keys = 0;
      // Each object is visited as a value once: what JSON.parse hides has no place in this text.
      JSON.parse(text, (_key, one: unknown) => {
        if (typeof one === 'object' && one !== null && !Array.isArray(one)) keys += Object.keys(one).length;
        return one;
      });
      expect(scanMessage(Buffer.from(text)).keys).toBe(keys);
    }),
  );
});

test('nearly every different key is counted', () => {
  const keys = (count: number) =>
    Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, at) => [`${at}`, 0]))));
  expect(hasTooManyKeys(keys(maxDifferentKeys), maxDifferentKeys + 1)).toBe(false);
  expect(hasTooManyKeys(keys(Math.ceil(maxDifferentKeys * 1.05)), maxDifferentKeys + 1)).toBe(true);
});
