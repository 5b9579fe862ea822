import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawLot, makeSpanId, makeTraceId, readTraceContext, writeTraceparent } from '../../src/telemetry/trace-context.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';
const valid = `00-${traceId}-${spanId}-01`;

describe('traceparent (W3C Trace Context, section 3.2)', () => {
  test.each([
    [valid, true],
    [`00-${traceId}-${spanId}-00`, false],
    [`00-${traceId}-${spanId}-03`, true],
    [`00-${traceId}-${spanId}-fe`, false],
    [`01-${traceId}-${spanId}-01`, true],
    [`cc-${traceId}-${spanId}-01-what-the-future-will-be-like`, true],
    [`cc-${traceId}-${spanId}-01-`, true],
  ])('%s is read', (text, isSampled) => {
    expect(readTraceContext(text, undefined)).toEqual({ traceId, spanId, isSampled, state: undefined });
  });

  test.each([
    '',
    '00',
    `ff-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${traceId}-${spanId}-0x`,
    `00-${traceId}-${spanId}-1`,
    `00-${traceId}-${spanId}-01-more`,
    `00-${traceId}-${spanId}-010`,
    `cc-${traceId}-${spanId}-01.more`,
    ` ${valid}`,
    `${valid} `,
    `${valid}\n`,
    `${valid}, ${valid}`,
    `0-${traceId}-${spanId}-01-`,
    `00_${traceId}_${spanId}_01`,
    'x'.repeat(1_000_000),
    5,
    null,
    undefined,
    {},
    [valid],
  ])('%j is ignored', (text) => {
    expect(readTraceContext(text, 'vendor=1')).toBeUndefined();
  });

  test('what we write is read', () => {
    fc.assert(
      fc.property(fc.constant(null), () => {
        const ids = { traceId: makeTraceId(), spanId: makeSpanId() };
        expect(readTraceContext(writeTraceparent(ids.traceId, ids.spanId), undefined)).toMatchObject({ ...ids, isSampled: true });
      }),
      { numRuns: 2000 },
    );
  });

  test('whatever comes, what is read is valid and nothing is thrown', () => {
    const nearly = fc
      .tuple(fc.constantFrom(valid, `cc-${traceId}-${spanId}-01-x`), fc.nat(54), fc.string({ unit: 'binary', maxLength: 2 }))
      .map(([text, at, change]) => text.slice(0, at) + change + text.slice(at + 1));
    fc.assert(
      fc.property(fc.oneof(fc.anything(), nearly), fc.oneof(fc.anything(), fc.string()), (parent, state) => {
        const read = readTraceContext(parent, state);
        if (read === undefined) return;
        expect(read.traceId).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
        expect(read.spanId).toMatch(/^(?!0+$)[0-9a-f]{16}$/);
        expect((read.state ?? '').length).toBeLessThanOrEqual(512);
      }),
    );
  });
});

describe('tracestate (section 3.3)', () => {
  const stateOf = (state: unknown) => readTraceContext(valid, state)?.state;

  test.each([
    ['rojo=00f067aa0ba902b7', 'rojo=00f067aa0ba902b7'],
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    ['a=1 , b=2,,\tc=3', 'a=1,b=2,c=3'],
    ['tenant@system=value with spaces', 'tenant@system=value with spaces'],
    ['0a/b*c_d-e=!~', '0a/b*c_d-e=!~'],
    [Array.from({ length: 32 }, (_, n) => `k${n}=v`).join(','), Array.from({ length: 32 }, (_, n) => `k${n}=v`).join(',')],
  ])('%j is passed on', (text, passed) => {
    expect(stateOf(text)).toBe(passed);
  });

  test.each([
    '',
    ',',
    'a',
    '=1',
    'A=1',
    'a=1,a=2',
    'a=b=c',
    'a=\u0000',
    'a=é',
    'a=1\r\nx: y',
    Array.from({ length: 33 }, (_, n) => `k${n}=v`).join(','),
    `a=${'x'.repeat(600)}`,
    5,
    ['a=1'],
    null,
  ])('%j is dropped, and the parent stays', (text) => {
    expect(readTraceContext(valid, text)).toMatchObject({ traceId, state: undefined });
  });
});

test('ids differ', () => {
  const ids = Array.from({ length: 5000 }, makeSpanId);
  expect(new Set(ids).size).toBe(5000);
});

test('a share of none and of all are just that', () => {
  for (let n = 0; n < 1000; n += 1) expect([drawLot(0), drawLot(1)]).toEqual([false, true]);
});
