import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type SseEvent, SseReader } from '../../src/wire/sse.ts';
import { measureHeld } from '../support/held-memory.ts';

function readAll(chunks: readonly Buffer[], limitBytes = 1_000_000) {
  const events: { data: string; type: string; id: string | undefined }[] = [];
  const retries: number[] = [];
  const reader = new SseReader(
    {
      onEvent: ({ data, type, id }: SseEvent) => events.push({ data: data.toString(), type, id }),
      onRetry: (ms) => retries.push(ms),
    },
    limitBytes,
  );
  for (const chunk of chunks) reader.push(chunk);
  return { events, retries };
}

test('a stream reads the same however it is cut', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll(/[\r\n\u0000]/g, ' '));
  const event = fc.record({ data: fc.array(line, { minLength: 1, maxLength: 3 }), end: fc.constantFrom('\n', '\r\n', '\r') });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 5 }), fc.array(fc.nat(200), { maxLength: 6 }), (given, cuts) => {
      const bytes = Buffer.from(
        given.map(({ data, end }) => `${data.map((text) => `data: ${text}${end}`).join('')}${end}`).join(''),
      );
      const chunks: Buffer[] = [];
      let from = 0;
      for (const cut of [...cuts, bytes.length].map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b)) {
        chunks.push(bytes.subarray(from, cut));
        from = cut;
      }
      expect(readAll(chunks).events.map(({ data }) => data)).toEqual(given.map(({ data }) => data.join('\n')));
    }),
  );
});

test('ids, types, retry, comments and a byte order mark are read as the standard says', () => {
  const text = '\uFEFF: hello\nid: 7\nevent: endpoint\nretry: 250\ndata:x\n\ndata: y\n\nevent: lost\n\n';
  expect(readAll([Buffer.from(text)])).toEqual({
    events: [
      { data: 'x', type: 'endpoint', id: '7' },
      { data: 'y', type: 'message', id: '7' },
    ],
    retries: [250],
  });
});

test('an event without its empty line is never delivered', () => {
  expect(readAll([Buffer.from('data: {"half":')]).events).toEqual([]);
});

test('an event over the limit is refused, one below is taken', () => {
  expect(() => readAll([Buffer.from(`data: ${'x'.repeat(100)}`)], 64)).toThrow(RangeError);
  expect(() => readAll([Buffer.from('data: x\n'.repeat(50))], 64)).toThrow(RangeError);
  expect(readAll([Buffer.from(`data: ${'x'.repeat(50)}\n\n`.repeat(10))], 64).events).toHaveLength(10);
});

test('an event in pieces of one byte costs about what it holds, and reads the same', async () => {
  const events: SseEvent[] = [];
  const reader = new SseReader({ onEvent: (event) => events.push(event) }, 1_000_000);
  const heldIsBelow = measureHeld();
  const text = `data: ${'x'.repeat(20_000)}${'\ndata:y'.repeat(40_000)}`;
  for (const byte of Buffer.from(text)) reader.push(Buffer.of(byte));
  await heldIsBelow(4_000_000);
  reader.push(Buffer.from('\n\n'));
  expect(events.map(({ data }) => data.length)).toEqual([100_000]);
});

test('empty data lines count too', () => {
  expect(() => readAll([Buffer.from('data:\n'.repeat(100))], 64)).toThrow(RangeError);
  expect(readAll([Buffer.from(`${'data:\n'.repeat(4)}\n`)], 64).events).toMatchObject([{ data: '\n\n\n' }]);
});
