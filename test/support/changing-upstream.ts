import type { ServerResponse } from 'node:http';
import type { JsonObject } from '../../src/wire/json.ts';
import { type RawRequest, reply, startRawServer } from './upstreams/raw-server.ts';

/** A definition as a server would list it. */
export type Listed = JsonObject & { name: string };

export interface ChangingUpstream {
  readonly url: string;
  readonly port: number;
  /** Calls that arrived: tool names. */
  readonly calls: string[];
  /** What it lists from now on; everybody who is connected hears of it. */
  offer(tools: readonly Listed[], more?: { prompts?: readonly Listed[]; instructions?: string }): void;
  /** What one connection is told, by its number from 1; all are told the same when left out. */
  offerTo: ((session: number, tools: readonly Listed[]) => readonly Listed[]) | undefined;
  /** How often its tools were listed. */
  readonly listings: () => number;
  close(): Promise<void>;
}

/** A legacy server with sessions that says when its lists change. */
export async function startChangingUpstream(first: readonly Listed[]): Promise<ChangingUpstream> {
  let tools = first;
  let prompts: readonly Listed[] = [];
  let instructions: string | undefined;
  let sessions = 0;
  let listings = 0;
  const streams = new Set<ServerResponse>();
  const calls: string[] = [];

  function answer(request: RawRequest): void {
    const { message, response, request: http } = request;
    const session = Number(String(http.headers['mcp-session-id'] ?? 's-0').slice(2));
    switch (message?.method) {
      case undefined:
        if (http.method !== 'GET') {
          response.writeHead(204).end();
          break;
        }
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        streams.add(response);
        response.on('close', () => streams.delete(response));
        break;
      case 'initialize':
        reply(request, { result: initialized() }, 200, { 'mcp-session-id': `s-${++sessions}` });
        break;
      case 'notifications/initialized':
        response.writeHead(202).end();
        break;
      case 'tools/list':
        listings++;
        reply(request, { result: { tools: [...(upstream.offerTo?.(session, tools) ?? tools)] } });
        break;
      case 'prompts/list':
        reply(request, { result: { prompts: [...prompts] } });
        break;
      case 'tools/call':
        calls.push(String(message.params.name));
        reply(request, { result: { content: [{ type: 'text', text: `called ${String(message.params.name)}` }] } });
        break;
      default:
        response.writeHead(400).end('what?');
    }
  }

  function initialized(): JsonObject {
    return {
      protocolVersion: '2025-11-25',
      capabilities: { tools: { listChanged: true }, prompts: { listChanged: true } },
      serverInfo: { name: 'changing', version: '1' },
      ...(instructions === undefined ? {} : { instructions }),
    };
  }

  const server = await startRawServer(answer);
  const upstream: ChangingUpstream = {
    url: `${server.url}`,
    port: server.port,
    calls,
    offerTo: undefined,
    listings: () => listings,
    offer(next, more = {}) {
      tools = next;
      prompts = more.prompts ?? prompts;
      instructions = more.instructions ?? instructions;
      const say = (method: string) => `data: ${JSON.stringify({ jsonrpc: '2.0', method })}\n\n`;
      for (const stream of streams)
        stream.write(say('notifications/tools/list_changed') + say('notifications/prompts/list_changed'));
    },
    close: async () => {
      for (const stream of streams) stream.end();
      await server.close();
    },
  };
  return upstream;
}
