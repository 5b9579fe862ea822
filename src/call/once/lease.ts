import type { Claim, KeyedCalls } from '../../store/ports/keyed-calls.ts';

/**
 * Says all along that somebody is still at work on a call. `onLost`: somebody else may be by now, or will be in a moment; once.
 * `sinceMs`: when the key was taken at the earliest, of `performance.now()`.
 */
export function holdLease(rows: Pick<KeyedCalls, 'renew'>, claim: Claim, sinceMs: number, onLost: () => void): { stop(): void } {
  let provenMs = sinceMs;
  const lose = () => {
    clearInterval(timer);
    onLost();
  };
  const isOver = () => performance.now() - provenMs >= claim.leaseMs * usable;
  const timer = setInterval(() => {
    const askedMs = performance.now();
    if (isOver()) lose();
    else
      rows.renew(claim).then(
        (isHeld) => {
          if (isHeld) provenMs = askedMs;
          else lose();
        },
        // A store that is away for a moment takes nothing away.
        () => {},
      );
  }, claim.leaseMs / 5);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

/** Of a lease: what it takes until a call has really ended comes out of the rest. */
const usable = 0.8;
