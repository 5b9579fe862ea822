import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { readDataUrl } from '../data-url.ts';
import { needObject, needText, objectAt, pathOf, readText, refuse } from '../members.ts';
import type { MediaPart, RefusalPart, TextPart } from '../prompt.ts';

type ContentPart = TextPart | MediaPart | RefusalPart;

/** `content` of a message: a text or a list of parts. Empty texts are left out: no provider has a use for them. */
export function readContent(message: JsonObject, at: string): ContentPart[] {
  const { content } = message;
  if (content === undefined || content === null || content === '') return [];
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  const place = pathOf(at, 'content');
  if (!Array.isArray(content)) refuse(place, 'must be a string or an array of parts');
  return content.map((part, index) => readPart(part, `${place}[${index}]`)).filter((part) => !isEmpty(part));
}

/** Where nothing but text may stand. */
export function readTexts(message: JsonObject, at: string): TextPart[] {
  return readContent(message, at).map((part) =>
    part.kind === 'text' ? part : refuse(pathOf(at, 'content'), `must be text in a message of role ${String(message.role)}`),
  );
}

function isEmpty(part: ContentPart): boolean {
  return part.kind === 'text' && part.text === '';
}

function readPart(value: Json, at: string): ContentPart {
  const part = objectAt(value, at);
  switch (part.type) {
    case 'text':
      return withCache({ kind: 'text', text: needText(part, 'text', at) }, part);
    case 'refusal':
      return { kind: 'refusal', text: needText(part, 'refusal', at) };
    case 'image_url':
      return readImage(part, at);
    case 'input_audio':
      return readAudio(needObject(part, 'input_audio', at), `${at}.input_audio`);
    case 'file':
      return readFile(needObject(part, 'file', at), `${at}.file`);
    default:
      refuse(`${at}.type`, 'must be one of text, image_url, input_audio, file, refusal');
  }
}

/** OpenAI's own mark, and the one of Anthropic that other gateways take. */
function withCache(text: TextPart, part: JsonObject): TextPart {
  return isObject(part.prompt_cache_breakpoint) || isObject(part.cache_control) ? { ...text, isCached: true } : text;
}

function readImage(part: JsonObject, at: string): MediaPart {
  const image = needObject(part, 'image_url', at);
  return readImageUrl(
    needText(image, 'url', `${at}.image_url`),
    readText(image, 'detail', `${at}.image_url`),
    `${at}.image_url.url`,
  );
}

export function readImageUrl(url: string, detail: string | undefined, at: string): MediaPart {
  const more = detail === undefined || detail === 'auto' ? {} : { detail };
  const inline = readDataUrl(url);
  if (inline !== undefined)
    return { kind: 'media', mediaType: inline.mediaType, source: { kind: 'base64', data: inline.data }, ...more };
  return { kind: 'media', mediaType: 'image/*', source: { kind: 'url', url: webAddress(url, at) }, ...more };
}

export function webAddress(url: string, at: string): string {
  const scheme = url.slice(0, 8).toLowerCase();
  if (scheme.startsWith('https://') || scheme.startsWith('http://')) return url;
  refuse(at, 'must be an http or https URL, or a data: URL with base64');
}

/** Input audio has the same members in Responses. */
export function readAudio(audio: JsonObject, at: string): MediaPart {
  const format = needText(audio, 'format', at);
  const mediaType =
    format === 'wav' ? 'audio/wav' : format === 'mp3' ? 'audio/mpeg' : refuse(`${at}.format`, 'must be wav or mp3');
  return { kind: 'media', mediaType, source: { kind: 'base64', data: needText(audio, 'data', at) } };
}

function readFile(file: JsonObject, at: string): MediaPart {
  if (readText(file, 'file_id', at) !== undefined) refuseFileId(at);
  return readFileData(needText(file, 'file_data', at), readText(file, 'filename', at), `${at}.file_data`);
}

export function refuseFileId(at: string): never {
  refuse(`${at}.file_id`, 'names a file that another provider keeps; send the file itself as file_data');
}

/** `file_data`: a data: URL, or bare base64 of a PDF. */
export function readFileData(data: string, name: string | undefined, at: string): MediaPart {
  const inline = readDataUrl(data);
  if (inline === undefined && data.slice(0, 5).toLowerCase() === 'data:') refuse(at, 'must be a data: URL with base64');
  const { mediaType, data: base64 } = inline ?? { mediaType: 'application/pdf', data };
  return { kind: 'media', mediaType, source: { kind: 'base64', data: base64 }, ...(name === undefined ? {} : { name }) };
}
