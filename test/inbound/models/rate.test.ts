import { expect, test } from 'vitest';
import { admitRating } from '../../../src/inbound/models/rate.ts';

test('ratings of one caller are taken up to a number in each minute, and those of others go on', () => {
  const startMs = 1_700_000_000_000 - (1_700_000_000_000 % 60_000);
  for (let count = 0; count < 600; count++) admitRating({ id: 'key:busy' }, startMs + count);
  expect(() => admitRating({ id: 'key:busy' }, startMs + 30_000)).toThrow(
    expect.objectContaining({ code: 'rate_limited', retryAfterMs: 30_000 }),
  );
  expect(() => admitRating({ id: 'key:other' }, startMs + 30_000)).not.toThrow();
  expect(() => admitRating({ id: 'key:busy' }, startMs + 60_000)).not.toThrow();
});

test('callers without number take no memory without end', () => {
  const startMs = 1_800_000_000_000;
  for (let caller = 0; caller < 10_000; caller++) admitRating({ id: `key:${caller}` }, startMs);
  expect(() => admitRating({ id: 'key:one-more' }, startMs)).toThrow(expect.objectContaining({ code: 'rate_limited' }));
  expect(() => admitRating({ id: 'key:0' }, startMs)).not.toThrow();
});
