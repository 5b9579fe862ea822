import type { Json, JsonObject } from '../../wire/json.ts';
import { efforts, readFunction, readSampling, readSchemaFormat, readToolChoice } from '../chat/read-prompt.ts';
import { needText, objectAt, readBoolean, readChoice, readInteger, readList, readObject, readText, refuse } from '../members.ts';
import type { AnswerFormat, OfferedTool, Prompt, ReasoningWish } from '../prompt.ts';
import { readInput } from './read-items.ts';

/**
 * A request to `/v1/responses`. What lives on at OpenAI's servers (earlier responses, conversations, stored prompts, work in the
 * background) and tools that run there are refused; `store` is left out, since nothing is stored.
 */
export function readResponsesPrompt(body: JsonObject): Prompt {
  refuseState(body);
  const offered = (readList(body, 'tools') ?? []).map((tool, index) => readTool(tool, `tools[${index}]`));
  const { tools, toolChoice } = readToolChoice(body.tool_choice, offered, (choice, at) => needText(choice, 'name', at));
  return {
    model: needText(body, 'model'),
    ...readInput(body),
    tools,
    toolChoice,
    parallelTools: readBoolean(body, 'parallel_tool_calls'),
    maxTokens: readInteger(body, 'max_output_tokens', 1),
    ...readSampling(body),
    stop: [],
    format: readFormat(body),
    reasoning: readReasoningWish(readObject(body, 'reasoning')),
    isStream: readBoolean(body, 'stream') === true,
    user: readText(body, 'user'),
  };
}

const kept = ['previous_response_id', 'conversation', 'prompt'] as const;

function refuseState(body: JsonObject): void {
  for (const member of kept) {
    if (body[member] === undefined || body[member] === null) continue;
    refuse(
      member,
      "names what only the provider that made it keeps, and this model's provider is another; send the whole conversation as input",
    );
  }
  if (body.background === true) refuse('background', 'must be false: this model answers while its client waits');
}

function readTool(value: Json, at: string): OfferedTool {
  const tool = objectAt(value, at);
  if (tool.type !== 'function')
    refuse(`${at}.type`, "must be function: tools that OpenAI runs are not there with this model's provider");
  return readFunction(tool, at);
}

function readFormat(body: JsonObject): AnswerFormat {
  const text = readObject(body, 'text');
  const format = text === undefined ? undefined : readObject(text, 'format', 'text');
  if (format === undefined || format.type === 'text') return { kind: 'text' };
  if (format.type === 'json_object') return { kind: 'json' };
  if (format.type === 'json_schema') return readSchemaFormat(format, 'text.format');
  refuse('text.format.type', 'must be one of text, json_object, json_schema');
}

function readReasoningWish(wish: JsonObject | undefined): ReasoningWish | undefined {
  if (wish === undefined) return undefined;
  const effort = readChoice(wish, 'effort', efforts, 'reasoning');
  const isShown = typeof (wish.summary ?? wish.generate_summary) === 'string';
  if (effort === undefined && !isShown) return undefined;
  return { effort, budgetTokens: undefined, ...(isShown ? { isShown } : {}) };
}
