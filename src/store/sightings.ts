import type { Clock } from '../clock.ts';
import type { SightingRows, Sightings } from './ports/sightings.ts';

/**
 * A note counts from this much later than it is, so that it need not be made again so soon: whoever is handed something every second
 * writes once in a while, and no gate opens earlier for it.
 */
export const noteAheadMs = 5_000;
/** What this process noted itself saves it a question; what it forgets, it asks for. */
const mostKnown = 50_000;

interface SightingsOptions {
  readonly clock: Clock;
  /** Hears of what could not be read or written. */
  warn(error: unknown): void;
}

/** Sightings in rows that other processes share. What is to be noted while a note is on its way goes with the next one. */
export function openSightings(
  connect: (onReturn: () => void) => SightingRows & { close?(): Promise<void> },
  { clock, warn }: SightingsOptions,
): Sightings {
  /** Until when each counts as seen now, by the clock of this process. */
  const known = new Map<string, number>();
  let waiting = new Set<string>();
  let next: Promise<void> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const rows = connect(() => void tellAgain().catch(warn));

  function ageOf(key: string): number | undefined {
    const untilMs = known.get(key);
    // A clock that was set back makes nothing older, and nothing new again.
    return untilMs === undefined ? undefined : Math.max(clock.nowMs() - untilMs, -noteAheadMs);
  }

  function isFresh(key: string): boolean {
    const untilMs = known.get(key) ?? Number.NEGATIVE_INFINITY;
    const leftMs = untilMs - clock.nowMs();
    return leftMs > 0 && leftMs <= noteAheadMs;
  }

  async function writeAll(): Promise<void> {
    const keys = [...waiting];
    waiting = new Set();
    next = undefined;
    const untilMs = clock.nowMs() + noteAheadMs;
    await rows.note(keys.map((key) => ({ key, agoMs: -noteAheadMs })));
    if (known.size >= mostKnown) known.clear();
    for (const key of keys) known.set(key, untilMs);
  }

  async function tellAgain(): Promise<void> {
    const nowMs = clock.nowMs();
    if (known.size > 0) await rows.note(Array.from(known, ([key, untilMs]) => ({ key, agoMs: Math.max(0, nowMs - untilMs) })));
  }

  return {
    note(keys) {
      const due = keys.filter((key) => !isFresh(key));
      if (due.length === 0) return undefined;
      for (const key of due) waiting.add(key);
      if (next === undefined) {
        next = last.then(writeAll);
        last = next.catch(warn);
      }
      return next;
    },
    agesMs(keys, enoughMs) {
      const ages = keys.map(ageOf);
      if (ages.every((ageMs) => ageMs !== undefined && ageMs <= enoughMs)) return ages;
      return rows.agesMs(keys).then(
        (shared) => shared.map((ageMs, at) => youngest(ageMs, ages[at])),
        (error: unknown) => {
          warn(error);
          throw error;
        },
      );
    },
    async close() {
      await last;
      await rows.close?.();
    },
  };
}

// Of what a store has lost, this process still knows its own part.
function youngest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
