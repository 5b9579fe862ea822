import {
  commasAt,
  containersAt,
  deepestAllowedAt,
  expect,
  flag,
  hadEscapeAt,
  isKeyAt,
  keysAt,
  longKeyBytes,
  longKeysAt,
  longState,
  openAt,
  pieceAt,
  scalarStates,
  scalarsAt,
  state,
} from './bulk-memory.ts';

/**
 * One piece of a message, 64 bytes at a time, in the text format of WebAssembly. The masks follow the method of Langdale and Lemire,
 * "Parsing Gigabytes of JSON per Second" (2019), section 3.1.
 */

export const locals = {
  p: 'i32',
  bit: 'i32',
  byte: 'i32',
  place: 'i32',
  next: 'i32',
  depth: 'i32',
  scalar: 'i32',
  v0: 'v128',
  v1: 'v128',
  v2: 'v128',
  v3: 'v128',
  slashes: 'i64',
  quotes: 'i64',
  escaped: 'i64',
  carry: 'i64',
  starts: 'i64',
  inside: 'i64',
  within: 'i64',
  bad: 'i64',
  codes: 'i64',
  ofString: 'i64',
  tokens: 'i64',
} as const;

const get = (name: keyof typeof locals | 'length') => `(local.get ${name})`;
const set = (name: keyof typeof locals, value: string) => `(local.set ${name} ${value})`;
const i32 = (value: number) => `(i32.const ${value})`;
const i64 = (value: number | bigint) => `(i64.const ${value})`;
const load = (at: number) => `(i32.load ${at} ${i32(0)})`;
const store = (at: number, value: string) => `(i32.store ${at} ${i32(0)} ${value})`;
const loadLong = (at: number) => `(i64.load ${at} ${i32(0)})`;
const storeLong = (at: number, value: string) => `(i64.store ${at} ${i32(0)} ${value})`;
const when = (condition: string, yes: string, no?: string) =>
  `(if ${condition} (then ${yes}) ${no === undefined ? '' : `(else ${no})`})`;
const not = (value: string) => `(i64.xor ${value} ${i64(-1)})`;
const isByte = (byte: string) => `(i32.eq ${get('byte')} ${i32(code(byte))})`;
const increment = (at: number) => store(at, `(i32.add ${load(at)} ${i32(1)})`);
const raise = (bits: number) => store(state.flags, `(i32.or ${load(state.flags)} ${i32(bits)})`);
/** Leaves with the offset of what was not expected. */
const failAt = (place: string) => `(return (i32.sub ${i32(-2)} ${place}))`;
const failAtFirst = (mask: string) => failAt(`(i32.add ${get('p')} (i32.wrap_i64 (i64.ctz ${mask})))`);
const splat = (byte: string | number) => `(i8x16.splat ${i32(typeof byte === 'string' ? code(byte) : byte)})`;
const equal = (byte: string) => (vector: string) => `(i8x16.eq ${vector} ${splat(byte)})`;
const below = (limit: number) => (vector: string) => `(i8x16.lt_u ${vector} ${splat(limit)})`;
const inRange = (from: string, count: number) => (vector: string) => below(count)(`(i8x16.sub ${vector} ${splat(from)})`);
const anyOf = (tests: readonly ((vector: string) => string)[]) => (vector: string) =>
  tests.map((test) => test(vector)).reduce((a, b) => `(v128.or ${a} ${b})`);

/** What may stand behind a backslash, looked up by the halves of the byte: it is one where the two entries share a bit. */
const isEscape = (vector: string) => {
  const escapes = Buffer.from('"\\/bfnrtu');
  const highs = [...new Set(escapes.map((byte) => byte >> 4))];
  const entry = (half: number, halfOf: (byte: number) => number) =>
    escapes.reduce((bits, byte) => (halfOf(byte) === half ? bits | (1 << highs.indexOf(byte >> 4)) : bits), 0);
  const low = table((half) => entry(half, (byte) => byte & 15));
  const high = table((half) => entry(half, (byte) => byte >> 4));
  const lowHalf = `(v128.and ${vector} ${splat(15)})`;
  const highHalf = `(i8x16.shr_u ${vector} ${i32(4)})`;
  return `(i8x16.ne (v128.and (i8x16.swizzle ${low} ${lowHalf}) (i8x16.swizzle ${high} ${highHalf})) ${splat(0)})`;
};

