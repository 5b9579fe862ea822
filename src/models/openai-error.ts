import type { GatewayError } from '../errors.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { ProviderFailure } from './reply.ts';

/** Codes that OpenAI's clients know, where ours says the same. Any other is told by our own word. */
const known: ReadonlyMap<string, { readonly status: number; readonly code: string | null }> = new Map([
  ['unauthenticated', { status: 401, code: 'invalid_api_key' }],
  ['rate_limited', { status: 429, code: 'rate_limit_exceeded' }],
  ['limit_reached', { status: 429, code: 'rate_limit_exceeded' }],
  ['upstream_limited', { status: 429, code: 'rate_limit_exceeded' }],
  ['unknown_model', { status: 404, code: 'model_not_found' }],
  ['unknown_capability', { status: 404, code: 'model_not_found' }],
  ['prompt_too_long', { status: 400, code: 'context_length_exceeded' }],
  ['content_blocked', { status: 400, code: 'content_policy_violation' }],
  ['parse_error', { status: 400, code: null }],
  ['invalid_request', { status: 400, code: null }],
  ['url_elicitation_required', { status: 403, code: 'sign_in_required' }],
  ['internal', { status: 500, code: null }],
]);

/** `{ error: { message, type, param, code } }` and its status, as OpenAI's API answers (platform.openai.com/docs/guides/error-codes). */
export function writeOpenaiError(error: GatewayError): { readonly status: number; readonly body: JsonObject } {
  return { status: statusOf(error), body: { error: openaiErrorOf(error) } };
}

/** The object under `error`. */
export function openaiErrorOf(error: GatewayError): JsonObject {
  const row = known.get(error.code);
  return {
    message: error.message,
    type: typeOf(statusOf(error)),
    param: paramOf(error),
    code: row === undefined ? error.code : row.code,
  };
}

function statusOf({ code, row }: GatewayError): number {
  const status = known.get(code)?.status;
  if (status !== undefined) return status;
  if (row.http !== 200) return row.http;
  // Own numbers are HTTP status x 100; what is shown as a tool's result has its status there alone.
  return row.rpc > 0 ? Math.floor(row.rpc / 100) : 400;
}

function typeOf(status: number): string {
  if (status === 429) return 'requests';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

function paramOf({ data }: GatewayError): string | null {
  return isObject(data) && typeof data.param === 'string' ? data.param : null;
}

/** What a server that speaks OpenAI's way says in a body with an error status, or in the middle of a stream (without a status: 500). */
export function readOpenaiFailure(status: number, body: JsonObject | undefined): ProviderFailure {
  const error = errorIn(body);
  const code = wordOf(error.code) ?? wordOf(error.type);
  const message = wordOf(error.message) ?? wordOf(body?.detail) ?? wordOf(body?.error) ?? `HTTP ${status}`;
  return { status, kind: kindOf(status, code ?? '', message), message: message.slice(0, longestMessage), code };
}

/** A server may send back the whole of what it was sent. */
const longestMessage = 2_000;

/** Some servers put the members of the error into the body itself. */
function errorIn(body: JsonObject | undefined): JsonObject {
  if (body === undefined) return {};
  return isObject(body.error) ? body.error : body;
}

function wordOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const kindsByCode: ReadonlyMap<string, ProviderFailure['kind']> = new Map([
  ['context_length_exceeded', 'too-long'],
  ['exceed_context_size_error', 'too-long'],
  ['content_filter', 'content-filter'],
  ['content_policy_violation', 'content-filter'],
  ['invalid_prompt', 'content-filter'],
  ['bio_policy', 'content-filter'],
  ['invalid_api_key', 'unauthorized'],
  ['model_not_found', 'not-found'],
  ['DeploymentNotFound', 'not-found'],
  ['rate_limit_exceeded', 'rate-limited'],
  ['insufficient_quota', 'rate-limited'],
  ['overloaded', 'overloaded'],
  ['overloaded_error', 'overloaded'],
  ['engine_overloaded', 'overloaded'],
]);

function kindOf(status: number, code: string, message: string): ProviderFailure['kind'] {
  // OpenAI says so with 429, Groq with 413.
  if ((status === 429 || status === 413) && /^request too large\b/i.test(message)) return 'too-much';
  const byCode = kindsByCode.get(code);
  if (byCode !== undefined) return byCode;
  if (status === 413 || (status === 400 && saysTooLong(message))) return 'too-long';
  if (status === 401 || status === 403) return 'unauthorized';
  if (status === 404) return 'not-found';
  if (status === 429) return 'rate-limited';
  if (status === 503 || status === 529) return 'overloaded';
  return status >= 400 && status < 500 && status !== 408 && status !== 409 ? 'bad-request' : 'failed';
}

/** Servers that have no code for it use the words of OpenAI's message. */
function saysTooLong(message: string): boolean {
  const lower = message.slice(0, 1_000).toLowerCase();
  return lower.includes('maximum context length') || lower.includes('context window') || lower.includes('context size');
}

/** The same in the middle of a stream, where a status stands in the error's code at most. */
export function readStreamFailure(body: JsonObject): ProviderFailure {
  const { code } = errorIn(body);
  const number = typeof code === 'string' ? Number(code) : code;
  const status = typeof number === 'number' && number >= 400 && number < 600 ? Math.floor(number) : undefined;
  const failure = readOpenaiFailure(status ?? 500, body);
  return status === undefined ? { ...failure, status: statusByKind[failure.kind] } : failure;
}

const statusByKind: Readonly<Record<ProviderFailure['kind'], number>> = {
  'bad-request': 400,
  'too-long': 400,
  'too-much': 429,
  unauthorized: 401,
  'not-found': 404,
  'rate-limited': 429,
  overloaded: 503,
  'content-filter': 400,
  failed: 500,
};
