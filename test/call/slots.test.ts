import { expect, test } from 'vitest';
import { Slots } from '../../src/call/slots.ts';
import { Cancel } from '../../src/wire/cancel.ts';

test('a full upstream makes the next call wait, and refuses when as many wait as run', async () => {
  const slots = new Slots(1);
  expect(slots.take('a/b', new Cancel())).toBeUndefined();
  const second = slots.take('a/b', new Cancel());
  expect(second).toBeInstanceOf(Promise);
  expect(() => slots.take('a/b', new Cancel())).toThrow(expect.objectContaining({ code: 'upstream_busy' }));
  slots.give();
  await second;
  slots.give();
  expect(slots.take('a/b', new Cancel())).toBeUndefined();
});

test('a call that is given up while it waits leaves its place', async () => {
  const slots = new Slots(1);
  void slots.take('a/b', new Cancel());
  const cancel = new Cancel();
  const waiting = slots.take('a/b', cancel);
  cancel.cancel('the client left');
  await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
  const next = slots.take('a/b', new Cancel());
  slots.give();
  await next;
});
