import type { JsonObject } from '../../wire/json.ts';
import { ReplyError } from '../dialect.ts';
import type { Prompt } from '../prompt.ts';
import { writePrompt } from './write-prompt.ts';

// POST /v1/messages/count_tokens: a request of the same shape without what is about the answer alone.

const countedMembers = ['model', 'system', 'messages', 'tools', 'tool_choice', 'thinking', 'output_config'];

/** Throws GatewayError `invalid_request`. */
export function writeCountRequest(prompt: Prompt, model: string): JsonObject {
  const body = writePrompt(prompt, model);
  return Object.fromEntries(Object.entries(body).filter(([name]) => countedMembers.includes(name)));
}

/** Tokens of the prompt. Throws ReplyError. */
export function readCount(body: JsonObject): number {
  const tokens = body.input_tokens;
  if (typeof tokens === 'number' && Number.isSafeInteger(tokens) && tokens >= 0) return tokens;
  throw new ReplyError('input_tokens is no count');
}

export function writeCount(tokens: number): JsonObject {
  return { input_tokens: tokens };
}
