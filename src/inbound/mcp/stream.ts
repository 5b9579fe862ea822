import type { ServerResponse } from 'node:http';
import { Bag } from '../../wire/bag.ts';
import { letGoOfStalled } from '../let-go.ts';
import type { Reply } from './reply.ts';

const sseHeaders = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Keeps nginx and its kin from holding events back.
  'x-accel-buffering': 'no',
} as const;

const dataPrefix = Buffer.from('data: ');
const eventEnd = Buffer.from('\n\n');

/** Bytes that may wait for a client that does not read; beyond that it is let go. */
export const maxBacklogBytes = 16 * 1024 * 1024;
/** Answers up to this size leave in one piece. */
const copyLimitBytes = 32 * 1024;
const keepAliveMs = 15_000;

/** Server-sent events to one client (WHATWG HTML 9.2). */
export class SseStream {
  place = -1;
  readonly response: ServerResponse;

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>> = {}) {
    this.response = response;
    letGoOfStalled(response);
    response.writeHead(200, { ...sseHeaders, ...headers });
    response.flushHeaders();
    openStreams.add(this);
    startKeepAlive();
    response.once('close', () => openStreams.delete(this));
  }

  get isOpen(): boolean {
    return !this.response.destroyed && !this.response.writableEnded;
  }

  write(message: readonly Buffer[]): void {
    const { response } = this;
    if (!this.isOpen) return;
    if (response.writableLength > maxBacklogBytes) {
      response.destroy();
      return;
    }
    response.write(Buffer.concat([dataPrefix, ...oneLine(message), eventEnd]));
  }

  keepAlive(): void {
    if (this.isOpen && this.response.writableLength === 0) this.response.write(': keep-alive\n\n');
  }

  end(): void {
    openStreams.delete(this);
    this.response.end();
  }
}

const openStreams = new Bag<SseStream>();
const waiting = new Bag<HttpReply>();
let keepAliveTimer: NodeJS.Timeout | undefined;

// One timer for all streams: proxies drop what is silent for a minute, and a timer per call would cost on every call.
function startKeepAlive(): void {
  keepAliveTimer ??= setInterval(() => {
    for (const stream of openStreams) stream.keepAlive();
    const now = performance.now();
    for (const reply of waiting) reply.keepAlive(now);
    if (openStreams.size > 0 || waiting.size > 0) return;
    clearInterval(keepAliveTimer);
    keepAliveTimer = undefined;
  }, keepAliveMs).unref();
}

/**
 * An answer over HTTP that is plain JSON as long as nothing has to be said before it, and becomes an event stream at the first
 * message that cannot wait. Both eras let the server choose (streamable HTTP, "sending messages to the server").
 */
export class HttpReply implements Reply {
  place = -1;
  readonly #response: ServerResponse;
  readonly #acceptsSse: boolean;
  #headers: Readonly<Record<string, string>>;
  readonly #startedAtMs = performance.now();
  #stream: SseStream | undefined;
  #isDone = false;
  /** The client left before its answer. */
  #isGone = false;

  constructor(response: ServerResponse, acceptsSse: boolean, headers: Readonly<Record<string, string>> = {}) {
    this.#response = response;
    this.#acceptsSse = acceptsSse;
    this.#headers = headers;
    waiting.add(this);
    startKeepAlive();
  }

  send(message: string): void {
    if (this.#isDone || !this.#acceptsSse) return;
    this.#stream ??= new SseStream(this.#response, this.#headers);
    this.#stream.write([Buffer.from(message)]);
  }

  finish(message: readonly Buffer[], status = 200, headers?: Readonly<Record<string, string | number>>): void {
    if (this.#isDone) return;
    this.#close();
    if (this.#stream !== undefined) {
      this.#stream.write(message);
      this.#stream.end();
      return;
    }
    writeJson(this.#response, status, message, headers === undefined ? this.#headers : { ...this.#headers, ...headers });
  }

  named(requestId: string): void {
    this.#headers = { ...this.#headers, 'x-request-id': requestId };
  }

  abandon(): void {
    if (this.#isDone) return;
    this.#close();
    const stream = this.#stream ?? new SseStream(this.#response, this.#headers);
    stream.end();
  }

  get canSend(): boolean {
    return this.#acceptsSse && !this.#isDone && !this.#response.destroyed;
  }

  onGone(listener: () => void): () => void {
    const response = this.#response;
    const gone = () => {
      if (this.#isDone && !this.#isGone) return;
      this.#isGone = true;
      this.#close();
      listener();
    };
    if (response.destroyed) gone();
    else response.once('close', gone);
    return () => response.off('close', gone);
  }

  /** Turns a long wait into a stream, so that nothing between us and the client takes it for dead. */
  keepAlive(nowMs: number): void {
    if (this.#stream !== undefined) return;
    // Its door has answered in its place: a challenge for a scope is an answer of HTTP.
    if (this.#response.headersSent) {
      this.#close();
      return;
    }
    if (!this.#acceptsSse || nowMs - this.#startedAtMs < keepAliveMs) return;
    this.#stream = new SseStream(this.#response, this.#headers);
  }

  #close(): void {
    this.#isDone = true;
    waiting.delete(this);
  }
}

/** A JSON body in as few writes as it takes. */
export function writeJson(
  response: ServerResponse,
  status: number,
  body: readonly Buffer[],
  headers: Readonly<Record<string, string | number>> = noHeaders,
): void {
  let length = 0;
  for (const piece of body) length += piece.length;
  const list: (string | number)[] = ['content-type', 'application/json', 'content-length', length];
  for (const name in headers) list.push(name, headers[name] ?? '');
  response.writeHead(status, list as never);
  if (length <= copyLimitBytes) {
    // As text of one byte per character the body goes out in one write with its header.
    response.end(join(body, length).toString('latin1'), 'latin1');
    return;
  }
  letGoOfStalled(response);
  response.cork();
  const last = body.length - 1;
  for (const [index, piece] of body.entries()) if (index < last) response.write(piece);
  response.end(body[last]);
}

const noHeaders = {};

/** `Buffer.concat` without its checks. */
function join(pieces: readonly Buffer[], length: number): Buffer {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const whole = Buffer.allocUnsafe(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** An upstream's line breaks would end our event and let it write its own. Outside of strings JSON allows a space in their place. */
export function oneLine(message: readonly Buffer[]): readonly Buffer[] {
  return message.map((piece) => {
    if (!piece.includes(0x0a) && !piece.includes(0x0d)) return piece;
    const copy = Buffer.from(piece);
    for (let at = 0; at < copy.length; at++) if (copy[at] === 0x0a || copy[at] === 0x0d) copy[at] = 0x20;
    return copy;
  });
}
