import type { IncomingHttpHeaders } from 'node:http';
import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import type { ScriptedFinish, ScriptedPart } from './script.ts';

/** How one provider speaks, as its documentation has it. */
export interface ProviderWire {
  readonly name: string;
  /** The credential as it was presented. Throws Refusal. */
  authorize(request: Received): string;
  /** Undefined: there is nothing at this address. Throws Refusal for a request that the provider would refuse. */
  operationOf(request: Received): Operation | undefined;
  failure(status: number, message: string, code: string | undefined, retryAfterS: number | undefined): FailureDocument;
  /** Of every answer. */
  headers(id: string): Readonly<Record<string, string>>;
}

export interface Received {
  readonly method: string;
  readonly url: URL;
  /** As it stands in the request line, without the query. */
  readonly rawPath: string;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly body: JsonObject | undefined;
}

export type Operation = Generation | Lookup;

/** A request for a model's words, which the script has. */
export interface Generation {
  readonly kind: 'generate';
  readonly model: string;
  readonly isStream: boolean;
  readonly streamType: string;
  whole(reply: FullReply): JsonObject;
  frames(reply: FullReply): readonly Frame[];
  /** Bytes in the place of a frame that nobody can read. */
  readonly brokenFrame: Buffer;
  /** How a stream says that the provider failed. */
  failureFrame(message: string): Buffer;
}

/** Everything else has one answer. */
export interface Lookup {
  readonly kind: 'embed' | 'count' | 'models' | 'token';
  readonly model: string | undefined;
  readonly answer: JsonObject;
  readonly usage: Usage | undefined;
}

export interface Frame {
  readonly bytes: Buffer;
  /** It carries words of the model. */
  readonly isText: boolean;
  /** It carries usage. */
  readonly told?: Usage | undefined;
}

/** A scripted reply with everything that was left open filled in. */
export interface FullReply {
  readonly id: string;
  readonly parts: readonly ScriptedPart[];
  readonly finish: ScriptedFinish;
  readonly stopSequence: string | undefined;
  /** What is told; undefined: nothing. */
  readonly usage: Usage | undefined;
  cut(text: string): readonly string[];
}

export interface FailureDocument {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

/** The provider would not take this request. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string | undefined;
  constructor(status: number, message: string, code?: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function must(condition: boolean, message: string, status = 400, code?: string): asserts condition {
  if (!condition) throw new Refusal(status, message, code);
}

export function listOf(body: JsonObject, name: string): readonly JsonObject[] {
  const value = body[name];
  must(Array.isArray(value) && value.every(isObject), `${name}: must be an array of objects`);
  return value.filter(isObject);
}

export function sse(data: unknown, event?: string, end = '\n'): Buffer {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return Buffer.from(`${event === undefined ? '' : `event: ${event}${end}`}data: ${text}${end}${end}`);
}

export const brokenSse = Buffer.from('data: {"half": "of an ev\n\n');

/** A bearer's token, or the header's value. */
export function presented(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return name === 'authorization' ? /^Bearer (.+)$/.exec(text ?? '')?.[1] : text;
}

/** The same vector for the same text. */
export function vectorOf(text: string, dimensions: number): number[] {
  let state = 2166136261;
  const step = (byte: number) => {
    state = Math.imul(state ^ byte, 16777619) >>> 0;
  };
  for (const byte of Buffer.from(text)) step(byte);
  const vector = Array.from({ length: dimensions }, (_, at) => {
    step(at & 255);
    return Math.fround(state / 2 ** 31 - 1);
  });
  return vector;
}

export function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}
