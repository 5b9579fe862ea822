import type { Clock, SteadyClock } from '../../clock.ts';

/** Time by which nothing becomes younger: as the machine's clock says, but never back, whatever is done to that. Whole milliseconds. */
export function steadyTime(clock: Clock, steady: SteadyClock): () => number {
  let lastMs = clock.nowMs();
  let lastSteadyMs = steady.steadyMs();
  return () => {
    const steadyMs = steady.steadyMs();
    lastMs = Math.max(clock.nowMs(), lastMs + steadyMs - lastSteadyMs);
    lastSteadyMs = steadyMs;
    return Math.floor(lastMs);
  };
}
