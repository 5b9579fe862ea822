import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { fitUsage, readTokens } from '../chat/usage.ts';
import type { Usage } from '../reply.ts';

export function readResponseUsage(usage: Json | undefined): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const inputDetails = isObject(usage.input_tokens_details) ? usage.input_tokens_details : {};
  const outputDetails = isObject(usage.output_tokens_details) ? usage.output_tokens_details : {};
  return fitUsage({
    input: readTokens(usage.input_tokens),
    output: readTokens(usage.output_tokens),
    cacheRead: readTokens(inputDetails.cached_tokens),
    cacheWrite: readTokens(inputDetails.cache_write_tokens),
    reasoning: readTokens(outputDetails.reasoning_tokens),
  });
}

export function writeResponseUsage(usage: Usage): JsonObject {
  return {
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: usage.reasoning },
    total_tokens: usage.input + usage.output,
  };
}
