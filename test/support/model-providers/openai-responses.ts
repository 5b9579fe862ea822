import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type Json, type JsonObject } from '../../../src/wire/json.ts';
import { brokenSse, type Frame, type FullReply, type Generation, must, sse } from './provider-wire.ts';
import type { ScriptedPart } from './script.ts';

// Responses (platform.openai.com/docs/api-reference/responses).

export function responses(body: JsonObject, model: string): Generation {
  checkInput(body.input);
  return {
    kind: 'generate',
    model,
    isStream: body.stream === true,
    streamType: 'text/event-stream; charset=utf-8',
    whole: (reply) => responseOf(reply, model, body, 'last'),
    frames: (reply) => framesOf(reply, model, body),
    brokenFrame: brokenSse,
    failureFrame: (message) => sse({ type: 'error', code: 'server_error', message, param: null, sequence_number: 99 }, 'error'),
  };
}

/** Every output of a function belongs to a call before it. */
function checkInput(input: Json | undefined): void {
  must(typeof input === 'string' || (Array.isArray(input) && input.every(isObject)), "Missing required parameter: 'input'.");
  if (!Array.isArray(input)) return;
  const calls = new Set<unknown>();
  for (const item of input.filter(isObject)) {
    if (item.type === 'function_call') calls.add(item.call_id);
    if (item.type === 'function_call_output')
      must(calls.has(item.call_id), `No tool call found for function call output with call_id ${item.call_id}.`);
  }
}

function usageOf({ input, output, cacheRead, reasoning }: Usage): JsonObject {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cacheRead },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: input + output,
  };
}

function responseOf(reply: FullReply, model: string, body: JsonObject, at: 'first' | 'last'): JsonObject {
  const isCut = reply.finish === 'length' || reply.finish === 'content-filter';
  const reason = reply.finish === 'length' ? 'max_output_tokens' : 'content_filter';
  const isLast = at === 'last';
  return {
    id: `resp_${reply.id}`,
    object: 'response',
    created_at: 1_760_000_000,
    status: isLast ? (isCut ? 'incomplete' : 'completed') : 'in_progress',
    error: null,
    incomplete_details: isLast && isCut ? { reason } : null,
    instructions: body.instructions ?? null,
    metadata: {},
    model,
    output: isLast ? reply.parts.map((part, index) => itemOf(part, `${reply.id}_${index}`, true)) : [],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: 'auto',
    tools: body.tools ?? [],
    top_p: 1,
    store: false,
    usage: isLast && reply.usage ? usageOf(reply.usage) : null,
  };
}

function itemOf(part: ScriptedPart, id: string, isFull: boolean): JsonObject {
  const status = isFull ? 'completed' : 'in_progress';
  switch (part.kind) {
    case 'tool-call': {
      const text = isFull ? JSON.stringify(part.arguments) : '';
      return { id: `fc_${id}`, type: 'function_call', status, call_id: part.id, name: part.name, arguments: text };
    }
    case 'reasoning':
      return {
        id: `rs_${id}`,
        type: 'reasoning',
        summary: isFull ? [{ type: 'summary_text', text: part.text }] : [],
        ...(part.signature !== undefined && { encrypted_content: part.signature }),
      };
    default:
      return {
        id: `msg_${id}`,
        type: 'message',
        status,
        role: 'assistant',
        content: isFull ? [contentOf(part.kind, part.text)] : [],
      };
  }
}

function contentOf(kind: 'text' | 'refusal', text: string): JsonObject {
  return kind === 'refusal' ? { type: 'refusal', refusal: text } : { type: 'output_text', text, annotations: [], logprobs: [] };
}

function framesOf(reply: FullReply, model: string, body: JsonObject): readonly Frame[] {
  let number = 0;
  const frame = (type: string, data: JsonObject, isText = false): Frame => ({
    bytes: sse({ type, sequence_number: number++, ...data }, type),
    isText,
  });
  const first = responseOf(reply, model, body, 'first');
  const last = responseOf(reply, model, body, 'last');
  const opening = [frame('response.created', { response: first }), frame('response.in_progress', { response: first })];
  const items = reply.parts.flatMap((part, index) => itemFrames(part, index, reply, frame));
  return [...opening, ...items, { ...frame(`response.${last.status}`, { response: last }), told: reply.usage }];
}

type MakeFrame = (type: string, data: JsonObject, isText?: boolean) => Frame;

function itemFrames(part: ScriptedPart, index: number, reply: FullReply, frame: MakeFrame): readonly Frame[] {
  const id = `${reply.id}_${index}`;
  const [empty, full] = [itemOf(part, id, false), itemOf(part, id, true)];
  const at = { item_id: full.id ?? '', output_index: index };
  const added = frame('response.output_item.added', { output_index: index, item: empty });
  const inner = (): readonly Frame[] => {
    switch (part.kind) {
      case 'tool-call': {
        const text = JSON.stringify(part.arguments);
        const deltas = reply.cut(text).map((delta) => frame('response.function_call_arguments.delta', { ...at, delta }, true));
        return [...deltas, frame('response.function_call_arguments.done', { ...at, arguments: text, name: part.name })];
      }
      case 'reasoning': {
        const of = { ...at, summary_index: 0 };
        const start = frame('response.reasoning_summary_part.added', { ...of, part: { type: 'summary_text', text: '' } });
        const deltas = reply
          .cut(part.text)
          .map((delta) => frame('response.reasoning_summary_text.delta', { ...of, delta }, true));
        return [
          start,
          ...deltas,
          frame('response.reasoning_summary_text.done', { ...of, text: part.text }),
          frame('response.reasoning_summary_part.done', { ...of, part: { type: 'summary_text', text: part.text } }),
        ];
      }
      default: {
        const of = { ...at, content_index: 0 };
        const type = part.kind === 'refusal' ? 'response.refusal' : 'response.output_text';
        const start = frame('response.content_part.added', { ...of, part: contentOf(part.kind, '') });
        const deltas = reply.cut(part.text).map((delta) => frame(`${type}.delta`, { ...of, delta, logprobs: [] }, true));
        const text = part.kind === 'refusal' ? { refusal: part.text } : { text: part.text, logprobs: [] };
        return [
          start,
          ...deltas,
          frame(`${type}.done`, { ...of, ...text }),
          frame('response.content_part.done', { ...of, part: contentOf(part.kind, part.text) }),
        ];
      }
    }
  };
  const filled = inner();
  return [added, ...filled, frame('response.output_item.done', { output_index: index, item: full })];
}
