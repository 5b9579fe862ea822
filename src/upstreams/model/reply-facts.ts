import { randomBytes } from 'node:crypto';
import type { ReplyFacts } from '../../models/dialect.ts';
import type { Prompt } from '../../models/prompt.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';

/** Of one answer to a prompt that came in this body. */
export function replyFacts(prompt: Prompt, { stream_options }: JsonObject, nowMs: number): ReplyFacts {
  return {
    model: prompt.model,
    id: randomBytes(12).toString('hex'),
    createdAtMs: nowMs,
    streamsUsage: isObject(stream_options) && stream_options.include_usage === true,
    prompt,
  };
}
