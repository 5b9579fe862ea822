import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { needObject, needText, objectAt, readList, readText, refuse } from '../members.ts';
import type { Message, Part, TextPart, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { readContent, readTexts } from './read-content.ts';
import { readReasoning, signatureOfCall } from './reasoning.ts';

export interface Conversation {
  readonly system: readonly TextPart[];
  readonly messages: readonly Message[];
}

/**
 * `messages`. Instructions go to the front wherever they stand, so that they keep their authority with providers that know none
 * in between. Results of tools that follow each other are one message: some providers want all of a turn together.
 */
export function readMessages(body: JsonObject): Conversation {
  const list = readList(body, 'messages') ?? refuse('messages', 'is required and must be an array');
  if (list.length === 0) refuse('messages', 'must hold at least one message');
  const system: TextPart[] = [];
  const messages: Message[] = [];
  let results: ToolResultPart[] | undefined;
  for (const [index, value] of list.entries()) {
    const at = `messages[${index}]`;
    const message = objectAt(value, at);
    if (message.role === 'tool') {
      const result = readToolResult(message, at);
      if (results === undefined) {
        results = [result];
        messages.push({ role: 'user', parts: results });
      } else results.push(result);
      continue;
    }
    results = undefined;
    if (message.role === 'system' || message.role === 'developer') system.push(...readTexts(message, at));
    else if (message.role === 'user') messages.push({ role: 'user', parts: readUserParts(message, at) });
    else if (message.role === 'assistant') pushAssistant(messages, readAssistantParts(message, at));
    else refuse(`${at}.role`, roleSentence(message.role));
  }
  return { system, messages };
}

function roleSentence(role: Json | undefined): string {
  const words = 'must be one of system, developer, user, assistant, tool';
  return role === 'function' ? `${words}; function is the old way, which this model's provider does not know` : words;
}

function readUserParts(message: JsonObject, at: string): readonly Part[] {
  if (message.content === undefined || message.content === null) refuse(`${at}.content`, 'is required');
  const parts = readContent(message, at);
  return parts.length === 0 ? [{ kind: 'text', text: '' }] : parts;
}

function pushAssistant(messages: Message[], parts: readonly Part[]): void {
  if (parts.length > 0) messages.push({ role: 'assistant', parts });
}

function readAssistantParts(message: JsonObject, at: string): readonly Part[] {
  if (isObject(message.audio)) refuse(`${at}.audio`, 'names sound that another provider keeps; send its transcript as content');
  if (isObject(message.function_call)) refuse(`${at}.function_call`, 'is not translated; use tool_calls');
  const refusal = readText(message, 'refusal', at);
  const calls = readList(message, 'tool_calls', at) ?? [];
  return [
    ...readReasoning(message),
    ...readContent(message, at),
    ...(refusal === undefined || refusal === '' ? [] : [{ kind: 'refusal', text: refusal } as const]),
    ...calls.map((call, index) => readToolCall(call, `${at}.tool_calls[${index}]`)),
  ];
}

function readToolCall(value: Json, at: string): ToolCallPart {
  const call = objectAt(value, at);
  if (call.type !== undefined && call.type !== 'function') refuse(`${at}.type`, 'must be function');
  const named = needObject(call, 'function', at);
  const signature = signatureOfCall(call);
  return {
    kind: 'tool-call',
    id: needText(call, 'id', at),
    name: needText(named, 'name', `${at}.function`),
    arguments: readText(named, 'arguments', `${at}.function`) || '{}',
    ...(signature === undefined ? {} : { signature }),
  };
}

function readToolResult(message: JsonObject, at: string): ToolResultPart {
  const parts = readContent(message, at).map((part) =>
    part.kind === 'refusal' ? refuse(`${at}.content`, 'must be text or media') : part,
  );
  return { kind: 'tool-result', callId: needText(message, 'tool_call_id', at), name: undefined, parts, isError: false };
}