/** Sixteen bytes, by index. */
function table(entry: (index: number) => number): string {
  return `(v128.const ${Array.from({ length: 16 }, (_, index) => entry(index)).join(' ')})`;
}

function code(byte: string): number {
  return byte.charCodeAt(0);
}

/** One bit per byte of the block for which the test holds. */
function mask(test: (vector: string) => string): string {
  const part = (vector: 'v0' | 'v1' | 'v2' | 'v3', shift: number) =>
    `(i64.shl (i64.extend_i32_u (i8x16.bitmask ${test(get(vector))})) ${i64(shift)})`;
  return `(i64.or (i64.or ${part('v0', 0)} ${part('v1', 16)}) (i64.or ${part('v2', 32)} ${part('v3', 48)}))`;
}

const even = 0x5555555555555555n;

/** Which bytes are escaped: those behind an odd run of backslashes, which may have begun in the block before. */
const findEscaped = when(
  `(i64.eqz ${get('slashes')})`,
  set('escaped', loadLong(longState.escaped)) + storeLong(longState.escaped, i64(0)),
  set('carry', loadLong(longState.escaped)) +
    set('starts', `(i64.and ${get('slashes')} ${not(get('carry'))})`) +
    set('codes', `(i64.or (i64.shl ${get('starts')} ${i64(1)}) ${get('carry')})`) +
    set('bad', `(i64.and (i64.and ${get('starts')} ${i64(~even)}) ${not(get('codes'))})`) +
    set('tokens', `(i64.add ${get('bad')} ${get('starts')})`) +
    storeLong(longState.escaped, `(i64.extend_i32_u (i64.lt_u ${get('tokens')} ${get('bad')}))`) +
    set('escaped', `(i64.and (i64.xor ${i64(even)} (i64.shl ${get('tokens')} ${i64(1)})) ${get('codes')})`),
);

/** Every bit becomes the parity of itself and all below: from quotes to what is between them, the opening one included. */
const spread = [1, 2, 4, 8, 16, 32]
  .map((by) => set('inside', `(i64.xor ${get('inside')} (i64.shl ${get('inside')} ${i64(by)}))`))
  .join('');

const shiftedCodes = [1, 2, 3, 4]
  .map((by) => `(i64.shl ${get('codes')} ${i64(by)})`)
  .reduce((a, b) => `(i64.or ${a} ${b})`, loadLong(longState.hex));
const leftCodes = [63, 62, 61, 60].map((by) => `(i64.shr_u ${get('codes')} ${i64(by)})`).reduce((a, b) => `(i64.or ${a} ${b})`);

/** Behind a backslash stands one of eight, or u and four hexadecimal digits. */
const checkEscapes = when(
  `(i64.ne (i64.or ${get('escaped')} ${loadLong(longState.hex)}) ${i64(0)})`,
  set('bad', `(i64.and (i64.and ${get('escaped')} ${get('within')}) ${not(mask(isEscape))})`) +
    when(`(i64.ne ${get('bad')} ${i64(0)})`, failAtFirst(get('bad'))) +
    set('codes', `(i64.and (i64.and ${get('escaped')} ${get('within')}) ${mask(equal('u'))})`) +
    set('bad', shiftedCodes) +
    storeLong(longState.hex, leftCodes) +
    when(
      `(i64.ne ${get('bad')} ${i64(0)})`,
      set('bad', `(i64.and ${get('bad')} ${not(mask(anyOf([inRange('0', 10), inRange('a', 6), inRange('A', 6)])))})`) +
        when(`(i64.ne ${get('bad')} ${i64(0)})`, failAtFirst(get('bad'))),
    ),
);

/** A number or word that was going on is over. */
const endScalar = when(
  `(i32.ne ${get('scalar')} ${i32(0)})`,
  when(`(i32.eqz (i32.load8_u ${scalarsAt + scalarStates * 256} ${get('scalar')}))`, failAt(get('place'))) +
    when(`(i32.ge_s ${load(state.scalarLength)} ${i32(16)})`, raise(flag.longNumber)) +
    set('scalar', i32(0)) +
    store(state.scalarLength, i32(0)) +
    set('next', i32(expect.commaOrEnd)),
);

const bitsBelow = `(i64.sub (i64.shl ${i64(1)} (i64.extend_i32_u ${get('bit')})) ${i64(1)})`;
const keyBytes = (index: number) => `(i32.load8_u ${pieceAt + index} ${load(state.start)})`;

