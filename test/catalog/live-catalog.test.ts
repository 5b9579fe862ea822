import fc from 'fast-check';
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { UpstreamConfig } from '../../src/catalog/config.ts';
import { LiveCatalog } from '../../src/catalog/live-catalog.ts';
import { until } from '../support/until.ts';
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
  catalog.apply(files(upstreamConfig('a/one')));
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
  catalog.apply(files(upstreamConfig('a/one'), upstreamConfig('a/two')));
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
  catalog.apply(files(upstreamConfig('a/one'), upstreamConfig('a/silent')));
  made[0]?.show({ tools: tools('t') });
  await catalog.settled(10);
  expect(toolNames(catalog.current)).toEqual(['a__t']);
});

test('an unchanged upstream is kept, a removed one is closed after the swap, a new one started', async () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/kept'), upstreamConfig('a/gone')));
  const kept = catalog.current.upstreams.get('a/kept');
  let closedAtSwap: string[] | undefined;
  catalog.onSwap(() => {
    closedAtSwap = [...(made[1]?.events ?? [])];
  });
  catalog.apply(files(upstreamConfig('a/kept'), upstreamConfig('a/new')));
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

test('a removed upstream is closed when its last call has ended', async () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/busy'), upstreamConfig('a/idle')));
  const [busy, idle] = made;
  if (busy === undefined || idle === undefined) throw new Error('not made');
  busy.callsInFlight = 1;
  catalog.apply(files());
  expect(catalog.current.upstreams.size).toBe(0);
  await until('the idle one is closed', () => idle.events.includes('close'));
  expect(busy.events).toEqual(['start']);
  busy.callsInFlight = 0;
  await until('the busy one is closed', () => busy.events.includes('close'));
});

test('a removed upstream whose call never ends is closed when its longest duration and a question are over', async () => {
  vi.useFakeTimers();
  try {
    const catalog = open({ drainMs: 1000 });
    catalog.apply(files(upstreamConfig('a/stuck', { timeoutMs: 1000, maxDurationMs: 3_600_000 })));
    const [stuck] = made;
    if (stuck === undefined) throw new Error('not made');
    stuck.callsInFlight = 1;
    catalog.apply(files());
    vi.advanceTimersByTime(3_600_000 + 599_000);
    expect(stuck.events).toEqual(['start']);
    vi.advanceTimersByTime(2000);
    expect(stuck.events).toEqual(['start', 'close']);
  } finally {
    vi.useRealTimers();
  }
});

const callPath: readonly Partial<UpstreamConfig>[] = [
  { exclude: ['u'], rename: { t: 'v' } },
  { timeoutMs: 5 },
  { maxDurationMs: 5 },
  { concurrency: 5 },
  { answerLimitBytes: 5 },
  { breaker: { errorRate: 1, minimumCalls: 1, windowMs: 1, openMs: 1 } },
];
test.each(callPath)('the connection is kept when %o is set', (changes) => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/one')));
  const changed = upstreamConfig('a/one', changes);
  catalog.apply(files(changed));
  expect(made.map(({ events }) => events)).toEqual([['start']]);
  expect(catalog.current.upstreams.get('a/one')?.config).toBe(changed);
});

const connection: readonly Partial<UpstreamConfig>[] = [
  { transport: { type: 'http', url: 'https://b.test/mcp', headers: {} } },
  { transport: { type: 'stdio', command: ['none'], env: { A: 'b' }, cwd: '/' } },
  { era: 'legacy' },
  { sessions: 'each' },
];
describe.each(connection)('when %o is set', (changes) => {
  const changed = upstreamConfig('a/one', { ...changes, rename: { old: 'older' } });
  let catalog: LiveCatalog;
  let predecessor: OfferingUpstream;
  let successor: OfferingUpstream;
  const setUp = async (options: Parameters<typeof open>[0] = {}): Promise<void> => {
    catalog = open(options);
    catalog.apply(files(upstreamConfig('a/one')));
    [predecessor] = made as [OfferingUpstream];
    predecessor.show({ tools: tools('old') });
    await catalog.settled(1000);
    catalog.apply(files(changed));
    [, successor] = made as [OfferingUpstream, OfferingUpstream];
  };

  test('the upstream stays until its successor has answered, and all else that changed counts at once', async () => {
    await setUp();
    expect(successor.events).toEqual(['start']);
    expect(catalog.current.upstreams.get('a/one')).toEqual({ id: 'a/one', config: changed, upstream: predecessor });
    expect(toolNames(catalog.current)).toEqual(['a__older']);
    const swap = nextSwap(catalog);
    successor.show({ tools: tools('new') });
    await swap;
    expect(catalog.current.upstreams.get('a/one')).toEqual({ id: 'a/one', config: changed, upstream: successor });
    expect(toolNames(catalog.current)).toEqual(['a__new']);
    await until('the predecessor is closed', () => predecessor.events.includes('close'));
  });

  test('a remembered offer does not count as an answer', async () => {
    await setUp();
    const swap = nextSwap(catalog);
    successor.show({ tools: tools('remembered'), isStale: true });
    await swap;
    expect(toolNames(catalog.current)).toEqual(['a__older']);
  });

  test('one without an answer takes over when its time is over', async () => {
    await setUp({ replaceMs: 20 });
    await until('it has taken over', () => catalog.current.upstreams.get('a/one')?.upstream === successor);
    expect(toolNames(catalog.current)).toEqual([]);
  });

  test('one without an answer takes over with what is remembered of it', async () => {
    await setUp({ replaceMs: 20 });
    successor.show({ tools: tools('remembered'), isStale: true });
    await until('it has taken over', () => catalog.current.upstreams.get('a/one')?.upstream === successor);
    expect(toolNames(catalog.current)).toEqual(['a__remembered']);
  });

  test('going back to what was there ends the successor and nothing else', async () => {
    await setUp();
    catalog.apply(files(upstreamConfig('a/one')));
    await until('the successor is closed', () => successor.events.includes('close'));
    expect(predecessor.events).toEqual(['start']);
    expect(toolNames(catalog.current)).toEqual(['a__old']);
    expect(made).toHaveLength(2);
  });

  test('another change of the entry keeps both', async () => {
    await setUp();
    catalog.apply(files({ ...changed, rename: { old: 'oldest' } }));
    expect(made.map(({ events }) => events)).toEqual([['start'], ['start']]);
    expect(toolNames(catalog.current)).toEqual(['a__oldest']);
  });

  test('another change of the connection ends the first successor', async () => {
    await setUp();
    catalog.apply(files(upstreamConfig('a/one', { transport: { type: 'http', url: 'https://c.test/mcp', headers: {} } })));
    await until('the first successor is closed', () => successor.events.includes('close'));
    expect(made.map(({ events }) => events)).toEqual([['start'], ['start', 'close'], ['start']]);
    expect(toolNames(catalog.current)).toEqual(['a__old']);
  });

  test('close ends both and waits for neither', async () => {
    await setUp();
    await catalog.close();
    expect(made.map(({ events }) => events)).toEqual([
      ['start', 'close'],
      ['start', 'close'],
    ]);
  });
});

