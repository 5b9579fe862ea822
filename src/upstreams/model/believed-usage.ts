import type { ModelTransport } from '../../catalog/config.ts';
import { fitUsage } from '../../models/chat/usage.ts';
import type { Usage } from '../../models/reply.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { EmbeddingAsk, ModelAsk } from './model-calls.ts';
import { answersOf, lengthOf } from './request-body.ts';

/** What an attempt sent, and what came back, as far as it was seen here. */
interface Seen {
  readonly ask: ModelAsk | EmbeddingAsk;
  readonly transport: ModelTransport;
  /** Of the request as it went out. */
  readonly sentBytes: number;
  /** Of all that the answer says. */
  readonly spokenBytes: () => number;
}

/** What a provider puts before a prompt by itself: instructions for tools, and the like. */
const ownTokens = 4_000;
/** Where nobody says how much a model reads, and what it reads cannot be seen here; how much it writes. */
const usualWindow = 2_000_000;
const usualAnswer = 256_000;
/** Beyond what was asked for: rounding of providers, and what is thought beside the answer, which some do not count along. */
const answerRoom = 2_000;
const thinkingRoom = 32_000;
/** Tools that the provider runs give a model more to read, several times over. */
const hostedRounds = 10;
/** More than a store can add up. */
const mostTokens = 1e9;

/**
 * What a provider tells, no further than it can be true: whoever lies, or counts wrongly, must not use up a budget with one call. What
 * is read is no more than the bytes that were sent (no text has more tokens), or than the model's window; what is written is no more
 * than was asked for, or than the model can, or than came. The very same where that holds.
 */
export function believed(told: Usage, seen: Seen): Usage {
  const input = Math.min(told.input, mostTokens, mostRead(told.input, seen));
  const output = Math.min(told.output, mostTokens, mostWritten(told, seen));
  if (input === told.input && output === told.output) return told;
  return fitUsage({ ...told, input, output });
}

function mostRead(told: number, { ask: { dialect, body }, transport, sentBytes }: Seen): number {
  // Each text of a list is read for itself.
  const isList = dialect === 'embeddings' || dialect === 'completions';
  const window = transport.contextWindow ?? (dialect === 'embeddings' ? mostTokens : usualWindow);
  const most = Math.min(sentBytes + ownTokens, isList ? mostTokens : window);
  if (told <= most) return most;
  if (mayUseHosted(body, transport)) return window * hostedRounds;
  if (hasUnseen(body)) return window * textsIn(body, dialect);
  const times = answersOf(body);
  return isList ? (sentBytes + ownTokens) * times : Math.min((sentBytes + ownTokens) * times, window * times);
}

function mostWritten(
  { output: told, reasoning }: Usage,
  { ask: { dialect, body }, transport, sentBytes, spokenBytes }: Seen,
): number {
  if (dialect === 'embeddings') return 0;
  const { maxOutputTokens: limit = usualAnswer, defaults, can } = transport;
  const asked = lengthOf(body, dialect) ?? defaults.maxTokens;
  const room = can.includes('reasoning') || reasoning > 0 ? thinkingRoom + thinkingAsked(body) : answerRoom;
  // What was predicted is billed where the answer is another.
  const predicted = isSaid(body.prediction) ? sentBytes : 0;
  const one = asked === undefined ? limit : Math.min(limit, 2 * asked + room + predicted);
  const most = one * answersOf(body) * textsIn(body, dialect) * (mayUseHosted(body, transport) ? hostedRounds : 1);
  return told <= most ? most : Math.max(most, spokenBytes());
}

/** Texts that are each read for themselves; a list of numbers is one of them, in tokens. */
function textsIn({ prompt, input }: JsonObject, dialect: Seen['ask']['dialect']): number {
  const texts = dialect === 'completions' ? prompt : dialect === 'embeddings' ? input : undefined;
  return Array.isArray(texts) && typeof texts[0] !== 'number' ? Math.max(1, texts.length) : 1;
}

/** Anthropic's word for how long may be thought; between calls of tools that may be more than the answer. */
function thinkingAsked({ thinking }: JsonObject): number {
  const tokens = isObject(thinking) ? thinking.budget_tokens : undefined;
  return typeof tokens === 'number' && tokens > 0 ? tokens : 0;
}

/** Members in which a request asks for tools that the provider runs. */
const toolMembers = ['tools', 'mcp_servers', 'web_search_options', 'search_parameters', 'plugins', 'data_sources', 'prompt'];

function mayUseHosted(body: JsonObject, { hostedTools }: ModelTransport): boolean {
  return hostedTools.length > 0 && toolMembers.some((name) => isSaid(body[name]));
}

/** Parts of a request that are more to a model than their bytes. */
const unseenTypes: ReadonlySet<Json> = new Set([
  'image',
  'image_url',
  'input_image',
  'image_generation_call',
  'computer_screenshot',
  'input_audio',
  'audio',
  'audio_url',
  'video',
  'video_url',
  'input_video',
  'file',
  'input_file',
  'document',
  'container_upload',
  'item_reference',
  'reasoning',
  'compaction',
]);
/** Members that stand for what lies elsewhere. */
const unseenMembers = [
  'previous_response_id',
  'previous_message_id',
  'conversation',
  'container',
  'file_id',
  'cached_content',
  'audio',
  'images',
  'image',
  'image_url',
  'audio_url',
  'video',
  'video_url',
  'file_url',
] as const;

/** Whether a model reads something that is not in the request itself, or is no text. */
function hasUnseen(body: JsonObject): boolean {
  if (isObject(body.prompt)) return true;
  const waiting: Json[] = [body];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (Array.isArray(value)) for (const item of value) open(waiting, item);
    else if (isObject(value)) {
      if (unseenTypes.has(value.type ?? null) || unseenMembers.some((name) => isSaid(value[name]))) return true;
      for (const name in value) open(waiting, value[name]);
    }
  }
  return false;
}

function open(waiting: Json[], value: Json | undefined): void {
  if (typeof value === 'object' && value !== null) waiting.push(value);
}

function isSaid(value: Json | undefined): boolean {
  return value !== undefined && value !== null;
}
