import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Usage } from '../../../src/models/reply.ts';
import { isObject, type JsonObject } from '../../../src/wire/json.ts';
import { listenOn } from '../upstreams/listen-on.ts';
import type { JournalEntry } from './journal.ts';
import {
  type FullReply,
  type Generation,
  type Operation,
  type ProviderWire,
  type Received,
  Refusal,
  tokensOf,
} from './provider-wire.ts';
import { type ScriptedAnswer, type ScriptedFailure, type ScriptedReply, says } from './script.ts';

/** A provider on loopback: speaks its documented format, answers as it is told to, and keeps a journal of everything. */
export interface StandIn {
  /** Without a path. */
  readonly url: string;
  readonly port: number;
  readonly journal: readonly JournalEntry[];
  /** What it answers to the next requests, in this order. */
  next(...answers: readonly ScriptedAnswer[]): void;
  /** What it answers where nothing is next. */
  always(answer: ScriptedAnswer): void;
  close(): Promise<void>;
}

export async function startStandIn(wire: ProviderWire, port = 0): Promise<StandIn> {
  const journal: JournalEntry[] = [];
  const script: ScriptedAnswer[] = [];
  let usual: ScriptedAnswer = says('Hello.');
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      // A stand-in that fails must be seen, not taken for a provider that does.
      console.error(error);
      response.destroy();
    });
  });

  function take(kind: Operation['kind']): ScriptedAnswer | undefined {
    if (kind !== 'generate' && kind !== 'embed' && kind !== 'count') return undefined;
    const at = script.findIndex((answer) => (answer.for ?? 'generate') === kind);
    if (at >= 0) return script.splice(at, 1)[0];
    return kind === (usual.for ?? 'generate') ? usual : undefined;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const received = await receive(request);
    const exchange = openExchange(wire, received, response, journal);
    try {
      const credential = wire.authorize(received);
      const operation = wire.operationOf(received);
      if (operation === undefined) throw new Refusal(404, `There is nothing at ${received.url.pathname}.`);
      exchange.names(operation);
      const answer = take(operation.kind);
      await answer?.before?.opened;
      if (answer?.echoes) response.setHeader('x-echoed-credential', credential);
      for (const [name, value] of Object.entries(answer?.headers ?? {})) response.setHeader(name, value);
      await exchange.answer(operation, answer, answer?.echoes ? credential : undefined);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      exchange.fail({
        kind: 'failure',
        status: error.status,
        message: error.message,
        ...(error.code !== undefined && { code: error.code }),
      });
    }
  }

  const listening = await listenOn(server, port, '');
  return {
    url: listening.url,
    port: listening.port,
    journal,
    next: (...answers) => {
      script.push(...answers);
    },
    always: (answer) => {
      usual = answer;
    },
    close: listening.close,
  };
}

async function receive(request: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const target = request.url ?? '/';
  return {
    method: request.method ?? '',
    url: new URL(target, 'http://stand-in'),
    rawPath: target.split('?')[0] ?? '',
    headers: request.headers,
    bytes,
    body: parse(bytes),
  };
}

