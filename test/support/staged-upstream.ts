import { createServer, type IncomingHttpHeaders } from 'node:http';
import { listenOn, type TestServer } from './upstreams/listen-on.ts';

/** A call as it came in: the upstream's own journal. */
export interface Arrival {
  /** By the clock of `performance.now()`. */
  readonly atMs: number;
  readonly method: string;
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a gateway sent; tests look into it.
  readonly params: any;
  readonly headers: IncomingHttpHeaders;
}

/** What it answers a call with; undefined: it hangs up. */
type StagedAnswer = { readonly result: object } | { readonly error: object } | { readonly status: number } | undefined;

export interface StagedUpstream extends TestServer {
  readonly arrivals: Arrival[];
  /** Arrivals of one tool. */
  callsOf(name: string): readonly Arrival[];
  /** How calls are answered from now on; echoes its arguments as long as nothing else is said. */
  behave: (arrival: Arrival) => StagedAnswer | Promise<StagedAnswer>;
  echo(arrival: Arrival): StagedAnswer;
}

interface Staging {
  readonly tools?: readonly (string | { readonly name: string; readonly [key: string]: unknown })[];
  readonly resources?: readonly string[];
  readonly prompts?: readonly string[];
  readonly port?: number;
}

/** A modern server that does what a test tells it, and remembers what it was called with. */
export async function startStagedUpstream({
  tools = ['echo'],
  resources = [],
  prompts = [],
  port = 0,
}: Staging = {}): Promise<StagedUpstream> {
  const arrivals: Arrival[] = [];
  const cached = { resultType: 'complete', ttlMs: 60_000, cacheScope: 'public' };
  const lists: Record<string, object> = {
    'server/discover': {
      supportedVersions: ['2026-07-28'],
      capabilities: {
        tools: {},
        ...(resources.length > 0 ? { resources: {} } : {}),
        ...(prompts.length > 0 ? { prompts: {} } : {}),
      },
    },
    'tools/list': {
      tools: tools.map((tool) =>
        typeof tool === 'string' ? { name: tool, inputSchema: { type: 'object' } } : { inputSchema: { type: 'object' }, ...tool },
      ),
    },
    'resources/list': { resources: resources.map((uri) => ({ uri, name: uri })) },
    'resources/templates/list': { resourceTemplates: [] },
    'prompts/list': { prompts: prompts.map((name) => ({ name })) },
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const {
      id = null,
      method = '',
      params = {},
    } = JSON.parse(Buffer.concat(chunks).toString() || '{}') as {
      id?: unknown;
      method?: string;
      params?: Record<string, unknown>;
    };
    const answer = (body: object, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id, ...body }));
    };
    const list = lists[method];
    if (list !== undefined) return answer({ result: { ...cached, ...list } });
    if (!['tools/call', 'resources/read', 'prompts/get'].includes(method))
      return answer({ error: { code: -32601, message: 'Method not found' } }, 404);
    const name = String(params.name ?? params.uri ?? '');
    const arrival = { atMs: performance.now(), method, name, params, headers: request.headers };
    arrivals.push(arrival);
    const given = await upstream.behave(arrival);
    if (given === undefined) response.destroy();
    else if ('status' in given) response.writeHead(given.status).end('it failed');
    else if ('error' in given) answer(given);
    else answer({ result: { resultType: 'complete', ...given.result } });
  });
  const echo = ({ method, params }: Arrival): StagedAnswer => {
    const text = JSON.stringify(params.arguments ?? {});
    if (method === 'resources/read') return { result: { contents: [{ uri: params.uri, text: 'read' }] } };
    if (method === 'prompts/get') return { result: { messages: [{ role: 'user', content: { type: 'text', text } }] } };
    return { result: { content: [{ type: 'text', text }] } };
  };
  const upstream: StagedUpstream = Object.assign(await listenOn(server, port), {
    arrivals,
    callsOf: (name: string) => arrivals.filter((arrival) => arrival.name === name),
    behave: echo,
    echo,
  });
  return upstream;
}
