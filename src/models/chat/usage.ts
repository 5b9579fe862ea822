import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { Usage } from '../reply.ts';

/** Whether a request for a stream wants usage at its end (`stream_options.include_usage`); the same in `completions`. */
export function wantsStreamUsage(body: JsonObject): boolean {
  return isObject(body.stream_options) && body.stream_options.include_usage === true;
}

/** Of `usage` as Chat Completions, Completions and Embeddings have it; undefined where it is no object. */
export function readChatUsage(usage: Json | undefined): Usage | undefined {
  if (!isObject(usage)) return undefined;
  const inputDetails = isObject(usage.prompt_tokens_details) ? usage.prompt_tokens_details : {};
  const outputDetails = isObject(usage.completion_tokens_details) ? usage.completion_tokens_details : {};
  const input = readTokens(usage.prompt_tokens);
  const reasoning = readTokens(outputDetails.reasoning_tokens);
  return fitUsage({
    input,
    output: readOutput(usage, input, reasoning),
    cacheRead: readTokens(inputDetails.cached_tokens ?? usage.prompt_cache_hit_tokens),
    cacheWrite: readTokens(inputDetails.cache_write_tokens),
    reasoning,
  });
}

/** A part is never more than its whole, whatever a server counts: prices are worked out of the differences. */
export function fitUsage({ input, output, cacheRead, cacheWrite, reasoning }: Usage): Usage {
  const read = Math.min(cacheRead, input);
  return {
    input,
    output,
    cacheRead: read,
    cacheWrite: Math.min(cacheWrite, input - read),
    reasoning: Math.min(reasoning, output),
  };
}

/** Some servers count reasoning beside the completion: the total tells them. */
function readOutput(usage: JsonObject, input: number, reasoning: number): number {
  const output = readTokens(usage.completion_tokens);
  return reasoning > 0 && readTokens(usage.total_tokens) === input + output + reasoning ? output + reasoning : output;
}

/** A provider's count may be anything: what is no number of tokens counts as none. */
export function readTokens(value: Json | undefined): number {
  return typeof value === 'number' && value > 0 && value <= Number.MAX_SAFE_INTEGER ? Math.floor(value) : 0;
}

export function writeChatUsage(usage: Usage): JsonObject {
  return {
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
    prompt_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoning,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
