import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Pieces } from '../../src/wire/pieces.ts';
import { measureHeld } from '../support/held-memory.ts';

test('a lone piece is given back as it is, without a copy', () => {
  const pieces = new Pieces();
  expect(pieces.take()).toHaveLength(0);
  const chunk = Buffer.from('one chunk');
  pieces.push(Buffer.alloc(0));
  pieces.push(chunk);
  expect(pieces.length).toBe(9);
  expect(pieces.take()).toBe(chunk);
  expect(pieces.length).toBe(0);
  expect(pieces.take()).toHaveLength(0);
});

test('pieces of any size come back in their order, again and again', () => {
  const size = fc.oneof(
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 500, max: 1100 }),
    fc.integer({ min: 0, max: 150_000 }),
  );
  fc.assert(
    fc.property(fc.array(fc.array(size, { maxLength: 8 }), { maxLength: 3 }), (rounds) => {
      const pieces = new Pieces();
      for (const sizes of rounds) {
        const chunks = sizes.map((length, index) => Buffer.alloc(length, index + 1));
        for (const chunk of chunks) pieces.push(chunk);
        const whole = Buffer.concat(chunks);
        expect(pieces.length).toBe(whole.length);
        expect(pieces.take().equals(whole)).toBe(true);
      }
    }),
    { numRuns: 60 },
  );
});

test('pieces of one byte, and small parts of large buffers, cost about what they hold', async () => {
  const heldIsBelow = measureHeld();
  const pieces = new Pieces();
  for (let count = 0; count < 300_000; count++) pieces.push(Buffer.allocUnsafeSlow(1).fill(0x61));
  const drops = 500;
  for (let count = 0; count < drops; count++) pieces.push(Buffer.alloc(262_144, 0x62).subarray(0, 1000));
  expect(pieces.length).toBe(300_000 + drops * 1000);
  await heldIsBelow(5_000_000);
  const whole = pieces.take();
  expect(whole.subarray(0, 300_000).every((byte) => byte === 0x61)).toBe(true);
  expect(whole.subarray(300_000).every((byte) => byte === 0x62)).toBe(true);
});
