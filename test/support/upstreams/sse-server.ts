import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { type LegacyState, legacyServer, newLegacyState } from './legacy-tools.ts';
import { listenOn, type TestServer } from './listen-on.ts';

export interface SseServer extends TestServer {
  readonly state: LegacyState;
  readonly streams: ReadonlyMap<string, SSEServerTransport>;
  /** Ends every event stream from the server's side. */
  cut(): Promise<void>;
}

/** A server of the v1 SDK over the HTTP+SSE transport of 2024-11-05. */
export async function startSseServer(): Promise<SseServer> {
  const state = newLegacyState();
  const streams = new Map<string, SSEServerTransport>();
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (request.method === 'GET' && url.pathname === '/mcp') {
      const transport = new SSEServerTransport('/messages', response);
      streams.set(transport.sessionId, transport);
      response.on('close', () => streams.delete(transport.sessionId));
      await legacyServer(state).connect(transport);
      return;
    }
    const transport = streams.get(url.searchParams.get('sessionId') ?? '');
    if (request.method === 'POST' && transport !== undefined) return transport.handlePostMessage(request, response);
    response.writeHead(404).end('nothing here');
  };
  const http = createServer((request, response) => void handle(request, response));
  const running = await listenOn(http);
  return {
    ...running,
    state,
    streams,
    cut: async () => {
      await Promise.all([...streams.values()].map((stream) => stream.close()));
    },
  };
}