function parse(bytes: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

type Fault = NonNullable<ScriptedReply['fault']>['kind'];

interface Exchange {
  names(operation: Operation): void;
  answer(operation: Operation, scripted: ScriptedAnswer | undefined, credential: string | undefined): Promise<void>;
  fail(failure: ScriptedFailure): void;
}

function openExchange(wire: ProviderWire, received: Received, response: ServerResponse, journal: JournalEntry[]): Exchange {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const { method, url, headers, body, bytes } = received;
  let entry: JournalEntry = {
    number: journal.length,
    operation: 'none',
    model: undefined,
    isStream: false,
    method,
    path: url.pathname + url.search,
    headers,
    body,
    bytes,
    status: undefined,
    usage: undefined,
    told: undefined,
    pieces: 0,
    ending: 'open',
    ended,
  };
  journal.push(entry);
  const at = entry.number;
  const id = `${wire.name}-${at}`;
  for (const [name, value] of Object.entries(wire.headers(id))) response.setHeader(name, value);
  const closed = new Promise<void>((done) => response.once('close', done));
  const end = (ending: JournalEntry['ending']): void => {
    if (entry.ending !== 'open') return;
    entry.ending = ending;
    resolve();
  };
  response.once('close', () => end(response.writableFinished ? 'complete' : 'client-closed'));

  function send(status: number, document: JsonObject | string, contentType = 'application/json'): void {
    entry.status = status;
    response.writeHead(status, { 'content-type': contentType });
    response.end(typeof document === 'string' ? document : JSON.stringify(document));
  }

  function cut(): void {
    end('cut');
    response.destroy();
  }

  function fail(failure: ScriptedFailure, credential?: string): void {
    const { status, code, retryAfterS, message = `The stand-in was told to answer ${failure.status}.` } = failure;
    const told = credential === undefined ? message : `${message} (${credential})`;
    const document = wire.failure(status, told, code, retryAfterS);
    if (retryAfterS !== undefined) response.setHeader('retry-after', String(retryAfterS));
    for (const [name, value] of Object.entries(document.headers)) response.setHeader(name, value);
    send(document.status, document.body);
  }

  async function reply(operation: Generation, scripted: ScriptedReply, credential: string | undefined): Promise<void> {
    const billed = scripted.usage ?? usageOf(scripted, bytes);
    const told = scripted.told === 'nothing' ? undefined : (scripted.told ?? billed);
    const full = fill(scripted, id, told, credential);
    if (operation.isStream) return stream(operation, scripted, full, billed);
    entry.usage = billed;
    entry.told = told;
    entry.pieces = 1;
    send(200, operation.whole(full));
  }

  async function stream(operation: Generation, scripted: ScriptedReply, full: FullReply, billed: Usage): Promise<void> {
    const frames = operation.frames(full);
    const all = frames.filter(({ isText }) => isText).length;
    entry.status = 200;
    entry.usage = { ...billed, output: 0, reasoning: 0 };
    response.writeHead(200, { 'content-type': operation.streamType, 'cache-control': 'no-cache' });
    response.flushHeaders();
    for (const frame of frames) {
      if (frame.isText || entry.pieces === all) {
        await holdAt(scripted, entry.pieces, closed);
        if (scripted.fault?.after === entry.pieces) return faultOf(operation, scripted.fault.kind, frame.bytes);
      }
      if (response.destroyed) return;
      await new Promise((sent) => response.write(frame.bytes, sent));
      entry.told = frame.told ?? entry.told;
      if (!frame.isText) continue;
      entry.pieces++;
      const part = entry.pieces / all;
      entry.usage = { ...billed, output: Math.round(billed.output * part), reasoning: Math.round(billed.reasoning * part) };
    }
    entry.usage = billed;
    response.end();
  }

  async function faultOf(operation: Generation, kind: Fault, next: Buffer): Promise<void> {
    if (kind === 'hang') return closed;
    if (kind === 'end') return void response.end();
    if (kind === 'cut') {
      await new Promise((sent) => response.write(next.subarray(0, next.length / 2), sent));
      return cut();
    }
    response.end(kind === 'broken' ? operation.brokenFrame : operation.failureFrame('The stand-in was told to fail.'));
  }

  return {
    names: (operation) => {
      const isStream = operation.kind === 'generate' && operation.isStream;
      const pieces = 0;
      entry = Object.assign(entry, { operation: operation.kind, model: operation.model, isStream, pieces });
    },
    fail,
    answer: async (operation, scripted, credential) => {
      switch (scripted?.kind) {
        case 'failure':
          return fail(scripted, credential);
        case 'hang':
          return closed;
        case 'drop':
          return cut();
        case 'page':
          return send(scripted.status ?? 502, `<html><body><h1>Bad gateway</h1>${credential ?? ''}</body></html>`, 'text/html');
        case 'garbage':
          return send(scripted.status ?? 200, '{"half": "of a docum');
        case 'reply':
          if (operation.kind === 'generate') return reply(operation, scripted, credential);
      }
      if (operation.kind === 'generate') return reply(operation, says('Hello.'), credential);
      entry.usage = operation.usage;
      entry.told = operation.usage;
      send(200, operation.answer);
    },
  };
}

async function holdAt(scripted: ScriptedReply, pieces: number, closed: Promise<void>): Promise<void> {
  for (const { after, gate } of scripted.holds ?? []) if (after === pieces) await Promise.race([gate.opened, closed]);
}

function fill(scripted: ScriptedReply, id: string, usage: Usage | undefined, credential: string | undefined): FullReply {
  const { parts, chunkLength = 8 } = scripted;
  const hasCalls = parts.some(({ kind }) => kind === 'tool-call');
  return {
    id,
    parts: credential === undefined ? parts : [...parts, { kind: 'text', text: `Your credential is ${credential}.` }],
    finish: scripted.finish ?? (hasCalls ? 'tool-calls' : 'stop'),
    stopSequence: scripted.stopSequence,
    usage,
    cut: (text) => {
      const characters = Array.from(text);
      const pieces = Math.ceil(characters.length / chunkLength);
      return Array.from({ length: pieces }, (_, at) => characters.slice(at * chunkLength, (at + 1) * chunkLength).join(''));
    },
  };
}

function usageOf({ parts }: ScriptedReply, bytes: Buffer): Usage {
  const words = parts.map((part) => (part.kind === 'tool-call' ? JSON.stringify(part.arguments) : part.text)).join('');
  const thoughts = parts.map((part) => (part.kind === 'reasoning' ? part.text : '')).join('');
  return {
    input: tokensOf(bytes.toString()),
    output: Math.max(1, tokensOf(words)),
    cacheRead: 0,
    cacheWrite: 0,
    reasoning: tokensOf(thoughts),
  };
}
