import type { Json, JsonObject } from '../../wire/json.ts';
import type { ReplyFacts } from '../dialect.ts';
import type { Finish, Reply, ReplyPart, Usage } from '../reply.ts';
import { writeReasoningItem } from './reasoning.ts';
import { writeResponseUsage } from './usage.ts';
import { writeFormat, writeTool, writeToolChoice } from './write-prompt.ts';

export function writeResponsesReply({ parts, finish, usage }: Reply, facts: ReplyFacts): JsonObject {
  const output = parts.map((part, index) => writeItem(part, itemId(part.kind, facts, index), statusOf(finish)));
  return endedResponse(responseHead(facts), output, finish, usage);
}

/** What stays the same from `response.created` to the end. */
export function responseHead({ id, createdAtMs, model, prompt }: ReplyFacts): JsonObject {
  return {
    id: `resp_${id}`,
    object: 'response',
    created_at: Math.floor(createdAtMs / 1000),
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: prompt.maxTokens ?? null,
    metadata: {},
    model,
    output: [],
    parallel_tool_calls: prompt.parallelTools ?? true,
    previous_response_id: null,
    reasoning: { effort: prompt.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: prompt.temperature ?? null,
    text: { format: writeFormat(prompt.format) },
    tool_choice: prompt.toolChoice === undefined ? 'auto' : writeToolChoice(prompt.toolChoice),
    tools: prompt.tools.map(writeTool),
    top_p: prompt.topP ?? null,
    truncation: 'disabled',
    usage: null,
    user: prompt.user ?? null,
  };
}

export function endedResponse(head: JsonObject, output: Json[], finish: Finish, usage: Usage): JsonObject {
  const reason = reasonOf(finish);
  return {
    ...head,
    status: reason === undefined ? 'completed' : 'incomplete',
    incomplete_details: reason === undefined ? null : { reason },
    output,
    usage: writeResponseUsage(usage),
  };
}

function reasonOf(finish: Finish): string | undefined {
  if (finish === 'length') return 'max_output_tokens';
  return finish === 'content-filter' ? 'content_filter' : undefined;
}

function statusOf(finish: Finish): 'completed' | 'incomplete' {
  return reasonOf(finish) === undefined ? 'completed' : 'incomplete';
}

const prefixes: Readonly<Record<ReplyPart['kind'], string>> = { text: 'msg', refusal: 'msg', reasoning: 'rs', 'tool-call': 'fc' };

export function itemId(kind: ReplyPart['kind'], { id }: ReplyFacts, index: number): string {
  return `${prefixes[kind]}_${id}_${index}`;
}

/** One item for each part: whoever puts them together finds the texts in the same order. */
export function writeItem(part: ReplyPart, id: string, status: 'completed' | 'incomplete'): JsonObject {
  switch (part.kind) {
    case 'text':
      return writeMessageItem(id, status, { type: 'output_text', annotations: [], logprobs: [], text: part.text });
    case 'refusal':
      return writeMessageItem(id, status, { type: 'refusal', refusal: part.text });
    case 'reasoning':
      return { id, ...writeReasoningItem(part), status };
    case 'tool-call':
      return { id, type: 'function_call', status, arguments: part.arguments || '{}', call_id: part.id, name: part.name };
  }
}

function writeMessageItem(id: string, status: string, part: JsonObject): JsonObject {
  return { id, type: 'message', status, role: 'assistant', content: [part] };
}
