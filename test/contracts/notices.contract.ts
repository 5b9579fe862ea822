import { expect, it } from 'vitest';
import type { StoredNotice } from '../../src/store/ports/notices.ts';
import type { Store } from '../../src/store/ports.ts';

/** What is promised of what people have to be told yet. Part of the store contract. */
export function noticesContract(place: () => Promise<{ open(): Promise<Store> }>, isShared: boolean): void {
  const notice = (id: string, more: Partial<StoredNotice> = {}): StoredNotice => ({
    channel: 'webhook',
    id,
    event: `{"id":"${id}","text":"\u{1f600}'"}`,
    tried: 0,
    dueAtMs: 1_795_000_000_000,
    ...more,
  });
  const now = 1_795_000_000_000;
  const ids = (taken: readonly StoredNotice[]) => taken.map(({ id }) => id).sort();

  it('gives each notice to one who takes it, and again once the time for it is over', async () => {
    const { notices } = await (await place()).open();
    await notices.add(notice('a'), 10);
    await notices.add(notice('later', { dueAtMs: now + 5 }), 10);
    await notices.add(notice('mail', { channel: 'smtp' }), 10);
    expect(await notices.take('webhook', now, now + 100, 10)).toEqual([notice('a', { dueAtMs: now + 100 })]);
    expect(await notices.take('webhook', now, now + 100, 10)).toEqual([]);
    expect(ids(await notices.take('webhook', now + 100, now + 200, 10))).toEqual(['a', 'later']);
    expect(ids(await notices.take('smtp', now, now + 1, 10))).toEqual(['mail']);
  });

  it('takes no more notices than are wanted, the longest due first', async () => {
    const { notices } = await (await place()).open();
    for (const [at, id] of ['c', 'a', 'b'].entries()) await notices.add(notice(id, { dueAtMs: now + at }), 10);
    expect(ids(await notices.take('webhook', now + 9, now + 99, 2))).toEqual(['a', 'c']);
  });

  it('keeps one notice of an id, as many as it may, and says so', async () => {
    const { notices } = await (await place()).open();
    expect([await notices.add(notice('a'), 2), await notices.add(notice('a', { event: '{}' }), 2)]).toEqual([true, true]);
    expect([await notices.add(notice('b'), 2), await notices.add(notice('c'), 2)]).toEqual([true, false]);
    expect(await notices.add(notice('c', { channel: 'smtp' }), 2)).toBe(true);
    expect((await notices.take('webhook', now, now + 1, 10)).find(({ id }) => id === 'a')?.event).toBe(notice('a').event);
  });

  it('puts a notice back for later, and forgets one that was told', async () => {
    const { notices } = await (await place()).open();
    expect(await notices.nextDueMs('webhook')).toBeUndefined();
    await notices.add(notice('a'), 10);
    await notices.add(notice('b', { dueAtMs: now + 50 }), 10);
    await notices.take('webhook', now, now + 100, 10);
    await notices.postpone('webhook', 'a', 3, now + 7);
    expect(await notices.nextDueMs('webhook')).toBe(now + 7);
    expect(await notices.take('webhook', now + 7, now + 8, 1)).toMatchObject([{ id: 'a', tried: 3 }]);
    await notices.remove('webhook', 'a');
    await notices.remove('webhook', 'none');
    await notices.postpone('webhook', 'none', 1, 1);
    expect(await notices.nextDueMs('webhook')).toBe(now + 50);
  });

  it.runIf(isShared)('gives each notice to one of two replicas', async () => {
    const { open } = await place();
    const [one, other] = [await open(), await open()];
    for (let n = 0; n < 20; n++) await one.notices.add(notice(`n${n}`), 100);
    const taken = await Promise.all(
      Array.from({ length: 10 }, (_, n) => (n % 2 === 0 ? one : other).notices.take('webhook', now, now + 1_000, 4)),
    );
    const all = taken.flat().map(({ id }) => id);
    expect(new Set(all).size).toBe(all.length);
    const rest = await other.notices.take('webhook', now, now + 1_000, 100);
    expect(new Set([...all, ...rest.map(({ id }) => id)]).size).toBe(20);
  });
}
