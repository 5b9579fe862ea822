import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import {
  needObject,
  needText,
  objectAt,
  pathOf,
  readBoolean,
  readChoice,
  readInteger,
  readList,
  readNumber,
  readObject,
  readText,
  refuse,
} from '../members.ts';
import type { AnswerFormat, OfferedTool, Prompt, ToolChoice } from '../prompt.ts';
import { readMessages } from './read-messages.ts';

export const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;

/** A request to `/v1/chat/completions`. What only OpenAI's own servers can do is refused; what merely tunes them is left out. */
export function readChatPrompt(body: JsonObject): Prompt {
  refuseUntranslatable(body);
  const effort = readChoice(body, 'reasoning_effort', efforts);
  const offered = (readList(body, 'tools') ?? []).map((tool, index) => readTool(tool, `tools[${index}]`));
  const { tools, toolChoice } = readToolChoice(body.tool_choice, offered, namedInFunction);
  return {
    model: needText(body, 'model'),
    ...readMessages(body),
    tools,
    toolChoice,
    parallelTools: readBoolean(body, 'parallel_tool_calls'),
    maxTokens: readInteger(body, 'max_completion_tokens', 1) ?? readInteger(body, 'max_tokens', 1),
    ...readSampling(body),
    stop: readStop(body),
    format: readFormat(readObject(body, 'response_format')),
    reasoning: effort === undefined ? undefined : { effort, budgetTokens: undefined },
    isStream: readBoolean(body, 'stream') === true,
    user: readText(body, 'user'),
  };
}

function refuseUntranslatable(body: JsonObject): void {
  refuseManyAnswers(body);
  if (body.functions !== undefined && body.functions !== null) refuse('functions', 'is not translated; use tools');
  if (body.function_call !== undefined && body.function_call !== null)
    refuse('function_call', 'is not translated; use tool_choice');
  if (isObject(body.audio) || (Array.isArray(body.modalities) && body.modalities.some((one) => one !== 'text')))
    refuse('modalities', 'must be text: this model answers with nothing else');
  if (isObject(body.web_search_options))
    refuse('web_search_options', "is not there with this model's provider; offer a tool that searches");
}

export function refuseManyAnswers(body: JsonObject): void {
  if ((readInteger(body, 'n', 1) ?? 1) > 1) refuse('n', "must be 1: this model's provider gives one answer to a request");
}

/** Members that Completions has too. */
export function readSampling(
  body: JsonObject,
): Pick<Prompt, 'temperature' | 'topP' | 'topK' | 'seed' | 'presencePenalty' | 'frequencyPenalty'> {
  return {
    temperature: readNumber(body, 'temperature'),
    topP: readNumber(body, 'top_p'),
    topK: readInteger(body, 'top_k', Number.NEGATIVE_INFINITY),
    seed: readInteger(body, 'seed', Number.NEGATIVE_INFINITY),
    presencePenalty: readNumber(body, 'presence_penalty'),
    frequencyPenalty: readNumber(body, 'frequency_penalty'),
  };
}

export function readStop({ stop }: JsonObject): readonly string[] {
  if (stop === undefined || stop === null) return [];
  const list = Array.isArray(stop) ? stop : [stop];
  return list.map((one) => (typeof one === 'string' ? one : refuse('stop', 'must be a string or an array of strings')));
}

function readTool(value: Json, at: string): OfferedTool {
  const tool = objectAt(value, at);
  if (tool.type !== 'function') refuse(`${at}.type`, "must be function: this model's provider knows no other tools");
  return readFunction(needObject(tool, 'function', at), `${at}.function`);
}

/** A function that is offered; Responses has its members in the tool itself. */
export function readFunction(named: JsonObject, at: string): OfferedTool {
  return {
    name: needText(named, 'name', at),
    description: readText(named, 'description', at),
    schema: readObject(named, 'parameters', at) ?? { type: 'object', properties: {} },
    isStrict: readBoolean(named, 'strict', at),
  };
}

export interface Offer {
  readonly tools: readonly OfferedTool[];
  readonly toolChoice: ToolChoice | undefined;
}

/** Where the dialect names a function that is chosen. */
type NameOf = (choice: JsonObject, at: string) => string;

const namedInFunction: NameOf = (choice, at) => needText(needObject(choice, 'function', at), 'name', `${at}.function`);

/** `tool_choice`. Of tools that are allowed the others are not offered at all: no other provider knows the difference. */
export function readToolChoice(choice: Json | undefined, tools: readonly OfferedTool[], nameOf: NameOf): Offer {
  if (choice === undefined || choice === null) return { tools, toolChoice: undefined };
  if (choice === 'auto' || choice === 'none' || choice === 'required') return { tools, toolChoice: { kind: choice } };
  if (!isObject(choice)) refuse('tool_choice', 'must be none, auto, required, or an object');
  if (choice.type === 'allowed_tools') return readAllowed(choice, tools, nameOf);
  if (choice.type !== 'function')
    refuse('tool_choice.type', "must be function or allowed_tools: this model's provider knows no other tools");
  return { tools, toolChoice: { kind: 'tool', name: nameOf(choice, 'tool_choice') } };
}

function readAllowed(choice: JsonObject, tools: readonly OfferedTool[], nameOf: NameOf): Offer {
  const at = isObject(choice.allowed_tools) ? 'tool_choice.allowed_tools' : 'tool_choice';
  const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
  const mode = readChoice(allowed, 'mode', ['auto', 'required'], at) ?? 'auto';
  const list = readList(allowed, 'tools', at) ?? refuse(pathOf(at, 'tools'), 'is required and must be an array');
  const names = new Set(list.map((tool, index) => nameOf(objectAt(tool, `${at}.tools[${index}]`), `${at}.tools[${index}]`)));
  const kept = tools.filter(({ name }) => names.has(name));
  return { tools: kept, toolChoice: kept.length === 0 ? undefined : { kind: mode } };
}

function readFormat(format: JsonObject | undefined): AnswerFormat {
  if (format === undefined || format.type === 'text') return { kind: 'text' };
  if (format.type === 'json_object') return { kind: 'json' };
  if (format.type === 'json_schema')
    return readSchemaFormat(needObject(format, 'json_schema', 'response_format'), 'response_format.json_schema');
  refuse('response_format.type', 'must be one of text, json_object, json_schema');
}

/** A schema for the answer; Responses has its members in the format itself. */
export function readSchemaFormat(format: JsonObject, at: string): AnswerFormat {
  return {
    kind: 'schema',
    name: needText(format, 'name', at),
    description: readText(format, 'description', at),
    schema: readObject(format, 'schema', at) ?? {},
    isStrict: readBoolean(format, 'strict', at),
  };
}
