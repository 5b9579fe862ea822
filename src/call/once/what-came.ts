import { toGatewayError } from '../../errors.ts';
import { LinkError } from '../../upstreams/link-error.ts';
import { FailedAnswer } from '../../upstreams/upstream.ts';
import type { Outcome } from '../inspect.ts';
import type { Kept, KeptAnswer } from './kept.ts';
import type { RecordingStream } from './recording-stream.ts';

/** Undefined where it was too long to be recorded. */
export function answerOf(
  outcome: Exclude<Outcome, { readonly kind: 'input-required' }>,
  stream: RecordingStream | undefined,
): KeptAnswer | undefined {
  if (outcome.kind !== 'streamed') return outcome;
  const body = stream?.recorded;
  return body && { kind: 'streamed', body };
}

export function sizeOf(answer: KeptAnswer): number {
  if (answer.kind === 'result') return answer.result.size;
  return answer.kind === 'error' ? JSON.stringify(answer.error).length : answer.body.length;
}

/** Undefined where it may be made again: nobody heard of it, or whoever did says that nothing was done. */
export function keptFailure(thrown: unknown, mayRepeat: boolean, isUnheard: boolean): Kept | undefined {
  if (isUnheard || (thrown instanceof LinkError && thrown.isUnsent)) return undefined;
  const { code, message, data, row } = toGatewayError(thrown);
  const isUnknown = row.retryable || code === 'cancelled' || code === 'internal';
  if (!isUnknown) return { kind: 'failure', code, message, data };
  if (mayRepeat || (row.retryable && thrown instanceof FailedAnswer)) return undefined;
  return { kind: 'unkept', why: 'unknown' };
}
