import type { Clock } from '../clock.ts';
import type { StoreLog } from './store-options.ts';

const intervalMs = 10_000;

/**
 * A warning that appears at most once per 10 seconds, with how many were held back since the last one:
 * an outage of minutes must be visible in the log and must not be the log.
 */
export function warnSeldom(log: StoreLog, clock: Clock, message: string): (error: unknown) => void {
  const mayBeSaid = seldom(clock);
  let heldBack = 0;
  return (error) => {
    if (!mayBeSaid()) {
      heldBack += 1;
      return;
    }
    log.warn({ reason: reasonOf(error), heldBack }, message);
    heldBack = 0;
  };
}

/** True at most once per 10 seconds. */
export function seldom(clock: Clock): () => boolean {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  return () => {
    const nowMs = clock.nowMs();
    // A clock that was set back must not silence it for as long as it jumped.
    if (nowMs < quietUntilMs && quietUntilMs - nowMs <= intervalMs) return false;
    quietUntilMs = nowMs + intervalMs;
    return true;
  };
}

/** The message alone: errors of database clients carry the command with its values. A host of several addresses fails with none of its own. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '' || !(error instanceof AggregateError)) return error.message;
  return error.errors.map(reasonOf).join('; ');
}
