import type { ErrorCode, GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import { event } from './stream-writer.ts';

interface ErrorDocument {
  readonly status: number;
  readonly type: string;
}

/** Source: the page on errors. What the client did not cause and may try again is `overloaded_error`, as its SDK does that by itself. */
const documents = {
  invalid: { status: 400, type: 'invalid_request_error' },
  unauthenticated: { status: 401, type: 'authentication_error' },
  forbidden: { status: 403, type: 'permission_error' },
  notFound: { status: 404, type: 'not_found_error' },
  tooLarge: { status: 413, type: 'request_too_large' },
  limited: { status: 429, type: 'rate_limit_error' },
  failed: { status: 500, type: 'api_error' },
  unready: { status: 503, type: 'api_error' },
  late: { status: 504, type: 'timeout_error' },
  overloaded: { status: 529, type: 'overloaded_error' },
} as const satisfies Record<string, ErrorDocument>;

/** Where the status of the error's row does not say it. */
const byCode: Readonly<Partial<Record<ErrorCode, ErrorDocument>>> = {
  unknown_capability: documents.notFound,
  limit_reached: documents.limited,
  upstream_limited: documents.limited,
  not_allowed: documents.forbidden,
  approval_pending: documents.forbidden,
  approval_denied: documents.forbidden,
  sign_in_required: documents.forbidden,
  url_elicitation_required: documents.forbidden,
  bad_arguments: documents.invalid,
  bad_description: documents.invalid,
  content_blocked: documents.invalid,
  upstream_unavailable: documents.overloaded,
  upstream_busy: documents.overloaded,
  breaker_open: documents.overloaded,
  audit_unavailable: documents.overloaded,
  judge_unavailable: documents.overloaded,
  approval_unavailable: documents.overloaded,
  model_not_ready: documents.unready,
  upstream_timeout: documents.late,
};

const byStatus: Readonly<Record<number, ErrorDocument>> = {
  401: documents.unauthenticated,
  403: documents.forbidden,
  404: documents.notFound,
  413: documents.tooLarge,
  429: documents.limited,
  503: documents.overloaded,
};

export function writeError(error: GatewayError): { readonly status: number; readonly body: JsonObject } {
  const { status, type } = documentOf(error);
  return { status, body: bodyOf(type, error) };
}

/** The event that ends a stream which broke off. */
export function writeStreamError(error: GatewayError): string {
  return event('error', bodyOf(documentOf(error).type, error));
}

function documentOf({ code, row }: GatewayError): ErrorDocument {
  const found = byCode[code] ?? byStatus[row.http];
  if (found !== undefined) return found;
  return row.http >= 400 && row.http < 500 ? { status: row.http, type: 'invalid_request_error' } : documents.failed;
}

function bodyOf(type: string, { message }: GatewayError): JsonObject {
  return { type: 'error', error: { type, message } };
}
