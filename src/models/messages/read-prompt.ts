import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { AnswerFormat, Message, OfferedTool, Part, Prompt, ReasoningWish, TextPart, ToolChoice } from '../prompt.ts';
import {
  join,
  member,
  readObject,
  readOptionalBoolean,
  readOptionalCount,
  readOptionalList,
  readOptionalNumber,
  readOptionalObject,
  readOptionalText,
  readText,
  refuse,
} from './members.ts';
import { readContent, readIsCached, readTexts } from './read-parts.ts';

/**
 * A request to `POST /v1/messages` or `/v1/messages/count_tokens`. `max_tokens` may be missing: whoever asks the model fills it in.
 * Throws GatewayError `invalid_request`.
 */
export function readPrompt(body: JsonObject): Prompt {
  const { system, messages } = readConversation(body);
  const choice = readOptionalObject(body, 'tool_choice', '');
  const isSingle = choice === undefined ? undefined : readOptionalBoolean(choice, 'disable_parallel_tool_use', 'tool_choice');
  const metadata = readOptionalObject(body, 'metadata', '');
  const output = readOptionalObject(body, 'output_config', '');
  return {
    model: readText(body, 'model', '') || refuse('model', 'the name of a model'),
    system,
    messages: readIsCached(body).isCached ? cacheAll(messages) : messages,
    tools: readOptionalList(body, 'tools', '').map((value, at) => readTool(readObject(value, `tools[${at}]`), `tools[${at}]`)),
    toolChoice: choice === undefined ? undefined : readToolChoice(choice),
    parallelTools: isSingle === undefined ? undefined : !isSingle,
    maxTokens: readOptionalCount(body, 'max_tokens', ''),
    temperature: readOptionalNumber(body, 'temperature', '', 0, 1),
    topP: readOptionalNumber(body, 'top_p', '', 0, 1),
    topK: readOptionalCount(body, 'top_k', ''),
    stop: readOptionalList(body, 'stop_sequences', '').map((value, at) =>
      typeof value === 'string' ? value : refuse(`stop_sequences[${at}]`, 'a string'),
    ),
    seed: undefined,
    presencePenalty: undefined,
    frequencyPenalty: undefined,
    format: output === undefined ? { kind: 'text' } : readFormat(output),
    reasoning: readReasoning(readOptionalObject(body, 'thinking', ''), output),
    isStream: readOptionalBoolean(body, 'stream', '') ?? false,
    user: metadata === undefined ? undefined : readOptionalText(metadata, 'user_id', 'metadata'),
  };
}

/** Instructions in the middle of a conversation (role `system`) stand with those at its beginning: other dialects have no place for them. */
function readConversation(body: JsonObject): { readonly system: readonly TextPart[]; readonly messages: readonly Message[] } {
  const given = member(body, 'system');
  const system = given === undefined ? [] : readTexts(given, 'system');
  const list = readOptionalList(body, 'messages', '');
  if (list.length === 0) refuse('messages', 'an array of at least one message');
  const messages: Message[] = [];
  for (const [at, value] of list.entries()) {
    const path = `messages[${at}]`;
    const { role, content } = readObject(value, path);
    if (role === 'system') system.push(...readTexts(content, join(path, 'content')));
    else if (role === 'user' || role === 'assistant')
      messages.push({ role, parts: readContent(content, role, join(path, 'content')) });
    else refuse(join(path, 'role'), '"user" or "assistant"');
  }
  return { system, messages };
}

/** `cache_control` of the request is that of its last block. */
function cacheAll(messages: readonly Message[]): readonly Message[] {
  const last = messages.at(-1);
  const part = last?.parts.at(-1);
  if (last === undefined || (part?.kind !== 'text' && part?.kind !== 'tool-result')) return messages;
  const parts: readonly Part[] = [...last.parts.slice(0, -1), { ...part, isCached: true }];
  return [...messages.slice(0, -1), { role: last.role, parts }];
}

function readTool(tool: JsonObject, path: string): OfferedTool {
  const type = member(tool, 'type') ?? 'custom';
  const name = readText(tool, 'name', path);
  if (type !== 'custom')
    throw new GatewayError(
      'invalid_request',
      `${path}: the tool "${name.slice(0, 128)}" is understood by Anthropic's own API alone, and the model that was chosen is reached by another; offer a tool with an input_schema, or ask a model of Anthropic.`,
    );
  return {
    name,
    description: readOptionalText(tool, 'description', path),
    schema: readObject(tool.input_schema, join(path, 'input_schema')),
    isStrict: readOptionalBoolean(tool, 'strict', path),
    ...readIsCached(tool),
  };
}

function readToolChoice(choice: JsonObject): ToolChoice {
  switch (choice.type) {
    case 'auto':
    case 'none':
      return { kind: choice.type };
    case 'any':
      return { kind: 'required' };
    case 'tool':
      return { kind: 'tool', name: readText(choice, 'name', 'tool_choice') };
    default:
      return refuse('tool_choice.type', '"auto", "any", "tool" or "none"');
  }
}

function readFormat(output: JsonObject): AnswerFormat {
  const format = readOptionalObject(output, 'format', 'output_config');
  if (format === undefined) return { kind: 'text' };
  if (format.type !== 'json_schema') return refuse('output_config.format.type', '"json_schema"');
  const schema = readObject(format.schema, 'output_config.format.schema');
  return { kind: 'schema', name: 'answer', description: undefined, schema, isStrict: true };
}

const efforts = ['low', 'medium', 'high', 'xhigh', 'max'] as const;

function readReasoning(thinking: JsonObject | undefined, output: JsonObject | undefined): ReasoningWish | undefined {
  const effort = output === undefined ? undefined : readEffort(output);
  switch (thinking?.type) {
    case undefined:
      if (thinking !== undefined) return refuse('thinking.type', '"adaptive", "enabled", "between_tools" or "disabled"');
      return effort === undefined ? undefined : { effort, budgetTokens: undefined };
    case 'enabled':
      return { effort, budgetTokens: readOptionalCount(thinking, 'budget_tokens', 'thinking'), ...isShown(thinking) };
    case 'adaptive':
      return { effort: effort ?? 'medium', budgetTokens: undefined, ...isShown(thinking) };
    case 'between_tools':
      return { effort: effort ?? 'low', budgetTokens: undefined };
    case 'disabled':
      return { effort: 'none', budgetTokens: undefined };
    default:
      return refuse('thinking.type', '"adaptive", "enabled", "between_tools" or "disabled"');
  }
}

function isShown({ display }: JsonObject): { readonly isShown?: boolean } {
  return typeof display === 'string' ? { isShown: display !== 'omitted' } : {};
}

function readEffort(output: JsonObject): ReasoningWish['effort'] {
  const effort = readOptionalText(output, 'effort', 'output_config');
  const known = efforts.find((one) => one === effort);
  return effort === undefined || known !== undefined
    ? known
    : refuse('output_config.effort', '"low", "medium", "high", "xhigh" or "max"');
}

/** The client wants the answer in parts. */
export function isStream(body: JsonObject): boolean {
  return isObject(body) && body.stream === true;
}
