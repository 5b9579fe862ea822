import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maxDepth, scanMessage } from '../../src/wire/json-scan.ts';
import { ScanError } from '../../src/wire/scan-error.ts';

/** Text that is hard to scan: quotes, backslashes in runs, control characters, everything that ends or begins something. */
const hardText = fc.string({
  unit: fc.constantFrom('"', '\\', '\\\\', '{', '}', '[', ']', ',', ':', ' ', '\n', '\u0001', 'a', 'é', '😀', 'uri', '\u2028'),
  maxLength: 400,
});
const hardValue = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 5 },
    hardText,
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.constantFrom(true, false, null, 0, -0.5, 1e21, 1e-7),
    fc.array(tie('any'), { maxLength: 8 }),
    fc.array(fc.tuple(hardText, tie('any')), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)),
  ),
})).any;

/** Long enough to be passed over in bulk, at every offset to the blocks of 64 bytes. */
const longMessage = fc
  .tuple(fc.array(hardValue, { minLength: 1, maxLength: 12 }), fc.nat(130), fc.constantFrom(undefined, 1, '\t'))
  .map(([values, shift, indent]) =>
    JSON.stringify({ ['k'.repeat(shift)]: 1, value: ['x'.repeat(1200), ...values, '"'.repeat(900)] }, undefined, indent),
  );

function verdict(bytes: Buffer): 'taken' | 'refused' {
  return complaint(bytes) === '' ? 'taken' : 'refused';
}

function complaint(bytes: Buffer): string {
  try {
    scanMessage(bytes);
    return '';
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    return error.message;
  }
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

test('long values are taken, and end where they end', () => {
  fc.assert(
    fc.property(longMessage, (text) => {
      const bytes = Buffer.from(text);
      const { members } = scanMessage(bytes);
      const { start, end } = members.at(-1)!;
      expect(JSON.parse(bytes.toString('utf8', start, end))).toEqual(JSON.parse(text).value);
    }),
    { numRuns: 300 },
  );
});

test('a long message is taken exactly where JSON.parse takes it, wherever a byte of it is changed, lost or added', () => {
  const anywhere = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const byte = fc.constantFrom(...Buffer.from('"\\{}[],: \n\t\u0000\u001fu0aAgG1-+.eEtrfn/\u007f'));
  fc.assert(
    fc.property(longMessage, fc.array(fc.tuple(anywhere, byte, fc.nat(2)), { minLength: 1, maxLength: 3 }), (text, changes) => {
      let bytes = Buffer.from(text);
      for (const [where, value, how] of changes) {
        const at = Math.floor(where * bytes.length);
        const middle = how === 0 ? [value] : how === 1 ? [] : [value, bytes[at]!];
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(middle), bytes.subarray(at + 1)]);
      }
      // An object at the top is all that a message can be; a key twice is refused for reasons of its own.
      fc.pre(bytes[0] === 0x7b && !/appears twice/.test(complaint(bytes)));
      expect(verdict(bytes), bytes.toString('utf8')).toBe(isJson(bytes) ? 'taken' : 'refused');
    }),
    { numRuns: process.env.TEST_LONG ? 200_000 : 500 },
  );
});

test('a value that is cut at any byte is refused', () => {
  const bytes = Buffer.from(JSON.stringify({ value: [{ a: '\\"\u0001é'.repeat(300), b: [1.5e-7, true, null, 'x\\'] }] }));
  for (let length = 1; length < bytes.length; length++)
    expect(verdict(bytes.subarray(0, length)), String(length)).toBe('refused');
  expect(verdict(bytes)).toBe('taken');
});

test('what stands at the seam of two pieces is read as what it is', () => {
  const tokens = ['-12.5e+30', 'true', 'false', 'null', '"\\\\"', '"\\u00e9"', '"\\""', '{"uri":1}', '[]', '{}', '"a"'];
  for (const seam of [4096, 4096 + 16_384, 4096 + 16_384 + 65_536]) {
    for (const token of tokens) {
      for (let shift = -12; shift <= 2; shift++) {
        const text = `{"value":["${'x'.repeat(seam + shift - 3)}",${token},${token}]}`;
        expect(verdict(Buffer.from(text)), `${token} at ${seam}${shift}`).toBe('taken');
        expect(verdict(Buffer.from(text.replace(',', ' '))), `${token} without its comma`).toBe('refused');
      }
    }
  }
});

test('nesting, long numbers and keys that name a URI are noted in long values too', () => {
  const scan = (inner: string) => scanMessage(Buffer.from(`{"value":["${'x'.repeat(2000)}",${inner}]}`));
  expect(scan('[[[]]]')).toMatchObject({ depth: 5, hasLongNumber: false, namesUri: false });
  expect(scan('1234567890123456').hasLongNumber).toBe(true);
  expect(scan('123456789012345').hasLongNumber).toBe(false);
  expect(scan('{"uri":1}').namesUri).toBe(true);
  expect(scan('{"\\u0075ri":1}').namesUri).toBe(true);
  expect(scan('["uri",{"urj":1,"url":"uri","a\\\\":2}]').namesUri).toBe(false);
  const nested = (depth: number) => scan('['.repeat(depth) + ']'.repeat(depth));
  expect(nested(maxDepth - 2).depth).toBe(maxDepth);
  expect(() => nested(maxDepth - 1)).toThrow(/nested deeper/);
});

test('a message of many megabytes is passed over', () => {
  const bytes = Buffer.from(
    `{"value":${JSON.stringify(Array.from({ length: 100_000 }, (_, id) => ({ id, text: `line "${id}"\n` })))},"id":1}`,
  );
  const { members } = scanMessage(bytes);
  expect(members.map(({ key }) => key)).toEqual(['value', 'id']);
});
