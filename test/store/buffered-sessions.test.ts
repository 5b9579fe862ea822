import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { bufferSessions, type SessionRows } from '../../src/store/buffered-sessions.ts';
import type { StoredSession } from '../../src/store/ports/sessions.ts';
import { warnSeldom } from '../../src/store/warn-seldom.ts';
import { session } from '../contracts/store.contract.ts';

/** Rows in memory that count, and fail while told to. */
function rows() {
  const kept = new Map<string, StoredSession>();
  const batches: StoredSession[][] = [];
  const state = { isDown: false, hangs: false };
  const port: SessionRows = {
    async read(id) {
      if (state.hangs) await new Promise(() => {});
      if (state.isDown) throw new Error('down');
      return kept.get(id);
    },
    async write(batch) {
      if (state.isDown) throw new Error('down');
      batches.push([...batch]);
      for (const each of batch) kept.set(each.id, each);
    },
    async prune() {
      return 0;
    },
  };
  return { port, kept, batches, state };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('sessions that are written behind', () => {
  it('are written 200 ms after the first save, each once', async () => {
    const { port, batches } = rows();
    const sessions = bufferSessions(port, () => {});
    for (const lastUsedAtMs of [1, 2, 3]) sessions.save(session('s', { lastUsedAtMs }));
    sessions.save(session('t'));
    await vi.advanceTimersByTimeAsync(199);
    expect(batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(batches).toEqual([[session('s', { lastUsedAtMs: 3 }), session('t')]]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(batches).toHaveLength(1);
  });

  it('are written at once by a flush, whatever else is being written', async () => {
    const { port, kept } = rows();
    const sessions = bufferSessions(port, () => {});
    sessions.save(session('s'));
    const first = sessions.flush();
    sessions.save(session('t'));
    await Promise.all([first, sessions.flush()]);
    expect([...kept.keys()]).toEqual(['s', 't']);
  });

  it('wait for a database that is away, and give way to what was saved later', async () => {
    const { port, kept, state } = rows();
    const warn = vi.fn();
    const sessions = bufferSessions(port, warn);
    state.isDown = true;
    sessions.save(session('s', { lastUsedAtMs: 1, isEnded: true }));
    await sessions.flush();
    sessions.save(session('s', { lastUsedAtMs: 2 }));
    await vi.advanceTimersByTimeAsync(400);
    expect(warn).toHaveBeenCalled();
    expect(await sessions.load('s')).toEqual(session('s', { lastUsedAtMs: 2, isEnded: true }));
    state.isDown = false;
    await vi.advanceTimersByTimeAsync(400);
    expect(kept.get('s')).toEqual(session('s', { lastUsedAtMs: 2, isEnded: true }));
  });

  it('are bounded while the database is away: the oldest go', async () => {
    const { port, kept, state } = rows();
    const sessions = bufferSessions(port, () => {});
    state.isDown = true;
    for (let n = 0; n < 20_010; n += 1) sessions.save(session(`s${n}`));
    await sessions.flush();
    state.isDown = false;
    await sessions.flush();
    expect(kept.size).toBe(20_000);
    expect(kept.has('s9')).toBe(false);
    expect(kept.has('s10')).toBe(true);
  });

  it('are unknown after 250 ms when the database hangs', async () => {
    const { port, state } = rows();
    const warn = vi.fn();
    const sessions = bufferSessions(port, warn);
    state.hangs = true;
    const loading = sessions.load('s');
    await vi.advanceTimersByTimeAsync(250);
    expect(await loading).toBeUndefined();
    expect(warn).toHaveBeenCalledOnce();
  });

  it('are written by close, after which nothing is tried again', async () => {
    const { port, kept, state } = rows();
    const warn = vi.fn();
    const sessions = bufferSessions(port, warn);
    sessions.save(session('s'));
    await sessions.close();
    expect(kept.has('s')).toBe(true);
    state.isDown = true;
    sessions.save(session('t'));
    await sessions.close();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(warn).toHaveBeenCalledOnce();
  });
});

describe('a warning that comes often', () => {
  it('is logged once in 10 seconds with how many were held back, also when the clock is set back', () => {
    const lines: object[] = [];
    const clock = { now: 100_000, nowMs: () => clock.now };
    const log = { info() {}, warn: (fields: object) => lines.push(fields) };
    const warn = warnSeldom(log, clock, 'm');
    for (const stepMs of [0, 1, 9_998, 1, -50_000]) {
      clock.now += stepMs;
      warn(new Error('down'));
    }
    expect(lines).toEqual([
      { reason: 'down', heldBack: 0 },
      { reason: 'down', heldBack: 2 },
      { reason: 'down', heldBack: 0 },
    ]);
  });
});
