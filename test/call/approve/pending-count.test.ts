import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pendingCount } from '../../../src/call/approve/pending-count.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('says how many wait', async () => {
  expect(await pendingCount(async () => 3)()).toBe(3);
});

test('of a store that fails it says nothing, and asks again the next time', async () => {
  const answers = [Promise.reject(new Error('away')), Promise.resolve(2)];
  const count = pendingCount(() => answers.shift() ?? Promise.resolve(0));
  expect([await count(), await count()]).toEqual([undefined, 2]);
});

test('a store that hangs is waited for half a second, and asked once', async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  let asked = 0;
  const count = pendingCount(() => {
    asked += 1;
    return promise;
  });
  const both = Promise.all([count(), count()]);
  await vi.advanceTimersByTimeAsync(500);
  expect(await both).toEqual([undefined, undefined]);
  const third = count();
  resolve(4);
  expect([await third, asked]).toEqual([4, 1]);
  await count();
  expect(asked).toBe(2);
});
