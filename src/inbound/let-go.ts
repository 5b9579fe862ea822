import type { ServerResponse } from 'node:http';

/**
 * A client that takes nothing of what waits for it is let go of: what it does not read stays in memory, and with it the call. Twice this long
 * after it stopped at the latest, as Node looks for the first time what there is left, and for the second whether that is still so.
 */
const stalledAfterMs = 30_000;

/** Ends an answer whose client stopped reading. One that reads slowly, and one that has nothing to read, may go on. */
export function letGoOfStalled(response: ServerResponse, afterMs = stalledAfterMs): void {
  // Node counts what the system took of a write as life, so that one large answer over a slow line is none that stalls.
  response.setTimeout(afterMs, () => {
    if (response.writableLength > 0) response.destroy();
  });
}
