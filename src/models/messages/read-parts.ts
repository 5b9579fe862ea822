import { GatewayError } from '../../errors.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { MediaPart, Part, TextPart, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { readCallSignature } from './call-signature.ts';
import {
  join,
  member,
  readObject,
  readOptionalBoolean,
  readOptionalList,
  readOptionalText,
  readText,
  refuse,
} from './members.ts';

export type Role = 'user' | 'assistant';

/** Content of a message: text, or blocks. */
export function readContent(content: Json | undefined, role: Role, path: string): Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) return refuse(path, 'a string or an array of content blocks');
  const parts: Part[] = [];
  for (const [at, value] of content.entries()) {
    const block = readObject(value, `${path}[${at}]`);
    if (!takeCallSignature(block, parts)) parts.push(...readBlock(block, role, `${path}[${at}]`));
  }
  return parts;
}

/** Text alone: instructions of the application. */
export function readTexts(content: Json | undefined, path: string): TextPart[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) return refuse(path, 'a string or an array of text blocks');
  return content.map((value, at) => {
    const block = readObject(value, `${path}[${at}]`);
    return block.type === 'text' ? readTextBlock(block, `${path}[${at}]`) : refuse(`${path}[${at}].type`, '"text"');
  });
}

/** Whether the provider may keep everything up to this block. */
export function readIsCached(block: JsonObject): { readonly isCached?: true } {
  return isObject(block.cache_control) && block.cache_control.type === 'ephemeral' ? { isCached: true } : {};
}

function jsonText(value: Json, path: string): string {
  try {
    return JSON.stringify(value);
  } catch {
    return refuse(path, 'nested less deeply');
  }
}

function takeCallSignature(block: JsonObject, parts: Part[]): boolean {
  if (block.type !== 'redacted_thinking' || typeof block.data !== 'string') return false;
  const signature = readCallSignature(block.data);
  if (signature === undefined) return false;
  const call = parts.at(-1);
  if (call?.kind === 'tool-call') parts[parts.length - 1] = { ...call, signature };
  return true;
}

function readBlock(block: JsonObject, role: Role, path: string): readonly Part[] {
  switch (block.type) {
    case 'tool_use':
      return [readToolUse(block, role, path)];
    case 'tool_result':
      return [readToolResult(block, role, path)];
    case 'thinking':
      return [
        {
          kind: 'reasoning',
          text: readText(block, 'thinking', path),
          signature: readOptionalText(block, 'signature', path) || undefined,
        },
      ];
    case 'redacted_thinking':
      return [{ kind: 'reasoning', text: '', redacted: readText(block, 'data', path) }];
    default:
      return readPlainBlock(block, path);
  }
}

/** What may stand in a message, a tool's result and a document. */
function readPlainBlock(block: JsonObject, path: string): readonly (TextPart | MediaPart)[] {
  switch (block.type) {
    case 'text':
      return [readTextBlock(block, path)];
    case 'image':
      return [readImage(block, path)];
    case 'document':
      return readDocument(block, path);
    case 'search_result':
      return [{ kind: 'text', text: searchResultText(block, path) }];
    default:
      return refuseType(block.type, path);
  }
}

function readTextBlock(block: JsonObject, path: string): TextPart {
  return { kind: 'text', text: readText(block, 'text', path), ...readIsCached(block) };
}

function readImage(block: JsonObject, path: string): MediaPart {
  const source = readObject(block.source, join(path, 'source'));
  if (source.type === 'url')
    return { kind: 'media', mediaType: 'image/*', source: { kind: 'url', url: readText(source, 'url', join(path, 'source')) } };
  return { kind: 'media', ...readBase64(source, join(path, 'source')) };
}

function readDocument(block: JsonObject, path: string): readonly (TextPart | MediaPart)[] {
  const at = join(path, 'source');
  const source = readObject(block.source, at);
  const name = readOptionalText(block, 'title', path);
  switch (source.type) {
    case 'text':
      return [titled(name, { kind: 'text', text: readText(source, 'data', at), ...readIsCached(block) })];
    case 'content':
      return readPlainContent(source.content, join(at, 'content'));
    case 'url':
      return [{ kind: 'media', mediaType: 'application/pdf', source: { kind: 'url', url: readText(source, 'url', at) }, name }];
    default:
      return [{ kind: 'media', ...readBase64(source, at), name }];
  }
}

function titled(title: string | undefined, part: TextPart): TextPart {
  return title === undefined ? part : { ...part, text: `${title}\n\n${part.text}` };
}

function readBase64(source: JsonObject, path: string): Pick<MediaPart, 'mediaType' | 'source'> {
  if (source.type === 'file')
    throw new GatewayError(
      'invalid_request',
      `${path}: a file kept at Anthropic can be read through Anthropic's own API alone; send the file itself as base64.`,
    );
  if (source.type !== 'base64') return refuse(join(path, 'type'), '"base64" or "url"');
  return {
    mediaType: readText(source, 'media_type', path),
    source: { kind: 'base64', data: readText(source, 'data', path) },
  };
}

function searchResultText(block: JsonObject, path: string): string {
  const texts = readTexts(member(block, 'content') ?? [], join(path, 'content')).map(({ text }) => text);
  return [readText(block, 'title', path), readText(block, 'source', path), ...texts].join('\n');
}

function readToolUse(block: JsonObject, role: Role, path: string): ToolCallPart {
  if (role !== 'assistant') return refuse(path, 'in a message of the assistant, as tool_use is');
  return {
    kind: 'tool-call',
    id: readText(block, 'id', path),
    name: readText(block, 'name', path),
    arguments: jsonText(readObject(member(block, 'input') ?? {}, join(path, 'input')), join(path, 'input')),
  };
}

function readToolResult(block: JsonObject, role: Role, path: string): ToolResultPart {
  if (role !== 'user') return refuse(path, 'in a message of the user, as tool_result is');
  return {
    kind: 'tool-result',
    callId: readText(block, 'tool_use_id', path),
    name: undefined,
    parts: readPlainContent(member(block, 'content') ?? [], join(path, 'content')),
    isError: readOptionalBoolean(block, 'is_error', path) ?? false,
    ...readIsCached(block),
  };
}

function readPlainContent(content: Json | undefined, path: string): (TextPart | MediaPart)[] {
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content }];
  return readOptionalList({ content: content ?? null }, 'content', path).flatMap((value, at) =>
    readPlainBlock(readObject(value, `${path}[${at}]`), `${path}[${at}]`),
  );
}

function refuseType(type: Json | undefined, path: string): never {
  const said = typeof type === 'string' ? `"${type.slice(0, 64)}"` : 'without a type';
  throw new GatewayError(
    'invalid_request',
    `${path}: a block ${said} is understood by Anthropic's own API alone, and the model that was chosen is reached by another; leave it out, or ask a model of Anthropic.`,
  );
}
