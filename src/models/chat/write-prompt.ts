import type { JsonObject } from '../../wire/json.ts';
import type { ServerHabits } from '../dialect.ts';
import type {
  AnswerFormat,
  MediaPart,
  Message,
  OfferedTool,
  Part,
  Prompt,
  ReasoningWish,
  TextPart,
  ToolCallPart,
  ToolChoice,
  ToolResultPart,
} from '../prompt.ts';
import { writeContent, writeTexts } from './write-content.ts';

/**
 * A request to Chat Completions. Left out is what its servers have no word for: `topK`, marks of what may be cached (they cache by
 * themselves), and earlier reasoning (OpenAI refuses it).
 */
export function writeChatPrompt(prompt: Prompt, model: string, habits?: ServerHabits): JsonObject {
  const effort = prompt.reasoning === undefined ? undefined : effortOf(prompt.reasoning);
  return defined({
    model,
    messages: writeMessages(prompt),
    ...writeTools(prompt),
    [habits?.maxTokensMember ?? 'max_completion_tokens']: prompt.maxTokens,
    temperature: prompt.temperature,
    top_p: prompt.topP,
    stop: prompt.stop.length === 0 ? undefined : [...prompt.stop],
    seed: prompt.seed,
    presence_penalty: prompt.presencePenalty,
    frequency_penalty: prompt.frequencyPenalty,
    response_format: writeFormat(prompt.format),
    reasoning_effort: effort,
    user: prompt.user,
    stream: prompt.isStream ? true : undefined,
    stream_options: prompt.isStream ? { include_usage: true } : undefined,
  });
}

/** Without the members that are undefined. */
export function defined(members: Readonly<Record<string, JsonObject[string] | undefined>>): JsonObject {
  const kept: JsonObject = {};
  for (const key in members) {
    const value = members[key];
    if (value !== undefined) kept[key] = value;
  }
  return kept;
}

/** What a budget of tokens comes to where only words are understood. */
export function effortOf({ effort, budgetTokens }: ReasoningWish): string | undefined {
  if (effort !== undefined || budgetTokens === undefined) return effort;
  if (budgetTokens <= 0) return 'none';
  if (budgetTokens <= 2_048) return 'low';
  return budgetTokens <= 8_192 ? 'medium' : 'high';
}

function writeMessages({ system, messages }: Prompt): JsonObject[] {
  const written: JsonObject[] = system.length === 0 ? [] : [{ role: 'system', content: writeTexts(system) }];
  for (const message of messages) {
    if (message.role === 'assistant') pushAssistant(written, message.parts);
    else pushUser(written, message);
  }
  return written;
}

/** Results of tools first: they must follow their calls. What is no text in them comes with the words of the user. */
function pushUser(written: JsonObject[], { parts }: Message): void {
  const rest: (TextPart | MediaPart)[] = [];
  for (const part of parts) {
    if (part.kind === 'tool-result') {
      written.push(writeResult(part));
      rest.push(...part.parts.filter(isMedia));
    } else if (part.kind === 'text' || part.kind === 'media') rest.push(part);
  }
  if (rest.length > 0) written.push({ role: 'user', content: writeContent(rest) });
}

function writeResult({ callId, parts }: ToolResultPart): JsonObject {
  const texts = parts.filter((part) => part.kind === 'text');
  return { role: 'tool', tool_call_id: callId, content: texts.length === 0 ? '' : writeTexts(texts) };
}

function isMedia(part: Part): part is MediaPart {
  return part.kind === 'media';
}

function pushAssistant(written: JsonObject[], parts: readonly Part[]): void {
  const texts = parts.filter((part) => part.kind === 'text');
  const calls = parts.filter((part) => part.kind === 'tool-call');
  const refusal = parts.map((part) => (part.kind === 'refusal' ? part.text : '')).join('');
  if (texts.length === 0 && calls.length === 0 && refusal === '') return;
  written.push(
    defined({
      role: 'assistant',
      content: texts.length === 0 ? null : writeTexts(texts),
      refusal: refusal === '' ? undefined : refusal,
      tool_calls: calls.length === 0 ? undefined : calls.map(writeCall),
    }),
  );
}

function writeCall({ id, name, arguments: text }: ToolCallPart): JsonObject {
  return { id, type: 'function', function: { name, arguments: text === '' ? '{}' : text } };
}

/** Without tools the API refuses every word about them. */
function writeTools({ tools, toolChoice, parallelTools }: Prompt): Readonly<Record<string, JsonObject[string] | undefined>> {
  if (tools.length === 0) return {};
  return {
    tools: tools.map((tool) => ({ type: 'function', function: writeFunction(tool) })),
    tool_choice: toolChoice === undefined ? undefined : writeToolChoice(toolChoice),
    parallel_tool_calls: parallelTools,
  };
}

function writeFunction({ name, description, schema, isStrict }: OfferedTool): JsonObject {
  return defined({ name, description, parameters: schema, strict: isStrict });
}

function writeToolChoice(choice: ToolChoice): string | JsonObject {
  return choice.kind === 'tool' ? { type: 'function', function: { name: choice.name } } : choice.kind;
}

function writeFormat(format: AnswerFormat): JsonObject | undefined {
  if (format.kind !== 'schema') return format.kind === 'json' ? { type: 'json_object' } : undefined;
  const { name, description, schema, isStrict } = format;
  return { type: 'json_schema', json_schema: defined({ name, description, schema, strict: isStrict }) };
}
