import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { MediaPart, Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { signatureForClaude } from '../signature.ts';
import type { ToolIds } from './tool-ids.ts';

export const cacheControl = { cache_control: { type: 'ephemeral' } };

/**
 * Blocks of a message. Text without anything to read is left out, as Anthropic refuses it, and so is reasoning that nobody signed:
 * it takes back its own alone.
 */
export function writeBlocks({ parts }: Message, ids: ToolIds): JsonObject[] {
  return parts.map((part) => writeBlock(part, ids)).filter((block) => block !== undefined);
}

export function writeText({ text, isCached }: TextPart): JsonObject | undefined {
  return text.trim() === '' ? undefined : { type: 'text', text, ...(isCached && cacheControl) };
}

function writeBlock(part: Part, ids: ToolIds): JsonObject | undefined {
  switch (part.kind) {
    case 'text':
      return writeText(part);
    case 'refusal':
      return writeText({ kind: 'text', text: part.text });
    case 'media':
      return writeMedia(part);
    case 'tool-call':
      return writeToolUse(part, ids);
    case 'tool-result':
      return writeToolResult(part, ids);
    case 'reasoning':
      return writeThinking(part);
  }
}

/** Undefined for thoughts that Claude did not sign or seal itself: it refuses them. */
function writeThinking({ text, signature: given, redacted }: ReasoningPart): JsonObject | undefined {
  const signature = signatureForClaude(redacted ?? given);
  if (redacted !== undefined) return signature === undefined ? undefined : { type: 'redacted_thinking', data: redacted };
  return signature === undefined ? undefined : { type: 'thinking', thinking: text, signature };
}

function writeToolUse(part: ToolCallPart, ids: ToolIds): JsonObject {
  return { type: 'tool_use', id: ids.ofCall(part.id), name: part.name, input: readArguments(part.arguments) };
}

/** What a model wrote as arguments; Anthropic has objects only, so other text is kept as a member of one. */
export function readArguments(text: string): JsonObject {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told the model as it is, below.
  }
  return { arguments: text };
}

function writeToolResult(part: ToolResultPart, ids: ToolIds): JsonObject {
  const content = part.parts.flatMap((one) => (one.kind === 'text' ? writeText(one) : writeMedia(one)) ?? []);
  return {
    type: 'tool_result',
    tool_use_id: ids.ofResult(part.callId),
    ...(content.length > 0 && { content }),
    ...(part.isError && { is_error: true }),
    ...(part.isCached && cacheControl),
  };
}

const imageTypes: Readonly<Record<string, string>> = {
  'image/jpeg': 'image/jpeg',
  'image/jpg': 'image/jpeg',
  'image/png': 'image/png',
  'image/gif': 'image/gif',
  'image/webp': 'image/webp',
};

function writeMedia(part: MediaPart): JsonObject {
  const { mediaType, source, name } = part;
  const title = name === undefined || name === '' ? {} : { title: name };
  if (source.kind === 'url') {
    const type = mediaType.startsWith('image/') ? 'image' : 'document';
    if (type === 'document' && !mediaType.startsWith('application/')) refuseMedia(mediaType);
    return { type, source: { type: 'url', url: source.url }, ...(type === 'document' && title) };
  }
  if (Object.hasOwn(imageTypes, mediaType))
    return { type: 'image', source: { type: 'base64', media_type: imageTypes[mediaType] ?? mediaType, data: source.data } };
  if (mediaType === 'application/pdf')
    return { type: 'document', source: { type: 'base64', media_type: mediaType, data: source.data }, ...title };
  if (!mediaType.startsWith('text/')) return refuseMedia(mediaType);
  const data = Buffer.from(source.data, 'base64').toString('utf8');
  return { type: 'document', source: { type: 'text', media_type: 'text/plain', data }, ...title };
}

function refuseMedia(mediaType: string): never {
  throw new GatewayError(
    'invalid_request',
    `The model that was chosen takes images (JPEG, PNG, GIF, WebP), PDF and text, not ${mediaType.slice(0, 64)}; send it as one of these, or ask another model.`,
  );
}
