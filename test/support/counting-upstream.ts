import { createServer } from 'node:http';
import { listenOn, type TestServer } from './upstreams/listen-on.ts';

/** A bare modern server with one tool, `echo`, that keeps what it was called with. */
export interface CountingUpstream extends TestServer {
  /** Bodies of the `tools/call` requests that arrived. */
  readonly calls: string[];
  /** Headers of the last one. */
  headers: Readonly<Record<string, unknown>>;
  /** What a call is answered with in place of its arguments. */
  behave: ((params: CallParams) => object | Promise<object>) | undefined;
}

interface CallParams {
  readonly arguments?: unknown;
  readonly inputResponses?: unknown;
  readonly requestState?: string;
}

const echo = {
  name: 'echo',
  description: 'Answers with its arguments',
  inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } },
};

export async function startCountingUpstream(): Promise<CountingUpstream> {
  const calls: string[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const answer = (result: object) => {
      const { id } = JSON.parse(body) as { id: unknown };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...result } }));
    };
    const cached = { ttlMs: 60_000, cacheScope: 'public' };
    switch (request.headers['mcp-method']) {
      case 'server/discover':
        answer({ supportedVersions: ['2026-07-28'], capabilities: { tools: {} }, ...cached });
        return;
      case 'tools/list':
        answer({ tools: [echo], ...cached });
        return;
      case 'tools/call': {
        calls.push(body);
        upstream.headers = request.headers;
        const { params } = JSON.parse(body) as { params: CallParams };
        const text = JSON.stringify(params.arguments ?? {});
        answer((await upstream.behave?.(params)) ?? { content: [{ type: 'text', text }] });
        return;
      }
      default:
        response.writeHead(404, { 'content-type': 'application/json' });
        response.end('{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"Method not found"}}');
    }
  });
  const upstream: CountingUpstream = Object.assign(await listenOn(server), {
    calls,
    headers: {},
    behave: undefined,
  });
  return upstream;
}
