import type { Json, JsonObject } from '../../wire/json.ts';
import { readAudio, readFileData, readImageUrl, refuseFileId, webAddress } from '../chat/read-content.ts';
import type { Conversation } from '../chat/read-messages.ts';
import { needObject, needText, objectAt, pathOf, readList, readText, refuse } from '../members.ts';
import type { MediaPart, Message, Part, RefusalPart, TextPart, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { readReasoningItem } from './reasoning.ts';

/**
 * `instructions` and `input`. Items of the assistant that follow each other are one message, and so are results of tools;
 * instructions go to the front wherever they stand.
 */
export function readInput(body: JsonObject): Conversation {
  const instructions = readText(body, 'instructions');
  const system: TextPart[] = instructions === undefined || instructions === '' ? [] : [{ kind: 'text', text: instructions }];
  if (typeof body.input === 'string')
    return { system, messages: [{ role: 'user', parts: [{ kind: 'text', text: body.input }] }] };
  const items = readList(body, 'input') ?? refuse('input', 'is required and must be a string or an array of items');
  if (items.length === 0) refuse('input', 'must hold at least one item');
  const turns = new Turns();
  for (const [index, value] of items.entries()) readItem(objectAt(value, `input[${index}]`), `input[${index}]`, system, turns);
  return { system, messages: turns.messages };
}

class Turns {
  readonly messages: Message[] = [];
  #last: Part[] | undefined;
  #kind: 'assistant' | 'results' | undefined;

  assistant(parts: readonly Part[]): void {
    this.#add('assistant', parts);
  }

  result(part: ToolResultPart): void {
    this.#add('results', [part]);
  }

  user(parts: readonly Part[]): void {
    this.#kind = undefined;
    this.messages.push({ role: 'user', parts });
  }

  #add(kind: 'assistant' | 'results', parts: readonly Part[]): void {
    if (parts.length === 0) return;
    if (this.#kind === kind) {
      this.#last?.push(...parts);
      return;
    }
    this.#kind = kind;
    this.#last = [...parts];
    this.messages.push({ role: kind === 'assistant' ? 'assistant' : 'user', parts: this.#last });
  }
}

function readItem(item: JsonObject, at: string, system: TextPart[], turns: Turns): void {
  switch (item.type) {
    case undefined:
    case 'message':
      readMessage(item, at, system, turns);
      return;
    case 'function_call':
      turns.assistant([readCall(item, at)]);
      return;
    case 'function_call_output':
      turns.result(readResult(item, at));
      return;
    case 'reasoning': {
      const thought = readReasoningItem(item);
      turns.assistant(thought === undefined ? [] : [thought]);
      return;
    }
    case 'item_reference':
      refuse(
        `${at}.type`,
        'names an item that only the provider that made it keeps; send the item itself, as most clients do with `store: false`',
      );
      break;
    default:
      refuse(
        `${at}.type`,
        "must be message, function_call, function_call_output or reasoning: this model's provider knows no others",
      );
  }
}

function readMessage(item: JsonObject, at: string, system: TextPart[], turns: Turns): void {
  const parts = readParts(item, at);
  switch (item.role) {
    case 'system':
    case 'developer':
      system.push(
        ...parts.map((part) => (part.kind === 'text' ? part : refuse(`${at}.content`, `must be text for role ${item.role}`))),
      );
      return;
    case 'user':
      turns.user(parts.length === 0 ? [{ kind: 'text', text: '' }] : parts);
      return;
    case 'assistant':
      turns.assistant(parts);
      return;
    default:
      refuse(`${at}.role`, 'must be one of system, developer, user, assistant');
  }
}

type ItemPart = TextPart | MediaPart | RefusalPart;

function readParts(item: JsonObject, at: string): ItemPart[] {
  return readPartList(item.content, `${at}.content`);
}

function readPartList(content: Json | undefined, at: string): ItemPart[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) refuse(at, 'is required and must be a string or an array of parts');
  return content
    .map((part, index) => readPart(objectAt(part, `${at}[${index}]`), `${at}[${index}]`))
    .filter((part) => part.kind !== 'text' || part.text !== '');
}

function readPart(part: JsonObject, at: string): ItemPart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return withCache({ kind: 'text', text: needText(part, 'text', at) }, part);
    case 'refusal':
      return { kind: 'refusal', text: needText(part, 'refusal', at) };
    case 'input_image':
      return readImage(part, at);
    case 'input_file':
      return readFile(part, at);
    case 'input_audio':
      return readAudio(needObject(part, 'input_audio', at), `${at}.input_audio`);
    default:
      refuse(`${at}.type`, 'must be one of input_text, input_image, input_file, input_audio, output_text, refusal');
  }
}

function withCache(text: TextPart, part: JsonObject): TextPart {
  return part.prompt_cache_breakpoint === undefined || part.prompt_cache_breakpoint === null ? text : { ...text, isCached: true };
}

function readImage(part: JsonObject, at: string): MediaPart {
  if (readText(part, 'file_id', at) !== undefined)
    refuse(`${at}.file_id`, 'names a file that another provider keeps; send image_url');
  return readImageUrl(needText(part, 'image_url', at), readText(part, 'detail', at), pathOf(at, 'image_url'));
}

function readFile(part: JsonObject, at: string): MediaPart {
  if (readText(part, 'file_id', at) !== undefined) refuseFileId(at);
  const name = readText(part, 'filename', at);
  const url = readText(part, 'file_url', at);
  if (url === undefined) return readFileData(needText(part, 'file_data', at), name, `${at}.file_data`);
  const source = { kind: 'url', url: webAddress(url, `${at}.file_url`) } as const;
  return { kind: 'media', mediaType: 'application/pdf', source, ...(name === undefined ? {} : { name }) };
}

function readCall(item: JsonObject, at: string): ToolCallPart {
  return {
    kind: 'tool-call',
    id: needText(item, 'call_id', at),
    name: needText(item, 'name', at),
    arguments: readText(item, 'arguments', at) || '{}',
  };
}

function readResult(item: JsonObject, at: string): ToolResultPart {
  const parts = readPartList(item.output, `${at}.output`).map((part) =>
    part.kind === 'refusal' ? refuse(`${at}.output`, 'must be text, images or files') : part,
  );
  return { kind: 'tool-result', callId: needText(item, 'call_id', at), name: readText(item, 'name', at), parts, isError: false };
}
