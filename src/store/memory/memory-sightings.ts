import type { Clock } from '../../clock.ts';
import type { SightingRows } from '../ports/sightings.ts';

/** Keeps nothing longer than the process: for unit tests. */
export function memorySightings(clock: Clock): SightingRows {
  const seen = new Map<string, number>();
  return {
    async note(batch) {
      for (const { key, agoMs } of batch)
        seen.set(key, Math.max(seen.get(key) ?? Number.NEGATIVE_INFINITY, clock.nowMs() - agoMs));
    },
    async agesMs(keys) {
      return keys.map((key) => {
        const atMs = seen.get(key);
        return atMs === undefined ? undefined : clock.nowMs() - atMs;
      });
    },
    async prune(olderThanMs) {
      const old = [...seen].filter(([, atMs]) => atMs < clock.nowMs() - olderThanMs);
      for (const [key] of old) seen.delete(key);
      return old.length;
    },
  };
}
