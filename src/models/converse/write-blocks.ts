import { hash } from 'node:crypto';
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import { argumentsOf } from '../call-arguments.ts';
import { exactMediaType } from '../media-type.ts';
import type { MediaPart, Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { signatureForClaude } from '../signature.ts';

/** `withTools`: calls and their results may stand in the request; Converse refuses them where no tools are offered. */
export function writeMessages(messages: readonly Message[], withTools: boolean): JsonObject[] {
  const names: Names = { taken: new Set(), withTools };
  const turns: { readonly role: string; readonly content: JsonObject[] }[] = [];
  for (const { role, parts } of messages) {
    const content = parts.flatMap((part) => writePart(part, names));
    const last = turns.at(-1);
    if (content.length === 0) continue;
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  if (turns.length === 0) {
    throw new GatewayError(
      'invalid_request',
      'The prompt has no message with anything in it: say at least one thing as the user.',
    );
  }
  return turns.map(({ role, content }) => ({ role, content }));
}

interface Names {
  /** Two documents of one name are refused. */
  readonly taken: Set<string>;
  readonly withTools: boolean;
}

function writePart(part: Part, names: Names): JsonObject[] {
  if (part.kind === 'text') return writeText(part);
  if (part.kind === 'refusal') return writeText({ kind: 'text', text: part.text });
  if (part.kind === 'media') return [writeMedia(part, names)];
  if (part.kind === 'reasoning') return writeReasoning(part);
  if (part.kind === 'tool-call')
    return names.withTools ? [writeCall(part)] : [{ text: `Called ${part.name} with ${part.arguments}` }];
  return names.withTools ? [writeResult(part, names)] : sayResult(part, names);
}

/** A text of nothing but white space is refused. */
export function writeText({ text, isCached }: TextPart): JsonObject[] {
  const blocks: JsonObject[] = text.trim() === '' ? [] : [{ text }];
  if (isCached === true && blocks.length > 0) blocks.push({ cachePoint: { type: 'default' } });
  return blocks;
}

/** Claude refuses thoughts that are not signed; others do not need theirs again. */
function writeReasoning({ text, signature: given, redacted }: ReasoningPart): JsonObject[] {
  if (redacted !== undefined && signatureForClaude(redacted) === undefined) return [];
  if (redacted !== undefined) return isBase64(redacted) ? [{ reasoningContent: { redactedContent: redacted } }] : [];
  const signature = signatureForClaude(given);
  return signature === undefined ? [] : [{ reasoningContent: { reasoningText: { text, signature } } }];
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
}

function writeCall({ id, name, arguments: text }: ToolCallPart): JsonObject {
  return { toolUse: { toolUseId: writeCallId(id), name, input: argumentsOf(text) } };
}

/** Ids are words of up to 64 characters here; another one is replaced by what always comes out the same for it. */
function writeCallId(id: string): string {
  return /^[a-zA-Z0-9_-]{1,64}$/.test(id) ? id : `call_${hash('sha256', id, 'base64url').slice(0, 32)}`;
}

function writeResult({ callId, parts, isError }: ToolResultPart, names: Names): JsonObject {
  const content = parts.flatMap((part) =>
    part.kind === 'text' ? writeText({ kind: 'text', text: part.text }) : [writeMedia(part, names)],
  );
  // It must hold something.
  if (content.length === 0) content.push({ text: '(empty)' });
  return { toolResult: { toolUseId: writeCallId(callId), content, ...(isError && { status: 'error' }) } };
}

function sayResult({ parts, isError }: ToolResultPart, names: Names): JsonObject[] {
  const texts = parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  const media = parts.flatMap((part) => (part.kind === 'media' ? [writeMedia(part, names)] : []));
  return [{ text: `${isError ? 'It failed' : 'It answered'}: ${texts.join('\n')}` }, ...media];
}

const images: Readonly<Record<string, string>> = {
  'image/png': 'png',
  'image/jpeg': 'jpeg',
  'image/jpg': 'jpeg',
  'image/gif': 'gif',
  'image/webp': 'webp',
};
const documents: Readonly<Record<string, string>> = {
  'application/pdf': 'pdf',
  'text/csv': 'csv',
  'application/msword': 'doc',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'application/vnd.ms-excel': 'xls',
  'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
  'text/html': 'html',
  'text/plain': 'txt',
  'text/markdown': 'md',
};
const sounds: Readonly<Record<string, string>> = {
  'audio/mpeg': 'mp3',
  'audio/mp3': 'mp3',
  'audio/wav': 'wav',
  'audio/x-wav': 'wav',
  'audio/flac': 'flac',
  'audio/ogg': 'ogg',
  'audio/opus': 'opus',
  'audio/aac': 'aac',
  'audio/webm': 'webm',
  'audio/mp4': 'mp4',
};

function writeMedia(part: MediaPart, names: Names): JsonObject {
  const source = writeSource(part);
  const mediaType = part.source.kind === 'url' ? (exactMediaType(part.mediaType, part.source.url) ?? '') : part.mediaType;
  const type = mediaType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (Object.hasOwn(images, type)) return { image: { format: images[type] ?? '', source } };
  if (Object.hasOwn(documents, type))
    return { document: { format: documents[type] ?? '', name: nameDocument(part.name, names), source } };
  if (Object.hasOwn(sounds, type)) return { audio: { format: sounds[type] ?? '', source } };
  throw new GatewayError(
    'invalid_request',
    `This model takes no ${type === '' ? 'data without a media type' : type.slice(0, 100)}; send it in another format.`,
  );
}

function writeSource({ source }: MediaPart): JsonObject {
  if (source.kind === 'base64') return { bytes: source.data };
  if (source.url.startsWith('s3://')) return { s3Location: { uri: source.url } };
  throw new GatewayError(
    'invalid_request',
    'This model fetches nothing from the web; send the data itself, as base64, in place of its address.',
  );
}

/** Letters, digits, single spaces, hyphens and brackets only. */
function nameDocument(given: string | undefined, { taken }: Names): string {
  const cleaned = (given ?? '')
    .replace(/[^a-zA-Z0-9\s\-()[\]]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 150);
  const base = cleaned === '' ? 'document' : cleaned;
  let name = base;
  for (let n = 2; taken.has(name); n++) name = `${base} ${n}`;
  taken.add(name);
  return name;
}
