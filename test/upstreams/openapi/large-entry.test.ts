import { afterEach, describe, expect, test } from 'vitest';
import type { ApiTransport } from '../../../src/catalog/config.ts';
import type { Upstream } from '../../../src/upstreams/upstream.ts';
import { cpuMs } from '../../support/cpu-time.ts';
import { overApi, started } from '../../support/upstreams/harness.ts';
import { conversionOf, operation } from './conversions.ts';

// Whoever registers an API writes these lists; everybody else's calls run on the same thread.
const operations = Array.from({ length: 5_000 }, (_, n) => operation(`GET /items/${n}`, `item_${n}`));
const open: Upstream[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((upstream) => upstream.close()));
});

/** What it takes to offer all of it under this entry. */
async function taken(entry: Partial<ApiTransport>): Promise<{ cpu: number; longestMs: number; upstream: Upstream }> {
  let longestMs = 0;
  let sinceMs = cpuMs();
  const look = () => {
    longestMs = Math.max(longestMs, cpuMs() - sinceMs);
    sinceMs = cpuMs();
    again = setImmediate(look);
  };
  let again = setImmediate(look);
  const startedMs = cpuMs();
  const { upstream } = await started(overApi('https://api.example.com', conversionOf(operations), entry));
  clearImmediate(again);
  open.push(upstream);
  return { cpu: cpuMs() - startedMs, longestMs, upstream };
}

describe('an entry with very long lists', () => {
  test('of names that nothing has takes hardly longer than one without', async () => {
    const rename = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`gone_${n}`, `new_${n}`]));
    const { cpu, upstream } = await taken({ rename: { ...rename, item_7: 'seven' } });
    expect(cpu).toBeLessThan(3_000);
    expect(upstream.offer().tools.map(({ name }) => name)).toContain('seven');
    expect(upstream.offer().problems).toHaveLength(5_000);
  });

  test('of patterns lets others have their turn, and each pattern is tried', async () => {
    const include = ['item_4*', ...Array.from({ length: 999 }, (_, n) => `/gone/${n}/*/x*y`)];
    const exclude = ['item_44*', ...Array.from({ length: 999 }, (_, n) => `*gone_${n}*`)];
    const { cpu, longestMs, upstream } = await taken({ include, exclude });
    expect(cpu).toBeLessThan(10_000);
    expect(longestMs).toBeLessThan(500);
    const { tools, problems } = upstream.offer();
    expect(tools).toHaveLength(1_111 - 111);
    expect(problems.map(({ subject }) => subject)).toEqual([...include.slice(1), ...exclude.slice(1)]);
  });
});
