import { describe, expect, it } from 'vitest';
import { memoryReplies } from '../../src/store/memory/memory-replies.ts';
import { longestListLines } from '../../src/store/ports/reply-cache.ts';
import { replyCacheContract } from '../contracts/reply-cache.contract.ts';

replyCacheContract(
  'memory',
  async () => {
    let nowMs = 1_000_000;
    return {
      open: async () => memoryReplies({ nowMs: () => nowMs }, 64 * 1024 * 1024),
      pass: async (durationMs) => {
        nowMs += durationMs;
      },
    };
  },
  { isShared: false },
);

describe('a reply cache in memory', () => {
  const clock = { nowMs: () => 0 };

  it('holds no more bytes than it may; what was used longest ago goes first', () => {
    const cache = memoryReplies(clock, 10_000);
    for (const key of ['a', 'b', 'c']) cache.keep(key, Buffer.alloc(3_000), 1_000);
    expect(cache.find('a')).toBeDefined();
    cache.keep('d', Buffer.alloc(3_000), 1_000);
    expect(['a', 'b', 'c', 'd'].filter((key) => cache.find(key) !== undefined)).toEqual(['a', 'c', 'd']);
    cache.keep('e', Buffer.alloc(20_000), 1_000);
    expect(cache.find('e')).toBeUndefined();
  });

  it('counts what it holds right, whatever is kept again or runs out', () => {
    const cache = memoryReplies(clock, 100_000);
    for (let n = 0; n < 1_000; n++) cache.keep(`k${n % 7}`, Buffer.alloc(1_000 + n), 1_000);
    for (let n = 0; n < 7; n++) expect(cache.find(`k${n}`)).toBeDefined();
  });

  it('drops the oldest lines of a long list', async () => {
    const cache = memoryReplies(clock, 64 * 1024 * 1024);
    for (let n = 0; n < longestListLines + 5; n++) cache.append('l', Buffer.from(String(n)), 1_000);
    expect((await cache.linesAfter('l', undefined, 1)).lines.map(String)).toEqual(['5']);
  });
});
