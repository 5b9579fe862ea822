import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Breaker, type BreakerNumbers, BreakerOpen } from '../../src/call/breaker.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

type Ending = 'well' | 'failed' | 'slowly' | 'given up';

const openMs = 1_000;
const slowMs = 100;

/** A breaker around calls that end as they are told to. */
function setUp(numbers: Partial<BreakerNumbers> = {}) {
  let sent = 0;
  const action = async (ending: Ending, afterMs = 0): Promise<string> => {
    sent += 1;
    const ms = ending === 'slowly' ? slowMs + 1 : afterMs;
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    if (ending === 'failed' || ending === 'given up') throw new Error(ending);
    return ending;
  };
  const all = { errorRate: 0.5, minimumCalls: 1_000, windowMs: 60_000, openMs, ...numbers };
  const breaker = new Breaker(action, all, (error) => (error as Error).message === 'failed');
  const outcome = (ending: Ending, afterMs?: number) =>
    breaker.fire(ending, afterMs).catch((error: Error) => (error instanceof BreakerOpen ? 'refused' : error.message));
  const run = async (...endings: readonly Ending[]) => {
    const told: string[] = [];
    for (const ending of endings) {
      const pending = outcome(ending);
      await vi.advanceTimersByTimeAsync(ending === 'slowly' ? slowMs + 1 : 0);
      told.push(await pending);
    }
    return told;
  };
  return { breaker, outcome, run: run, sent: () => sent, state: () => breaker.status.state };
}

const times = (count: number, ending: Ending): Ending[] => Array.from({ length: count }, () => ending);

test('a share of failures opens it, once there were enough calls', async () => {
  const { run, state } = setUp({ errorRate: 0.5, minimumCalls: 4 });
  await run('failed', 'failed', 'well');
  expect(state()).toBe('closed');
  await run('well');
  expect(state()).toBe('closed');
  expect(await run('failed', 'well')).toEqual(['failed', 'refused']);
});

test.each([
  [1, times(4, 'failed'), 'open'],
  [1, [...times(3, 'failed'), 'well'] as const, 'closed'],
  [0.75, ['well', 'failed', 'failed', 'failed'] as const, 'open'],
])('a share of %d is reached by %j: %s', async (errorRate, endings, expected) => {
  const { run, state } = setUp({ errorRate, minimumCalls: 4 });
  await run(...endings);
  expect(state()).toBe(expected);
});

test('failures in a row open it, an answer begins a new row', async () => {
  const { run, state, breaker } = setUp({ consecutiveFailures: 3 });
  await run('failed', 'failed', 'well', 'failed', 'failed');
  expect(state()).toBe('closed');
  await run('failed');
  expect(breaker.status).toMatchObject({ state: 'open', reason: '3 calls in a row failed' });
});

test('whoever gives up neither ends a row of failures nor adds to it', async () => {
  const { run, state } = setUp({ consecutiveFailures: 3, errorRate: 0.5, minimumCalls: 100 });
  await run('failed', 'given up', 'failed', 'given up', 'given up');
  expect(state()).toBe('closed');
  await run('failed');
  expect(state()).toBe('open');
});

test('whoever gives up makes no share of failures smaller', async () => {
  const { run, state } = setUp({ errorRate: 0.5, minimumCalls: 4 });
  await run(...times(20, 'given up'), 'failed', 'failed', 'failed');
  expect(state()).toBe('closed');
  await run('failed');
  expect(state()).toBe('open');
});

test('slow answers count as failures and reach their callers', async () => {
  const { run, breaker } = setUp({ consecutiveFailures: 2, latencyMs: slowMs });
  expect(await run('slowly', 'slowly', 'well')).toEqual(['slowly', 'slowly', 'refused']);
  expect(breaker.status.reason).toBe(`calls took longer than ${slowMs} ms`);
});

test('says how long to wait: never less than a second, never longer than it stays open', async () => {
  const { run, breaker } = setUp({ consecutiveFailures: 1, openMs: 30_000 });
  await run('failed');
  await expect(breaker.fire('well')).rejects.toMatchObject({ waitMs: 30_000, reason: '1 calls in a row failed' });
  await vi.advanceTimersByTimeAsync(29_500);
  await expect(breaker.fire('well')).rejects.toMatchObject({ waitMs: 1_000 });
});

