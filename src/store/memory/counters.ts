import { type Clock, type SteadyClock, systemSteadyClock } from '../../clock.ts';
import type { BudgetCounter } from '../local-counter.ts';
import { LocalCounters } from '../local-counters.ts';
import type { BudgetRows, StoredBudget } from '../ports/budgets.ts';
import type { Counters } from '../ports/counters.ts';

interface MemoryOptions {
  /** For the calendar windows of budgets. */
  readonly clock: Clock;
  readonly steady?: SteadyClock | undefined;
  /** Without it a restart fills every budget again. */
  readonly budgets?: BudgetRows | undefined;
  /** Hears of what could not be read or written. */
  warn(error: unknown): void;
}

const saveEveryMs = 200;
/** Keeps one statement below SQLite's and PostgreSQL's limits on parameters. */
const batchSize = 500;
const keptAfterEndMs = 24 * 60 * 60 * 1000;

/**
 * Counters of a gateway of one process; every answer is known at once. What was spent is written behind the calls, at most
 * every 200 ms, each budget once per batch: that much a crash forgets. Throws when stored budgets cannot be read: a start
 * without them would fill them all.
 */
export async function openMemoryCounters({ clock, steady = systemSteadyClock, budgets, warn }: MemoryOptions): Promise<Counters> {
  const stored = new Map<string, StoredBudget>();
  for (const row of (await budgets?.load()) ?? []) stored.set(row.key, row);
  await budgets?.prune(clock.nowMs() - keptAfterEndMs).catch(warn);
  const writer = budgets && writeBehind(budgets, warn);
  const counters = new LocalCounters({ clock, steady, stored, onSpent: (counter) => writer?.mark(counter) });
  return {
    take: (demands, cost) => counters.take(demands, cost),
    usage: async (demands) => counters.usage(demands),
    usageNow: (demands) => counters.usage(demands),
    close: async () => await writer?.close(),
  };
}

/** Keeps the counters themselves until they are written, so that a batch always has the newest number. */
function writeBehind(budgets: BudgetRows, warn: (error: unknown) => void) {
  const changed = new Map<string, BudgetCounter>();
  let timer: NodeJS.Timeout | undefined;
  let lastWrite = Promise.resolve();
  let isClosed = false;

  function mark(counter: BudgetCounter): void {
    changed.set(counter.key, counter);
    if (!isClosed) timer ??= setTimeout(flush, saveEveryMs).unref();
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    lastWrite = lastWrite.then(writeAll);
    return lastWrite;
  }

  async function writeAll(): Promise<void> {
    while (changed.size > 0) {
      const batch = [...changed.values()].slice(0, batchSize);
      for (const { key } of batch) changed.delete(key);
      try {
        await budgets.save(batch.map(toRow));
      } catch (error) {
        warn(error);
        // Those that changed meanwhile are the same counters.
        for (const counter of batch) mark(counter);
        return;
      }
    }
  }

  return {
    mark,
    async close(): Promise<void> {
      isClosed = true;
      await flush();
    },
  };
}

function toRow({ key, startMs, endMs, spent }: BudgetCounter): StoredBudget {
  return { key, windowStartMs: startMs, windowEndMs: endMs, spent };
}
