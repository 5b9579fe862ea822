import { randomBytes } from 'node:crypto';
import { wantsStreamUsage } from '../../models/chat/usage.ts';
import type { ReplyFacts } from '../../models/dialect.ts';
import type { Prompt } from '../../models/prompt.ts';
import type { JsonObject } from '../../wire/json.ts';

/** Of one answer to a prompt that came in this body. */
export function replyFacts(prompt: Prompt, body: JsonObject, nowMs: number): ReplyFacts {
  return {
    model: prompt.model,
    id: randomBytes(12).toString('hex'),
    createdAtMs: nowMs,
    streamsUsage: wantsStreamUsage(body),
    prompt,
  };
}
