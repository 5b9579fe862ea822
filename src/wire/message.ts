import { isUtf8 } from 'node:buffer';
import { isObject, type Json, type JsonObject } from './json.ts';
import { type Member, type MessageScan, scanMessage } from './json-scan.ts';
import { parseExact } from './parse-exact.ts';
import { findExcess, findTooMany } from './parse-limits.ts';
import { ScanError } from './scan-error.ts';

/** One JSON-RPC 2.0 message. Requests are parsed whole, a result stays bytes until somebody asks for its value. */
export type Message = RequestMessage | NotificationMessage | ResultMessage | ErrorMessage;

export interface RequestMessage {
  readonly kind: 'request';
  /** The id as JSON source, e.g. `5` or `"a"`: echoed byte for byte, so no digit of a long number is lost. */
  readonly id: string;
  readonly method: string;
  readonly params: JsonObject;
}
export interface NotificationMessage {
  readonly kind: 'notification';
  readonly method: string;
  readonly params: JsonObject;
}
export interface ResultMessage {
  readonly kind: 'result';
  readonly id: string;
  readonly result: RawResult;
  /** Why a client's is not parsed, which nobody needs who passes it on; reads on from "it". */
  readonly excess: string | undefined;
}
export interface ErrorMessage {
  readonly kind: 'error';
  /** Absent when the far end could not tell which request failed. */
  readonly id: string | undefined;
  readonly error: RpcError;
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: Json;
}

/** The bytes are not a message. `id` is the request's, where it could be read. */
export class MessageError extends Error {
  readonly reason: 'parse' | 'invalid';
  readonly id: string | undefined;
  constructor(reason: 'parse' | 'invalid', message: string, id?: string) {
    super(message);
    this.reason = reason;
    this.id = id;
  }
}

const maxIdLength = 256;

/** Reads one message. Throws MessageError. */
export function readMessage(bytes: Buffer): Message {
  if (!isUtf8(bytes)) throw new MessageError('parse', 'not valid UTF-8');
  let scan: ReturnType<typeof scanMessage>;
  try {
    scan = scanMessage(bytes);
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    if (bytes[0] === 0x5b)
      throw new MessageError('invalid', 'batches are not part of this protocol version; send one message per request');
    throw new MessageError(error.isRefusal ? 'invalid' : 'parse', error.message);
  }
  const idText = readId(bytes, find(scan.members, 'id'));
  const version = find(scan.members, 'jsonrpc');
  if (version === undefined || !isVersion2(bytes, version)) {
    throw new MessageError('invalid', '"jsonrpc" must be "2.0"', idText);
  }
  const method = find(scan.members, 'method');
  const result = find(scan.members, 'result');
  const error = find(scan.members, 'error');
  if (method !== undefined && result === undefined && error === undefined) return readCall(bytes, scan, idText);
  if (result !== undefined && method === undefined && error === undefined) {
    if (idText === undefined) throw new MessageError('invalid', 'a result needs the "id" it answers');
    if (bytes[result.start] !== 0x7b) throw new MessageError('invalid', '"result" must be an object', idText);
    return {
      kind: 'result',
      id: idText,
      result: new RawResult(bytes, result.start, result.end, scan.body, scan.namesUri),
      excess: findTooMany(scan),
    };
  }
  if (error !== undefined && method === undefined && result === undefined) {
    const excess = findExcess(bytes, scan);
    if (excess !== undefined) throw new MessageError('invalid', `it ${excess}`, idText);
    return {
      kind: 'error',
      id: idText,
      error: readError(parse(bytes.toString('utf8', error.start, error.end), scan.hasLongNumber, idText), idText),
    };
  }
  throw new MessageError('invalid', 'neither a request, a notification nor a response', idText);
}

function isVersion2(bytes: Buffer, { start, end }: Member): boolean {
  return (
    end - start === 5 &&
    bytes[start + 1] === 0x32 &&
    bytes[start + 2] === 0x2e &&
    bytes[start + 3] === 0x30 &&
    bytes[start] === 0x22
  );
}

function readCall(bytes: Buffer, scan: MessageScan, id: string | undefined): RequestMessage | NotificationMessage {
  const excess = findExcess(bytes, scan);
  if (excess !== undefined) throw new MessageError('invalid', `it ${excess}`, id);
  const value = parse(bytes.toString('utf8', 0, bytes.length), scan.hasLongNumber, id) as JsonObject;
  const { method } = value;
  const { params = {} } = value;
  if (typeof method !== 'string' || method === '') throw new MessageError('invalid', '"method" must be a string', id);
  if (!isObject(params)) throw new MessageError('invalid', '"params" must be an object', id);
  return id === undefined ? { kind: 'notification', method, params } : { kind: 'request', id, method, params };
}

