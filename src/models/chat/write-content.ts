import type { JsonObject } from '../../wire/json.ts';
import { writeDataUrl } from '../data-url.ts';
import { refuse } from '../members.ts';
import type { MediaPart, TextPart } from '../prompt.ts';

/** One text stays a string: some servers read nothing else. */
export function writeTexts(parts: readonly TextPart[]): string | JsonObject[] {
  return parts.length === 1 ? parts[0]!.text : parts.map(writeText);
}

export function writeContent(parts: readonly (TextPart | MediaPart)[]): string | JsonObject[] {
  const [first] = parts;
  if (parts.length === 1 && first?.kind === 'text') return first.text;
  return parts.map((part) => (part.kind === 'text' ? writeText(part) : writeMedia(part)));
}

function writeText({ text }: TextPart): JsonObject {
  return { type: 'text', text };
}

function writeMedia(part: MediaPart): JsonObject {
  if (part.mediaType.startsWith('image/')) return writeImage(part);
  if (part.source.kind === 'url')
    refuse('messages', `hold a ${part.mediaType} by URL, and this model's provider takes only images so; send the file itself`);
  if (part.mediaType.startsWith('audio/'))
    return { type: 'input_audio', input_audio: writeAudio(part.mediaType, part.source.data) };
  return {
    type: 'file',
    file: { filename: part.name ?? nameFor(part.mediaType), file_data: fileData(part.mediaType, part.source.data) },
  };
}

function writeImage(part: MediaPart): JsonObject {
  const detail = part.detail === undefined ? {} : { detail: part.detail };
  return { type: 'image_url', image_url: { url: addressOf(part), ...detail } };
}

/** The file itself, or where it is. */
export function addressOf({ mediaType, source }: MediaPart): string {
  return source.kind === 'url' ? source.url : writeDataUrl({ mediaType, data: source.data });
}

const audioFormats: ReadonlyMap<string, string> = new Map([
  ['audio/wav', 'wav'],
  ['audio/x-wav', 'wav'],
  ['audio/wave', 'wav'],
  ['audio/mpeg', 'mp3'],
  ['audio/mp3', 'mp3'],
]);

export function writeAudio(mediaType: string, data: string): JsonObject {
  const format =
    audioFormats.get(mediaType) ?? refuse('messages', `hold ${mediaType}, and this model's provider takes only wav and mp3`);
  return { data, format };
}

export function fileData(mediaType: string, data: string): string {
  return writeDataUrl({ mediaType, data });
}

/** The API wants a name for every file. */
export function nameFor(mediaType: string): string {
  return mediaType === 'application/pdf' ? 'document.pdf' : mediaType.startsWith('text/') ? 'document.txt' : 'document';
}
