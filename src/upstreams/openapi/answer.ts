import { isUtf8 } from 'node:buffer';
import type { ArgumentCheck } from '../../arguments/argument-check.ts';
import { shorten } from '../../arguments/measure-arguments.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { scanMessage } from '../../wire/json-scan.ts';
import { RawResult } from '../../wire/message.ts';
import { parseExact } from '../../wire/parse-exact.ts';
import { ScanError } from '../../wire/scan-error.ts';
import type { Answer } from '../upstream.ts';
import { describeRefusal } from './describe-refusal.ts';
import type { ApiResponse } from './exchange.ts';
import { fitList, type Trimmed } from './trim-answer.ts';
import { findExcess } from './weigh-json.ts';

/** How the answers of one operation become results; made before its first call. */
export interface AnswerReader {
  /** The tool promises structured content of this shape. */
  readonly check: ArgumentCheck | undefined;
  readonly isWrapped: boolean;
  readonly trim: ((value: Json) => Trimmed) | undefined;
  /** Most bytes of an answer's text; undefined: as many as were read. */
  readonly limitBytes: number | undefined;
  /** Arguments by which a caller asks for another part of a long list. */
  readonly pagedBy: readonly string[];
  /** The headers are the answer. */
  readonly isHead: boolean;
  /** What a file in an answer is called: the address it came from, without query. */
  readonly uri: string;
}

/** Headers that a caller may be shown, the rest is between Gatehouse and the API. */
export const shownHeaders = ['location', 'link', 'content-type', 'content-length', 'last-modified', 'etag'] as const;

/** The result that an answer comes to; it is in UTF-8 and its secrets are blanked out already. */
export function readAnswer(reader: AnswerReader, { status, headers, body }: ApiResponse): Answer | Promise<Answer> {
  const contentType = headers['content-type'] ?? '';
  if (status >= 300) return refusal(status, contentType, body, headers.location);
  if (body.length === 0) return misfitOrText(reader, withoutContent(reader, status, headers), []);
  const kind = kindOf(contentType, body);
  if (kind === 'binary') return readBinary(reader, contentType, body);
  const text = decode(body);
  if (kind === 'text') return readText(reader, text);
  const excess = findExcess(body);
  const value = excess === undefined ? parse(text, reader.trim !== undefined || reader.limitBytes !== undefined) : undefined;
  if (value === undefined) return readText(reader, text, excess === undefined ? undefined : `it ${excess}`);
  return readJson(reader, text, value, furtherPages(headers));
}

/**
 * An answer in UTF-8, whatever its charset: whoever looks for something in its bytes, a secret for one, finds it as it will be read.
 * What is no text stays as it is.
 */
export function inUtf8(response: ApiResponse): ApiResponse {
  const { headers, body } = response;
  const contentType = headers['content-type'] ?? '';
  const charset = charsetOf(contentType, body);
  if (charset === undefined || body.length === 0 || kindOf(contentType, body) === 'binary') return response;
  try {
    const text = new TextDecoder(charset).decode(body);
    return { ...response, headers: { ...headers, 'content-type': typeOf(contentType) }, body: Buffer.from(text) };
  } catch {
    return response;
  }
}

/** Undefined for UTF-8. A byte order mark counts before what a header says, as it does in browsers (WHATWG Encoding, section 6.1). */
function charsetOf(contentType: string, body: Buffer): string | undefined {
  if (body[0] === 0xff && body[1] === 0xfe) return 'utf-16le';
  if (body[0] === 0xfe && body[1] === 0xff) return 'utf-16be';
  const label = /charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1]?.toLowerCase();
  return label === 'utf-8' || label === 'utf8' ? undefined : label;
}

