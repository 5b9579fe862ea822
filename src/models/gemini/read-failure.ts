import type { JsonObject } from '../../wire/json.ts';
import { failureKind, shortMessage } from '../failure-kind.ts';
import { objectAt, objectsAt, textAt } from '../read-members.ts';
import type { ProviderFailure } from '../reply.ts';

/** google.rpc.Status, as all of Google's APIs put it into `error` (google.aip.dev/193). */
export function readFailure(status: number, body: JsonObject | undefined): ProviderFailure {
  const error = objectAt(body, 'error');
  const message = shortMessage(textAt(error, 'message'), status);
  const details = objectsAt(error, 'details');
  const reason = details.map((detail) => textAt(detail, 'reason')).find((found) => found !== undefined);
  const retryAfterMs = details.map((detail) => readDelay(textAt(detail, 'retryDelay'))).find((found) => found !== undefined);
  const code = reason ?? textAt(error, 'status');
  return {
    status,
    kind: kindOf(status, textAt(error, 'status'), reason, message),
    message,
    code,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

const tooLong = /token count.{0,80}exceeds|exceeds the maximum number of tokens|input is too long/i;

function kindOf(status: number, word: string | undefined, reason: string | undefined, message: string): ProviderFailure['kind'] {
  // A key that is not good is a bad request to it.
  if (
    reason === 'API_KEY_INVALID' ||
    reason === 'API_KEY_EXPIRED' ||
    word === 'UNAUTHENTICATED' ||
    word === 'PERMISSION_DENIED'
  ) {
    return 'unauthorized';
  }
  if (word === 'RESOURCE_EXHAUSTED') return 'rate-limited';
  if (word === 'UNAVAILABLE') return 'overloaded';
  // Not the request is wrong, but what the account may do or where it may do it.
  if (word === 'FAILED_PRECONDITION') return 'failed';
  if (status === 400 && tooLong.test(message)) return 'too-long';
  return failureKind(status);
}

const longestDelayS = 24 * 60 * 60;

/** google.protobuf.Duration as JSON: `34.5s`. */
function readDelay(text: string | undefined): number | undefined {
  const seconds = text !== undefined && /^\d{1,6}(?:\.\d{1,9})?s$/.test(text) ? Number(text.slice(0, -1)) : undefined;
  return seconds === undefined ? undefined : Math.ceil(Math.min(seconds, longestDelayS) * 1000);
}
