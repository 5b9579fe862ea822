import { GatewayError } from '../../errors.ts';
import type { Cancel } from '../../wire/cancel.ts';

/** Not to be made where nobody knows whether it was made already. */
export async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new GatewayError(
      'store_unavailable',
      'Whether the call with this idempotency key was made already cannot be told right now, so it is not made. Send it again in a moment.',
      { retryAfterMs: 1_000, cause: error },
    );
  }
}

/** Rejects with GatewayError `cancelled` and `key_in_use`. */
export async function within<T>(work: Promise<T>, cancel: Cancel, untilMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let takeBack: (() => void) | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(keyInUse()), Math.max(0, untilMs - performance.now()));
    takeBack = cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason)));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    takeBack?.();
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}

export function keyReused(): GatewayError {
  return new GatewayError(
    'key_reused',
    'This idempotency key was sent before with another request. Send that one again, or take a new key.',
  );
}

export function keyInUse(): GatewayError {
  return new GatewayError(
    'key_in_use',
    'The call with this idempotency key is still under way. Send it again in a moment to be given what comes of it.',
    { retryAfterMs: 2_000 },
  );
}
