import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { UpstreamConfig } from '../../src/catalog/config.ts';
import { LiveCatalog } from '../../src/catalog/live-catalog.ts';
import { namespaceConfig, OfferingUpstream, tools, upstreamConfig } from './offering-upstream.ts';

let live: LiveCatalog | undefined;
let made: OfferingUpstream[] = [];

afterEach(async () => {
  await live?.close();
  made = [];
});

function open(options: { replaceMs?: number; drainMs?: number } = {}): LiveCatalog {
  const createUpstream = (config: UpstreamConfig) => {
    if (config.name === 'impossible') throw new Error('no such kind');
    const upstream = new OfferingUpstream(config.id);
    made.push(upstream);
    return upstream;
  };
  live = new LiveCatalog({ createUpstream, log: pino({ level: 'silent' }), rebuildMs: 0, drainMs: 0, ...options });
  return live;
}

function files(...configs: UpstreamConfig[]) {
  return [namespaceConfig('a', configs)];
}

function nextSwap(catalog: LiveCatalog): Promise<{ catalog: Catalog; previous: Catalog }> {
  return new Promise((resolve) => {
    const stop = catalog.onSwap((current, previous) => {
      stop();
      resolve({ catalog: current, previous });
    });
  });
}

const toolNames = (catalog: Catalog) => [...catalog.everything.tools.keys()];

test('an upstream is started, listed without capabilities, and listed with them once it offers some', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one')));
  expect(made[0]?.events).toEqual(['start']);
  expect([...catalog.current.upstreams.keys()]).toEqual(['a/one']);
  const before = catalog.current;
  const swap = nextSwap(catalog);
  made[0]?.show({ tools: tools('t') });
  expect(await swap).toEqual({ catalog: catalog.current, previous: before });
  expect(toolNames(catalog.current)).toEqual(['a__t']);
  expect(toolNames(before)).toEqual([]);
  expect(catalog.current.version).toBeGreaterThan(before.version);
});

test('many changes in one turn are one swap', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one'), upstreamConfig('a/two')));
  let swaps = 0;
  catalog.onSwap(() => swaps++);
  const swap = nextSwap(catalog);
  for (const upstream of made)
    for (const name of ['t', 'u', 'v']) upstream.show({ tools: tools(`${name}_${upstream.id.slice(2)}`) });
  await swap;
  expect(swaps).toBe(1);
  expect(toolNames(catalog.current)).toEqual(['a__v_one', 'a__v_two']);
});

test('settled shows every offer, and does not wait for ever for one that never comes', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one'), upstreamConfig('a/silent')));
  made[0]?.show({ tools: tools('t') });
  await catalog.settled(10);
  expect(toolNames(catalog.current)).toEqual(['a__t']);
});

test('an unchanged upstream is kept, a removed one is closed after the swap, a new one started', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/kept'), upstreamConfig('a/gone')));
  const kept = catalog.current.upstreams.get('a/kept');
  let closedAtSwap: string[] | undefined;
  catalog.onSwap(() => {
    closedAtSwap = [...(made[1]?.events ?? [])];
  });
  await catalog.apply(files(upstreamConfig('a/kept'), upstreamConfig('a/new')));
  expect(catalog.current.upstreams.get('a/kept')).toBe(kept);
  expect([...catalog.current.upstreams.keys()]).toEqual(['a/kept', 'a/new']);
  expect(closedAtSwap).toEqual(['start']);
  await catalog.close();
  expect(made.map(({ id, events }) => [id, ...events])).toEqual([
    ['a/kept', 'start', 'close'],
    ['a/gone', 'start', 'close'],
    ['a/new', 'start', 'close'],
  ]);
});

test('a removed upstream stays up for calls under way until its time is over', async () => {
  const catalog = open({ drainMs: 3_600_000 });
  await catalog.apply(files(upstreamConfig('a/gone')));
  await catalog.apply(files());
  expect(catalog.current.upstreams.size).toBe(0);
  expect(made[0]?.events).toEqual(['start']);
  await catalog.close();
  expect(made[0]?.events).toEqual(['start', 'close']);
});

test('a changed selection keeps the connection', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one')));
  made[0]?.show({ tools: tools('t', 'u') });
  await catalog.apply(files(upstreamConfig('a/one', { exclude: ['u'], rename: { t: 'v' } })));
  expect(made).toHaveLength(1);
  expect(made[0]?.events).toEqual(['start']);
  expect(toolNames(catalog.current)).toEqual(['a__v']);
});

