import { GatewayError } from '../../errors.ts';
import { ReplyError } from '../../models/dialect.ts';
import type { ProviderFailure } from '../../models/reply.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { blankText } from '../blank-out.ts';
import { LinkError } from '../link-error.ts';
import { FailedAnswer } from '../upstream.ts';
import type { OpenTarget } from './open-target.ts';
import type { Attempt } from './routing.ts';
import { ProviderFailed } from './stream-meter.ts';

/** What an attempt that failed comes to. */
export interface Judgement {
  /** What the client hears, where nobody else answers. */
  readonly error: unknown;
  /** Another target may be tried, as long as nothing of an answer went out. */
  readonly mayGoOn: boolean;
  /** Whether the provider may have used something up: it worked on the request, or nobody knows that it did not. */
  readonly isCharged: boolean;
}

/**
 * Tells the routing how the attempt ended, and says what is to be done. What is the client's own fault, and what our configuration
 * has wrong, goes on to nobody: it would hide the mistake, and be the same elsewhere.
 */
export function judgeFailure(thrown: unknown, target: OpenTarget, attempt: Attempt, cancel: Cancel): Judgement {
  if (thrown instanceof ProviderFailed) return judgeRefusal(thrown.failure, target, attempt);
  if (cancel.isCancelled) return judgeCancelled(thrown, attempt, cancel);
  if (target.isClosed) {
    attempt.abandoned();
    return { error: thrown, mayGoOn: false, isCharged: true };
  }
  if (thrown instanceof ReplyError || thrown instanceof RangeError) {
    const error = new FailedAnswer('upstream_failed', `${target.subject} sent something that is no answer.`, {
      isItsFault: true,
    });
    return again(attempt, error, `it sent no answer (${thrown.message.slice(0, 200)})`, true);
  }
  if (thrown instanceof GatewayError) return judgeOwn(thrown, attempt);
  attempt.abandoned();
  return { error: thrown, mayGoOn: false, isCharged: true };
}

function judgeOwn(error: GatewayError, attempt: Attempt): Judgement {
  if (error.code === 'credentials_failed') {
    attempt.refused('Gatehouse has no credential for it');
    return { error, mayGoOn: false, isCharged: false };
  }
  if (error.code === 'upstream_timeout') return again(attempt, error, 'it did not begin to answer in time', true);
  if (error instanceof LinkError && error.code !== 'answer_too_large')
    return again(attempt, error, error.detail ?? 'there was no answer', !error.isUnsent);
  // The answer was there, and is not passed on for a reason of ours.
  attempt.succeeded(undefined);
  return { error, mayGoOn: false, isCharged: true };
}

function judgeCancelled(error: unknown, attempt: Attempt, cancel: Cancel): Judgement {
  // The deadline of the call comes as a cancellation: a target that stays silent for that long is not well.
  if (cancel.reason === 'timeout')
    attempt.failed({ reason: 'it was silent for too long', isFull: false, retryAfterMs: undefined });
  else attempt.abandoned();
  return { error, mayGoOn: false, isCharged: true };
}

function again(attempt: Attempt, error: GatewayError, reason: string, isCharged: boolean): Judgement {
  attempt.failed({ reason, isFull: false, retryAfterMs: undefined });
  return { error, mayGoOn: true, isCharged };
}

function judgeRefusal(failure: ProviderFailure, target: OpenTarget, attempt: Attempt): Judgement {
  const { subject } = target;
  const { status, kind, retryAfterMs } = failure;
  switch (kind) {
    case 'bad-request':
    case 'too-long':
    case 'content-filter':
      attempt.succeeded(undefined);
      return { error: askedWrong(failure, target), mayGoOn: false, isCharged: false };
    case 'too-much':
      attempt.passedOn(`the request is more than its account may send (HTTP ${status})`);
      return { error: askedWrong(failure, target), mayGoOn: true, isCharged: false };
    case 'unauthorized': {
      attempt.refused(`its provider does not take our credential (HTTP ${status})`);
      const text = `${subject} does not take the credential that Gatehouse has for it (HTTP ${status}). The operator has to set another.`;
      return { error: new GatewayError('credentials_failed', text), mayGoOn: false, isCharged: false };
    }
    case 'not-found': {
      attempt.refused(`its provider does not know the model ${target.config.model} (HTTP ${status})`);
      const text = `${subject} is not known to its provider (HTTP ${status}). The operator has to correct the name of the model or the address.`;
      return { error: new FailedAnswer('upstream_failed', text, { isItsFault: false }), mayGoOn: false, isCharged: false };
    }
    case 'rate-limited':
    case 'overloaded': {
      attempt.failed({ reason: `its provider has no room (HTTP ${status})`, isFull: true, retryAfterMs });
      const when = retryAfterMs === undefined ? 'in a while' : `in ${Math.max(1, Math.ceil(retryAfterMs / 1000))} s`;
      const text = `${subject} has no room for this call (HTTP ${status}); it takes calls again ${when}. Call again then.`;
      const error =
        status === 429
          ? new FailedAnswer('upstream_limited', text, { isItsFault: false, retryAfterMs: retryAfterMs ?? usualWaitMs })
          : new FailedAnswer('upstream_busy', text, { isItsFault: status >= 500, retryAfterMs });
      return { error, mayGoOn: true, isCharged: false };
    }
    case 'failed': {
      attempt.failed({ reason: `it failed (HTTP ${status})`, isFull: false, retryAfterMs });
      const error = new FailedAnswer('upstream_failed', `${subject} failed (HTTP ${status}).`, {
        isItsFault: true,
        retryAfterMs,
      });
      return { error, mayGoOn: true, isCharged: status >= 500 };
    }
  }
}

/** Where a provider does not say when it has room again. */
const usualWaitMs = 2_000;

function askedWrong(failure: ProviderFailure, target: OpenTarget): GatewayError {
  const said = cleanMessage(failure.message, target.secrets);
  const text = `The model's provider does not take this request: ${said}`;
  if (failure.kind === 'too-long' || failure.kind === 'too-much') return new GatewayError('prompt_too_long', text);
  return new GatewayError(failure.kind === 'content-filter' ? 'content_blocked' : 'invalid_request', text);
}

const longestMessage = 500;
/** Keys and tokens as providers write them, also ones that are not ours. */
const keyLike = /\b(sk|pk|rk|gsk|xai|AIza|AKIA|ASIA|ya29|eyJ|Bearer)[-_. ]?[A-Za-z0-9_\-.*]{12,}/g;

/** A provider's own words, for whoever has to correct a request: one line, without anything secret. */
function cleanMessage(message: string, secrets: readonly Buffer[]): string {
  const masked = blankText(message.slice(0, 4 * longestMessage), secrets).replace(keyLike, '***');
  const line = masked.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
  return line.length <= longestMessage ? line : `${line.slice(0, longestMessage)}...`;
}
