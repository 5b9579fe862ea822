import { describe, expect, it, onTestFinished } from 'vitest';
import { longestReplyBytes, type ReplyCache } from '../../src/store/ports/reply-cache.ts';

interface Place {
  /** Another opening of the same place, where it is shared. */
  open(): Promise<ReplyCache>;
  /** Lets this much time pass for the place. */
  pass(durationMs: number): Promise<void>;
}

/** What every place that keeps answers promises. */
export function replyCacheContract(name: string, makePlace: () => Promise<Place>, { isShared }: { readonly isShared: boolean }) {
  describe(`a reply cache in ${name}`, () => {
    async function open() {
      const place = await makePlace();
      const cache = await place.open();
      onTestFinished(async () => await cache.close());
      return { place, cache };
    }
    const keep = async (cache: ReplyCache, key: string, text: string, ttlMs = 60_000) => {
      cache.keep(key, Buffer.from(text), ttlMs);
      await cache.flush();
    };
    const find = async (cache: ReplyCache, key: string) => (await cache.find(key))?.toString();

    it('gives back what it keeps, and the last one of a key', async () => {
      const { cache } = await open();
      expect(await find(cache, 'a')).toBeUndefined();
      await keep(cache, 'a', 'first');
      await keep(cache, 'a', '第二 \u{1F600}');
      await keep(cache, 'b', 'other');
      expect(await find(cache, 'a')).toBe('第二 \u{1F600}');
      expect(await find(cache, 'b')).toBe('other');
    });

    it('forgets it when its time is over, not before', async () => {
      const { cache, place } = await open();
      await keep(cache, 'short', 'x', 300);
      await keep(cache, 'long', 'y', 60_000);
      expect(await find(cache, 'short')).toBe('x');
      await place.pass(400);
      expect(await find(cache, 'short')).toBeUndefined();
      expect(await find(cache, 'long')).toBe('y');
    });

    it('keeps the largest reply whole, and none that is larger', async () => {
      const { cache } = await open();
      const largest = 'x'.repeat(longestReplyBytes);
      await keep(cache, 'a', largest);
      expect((await find(cache, 'a')) === largest).toBe(true);
      await keep(cache, 'a', `${largest}x`);
      expect(await find(cache, 'a')).toBeUndefined();
    });

    it('lists lines in their order, from where somebody was on', async () => {
      const { cache } = await open();
      const read = async (position: string | undefined, limit = 100) => {
        const { lines, position: next } = await cache.linesAfter('l', position, limit);
        return { lines: lines.map(String), next };
      };
      expect(await read(undefined)).toEqual({ lines: [], next: undefined });
      for (const line of ['1', '2', '3']) cache.append('l', Buffer.from(line), 60_000);
      cache.append('other', Buffer.from('x'), 60_000);
      await cache.flush();
      const first = await read(undefined, 2);
      expect(first.lines).toEqual(['1', '2']);
      const second = await read(first.next);
      expect(second.lines).toEqual(['3']);
      expect((await read(second.next)).lines).toEqual([]);
      cache.append('l', Buffer.from('4'), 60_000);
      await cache.flush();
      expect((await read(second.next)).lines).toEqual(['4']);
    });

    it('drops a list when nothing came for its time, and begins it anew', async () => {
      const { cache, place } = await open();
      cache.append('l', Buffer.from('old'), 300);
      await cache.flush();
      const { position } = await cache.linesAfter('l', undefined, 10);
      await place.pass(400);
      expect((await cache.linesAfter('l', undefined, 10)).lines).toEqual([]);
      cache.append('l', Buffer.from('new'), 60_000);
      await cache.flush();
      expect((await cache.linesAfter('l', position, 10)).lines.map(String)).toEqual(['new']);
    });

    it.runIf(isShared)('is the same for all who open it', async () => {
      const { cache, place } = await open();
      const other = await place.open();
      onTestFinished(async () => await other.close());
      await keep(cache, 'a', 'x');
      cache.append('l', Buffer.from('line'), 60_000);
      await cache.flush();
      expect(await find(other, 'a')).toBe('x');
      expect((await other.linesAfter('l', undefined, 10)).lines.map(String)).toEqual(['line']);
    });
  });
}
