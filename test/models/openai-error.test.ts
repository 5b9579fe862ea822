import { describe, expect, test } from 'vitest';
import { type ErrorCode, errorTable, GatewayError } from '../../src/errors.ts';
import { readOpenaiFailure, writeOpenaiError } from '../../src/models/openai-error.ts';
import { isObject, type JsonObject } from '../../src/wire/json.ts';

const codes = Object.keys(errorTable) as ErrorCode[];

test.each(codes)('%s is an error document with a status of its own, and tells nothing but the message', (code) => {
  const { status, body } = writeOpenaiError(new GatewayError(code, 'What happened.', { cause: 'sk-secret', data: { url: 'x' } }));
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(600);
  expect(body).toEqual({ error: { message: 'What happened.', type: expect.any(String), param: null, code: wordOrNull(body) } });
});

function wordOrNull({ error }: JsonObject): unknown {
  return isObject(error) && error.code === null ? null : expect.stringMatching(/^[a-z_]+$/);
}

test.each([
  ['upstream_unavailable', 503, 'server_error'],
  ['upstream_failed', 502, 'server_error'],
  ['upstream_timeout', 504, 'server_error'],
  ['not_allowed', 403, 'invalid_request_error'],
  ['approval_pending', 403, 'invalid_request_error'],
  ['bad_arguments', 400, 'invalid_request_error'],
  ['body_too_large', 413, 'invalid_request_error'],
  ['internal', 500, 'server_error'],
] as const)('%s has status %i', (code, status, type) => {
  expect(writeOpenaiError(new GatewayError(code, 'x'))).toMatchObject({ status, body: { error: { type } } });
});

describe('what servers say of requests that they did not answer', () => {
  test.each([
    [
      400,
      {
        error: {
          message: "This model's maximum context length is 8192 tokens",
          type: 'invalid_request_error',
          code: 'context_length_exceeded',
        },
      },
      'too-long',
    ],
    [
      400,
      { object: 'error', message: "This model's maximum context length is 4096 tokens.", type: 'BadRequestError', code: 400 },
      'too-long',
    ],
    [
      400,
      { error: { message: 'the request exceeds the available context size', type: 'exceed_context_size_error', code: 400 } },
      'too-long',
    ],
    [413, undefined, 'too-long'],
    [400, { error: { message: 'The response was filtered', code: 'content_filter', innererror: {} } }, 'content-filter'],
    [400, { error: { message: 'Invalid value', type: 'invalid_request_error', code: null } }, 'bad-request'],
    [422, { detail: 'extra fields not permitted' }, 'bad-request'],
    [401, { error: { message: 'Incorrect API key provided: sk-...', code: 'invalid_api_key' } }, 'unauthorized'],
    [403, {}, 'unauthorized'],
    [404, { error: { message: 'The model does not exist', code: 'model_not_found' } }, 'not-found'],
    [404, { error: { code: 'DeploymentNotFound', message: 'x' } }, 'not-found'],
    [429, { error: { message: 'quota', code: 'insufficient_quota' } }, 'rate-limited'],
    [429, undefined, 'rate-limited'],
    [
      429,
      {
        error: {
          message: 'Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 90000.',
          type: 'tokens',
          code: 'rate_limit_exceeded',
        },
      },
      'too-much',
    ],
    [
      413,
      {
        error: { message: 'Request too large for model `x` on tokens per minute (TPM): Limit 6000', code: 'rate_limit_exceeded' },
      },
      'too-much',
    ],
    [429, { error: { message: 'Rate limit reached. Not: Request too large.', code: 'rate_limit_exceeded' } }, 'rate-limited'],
    [503, { error: 'model is loading' }, 'overloaded'],
    [529, undefined, 'overloaded'],
    [500, { error: { message: 'x', type: 'server_error' } }, 'failed'],
    [408, undefined, 'failed'],
  ])('%i %j', (status, body, kind) => {
    expect(readOpenaiFailure(status, body)).toMatchObject({ status, kind, message: expect.stringMatching(/./) });
  });
});