test('an upstream that never offered anything is replaced at once', () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/one')));
  catalog.apply(files(upstreamConfig('a/one', { era: 'legacy' })));
  expect(catalog.current.upstreams.get('a/one')?.upstream).toBe(made[1]);
});

test('a bad reload changes nothing and is remembered until a good one', async () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/one')));
  const before = catalog.current;
  catalog.take({ kind: 'problems', problems: [{ file: '/x.yaml', line: 3, message: 'No.' }] });
  expect(catalog.current).toBe(before);
  expect(catalog.problems()).toEqual([{ file: '/x.yaml', line: 3, message: 'No.' }]);
  catalog.take({ kind: 'loaded', namespaces: files(upstreamConfig('a/one')) });
  expect(catalog.problems()).toEqual([]);
});

test('an upstream that cannot be made keeps the whole snapshot as it is', async () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/one')));
  const before = catalog.current;
  catalog.apply(files(upstreamConfig('a/two'), upstreamConfig('a/impossible')));
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
  catalog.apply(files(upstreamConfig('a/one')));
  expect((await swap).catalog.upstreams.size).toBe(1);
});

test('after close nothing is rebuilt and nothing is started', async () => {
  const catalog = open();
  catalog.apply(files(upstreamConfig('a/one')));
  await catalog.close();
  const { current } = catalog;
  made[0]?.show({ tools: tools('t') });
  catalog.apply(files(upstreamConfig('a/two')));
  expect(catalog.current).toBe(current);
  expect(made).toHaveLength(1);
});

test('whatever is applied in whatever order: what is configured runs, what is not is ended once', async () => {
  const configs = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('one', 'two', 'three', 'impossible'),
      timeoutMs: fc.constantFrom(1, 2),
      era: fc.constantFrom('auto' as const, 'legacy' as const),
      exclude: fc.constantFrom([], ['x']),
    }),
    { selector: ({ name }) => name, maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(configs, { maxLength: 6 }), async (steps) => {
      made = [];
      const catalog = open();
      let expected: readonly UpstreamConfig[] = [];
      for (const step of steps) {
        const wanted = step.map(({ name, ...changes }) => upstreamConfig(`a/${name}`, changes));
        const isPossible = step.every(({ name }) => name !== 'impossible');
        catalog.apply(files(...wanted));
        if (isPossible) expected = wanted;
        expect([...catalog.current.upstreams.values()].map(({ config }) => config)).toEqual(expected);
        expect(catalog.problems().length > 0).toBe(!isPossible);
        // Only what has offered something keeps its place until its successor answers.
        for (const [at, upstream] of made.entries()) if (at % 2 === 0) upstream.show({ tools: tools('t') });
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

test('one that was registered anew under its name begins with nothing of the earlier one; one that was changed does', async () => {
  const catalog = open();
  const changed = { url: 'http://other.example/mcp', headers: {}, type: 'http' as const };
  catalog.apply(files(upstreamConfig('a/one', { registration: 'x' })));
  made[0]?.show({ tools: tools('t') });
  await catalog.settled(1000);
  catalog.apply(files(upstreamConfig('a/one', { registration: 'x', transport: changed })));
  expect(toolNames(catalog.current)).toEqual(['a__t']);
  catalog.apply(files(upstreamConfig('a/one', { registration: 'y', transport: changed })));
  expect(toolNames(catalog.current)).toEqual([]);
  made.at(-1)?.show({ tools: tools('u') });
  await catalog.settled(1000);
  expect(toolNames(catalog.current)).toEqual(['a__u']);
});