test('a changed connection takes the place of the old one when it has something to offer', async () => {
  const catalog = open({ replaceMs: 3_600_000, drainMs: 3_600_000 });
  await catalog.apply(files(upstreamConfig('a/one')));
  made[0]?.show({ tools: tools('old') });
  await catalog.settled(1000);
  const applied = catalog.apply(files(upstreamConfig('a/one', { timeoutMs: 5 })));
  await new Promise((resolve) => setImmediate(resolve));
  expect(made).toHaveLength(2);
  expect(toolNames(catalog.current)).toEqual(['a__old']);
  made[1]?.show({ tools: tools('new') });
  await applied;
  expect(toolNames(catalog.current)).toEqual(['a__new']);
});

test('close does not wait for a replacement that never comes', async () => {
  const catalog = open({ replaceMs: 3_600_000 });
  await catalog.apply(files(upstreamConfig('a/one')));
  const applied = catalog.apply(files(upstreamConfig('a/one', { timeoutMs: 5 })));
  await new Promise((resolve) => setImmediate(resolve));
  await catalog.close();
  await applied;
  expect(made.map(({ events }) => events)).toEqual([
    ['start', 'close'],
    ['start', 'close'],
  ]);
});

test('a bad reload changes nothing and is remembered until a good one', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one')));
  const before = catalog.current;
  await catalog.take({ kind: 'problems', problems: [{ file: '/x.yaml', line: 3, message: 'No.' }] });
  expect(catalog.current).toBe(before);
  expect(catalog.problems()).toEqual([{ file: '/x.yaml', line: 3, message: 'No.' }]);
  await catalog.take({ kind: 'loaded', namespaces: files(upstreamConfig('a/one')) });
  expect(catalog.problems()).toEqual([]);
});

test('an upstream that cannot be made keeps the whole snapshot as it is', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one')));
  const before = catalog.current;
  await catalog.apply(files(upstreamConfig('a/two'), upstreamConfig('a/impossible')));
  expect(catalog.current).toBe(before);
  expect(catalog.problems()).toEqual([{ message: expect.stringContaining('a/impossible') }]);
  expect(made.map(({ id, events }) => [id, ...events])).toEqual([
    ['a/one', 'start'],
    ['a/two', 'close'],
  ]);
});

test('a listener that throws stops nobody else', async () => {
  const catalog = open();
  catalog.onSwap(() => {
    throw new Error('bug');
  });
  const swap = nextSwap(catalog);
  await catalog.apply(files(upstreamConfig('a/one')));
  expect((await swap).catalog.upstreams.size).toBe(1);
});

test('after close nothing is rebuilt and nothing is started', async () => {
  const catalog = open();
  await catalog.apply(files(upstreamConfig('a/one')));
  await catalog.close();
  const { current } = catalog;
  made[0]?.show({ tools: tools('t') });
  await catalog.apply(files(upstreamConfig('a/two')));
  expect(catalog.current).toBe(current);
  expect(made).toHaveLength(1);
});

test('whatever is applied in whatever order: what is configured runs, what is not is ended once', async () => {
  const configs = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('one', 'two', 'three', 'impossible'),
      timeoutMs: fc.constantFrom(1, 2),
      exclude: fc.constantFrom([], ['x']),
    }),
    { selector: ({ name }) => name, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(configs, { maxLength: 6 }), async (steps) => {
      made = [];
      const catalog = open({ replaceMs: 0 });
      let expected: readonly UpstreamConfig[] = [];
      for (const step of steps) {
        const wanted = step.map(({ name, ...changes }) => upstreamConfig(`a/${name}`, changes));
        const isPossible = step.every(({ name }) => name !== 'impossible');
        await catalog.apply(files(...wanted));
        if (isPossible) expected = wanted;
        expect([...catalog.current.upstreams.values()].map(({ config }) => config)).toEqual(expected);
        expect(catalog.problems().length > 0).toBe(!isPossible);
        for (const { upstream } of catalog.current.upstreams.values()) {
          expect((upstream as OfferingUpstream).events).toEqual(['start']);
        }
      }
      await catalog.close();
      for (const { events } of made) expect(events.filter((event) => event === 'close')).toHaveLength(1);
    }),
    { numRuns: 50 },
  );
});
