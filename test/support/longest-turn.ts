import { cpuMs } from './cpu-time.ts';

/**
 * How long everybody else waited at most while this was done: milliseconds that this thread computed from one look around to the next. The
 * file of whoever measures it has a process of its own (vitest.config.ts).
 */
export async function longestTurnMs(work: () => Promise<unknown>): Promise<number> {
  let longestMs = 0;
  let sinceMs = cpuMs();
  let isOver = false;
  const look = () => {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - sinceMs);
    sinceMs = nowMs;
    if (!isOver) setImmediate(look);
  };
  const looking = setImmediate(look);
  try {
    await work();
    look();
  } finally {
    isOver = true;
    clearImmediate(looking);
  }
  return longestMs;
}
