import type { Clock } from '../clock.ts';
import type { StoreLog } from './store-options.ts';

const intervalMs = 10_000;

/**
 * A warning that appears at most once per 10 seconds, with how many were held back since the last one:
 * an outage of minutes must be visible in the log and must not be the log.
 */
export function warnSeldom(log: StoreLog, clock: Clock, message: string): (error: unknown) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let heldBack = 0;
  return (error) => {
    const nowMs = clock.nowMs();
    // A clock that was set back must not silence the warning for as long as it jumped.
    if (nowMs < quietUntilMs && quietUntilMs - nowMs <= intervalMs) {
      heldBack += 1;
      return;
    }
    // The message alone: errors of database clients carry the command with its values.
    log.warn({ reason: error instanceof Error ? error.message : String(error), heldBack }, message);
    quietUntilMs = nowMs + intervalMs;
    heldBack = 0;
  };
}
