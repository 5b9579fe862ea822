/**
 * Every error Gatehouse can answer with. `shows` says where a client sees it:
 * `http` as the status of the response, `rpc` as a JSON-RPC error, `result` as a tool result with `isError: true`
 * whose text the model can act on. `http` is the status that goes with it in the modern era and before a session exists.
 * Integers below -32000 are the specification's (JSON-RPC 2.0; MCP 2026-07-28 basic/index); own integers are HTTP status x 100.
 */
export const errorTable = {
  /** More than the model can read. */
  prompt_too_long: { shows: 'rpc', http: 400, rpc: 40003, retryable: false },
  parse_error: { shows: 'rpc', http: 400, rpc: -32700, retryable: false },
  invalid_request: { shows: 'rpc', http: 400, rpc: -32600, retryable: false },
  method_not_found: { shows: 'rpc', http: 404, rpc: -32601, retryable: false },
  invalid_params: { shows: 'rpc', http: 400, rpc: -32602, retryable: false },
  unknown_capability: { shows: 'rpc', http: 200, rpc: -32602, retryable: false },
  header_mismatch: { shows: 'rpc', http: 400, rpc: -32020, retryable: false },
  missing_client_capability: { shows: 'rpc', http: 400, rpc: -32021, retryable: false },
  unsupported_version: { shows: 'rpc', http: 400, rpc: -32022, retryable: false },
  no_such_object: { shows: 'rpc', http: 404, rpc: 40402, retryable: false },
  conflict: { shows: 'rpc', http: 409, rpc: 40901, retryable: false },
  /** Another one with the same idempotency key is under way. */
  key_in_use: { shows: 'rpc', http: 409, rpc: 40910, retryable: true },
  /** An idempotency key that stands for another request. */
  key_reused: { shows: 'rpc', http: 422, rpc: 42210, retryable: false },
  rate_limited: { shows: 'http', http: 429, rpc: 42900, retryable: true },
  limit_reached: { shows: 'result', http: 200, rpc: 42901, retryable: true },
  forbidden: { shows: 'rpc', http: 403, rpc: 40302, retryable: false },
  not_allowed: { shows: 'result', http: 200, rpc: 40304, retryable: false },
  bad_arguments: { shows: 'result', http: 200, rpc: 40001, retryable: false },
  /** A person has to agree first; the message says who and where, and that the same call will run then. */
  approval_pending: { shows: 'result', http: 200, rpc: 40305, retryable: true },
  approval_denied: { shows: 'result', http: 200, rpc: 40306, retryable: false },
  /** An API description that cannot be read, or that is beyond a limit; the message names it. */
  bad_description: { shows: 'result', http: 200, rpc: 42200, retryable: false },
  content_blocked: { shows: 'result', http: 200, rpc: 40303, retryable: false },
  /** What is sent, or what came back, has to be judged first, and no judge answers. Nothing was called, or nothing of the answer is told. */
  judge_unavailable: { shows: 'result', http: 200, rpc: 50309, retryable: true },
  unauthenticated: { shows: 'http', http: 401, rpc: 40100, retryable: false },
  forbidden_host: { shows: 'http', http: 403, rpc: 40300, retryable: false },
  forbidden_origin: { shows: 'http', http: 403, rpc: 40301, retryable: false },
  insufficient_scope: { shows: 'http', http: 403, rpc: 40310, retryable: false },
  /** Of models asked for at `/v1`; not there and not for this caller look the same. */
  unknown_model: { shows: 'http', http: 404, rpc: 40403, retryable: false },
  not_found: { shows: 'http', http: 404, rpc: 40400, retryable: false },
  session_not_found: { shows: 'http', http: 404, rpc: 40401, retryable: false },
  session_required: { shows: 'http', http: 400, rpc: -32600, retryable: false },
  /** The request came from this gateway itself. */
  loop_detected: { shows: 'http', http: 508, rpc: 50800, retryable: false },
  method_not_allowed: { shows: 'http', http: 405, rpc: 40500, retryable: false },
  not_acceptable: { shows: 'http', http: 406, rpc: 40600, retryable: false },
  stream_exists: { shows: 'http', http: 409, rpc: 40900, retryable: false },
  body_too_large: { shows: 'http', http: 413, rpc: 41300, retryable: false },
  unsupported_media_type: { shows: 'http', http: 415, rpc: 41500, retryable: false },
  /** Large requests of all callers together. */
  too_busy: { shows: 'http', http: 503, rpc: 50301, retryable: true },
  too_many_sessions: { shows: 'http', http: 503, rpc: 50300, retryable: true },
  issuer_unavailable: { shows: 'http', http: 503, rpc: 50310, retryable: true },
  conversation_lost: { shows: 'rpc', http: 400, rpc: -32602, retryable: false },
  upstream_unavailable: { shows: 'result', http: 200, rpc: 50302, retryable: true },
  /** A model that is registered and cannot be called yet: its setup lacks something, which only whoever administers it can add. */
  model_not_ready: { shows: 'result', http: 200, rpc: 50308, retryable: false },
  upstream_timeout: { shows: 'result', http: 200, rpc: 50400, retryable: false },
  upstream_failed: { shows: 'result', http: 200, rpc: 50200, retryable: false },
  upstream_busy: { shows: 'result', http: 200, rpc: 50303, retryable: true },
  /** The provider of a model lets the gateway have no more calls, or tokens, for a while (its HTTP 429). */
  upstream_limited: { shows: 'result', http: 200, rpc: 42902, retryable: true },
  breaker_open: { shows: 'result', http: 200, rpc: 50304, retryable: true },
  audit_unavailable: { shows: 'result', http: 200, rpc: 50305, retryable: true },
  answer_too_large: { shows: 'result', http: 200, rpc: 50201, retryable: false },
  /** The arguments are not checked yet, and nothing was called: too many others wait for that. */
  checks_busy: { shows: 'result', http: 200, rpc: 50307, retryable: true },
  /** Whether somebody agreed cannot be told right now. */
  approval_unavailable: { shows: 'result', http: 200, rpc: 50306, retryable: true },
  store_unavailable: { shows: 'rpc', http: 503, rpc: 50305, retryable: true },
  /** The data names the address to visit. */
  sign_in_required: { shows: 'result', http: 200, rpc: 40102, retryable: true },
  /** Gatehouse itself could not get what the upstream wants to see; the upstream heard nothing. */
  credentials_failed: { shows: 'result', http: 200, rpc: 50204, retryable: false },
  /** How a legacy client hears that a person must visit a page, where nothing can be asked of it (MCP 2025-11-25 client/elicitation). */
  url_elicitation_required: { shows: 'rpc', http: 200, rpc: -32042, retryable: true },
  cancelled: { shows: 'rpc', http: 200, rpc: 49900, retryable: false },
  bad_configuration: { shows: 'http', http: 500, rpc: 50000, retryable: false },
  internal: { shows: 'rpc', http: 500, rpc: -32603, retryable: false },
} as const satisfies Record<string, ErrorRow>;

interface ErrorRow {
  readonly shows: 'http' | 'rpc' | 'result';
  readonly http: number;
  readonly rpc: number;
  readonly retryable: boolean;
}

export type ErrorCode = keyof typeof errorTable;

interface ErrorDetails {
  /** JSON-RPC `error.data`; goes to the client as it is. */
  readonly data?: unknown;
  /** Until the same request may succeed. */
  readonly retryAfterMs?: number;
  /** For the log only. */
  readonly cause?: unknown;
}

/** An error whose `message` a client may read: what happened, why, and the next step. Everything else belongs into `cause`. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly data: unknown;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    // Its code says where it comes from; walking the stack costs more than the rest of a refusal.
    const depth = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    Error.stackTraceLimit = depth;
    this.name = 'GatewayError';
    this.code = code;
    this.data = details.data;
    this.retryAfterMs = details.retryAfterMs;
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** What a client may know of anything that was thrown: a bug becomes `internal`, its text stays in the log. */
export function toGatewayError(thrown: unknown): GatewayError {
  if (thrown instanceof GatewayError) return thrown;
  return new GatewayError('internal', 'Gatehouse failed to handle this request; the operator finds the reason in the log.', {
    cause: thrown,
  });
}
