import type { JsonObject } from '../../wire/json.ts';
import type { ReplyFacts } from '../dialect.ts';
import type { ToolCallPart } from '../prompt.ts';
import type { Reply } from '../reply.ts';
import { writeFinish } from './finish.ts';
import { extraContent, writeDetails } from './reasoning.ts';
import { writeChatUsage } from './usage.ts';
import { defined } from './write-prompt.ts';

export function writeChatReply({ parts, finish, usage }: Reply, facts: ReplyFacts): JsonObject {
  const refusal = parts.map((part) => (part.kind === 'refusal' ? part.text : '')).join('');
  return {
    id: `chatcmpl-${facts.id}`,
    object: 'chat.completion',
    created: Math.floor(facts.createdAtMs / 1000),
    model: facts.model,
    choices: [
      {
        index: 0,
        message: writeMessage(parts, refusal),
        logprobs: null,
        finish_reason: writeFinish(finish, refusal !== ''),
      },
    ],
    usage: writeChatUsage(usage),
  };
}

function writeMessage(parts: Reply['parts'], refusal: string): JsonObject {
  const texts = parts.filter((part) => part.kind === 'text');
  const thoughts = parts.filter((part) => part.kind === 'reasoning');
  const calls = parts.filter((part) => part.kind === 'tool-call');
  const thought = thoughts.map(({ text }) => text).join('');
  return defined({
    role: 'assistant',
    content: texts.length === 0 ? null : texts.map(({ text }) => text).join(''),
    refusal: refusal === '' ? null : refusal,
    annotations: [],
    reasoning_content: thought === '' ? undefined : thought,
    reasoning_details: writeDetails(thoughts),
    tool_calls: calls.length === 0 ? undefined : calls.map(writeCall),
  });
}

function writeCall({ id, name, arguments: text, signature }: ToolCallPart): JsonObject {
  const call: JsonObject = { id, type: 'function', function: { name, arguments: text === '' ? '{}' : text } };
  if (signature !== undefined) call.extra_content = extraContent(signature);
  return call;
}
