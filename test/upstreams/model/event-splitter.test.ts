import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventSplitter, readEvent } from '../../../src/upstreams/model/event-splitter.ts';

const line = fc.constantFrom(
  'data: {"a":1}',
  'data:x',
  'event: ping',
  ': a remark',
  'id: 7',
  'data: \u2028\u{1f600}',
  'retry: 5',
  'data',
);
const linesOf = fc.array(line, { minLength: 1, maxLength: 4 });
const withEnding = (ending: fc.Arbitrary<string>) =>
  fc.array(
    fc.tuple(linesOf, ending).map(([lines, end]) => `${lines.join(end)}${end}${end}`),
    { maxLength: 8 },
  );
/** Lines of one stream end in LF and CRLF as they like, or all in CR. */
const stream = fc.oneof(withEnding(fc.constantFrom('\n', '\r\n')), withEnding(fc.constant('\r')));

/** Cuts a stream at these places, as far as it is that long. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end));
}

test('however a stream is cut, its events are the same and no byte is changed', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (events, places, isCut) => {
      const whole = Buffer.from(events.join('') + (isCut ? 'data: the beginn' : ''));
      const splitter = new EventSplitter(10_000);
      const found: string[] = [];
      for (const chunk of cut(whole, places)) splitter.push(chunk, (one) => found.push(one.toString()));
      expect(found).toEqual(events);
      expect(splitter.restBytes).toBe(isCut ? 16 : 0);
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 1_000 : 50_000 },
  );
});

test('an event beyond the limit is refused, one below it is not', () => {
  const splitter = new EventSplitter(20);
  const found: string[] = [];
  splitter.push(Buffer.from('data: 0123456789'), (one) => found.push(one.toString()));
  splitter.push(Buffer.from('\n\n'), (one) => found.push(one.toString()));
  expect(found).toEqual(['data: 0123456789\n\n']);
  splitter.push(Buffer.from('data: 0123456789'), () => {});
  expect(() => splitter.push(Buffer.from('01234'), () => {})).toThrow(RangeError);
});

test('what is left at the end is an event where its empty line alone is missing', () => {
  const endOf = (text: string) => {
    const splitter = new EventSplitter(100);
    const found: string[] = [];
    const take = (one: Buffer) => found.push(one.toString());
    splitter.push(Buffer.from(text), take);
    return [splitter.end(take), found];
  };
  expect(endOf('data: {"a":1}')).toEqual([true, ['data: {"a":1}\n\n']]);
  expect(endOf('data: 1\r\rdata: [DONE]\r')).toEqual([true, ['data: 1\r\r', 'data: [DONE]\r\r\r']]);
  expect(endOf('data: {"a":')).toEqual([false, []]);
  expect(endOf('\n: ping\n')).toEqual([true, []]);
});

test('the type and the lines of data are read; what has no data is no event', () => {
  expect(readEvent(Buffer.from('event: a\r\ndata: x\r\ndata:y\r\n\r\n'))).toEqual({ type: 'a', data: 'x\ny' });
  expect(readEvent(Buffer.from('event: a\rdata: x\rdata:y\r\r'))).toEqual({ type: 'a', data: 'x\ny' });
  expect(readEvent(Buffer.from('\ufeffevent: a\ndata: x\n\n'))).toEqual({ type: 'a', data: 'x' });
  expect(readEvent(Buffer.from(': ping\n\n'))).toBeUndefined();
});
