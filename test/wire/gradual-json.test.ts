import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExcessError, GradualJson, parseInTurns } from '../../src/wire/gradual-json.ts';

const rounds = process.env.TEST_LONG === undefined ? 500 : 50_000;

function inPieces(text: string, lengths: readonly number[]): unknown {
  const gradual = new GradualJson();
  let at = 0;
  for (let turn = 0; at < text.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1;
    gradual.push(text.slice(at, at + length));
    at += length;
  }
  return gradual.end().value;
}

/** The value with the order of its keys, or that there is none. */
function outcome(parse: () => unknown): string {
  try {
    return JSON.stringify(parse());
  } catch (error) {
    if (error instanceof SyntaxError) return 'no JSON';
    throw error;
  }
}

const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 });
const keys = fc.oneof(fc.constantFrom('a', 'b', '__proto__', '1', '0', '', 'constructor'), fc.string());
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.constantFrom(null, true, false, '', '\\', '"', 'é\u{1f511}\ud800'),
    fc.double({ noDefaultInfinity: true, noNaN: true }),
    fc.string({ unit: 'binary' }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.array(fc.tuple(keys, tie('value')), { maxLength: 6 }).map((entries) => ({ entries })),
  ),
})).value;

/** JSON of it with keys as they come, twice as well, and with blanks. */
function write(value: unknown, blank: string): string {
  if (Array.isArray(value)) return `[${value.map((item) => blank + write(item, blank)).join(`${blank},`)}${blank}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const { entries } = value as { readonly entries: readonly (readonly [string, unknown])[] };
  const members = entries.map(([key, member]) => `${blank}${JSON.stringify(key)}${blank}:${blank}${write(member, blank)}`);
  return `{${members.join(`${blank},`)}${blank}}`;
}

const texts = fc.tuple(values, fc.constantFrom('', ' ', '\r\n\t')).map(([value, blank]) => write(value, blank));

describe('a text in pieces', () => {
  test('comes to what JSON.parse makes of the whole', () => {
    fc.assert(
      fc.property(texts, lengths, (text, by) => {
        expect(outcome(() => inPieces(text, by))).toBe(outcome(() => JSON.parse(text)));
      }),
      { numRuns: rounds },
    );
  });

  test('is no JSON where the whole is none', () => {
    const slip = fc.constantFrom(
      '',
      ',',
      ']',
      '}',
      '[',
      '{',
      '"',
      ':',
      '1',
      '-',
      '\\',
      'null',
      ' ',
      '\u0001',
      ',,',
      '\u00a0',
      '"":',
    );
    fc.assert(
      fc.property(texts, lengths, slip, fc.nat(), fc.nat(3), (text, by, added, place, removed) => {
        const at = place % (text.length + 1);
        const wrong = text.slice(0, at) + added + text.slice(at + removed);
        expect(
          outcome(() => inPieces(wrong, by)),
          wrong,
        ).toBe(outcome(() => JSON.parse(wrong)));
      }),
      { numRuns: rounds * 4 },
    );
  });

  test('has keys as JSON.parse has them: the last one counts, and none is inherited', () => {
    const text = '{"b":1,"__proto__":{"polluted":true},"a":2,"b":{"c":[3]},"2":0,"1":0}';
    for (let length = 1; length < text.length; length++)
      expect(outcome(() => inPieces(text, [length]))).toBe(JSON.stringify(JSON.parse(text)));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test.each(['{"__proto__":1}', '[[{"a":{"__proto__":{}}}]]', '{"\\u005f_proto__":1}', '{"__p\\u0072oto__":[1]}'])(
    'tells of the key that JavaScript gives a meaning: %s',
    async (text) => {
      expect((await parseInTurns(text)).namesPrototype).toBe(true);
      const gradual = new GradualJson();
      for (const sign of text) gradual.push(sign);
      expect(gradual.end().namesPrototype).toBe(true);
      expect((await parseInTurns('{"proto":["\\u005f_","a__proto__"]}')).namesPrototype).toBe(false);
    },
  );
});

describe('a long text', () => {
  test.each([
    ['escapes', 'a\\"\\u00e9\\\\\\n'],
    ['pairs', '\\ud83d\\udd11\u{1f511}'],
    ['nothing but quotes', '\\"'],
    ['letters', 'abc'],
  ])('is read piece by piece: %s', async (_what, unit) => {
    const long = unit.repeat(Math.ceil(700_000 / unit.length));
    const text = `{"a":[1,"${long}" , 2],"b":"${long}","c":"${long}x"}`;
    expect((await parseInTurns(text)).value).toEqual(JSON.parse(text));
    await expect(parseInTurns(text.slice(0, -3))).rejects.toThrow(SyntaxError);
    await expect(parseInTurns(`["${long}" 1]`)).rejects.toThrow(SyntaxError);
    await expect(parseInTurns(`["${long}\\x"]`)).rejects.toThrow(SyntaxError);
    await expect(parseInTurns(`["${long}\n"]`)).rejects.toThrow(SyntaxError);
  });

  test('may be the whole, and is no key', async () => {
    const long = 'x'.repeat(300_000);
    for (const length of [1, 200_000, 262_000, 262_142, 262_144, 300_000, 330_000])
      expect((await parseInTurns(`{"a":${JSON.stringify('x'.repeat(length))}}`)).value).toEqual({ a: 'x'.repeat(length) });
    expect((await parseInTurns(JSON.stringify(long))).value).toBe(long);
    await expect(parseInTurns(`{"a":1,"${long.repeat(3)}":1}`)).rejects.toThrow(ExcessError);
    await expect(parseInTurns(`[${'1'.repeat(700_000)}]`)).rejects.toThrow(ExcessError);
    await expect(parseInTurns(`[1${' '.repeat(700_000)}]`)).rejects.toThrow(ExcessError);
    expect((await parseInTurns(`[1,\n${' '.repeat(400_000)}2]`)).value).toEqual([1, 2]);
  });

  test('of lists within lists is refused, however many there are', async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    expect((await parseInTurns(nested(512))).value).toEqual(JSON.parse(nested(512)));
    await expect(parseInTurns(nested(513))).rejects.toThrow(ExcessError);
    await expect(parseInTurns('['.repeat(5_000_000))).rejects.toThrow(ExcessError);
    await expect(parseInTurns(`[${'[],'.repeat(1_500_000)}0]`)).rejects.toThrow(ExcessError);
  });
});