function parse(text: string, hasLongNumber: boolean, id: string | undefined): unknown {
  try {
    return hasLongNumber ? parseExact(text) : JSON.parse(text);
  } catch (error) {
    // The parser's own words quote what it read, which may be anything.
    if (error instanceof SyntaxError) throw new MessageError('parse', 'it is not valid JSON', id);
    throw error;
  }
}

function readId(bytes: Buffer, member: Member | undefined): string | undefined {
  if (member === undefined) return undefined;
  const text = bytes.toString('utf8', member.start, member.end);
  if (text.length < 16 && isDigits(bytes, member)) return text;
  // An error response to a request that could not be read has a null id (JSON-RPC 2.0 section 5).
  if (text === 'null' && !bytes.includes('"method"')) return undefined;
  if (text.length > maxIdLength) throw new MessageError('invalid', `"id" is longer than ${maxIdLength} characters`);
  if (!/^(-?(0|[1-9][0-9]*)|"([^"\\]|\\.)*")$/u.test(text))
    throw new MessageError('invalid', '"id" must be a string or an integer');
  return text;
}

/** A whole number without a sign and without a leading zero: what ids nearly always are. */
function isDigits(bytes: Buffer, { start, end }: Member): boolean {
  if (bytes[start] === 0x30 && end - start > 1) return false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte === undefined || byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}

function readError(value: unknown, id: string | undefined): RpcError {
  if (!isObject(value) || typeof value.code !== 'number' || !Number.isInteger(value.code) || typeof value.message !== 'string') {
    throw new MessageError('invalid', '"error" needs an integer code and a message', id);
  }
  const { code, message, data } = value;
  return data === undefined ? { code, message } : { code, message, data };
}

function find(members: readonly Member[], key: string): Member | undefined {
  for (const member of members) if (member.key === key) return member;
  return undefined;
}

/** A result as the bytes that carry it: read, edited and passed on without being rebuilt. */
export class RawResult {
  readonly bytes: Buffer;
  /** Offset of the result's `{`. */
  readonly start: number;
  /** Offset behind its `}`. */
  readonly end: number;
  readonly members: readonly Member[];
  /** Whether anything in it may be called `uri`: a cheap test before an expensive reading. */
  readonly namesUri: boolean;
  #value: JsonObject | undefined;

  constructor(bytes: Buffer, start: number, end: number, members: readonly Member[], namesUri: boolean) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.members = members;
    this.namesUri = namesUri;
  }

  static from(value: JsonObject): RawResult {
    // A message around it, so that one scanner serves both ways in.
    const bytes = Buffer.from(`{"result":${JSON.stringify(value)}}`);
    const { body, namesUri } = scanMessage(bytes);
    const result = new RawResult(bytes, 10, bytes.length - 1, body, namesUri);
    result.#value = value;
    return result;
  }

  get size(): number {
    return this.end - this.start;
  }

  has(key: string): boolean {
    return find(this.members, key) !== undefined;
  }

  /** One member as JSON source. */
  source(key: string): string | undefined {
    const member = find(this.members, key);
    return member === undefined ? undefined : this.bytes.toString('utf8', member.start, member.end);
  }

  /** One member's value, parsed; the rest stays bytes. */
  get(key: string): Json | undefined {
    const source = this.source(key);
    return source === undefined ? undefined : (JSON.parse(source) as Json);
  }

  /** The whole result, parsed on first use. Throws SyntaxError where an upstream sent what only looked like JSON. */
  get value(): JsonObject {
    this.#value ??= parseExact(this.bytes.toString('utf8', this.start, this.end)) as JsonObject;
    return this.#value;
  }

  /**
   * The result's bytes without the members of these names and with others added, each as `memberBytes` makes them. Pieces of the
   * original are views, not copies.
   */
  edit(removed: readonly string[], added: readonly Buffer[]): Buffer[] {
    const pieces: Buffer[] = [];
    // Runs of untouched members are passed as one piece.
    let runStart = -1;
    let runEnd = -1;
    const push = (piece: Buffer) => pieces.push(pieces.length === 0 ? openBrace : commaBytes, piece);
    for (const member of this.members) {
      if (removed.includes(member.key)) {
        if (runStart >= 0) push(this.bytes.subarray(runStart, runEnd));
        runStart = -1;
      } else {
        if (runStart < 0) runStart = member.keyStart;
        runEnd = member.end;
      }
    }
    if (runStart >= 0) push(this.bytes.subarray(runStart, runEnd));
    for (const member of added) push(member);
    pieces.push(pieces.length === 0 ? emptyObject : closeBrace);
    return pieces;
  }
}

/** One member of an object, its value as JSON source. */
export function memberBytes(key: string, source: string): Buffer {
  return Buffer.from(`${JSON.stringify(key)}:${source}`);
}

const emptyObject = Buffer.from('{}');
const openBrace = Buffer.from('{');
const closeBrace = Buffer.from('}');
const commaBytes = Buffer.from(',');

export function requestBytes(id: number | string, method: string, params: JsonObject): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params });
}

export function notificationBytes(method: string, params: JsonObject): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params });
}