const openString =
  when(`(i32.gt_s ${get('next')} ${i32(expect.key)})`, failAt(get('place'))) +
  store(isKeyAt, `(i32.gt_s ${get('next')} ${i32(expect.valueOrEnd)})`) +
  store(state.start, get('place')) +
  store(hadEscapeAt, i32(0)) +
  set('ofString', `(i64.shl ${i64(-1)} (i64.extend_i32_u ${get('bit')}))`);

/** A key that is "uri", or may be: one that began in an earlier piece, or one spelled with escapes (the shortest is \u0075ri). */
const noteKey =
  set('byte', `(i32.sub ${get('place')} ${load(state.start)})`) +
  when(
    `(i32.eq ${get('byte')} ${i32(4)})`,
    when(
      `(i32.lt_s ${load(state.start)} ${i32(0)})`,
      raise(flag.uri),
      when(
        `(i32.and (i32.and (i32.eq ${keyBytes(1)} ${i32(code('u'))}) (i32.eq ${keyBytes(2)} ${i32(code('r'))})) (i32.eq ${keyBytes(3)} ${i32(code('i'))}))`,
        raise(flag.uri),
      ),
    ),
  ) +
  when(
    `(i32.and (i32.ge_s ${get('byte')} ${i32(9)}) (i32.or ${load(hadEscapeAt)} (i64.ne (i64.and (i64.and ${get('slashes')} ${get('ofString')}) ${bitsBelow}) ${i64(0)})))`,
    raise(flag.uri),
  ) +
  when(`(i32.gt_s ${get('byte')} ${i32(longKeyBytes + 1)})`, store(longKeysAt, `(i32.add ${load(longKeysAt)} ${i32(1)})`)) +
  increment(keysAt);

const endIfDone = when(`(i32.eq ${get('depth')} ${load(state.outer)})`, `(return (i32.add ${get('place')} ${i32(1)}))`);

const closeString = when(
  load(isKeyAt),
  noteKey + set('next', i32(expect.colon)),
  set('next', i32(expect.commaOrEnd)) + endIfDone,
);

const openBracket = (opens: string, then: number) =>
  when(`(i32.gt_s ${get('next')} ${i32(expect.valueOrEnd)})`, failAt(get('place'))) +
  set('depth', `(i32.add ${get('depth')} ${i32(1)})`) +
  increment(containersAt) +
  when(`(i32.gt_s ${get('depth')} ${load(deepestAllowedAt)})`, raise(flag.tooDeep) + failAt(get('place'))) +
  `(i32.store8 ${openAt} ${get('depth')} ${i32(code(opens))})` +
  when(`(i32.gt_s ${get('depth')} ${load(state.deepest)})`, store(state.deepest, get('depth'))) +
  set('next', i32(then)) +
  '(br next)';

const closeBracket = (opened: string, orEnd: number) =>
  when(
    `(i32.eqz (i32.or (i32.eq ${get('next')} ${i32(expect.commaOrEnd)}) (i32.eq ${get('next')} ${i32(orEnd)})))`,
    failAt(get('place')),
  ) +
  when(`(i32.le_s ${get('depth')} ${load(state.outer)})`, failAt(get('place'))) +
  when(`(i32.ne (i32.load8_u ${openAt} ${get('depth')}) ${i32(code(opened))})`, failAt(get('place'))) +
  set('depth', `(i32.sub ${get('depth')} ${i32(1)})`) +
  set('next', i32(expect.commaOrEnd)) +
  endIfDone +
  '(br next)';

const afterComma = when(
  `(i32.eq (i32.load8_u ${openAt} ${get('depth')}) ${i32(code('{'))})`,
  set('next', i32(expect.key)),
  set('next', i32(expect.value)),
);

const punctuation =
  when(
    isByte(','),
    `${endScalar + when(`(i32.ne ${get('next')} ${i32(expect.commaOrEnd)})`, failAt(get('place'))) + increment(commasAt) + afterComma}(br next)`,
  ) +
  when(
    isByte(':'),
    endScalar +
      when(`(i32.ne ${get('next')} ${i32(expect.colon)})`, failAt(get('place'))) +
      set('next', i32(expect.value)) +
      '(br next)',
  ) +
  when(isByte('{'), endScalar + openBracket('{', expect.keyOrEnd)) +
  when(isByte('['), endScalar + openBracket('[', expect.valueOrEnd)) +
  when(isByte('}'), endScalar + closeBracket('{', expect.keyOrEnd)) +
  when(isByte(']'), endScalar + closeBracket('[', expect.valueOrEnd));