function typeOf(contentType: string): string {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

function withoutContent({ isHead }: AnswerReader, status: number, headers: ApiResponse['headers']): string {
  const done = `Done: the API answered HTTP ${status} without content.`;
  if (!isHead && headers.location === undefined) return done;
  const lines = shownHeaders.flatMap((name) =>
    headers[name] === undefined ? [] : [`${name}: ${shorten(headers[name], 1_000)}`],
  );
  return [done, ...lines].join('\n');
}

/** RFC 8288: where many APIs say that a list goes on. */
function furtherPages({ link }: ApiResponse['headers']): readonly string[] {
  const text = link ?? '';
  return /rel\s*=\s*"?next\b/i.test(text) ? [`The API says that there is more: ${shorten(text, 1_000)}`] : [];
}

export function refusal(status: number, contentType: string, body: Buffer, location: string | undefined): Answer {
  const isText = kindOf(contentType, body) !== 'binary';
  return failure(describeRefusal(status, contentType, isText ? decode(body) : '', location));
}

/** A result whose caller should do something else. */
export function failure(text: string, more: readonly string[] = []): Answer {
  const content = [text, ...more].map((part) => ({ type: 'text', text: part }));
  return { kind: 'result', result: RawResult.from({ content, isError: true }) };
}

type Kind = 'json' | 'text' | 'binary';

/** By the media type; where it says nothing of use, by the bytes. */
function kindOf(contentType: string, body: Buffer): Kind {
  const type = typeOf(contentType);
  if (/[/+]json$/.test(type) || type === 'text/x-json') return 'json';
  if (/^text\/|[/+]xml$|^application\/(x-www-form-urlencoded|javascript|yaml|x-yaml|graphql|x-ndjson|jsonl|sql|toml)$/.test(type))
    return 'text';
  if (type === '' || type === 'application/octet-stream') {
    if (!isUtf8(body) || body.includes(0)) return 'binary';
    if (type !== '') return 'binary';
    return body[0] === 0x7b || body[0] === 0x5b ? 'json' : 'text';
  }
  return 'binary';
}

function decode(body: Buffer): string {
  const text = body.toString('utf8');
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

function parse(text: string, isRewritten: boolean): Json | undefined {
  try {
    // What is written anew keeps the digits that a double cannot.
    return (isRewritten ? parseExact(text) : JSON.parse(text)) as Json;
  } catch {
    return undefined;
  }
}

function readJson(reader: AnswerReader, text: string, value: Json, further: readonly string[]): Answer | Promise<Answer> {
  const trimmed = reader.trim?.(value);
  const notes = [...(trimmed?.notes ?? [])];
  let [shown, source] = trimmed === undefined ? [value, text] : [trimmed.value, JSON.stringify(trimmed.value)];
  const { limitBytes } = reader;
  if (limitBytes !== undefined && Buffer.byteLength(source) > limitBytes) {
    const fitted = fitList(shown, limitBytes);
    if (fitted === undefined) return misfitOrText(reader, ...cutText(source, limitBytes));
    shown = fitted.value;
    source = JSON.stringify(shown);
    notes.push(...fitted.notes);
  }
  if (notes.length > 0 && reader.pagedBy.length > 0)
    notes.push(`Ask for the rest with ${reader.pagedBy.map((name) => `"${name}"`).join(', ')}.`);
  notes.push(...further);
  const structured = reader.isWrapped ? { result: shown } : shown;
  // Only an object may be structured content in every era.
  if (!isObject(structured)) return misfitOrText(reader, source, notes);
  const { check } = reader;
  const verdict = check?.check(structured);
  if (verdict === undefined) return withStructure(reader, source, notes);
  if (verdict instanceof Promise)
    // The call was made: that its answer could not be checked is no reason to keep it back.
    return verdict.catch((error: Error) => error.message).then((late) => judge(reader, source, notes, late));
  return judge(reader, source, notes, verdict);
}

function judge(reader: AnswerReader, source: string, notes: readonly string[], complaint: string | undefined): Answer {
  // A schema that cannot be used says nothing about answers.
  if (complaint === undefined || reader.check?.problem !== undefined) return withStructure(reader, source, notes);
  return misfit(complaint, source, notes);
}

/** The text as the API sent it, twice: for who reads, and for who computes. Nothing is parsed and written again. */
function withStructure({ isWrapped, check }: AnswerReader, source: string, notes: readonly string[]): Answer {
  const content = [source, ...notes].map((text) => `{"type":"text","text":${JSON.stringify(text)}}`).join(',');
  const structured = isWrapped ? `{"result":${source}}` : source;
  const bytes = Buffer.from(`{"result":{"content":[${content}],"structuredContent":${structured}}}`);
  try {
    const { body, namesUri } = scanMessage(bytes);
    return { kind: 'result', result: new RawResult(bytes, 10, bytes.length - 1, body, namesUri) };
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    // Nested too deep to be structured content: its text is passed on all the same.
    return check === undefined ? plain(source, notes) : misfit(error.message, source, notes);
  }
}

/** A text where the tool promises nothing; where it does, clients would refuse a result without structured content. */
function misfitOrText({ check }: AnswerReader, text: string, notes: readonly string[], complaint = noJson): Answer {
  return check === undefined ? plain(text, notes) : misfit(complaint, text, notes);
}

const noJson = 'there is no JSON of the promised shape in it';

function misfit(complaint: string, text: string, notes: readonly string[]): Answer {
  const reason = complaint.replace(/\.$/, '');
  return failure(
    `The call succeeded, but the answer is not of the shape that the API's description promises (${reason}). Do not call again for that; here it is as it came:`,
    [text, ...notes],
  );
}

function plain(text: string, notes: readonly string[]): Answer {
  return { kind: 'result', result: RawResult.from({ content: [text, ...notes].map((part) => ({ type: 'text', text: part })) }) };
}

function readText(reader: AnswerReader, text: string, complaint?: string): Answer {
  const { limitBytes } = reader;
  if (limitBytes === undefined || Buffer.byteLength(text) <= limitBytes) return misfitOrText(reader, text, [], complaint);
  return misfitOrText(reader, ...cutText(text, limitBytes), complaint);
}

function cutText(text: string, limitBytes: number): [text: string, notes: readonly string[]] {
  const bytes = Buffer.from(text);
  // A character that the cut goes through becomes U+FFFD.
  const shown = bytes.toString('utf8', 0, limitBytes).replace(/\ufffd$/, '');
  return [shown, [`The text is cut: the first ${limitBytes} of ${bytes.length} bytes are shown.`]];
}

function readBinary(reader: AnswerReader, contentType: string, body: Buffer): Answer {
  const mimeType = typeOf(contentType) || 'application/octet-stream';
  const { limitBytes } = reader;
  if (limitBytes !== undefined && body.length > limitBytes)
    return failure(
      `The API answered with ${body.length} bytes of ${mimeType}, more than the ${limitBytes} that are passed on. Ask for less.`,
    );
  const block = binaryBlock(reader.uri, mimeType, body.toString('base64'));
  if (reader.check !== undefined)
    return {
      kind: 'result',
      result: RawResult.from({ content: [{ type: 'text', text: unpromised(mimeType) }, block], isError: true }),
    };
  return { kind: 'result', result: RawResult.from({ content: [block] }) };
}

function unpromised(mimeType: string): string {
  return `The call succeeded, but the answer is ${mimeType} and not what the API's description promises. Do not call again for that; here it is:`;
}

function binaryBlock(uri: string, mimeType: string, data: string): JsonObject {
  if (/^image\/[a-z0-9.+-]+$/.test(mimeType)) return { type: 'image', data, mimeType };
  if (/^audio\/[a-z0-9.+-]+$/.test(mimeType)) return { type: 'audio', data, mimeType };
  return { type: 'resource', resource: { uri, mimeType, blob: data } };
}
