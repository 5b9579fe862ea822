import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { InMemoryEventStore } from './event-store.ts';
import { type LegacyState, legacyServer, newLegacyState } from './legacy-tools.ts';
import { listenOn, type TestServer } from './listen-on.ts';

export interface LegacyHttpServer extends TestServer {
  readonly state: LegacyState;
  /** Sessions opened and not ended, with what their clients declared. */
  readonly sessions: ReadonlyMap<string, StreamableHTTPServerTransport>;
  /** How many sessions were ever opened. */
  opened(): number;
  capabilitiesOf(sessionId: string): unknown;
  /** Forgets all sessions, as a restart does. */
  forget(): void;
  /** HTTP methods as they came. */
  readonly seen: string[];
}

/** A server of the v1 SDK over Streamable HTTP with sessions. */
export async function startLegacyServer(options: { json?: boolean; port?: number } = {}): Promise<LegacyHttpServer> {
  const state = newLegacyState();
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const capabilities = new Map<string, () => unknown>();
  const seen: string[] = [];
  let opened = 0;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    seen.push(request.method ?? '');
    const id = request.headers['mcp-session-id'];
    const known = typeof id === 'string' ? sessions.get(id) : undefined;
    if (known !== undefined) return known.handleRequest(request, response);
    if (id !== undefined) {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }));
      return;
    }
    const server = legacyServer(state);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: options.json ?? false,
      eventStore: new InMemoryEventStore(),
      onsessioninitialized: (sessionId) => {
        opened++;
        sessions.set(sessionId, transport);
        capabilities.set(sessionId, () => server.server.getClientCapabilities());
      },
      onsessionclosed: (sessionId) => void sessions.delete(sessionId),
    });
    await server.connect(transport as Parameters<typeof server.connect>[0]);
    await transport.handleRequest(request, response);
  };
  const http = createServer((request, response) => void handle(request, response));
  const running = await listenOn(http, options.port);
  return {
    ...running,
    state,
    sessions,
    seen,
    opened: () => opened,
    capabilitiesOf: (sessionId) => capabilities.get(sessionId)?.(),
    forget: () => sessions.clear(),
    close: async () => {
      await Promise.allSettled([...sessions.values()].map((transport) => transport.close()));
      await running.close();
    },
  };
}
