import { isObject, type JsonObject } from '../../wire/json.ts';
import type { ProviderFailure } from '../reply.ts';

const longestMessage = 2000;

/** HTTP status that goes with each type of error; in a stream, only the type is said. */
const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

export function readFailure(status: number, body: JsonObject | undefined): ProviderFailure {
  const error = body !== undefined && isObject(body.error) ? body.error : {};
  const message =
    typeof error.message === 'string' ? error.message.slice(0, longestMessage) : `status ${status} without an error document`;
  const code = typeof error.type === 'string' ? error.type.slice(0, 100) : undefined;
  return { status, kind: kindOf(status, code, message), message, code };
}

export function readStreamFailure(data: JsonObject): ProviderFailure {
  const type = isObject(data.error) ? data.error.type : undefined;
  const status = typeof type === 'string' && Object.hasOwn(statuses, type) ? statuses[type] : undefined;
  return readFailure(status ?? 500, data);
}

function kindOf(status: number, code: string | undefined, message: string): ProviderFailure['kind'] {
  if (code === 'overloaded_error' || status === 529 || status === 503) return 'overloaded';
  if (code === 'rate_limit_error' || status === 429) return 'rate-limited';
  if (status === 413) return 'too-long';
  if (status >= 401 && status <= 403) return 'unauthorized';
  if (status === 404) return 'not-found';
  return status >= 400 && status < 500 ? kindOfRefusal(message) : 'failed';
}

/** Anthropic says several things with a 400 that only their words tell apart. */
function kindOfRefusal(message: string): ProviderFailure['kind'] {
  if (/prompt is too long|exceed context limit|too many total text bytes/i.test(message)) return 'too-long';
  if (/credit balance is too low/i.test(message)) return 'unauthorized';
  if (/usage limits/i.test(message)) return 'rate-limited';
  return /content filtering policy/i.test(message) ? 'content-filter' : 'bad-request';
}
