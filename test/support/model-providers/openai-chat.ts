import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import { brokenSse, type Frame, type FullReply, type Generation, listOf, must, sse } from './provider-wire.ts';

// Chat Completions and the older Completions (platform.openai.com/docs/api-reference/chat).

const created = 1_760_000_000;
const done: Frame = { bytes: sse('[DONE]'), isText: false };

export function failureFrame(message: string): Buffer {
  return sse({ error: { message, type: 'server_error', param: null, code: null } });
}

const finishes = { stop: 'stop', length: 'length', 'tool-calls': 'tool_calls', 'content-filter': 'content_filter' } as const;

function usageOf({ input, output, cacheRead, reasoning }: Usage): JsonObject {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cacheRead, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: reasoning, audio_tokens: 0 },
  };
}

export function chat(body: JsonObject, model: string): Generation {
  checkMessages(listOf(body, 'messages'));
  const saysUsage = isObject(body.stream_options) && body.stream_options.include_usage === true;
  return {
    kind: 'generate',
    model,
    isStream: body.stream === true,
    streamType: 'text/event-stream; charset=utf-8',
    whole: (reply) => ({
      id: `chatcmpl-${reply.id}`,
      object: 'chat.completion',
      created,
      model,
      choices: [{ index: 0, message: messageOf(reply), logprobs: null, finish_reason: finishes[reply.finish] }],
      ...(reply.usage && { usage: usageOf(reply.usage) }),
      service_tier: 'default',
      system_fingerprint: 'fp_stand_in',
    }),
    frames: (reply) => chatFrames(reply, model, saysUsage),
    brokenFrame: brokenSse,
    failureFrame,
  };
}

/** Every call of a tool has a message with its result right after it, and there are no other results. */
function checkMessages(messages: readonly JsonObject[]): void {
  must(messages.length > 0, "Invalid 'messages': empty array.", 400, 'empty_array');
  let open: string[] = [];
  for (const message of messages) {
    const { role } = message;
    must(['system', 'developer', 'user', 'assistant', 'tool'].includes(String(role)), `Invalid value: '${role}'.`);
    if (role === 'tool') {
      must(open.includes(String(message.tool_call_id)), "messages with role 'tool' must be a response to 'tool_calls'.");
      open = open.filter((id) => id !== message.tool_call_id);
      continue;
    }
    must(open.length === 0, `tool_call_ids did not have response messages: ${open}`);
    if (role === 'assistant' && Array.isArray(message.tool_calls))
      open = message.tool_calls.filter(isObject).map((call) => {
        must(isObject(call.function) && typeof call.function.arguments === 'string', 'tool_calls: arguments must be a string');
        return String(call.id);
      });
  }
}

function messageOf({ parts }: FullReply): JsonObject {
  const textOf = (kind: string) => parts.map((part) => (part.kind === kind && 'text' in part ? part.text : '')).join('');
  const calls = parts.flatMap((part) =>
    part.kind === 'tool-call'
      ? [{ id: part.id, type: 'function', function: { name: part.name, arguments: JSON.stringify(part.arguments) } }]
      : [],
  );
  const thoughts = textOf('reasoning');
  return {
    role: 'assistant',
    content: textOf('text') || null,
    refusal: textOf('refusal') || null,
    annotations: [],
    // Not OpenAI's: servers that speak its dialect show what their model thought there.
    ...(thoughts !== '' && { reasoning_content: thoughts }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function chatFrames(reply: FullReply, model: string, saysUsage: boolean): readonly Frame[] {
  const base = { id: `chatcmpl-${reply.id}`, object: 'chat.completion.chunk', created, model, service_tier: 'default' };
  const chunk = (delta: JsonObject, isText: boolean, finish: string | null = null): Frame => ({
    bytes: sse({
      ...base,
      choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
      ...(saysUsage && { usage: null }),
    }),
    isText,
  });
  let calls = 0;
  const words = reply.parts.flatMap((part): readonly Frame[] => {
    if (part.kind === 'tool-call') {
      const index = calls++;
      const opening = { index, id: part.id, type: 'function', function: { name: part.name, arguments: '' } };
      const pieces = reply.cut(JSON.stringify(part.arguments));
      return [
        chunk({ tool_calls: [opening] }, false),
        ...pieces.map((text) => chunk({ tool_calls: [{ index, function: { arguments: text } }] }, true)),
      ];
    }
    const name = part.kind === 'text' ? 'content' : part.kind === 'refusal' ? 'refusal' : 'reasoning_content';
    return reply.cut(part.text).map((text) => chunk({ [name]: text }, true));
  });
  const last =
    saysUsage && reply.usage
      ? [{ bytes: sse({ ...base, choices: [], usage: usageOf(reply.usage) }), isText: false, told: reply.usage }]
      : [];
  const opening = chunk({ role: 'assistant', content: '', refusal: null }, false);
  return [opening, ...words, chunk({}, false, finishes[reply.finish]), ...last, done];
}

export function completions(body: JsonObject, model: string): Generation {
  must(typeof body.prompt === 'string' || Array.isArray(body.prompt), "you must provide a 'prompt' parameter");
  const saysUsage = isObject(body.stream_options) && body.stream_options.include_usage === true;
  const document = (reply: FullReply, text: string, finish: string | null): JsonObject => ({
    id: `cmpl-${reply.id}`,
    object: 'text_completion',
    created,
    model,
    choices: [{ text, index: 0, logprobs: null, finish_reason: finish }],
  });
  const textOf = ({ parts }: FullReply) => parts.map((part) => (part.kind === 'text' ? part.text : '')).join('');
  return {
    kind: 'generate',
    model,
    isStream: body.stream === true,
    streamType: 'text/event-stream; charset=utf-8',
    whole: (reply) => ({
      ...document(reply, textOf(reply), finishes[reply.finish]),
      ...(reply.usage && { usage: usageOf(reply.usage) }),
    }),
    frames: (reply) => [
      ...reply.cut(textOf(reply)).map((text) => ({ bytes: sse(document(reply, text, null)), isText: true })),
      { bytes: sse(document(reply, '', finishes[reply.finish])), isText: false },
      ...(saysUsage && reply.usage
        ? [
            {
              bytes: sse({ ...document(reply, '', null), choices: [], usage: usageOf(reply.usage) }),
              isText: false,
              told: reply.usage,
            },
          ]
        : []),
      done,
    ],
    brokenFrame: brokenSse,
    failureFrame,
  };
}
