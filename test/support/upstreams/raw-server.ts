import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { JsonObject } from '../../../src/wire/json.ts';
import { listenOn, type TestServer } from './listen-on.ts';

export interface RawMessage {
  readonly id?: number;
  readonly method: string;
  readonly params: JsonObject;
}

export interface RawRequest {
  readonly message: RawMessage | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Answers as JSON. */
export function reply(
  { message, response }: RawRequest,
  body: JsonObject,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: message?.id ?? null, ...body }));
}

export const discovered: JsonObject = {
  resultType: 'complete',
  supportedVersions: ['2026-07-28'],
  capabilities: { tools: {} },
  ttlMs: 0,
  cacheScope: 'private',
};

export const initialized: JsonObject = {
  protocolVersion: '2025-11-25',
  capabilities: { tools: {} },
  serverInfo: { name: 'raw', version: '0' },
};

export const oneTool: JsonObject = { tools: [{ name: 'poke', inputSchema: { type: 'object' } }] };

/** A server written by hand, for what no library would send. `answer` sees every request after its body is read. */
export async function startRawServer(
  answer: (request: RawRequest) => void,
  port?: number,
): Promise<TestServer & { readonly methods: string[] }> {
  const methods: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const message = text === '' ? undefined : (JSON.parse(text) as RawMessage);
      methods.push(message?.method ?? request.method ?? '');
      answer({ message, request, response });
    });
  });
  return { ...(await listenOn(server, port)), methods };
}

/** A modern server of one tool `poke`, whose calls `answer` handles. */
export function startModernRaw(answer: (request: RawRequest) => void): Promise<TestServer & { readonly methods: string[] }> {
  return startRawServer((request) => {
    const method = request.message?.method;
    if (method === 'server/discover') reply(request, { result: discovered });
    else if (method === 'tools/list')
      reply(request, { result: { ...oneTool, resultType: 'complete', ttlMs: 0, cacheScope: 'private' } });
    else answer(request);
  });
}

/** A legacy server with sessions and one tool `poke`, whose calls `answer` handles. */
export function startLegacyRaw(answer: (request: RawRequest) => void): Promise<TestServer & { readonly methods: string[] }> {
  return startRawServer((request) => {
    const {
      message,
      response,
      request: { method },
    } = request;
    if (message === undefined && method !== 'GET') response.writeHead(204).end();
    else if (message?.method === 'server/discover') response.writeHead(400).end('what?');
    else if (message?.method === 'initialize') reply(request, { result: initialized }, 200, { 'mcp-session-id': 's-1' });
    else if (message?.method === 'notifications/initialized') response.writeHead(202).end();
    else if (message?.method === 'tools/list') reply(request, { result: oneTool });
    else answer(request);
  });
}