test('half open, one call is let through and all others are refused until it has ended', async () => {
  const { run, outcome, state, sent } = setUp({ consecutiveFailures: 1 });
  await run('failed');
  await vi.advanceTimersByTimeAsync(openMs);
  expect(state()).toBe('half-open');
  const probing = outcome('well', 500);
  expect(await Promise.all([outcome('well'), outcome('well')])).toEqual(['refused', 'refused']);
  expect(sent()).toBe(2);
  await vi.advanceTimersByTimeAsync(500);
  expect(await probing).toBe('well');
  expect(state()).toBe('closed');
  expect(await run('well')).toEqual(['well']);
});

test.each([
  ['failed', 'open'],
  ['slowly', 'open'],
  ['well', 'closed'],
  ['given up', 'half-open'],
] as const)('a probe that ended %s leaves it %s', async (ending, expected) => {
  const { run, state, breaker } = setUp({ consecutiveFailures: 2, latencyMs: slowMs });
  await run('failed', 'failed');
  await vi.advanceTimersByTimeAsync(openMs);
  await run(ending);
  expect(state()).toBe(expected);
  if (expected !== 'closed') expect(breaker.status.reason).toBe('2 calls in a row failed');
  await vi.advanceTimersByTimeAsync(openMs);
  expect(await run('well', 'well')).toEqual(['well', 'well']);
  expect(state()).toBe('closed');
});

test('what was on its way when it opened decides nothing once it is half open', async () => {
  const { run, outcome, state } = setUp({ consecutiveFailures: 1 });
  const late = [outcome('well', openMs + 100), outcome('given up', openMs + 100), outcome('failed', openMs + 100)];
  await run('failed');
  await vi.advanceTimersByTimeAsync(openMs);
  expect(state()).toBe('half-open');
  await vi.advanceTimersByTimeAsync(100);
  expect(await Promise.all(late)).toEqual(['well', 'given up', 'failed']);
  expect(state()).toBe('half-open');
});

test('one that only detects shows its state and refuses nothing', async () => {
  const { run, outcome, breaker } = setUp({ consecutiveFailures: 2, detectOnly: true });
  expect(await run('failed', 'failed', 'failed', 'well')).toEqual(['failed', 'failed', 'failed', 'well']);
  expect(breaker.status).toMatchObject({ state: 'open', isDetectOnly: true });
  await vi.advanceTimersByTimeAsync(openMs);
  const racing = [outcome('well', 10), outcome('well', 10), outcome('well', 10)];
  await vi.advanceTimersByTimeAsync(10);
  expect(await Promise.all(racing)).toEqual(['well', 'well', 'well']);
  expect(breaker.status.state).toBe('closed');
});

test('after its end calls still go through', async () => {
  const { run, breaker } = setUp({ consecutiveFailures: 1 });
  breaker.shutdown();
  expect(await run('failed', 'failed', 'well')).toEqual(['failed', 'failed', 'well']);
});

/** What a breaker of failures in a row does, in a few lines. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  #inARow = 0;
  readonly #mostInARow: number;
  constructor(mostInARow: number) {
    this.#mostInARow = mostInARow;
  }
  wait(): void {
    if (this.state === 'open') this.state = 'half-open';
  }
  call(ending: Ending): string {
    if (this.state === 'open') return 'refused';
    if (ending === 'given up') return ending;
    this.#inARow = ending === 'well' ? 0 : this.#inARow + 1;
    if (this.state === 'half-open') {
      this.state = ending === 'well' ? 'closed' : 'open';
    } else if (this.#inARow >= this.#mostInARow) {
      this.state = 'open';
    }
    return ending;
  }
}

test('whatever happens, it is as its description says', async () => {
  const step = fc.constantFrom<Ending | 'wait'>('well', 'failed', 'failed', 'slowly', 'given up', 'wait');
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), async (consecutiveFailures, steps) => {
      const { run, state, breaker } = setUp({ consecutiveFailures, latencyMs: slowMs, openMs: 60_000, windowMs: 3_600_000 });
      const model = new Model(consecutiveFailures);
      for (const next of steps) {
        if (next === 'wait') {
          await vi.advanceTimersByTimeAsync(60_000);
          model.wait();
        } else {
          expect(await run(next)).toEqual([model.call(next)]);
        }
        expect(state()).toBe(model.state);
      }
      breaker.shutdown();
    }),
    { numRuns: process.env.TEST_LONG === undefined ? 100 : 5_000 },
  );
});
