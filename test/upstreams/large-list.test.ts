import { expect, test } from 'vitest';
import { emptyListing, readList } from '../../src/upstreams/mcp/definitions.ts';
import type { Dialect } from '../../src/upstreams/mcp/dialect.ts';
import type { Json } from '../../src/wire/json.ts';
import { RawResult } from '../../src/wire/message.ts';
import { cpuMs } from '../support/cpu-time.ts';
import { longestTurnMs } from '../support/longest-turn.ts';

function listing(tools: Json): Dialect {
  const result = RawResult.from({ tools });
  return { server: 'other', ask: async () => ({ kind: 'result', result }) } as unknown as Dialect;
}

const tools = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    name: `tool${n}`,
    description: 'Does what it is told, with what it is given, and says so. '.repeat(10),
    inputSchema: { type: 'object', properties: { a: { type: 'string' }, b: { enum: ['"x"', 1.5, null] } } },
  }));

test('a page of ten thousand tools is read in turns, and comes to the same', async () => {
  const all = tools(10_000);
  const dialect = listing(all);
  await readList(listing(tools(1_000)), 'tools/list', emptyListing, undefined);
  const before = cpuMs();
  JSON.parse(JSON.stringify(all));
  const copyMs = cpuMs() - before;
  const turnMs = await longestTurnMs(async () => {
    const { items, problems } = await readList(dialect, 'tools/list', emptyListing, undefined);
    expect([items.length, problems]).toEqual([10_000, []]);
    expect(items.at(-1)).toMatchObject(all.at(-1) ?? {});
  });
  expect(turnMs).toBeLessThan(Math.max(50, copyMs));
});

test('a page of more values than anybody needs is left out, and said to be', async () => {
  const { items, problems } = await readList(
    listing([Array.from({ length: 2_000_001 }, () => 0)]),
    'tools/list',
    emptyListing,
    undefined,
  );
  expect(items).toEqual([]);
  expect(problems).toMatchObject([{ message: expect.stringContaining('has more than 2000000 values') }]);
});