/** One more byte of a number or word; a gap before it means that another one begins. */
const scalarByte =
  when(`(i32.ne ${get('place')} (i32.add ${load(state.lastAt)} ${i32(1)}))`, endScalar) +
  when(`(i32.and (i32.eqz ${get('scalar')}) (i32.gt_s ${get('next')} ${i32(expect.valueOrEnd)}))`, failAt(get('place'))) +
  set('scalar', `(i32.load8_u ${scalarsAt} (i32.add (i32.shl ${get('scalar')} ${i32(8)}) ${get('byte')}))`) +
  when(`(i32.eqz ${get('scalar')})`, failAt(get('place'))) +
  store(state.scalarLength, `(i32.add ${load(state.scalarLength)} ${i32(1)})`) +
  store(state.lastAt, get('place'));

const token = `
  ${set('bit', `(i32.wrap_i64 (i64.ctz ${get('tokens')}))`)}
  ${set('tokens', `(i64.and ${get('tokens')} (i64.sub ${get('tokens')} ${i64(1)}))`)}
  ${set('place', `(i32.add ${get('p')} ${get('bit')})`)}
  ${set('byte', `(i32.load8_u ${pieceAt} ${get('place')})`)}
  ${when(
    isByte('"'),
    `${when(
      `(i32.wrap_i64 (i64.and (i64.shr_u ${get('inside')} (i64.extend_i32_u ${get('bit')})) ${i64(1)}))`,
      endScalar + openString,
      closeString,
    )}(br next)`,
  )}
  ${punctuation}
  ${scalarByte}`;

const vectorAt = (index: number) => `(v128.load ${pieceAt + index * 16} ${get('p')})`;

const block = `
  ${set('v0', vectorAt(0))} ${set('v1', vectorAt(1))} ${set('v2', vectorAt(2))} ${set('v3', vectorAt(3))}
  ${set('slashes', mask(equal('\\')))}
  ${findEscaped}
  ${set('quotes', `(i64.and ${mask(equal('"'))} ${not(get('escaped'))})`)}
  ${set('inside', get('quotes'))}
  ${when(`(i64.ne ${get('quotes')} ${i64(0)})`, spread)}
  ${set('inside', `(i64.xor ${get('inside')} ${loadLong(longState.inString)})`)}
  ${storeLong(longState.inString, `(i64.shr_s ${get('inside')} ${i64(63)})`)}
  ${set('within', `(i64.and ${get('inside')} ${not(get('quotes'))})`)}
  ${set('bad', `(i64.and ${mask(below(0x20))} ${get('within')})`)}
  ${when(`(i64.ne ${get('bad')} ${i64(0)})`, failAtFirst(get('bad')))}
  ${checkEscapes}
  ${set('ofString', i64(-1))}
  ${when(
    `(i64.ne ${get('within')} ${i64(-1)})`,
    set('tokens', `(i64.or ${get('quotes')} (i64.and ${not(get('inside'))} ${not(mask(anyOf([...' \n\r\t'].map(equal))))}))`) +
      `(loop next (if (i64.ne ${get('tokens')} ${i64(0)}) (then ${token} (br next))))`,
  )}
  ${when(
    `(i64.ne ${loadLong(longState.inString)} ${i64(0)})`,
    store(hadEscapeAt, `(i32.or ${load(hadEscapeAt)} (i64.ne (i64.and ${get('slashes')} ${get('ofString')}) ${i64(0)}))`),
  )}`;

export const body = `
  ${set('next', load(state.next))}
  ${set('depth', load(state.depth))}
  ${set('scalar', load(state.scalar))}
  (loop blocks
    ${block}
    ${set('p', `(i32.add ${get('p')} ${i32(64)})`)}
    (br_if blocks (i32.lt_s ${get('p')} ${get('length')})))
  ${store(state.next, get('next'))}
  ${store(state.depth, get('depth'))}
  ${store(state.scalar, get('scalar'))}
  ${store(state.lastAt, `(i32.sub ${load(state.lastAt)} ${get('length')})`)}
  ${store(state.start, `(i32.sub ${load(state.start)} ${get('length')})`)}
  ${i32(-1)}`;
