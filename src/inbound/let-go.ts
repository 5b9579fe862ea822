import type { ServerResponse } from 'node:http';

/** A client that takes nothing of what waits for it for this long is let go of: what it does not read stays in memory, and with it the call. */
const stalledAfterMs = 60_000;

/** Ends an answer whose client stopped reading. One that reads slowly, and one that has nothing to read, may go on. */
export function letGoOfStalled(response: ServerResponse, afterMs = stalledAfterMs): void {
  // Node counts what the system took of a write as life, so that one large answer over a slow line is none that stalls.
  response.setTimeout(afterMs, () => {
    if (response.writableLength > 0) response.destroy();
  });
}
