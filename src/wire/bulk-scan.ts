import { assembleWasm } from './assemble-wasm.ts';

/**
 * Passes over a long JSON value 64 bytes at a time, with SIMD: a byte of text inside of a string costs a tenth of what it costs in
 * JavaScript. It accepts exactly what RFC 8259 allows, escapes included, so that what it has passed is one value for every parser.
 * The masks follow the method of Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (2019), section 3.1.
 */

/** What may come next. A value below `keyOrEnd` means that a value may. */
export const expect = { value: 0, valueOrEnd: 1, keyOrEnd: 2, key: 3, colon: 4, commaOrEnd: 5 } as const;

/** V8 takes the hash of a longer string to be its length: many of one length make every table of them a list that is searched from its start. */
export const longKeyBytes = 16_383;

/** Where a scan stands: between two tokens of a value. */
export interface Position {
  /** Of the next byte to look at. */
  readonly at: number;
  /** How deep that is, and how deep the value itself is: the scan ends when it is back there. */
  readonly depth: number;
  readonly outer: number;
  readonly next: number;
  /** The brackets that are open, as bytes, by depth. */
  readonly open: Uint8Array;
}

type BulkScan =
  | {
      readonly kind: 'passed';
      /** Offset behind the value. */
      readonly end: number;
      readonly deepest: number;
      readonly hasLongNumber: boolean;
      readonly namesUri: boolean;
      /** How many keys are longer than `longKeyBytes`. */
      readonly longKeys: number;
      readonly keys: number;
      /** Commas, and lists and objects. */
      readonly commas: number;
      readonly containers: number;
    }
  | { readonly kind: 'unexpected'; readonly at: number }
  | { readonly kind: 'too-deep' };

// The memory: state, tables, then a piece of the message.
const state = {
  depth: 0,
  outer: 4,
  next: 8,
  scalar: 12,
  scalarLength: 16,
  lastAt: 20,
  deepest: 24,
  flags: 28,
  start: 32,
} as const;
const longState = { inString: 64, escaped: 72, hex: 80 } as const;
const isKeyAt = 36;
const hadEscapeAt = 40;
const deepestAllowedAt = 44;
const longKeysAt = 48;
const keysAt = 52;
const commasAt = 56;
const containersAt = 60;
const openAt = 256;
const scalarsAt = 1024;
const pieceAt = 65_536;
const pieceBytes = 65_536;
const flag = { longNumber: 1, uri: 2, tooDeep: 4 } as const;

/** Goes on from `position`. `maxDepth` is the deepest nesting to accept. */
export function scanBulk(bytes: Buffer, position: Position, maxDepth: number): BulkScan {
  machine ??= startMachine();
  const { memory, view, run } = machine;
  let { at } = position;
  view.fill(0, 0, openAt >> 2);
  view[state.depth >> 2] = position.depth;
  view[state.outer >> 2] = position.outer;
  view[state.next >> 2] = position.next;
  view[state.lastAt >> 2] = -2;
  view[deepestAllowedAt >> 2] = maxDepth;
  memory.set(position.open.subarray(0, position.depth + 1), openAt);
  // A value may end soon: the first pieces are small.
  for (let size = 4096; ; size = Math.min(size * 4, pieceBytes)) {
    const length = Math.min(size, bytes.length - at);
    memory.set(bytes.subarray(at, at + length), pieceAt);
    // Blanks behind the last byte end whatever it was, and are part of nothing.
    if (length % 64 !== 0 || length === 0) memory.fill(0x20, pieceAt + length, pieceAt + length + 64);
    const outcome = run(length);
    const flags = view[state.flags >> 2] ?? 0;
    if (outcome >= 0) {
      return {
        kind: 'passed',
        end: at + outcome,
        deepest: view[state.deepest >> 2] ?? 0,
        hasLongNumber: (flags & flag.longNumber) !== 0,
        namesUri: (flags & flag.uri) !== 0,
        longKeys: view[longKeysAt >> 2] ?? 0,
        keys: view[keysAt >> 2] ?? 0,
        commas: view[commasAt >> 2] ?? 0,
        containers: view[containersAt >> 2] ?? 0,
      };
    }
    if (outcome < -1) return (flags & flag.tooDeep) !== 0 ? { kind: 'too-deep' } : { kind: 'unexpected', at: at - outcome - 2 };
    at += length;
    if (at >= bytes.length) return { kind: 'unexpected', at };
  }
}

interface Machine {
  readonly memory: Uint8Array;
  readonly view: Int32Array;
  /** Offset behind the value's end in this piece; -1: it goes on; below: an error at -(2 + offset). */
  readonly run: (length: number) => number;
}

let machine: Machine | undefined;

function startMachine(): Machine {
  const module = new WebAssembly.Module(assembleWasm({ params: ['length'], locals, pages: 3, body }));
  const { exports } = new WebAssembly.Instance(module);
  const { memory, run } = exports as { memory: WebAssembly.Memory; run: Machine['run'] };
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(scalarTable(), scalarsAt);
  return { memory: bytes, view: new Int32Array(memory.buffer), run };
}

/**
 * Numbers and words as states: `table[state * 256 + byte]` is the next one, 0 where there is none. The first row is the start; the
 * row behind the last state says which states are whole.
 */
function scalarTable(): Uint8Array {
  const table = new Uint8Array((scalarStates + 1) * 256);
  const go = (from: number, bytes: string, to: number) => {
    for (const byte of Buffer.from(bytes)) table[from * 256 + byte] = to;
  };
  const [minus, zero, whole, point, fraction, e, sign, exponent, word] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
  for (const from of [0, minus]) {
    go(from, '0', zero);
    go(from, '123456789', whole);
  }
  go(0, '-', minus);
  go(whole, '0123456789', whole);
  for (const from of [zero, whole]) go(from, '.', point);
  for (const from of [point, fraction]) go(from, '0123456789', fraction);
  for (const from of [zero, whole, fraction]) go(from, 'eE', e);
  go(e, '+-', sign);
  for (const from of [e, sign, exponent]) go(from, '0123456789', exponent);
  let free = word + 1;
  for (const text of ['true', 'false', 'null']) {
    let from = 0;
    for (const [index, letter] of [...text].entries()) {
      const to = index === text.length - 1 ? word : free++;
      go(from, letter, to);
      from = to;
    }
  }
  for (const done of [zero, whole, fraction, exponent, word]) table[scalarStates * 256 + done] = 1;
  return table;
}

const scalarStates = 20;

const locals = {
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

const body = `
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
