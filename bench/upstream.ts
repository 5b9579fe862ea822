/**
 * MCP servers with nothing behind them, as many as asked for, in one process: both eras, fast, and able to be slow, dead or
 * hanging. Usage: node upstream.ts '<Plan[] as JSON>'; how they answer is changed over IPC, see `Order`.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { legacyVersion, modernVersion, payloadBytes } from './messages.ts';

export interface Plan {
  /** Starts the name of every tool, so that no two servers share one. */
  readonly name: string;
  readonly tools: number;
  readonly eras: 'both' | 'legacy';
}

export interface Behaviour {
  readonly state: 'healthy' | 'dead' | 'hanging';
  readonly format: 'json' | 'sse';
  /** What a call gives back beside its own text: nothing, 100 KB as one text, 100 KB as 500 items. */
  readonly payload: 'none' | 'text' | 'items';
  readonly delayMs: number;
}

/** For one server, or for all without an index. The answer is `{ id, lists, calls }`: what was asked of them since the start. */
export interface Order {
  readonly id: number;
  readonly index?: number;
  readonly behaviour?: Partial<Behaviour>;
}

interface Request {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: {
    readonly name?: unknown;
    readonly protocolVersion?: unknown;
    readonly arguments?: { readonly text?: unknown };
  };
}

const serverInfo = { name: 'bench-upstream', version: '1.0.0' };
const knownSessions = 100_000;
const legacyVersions = ['2024-11-05', '2025-03-26', '2025-06-18', legacyVersion];

class Upstream {
  readonly #eras: Plan['eras'];
  readonly #definitions: ReadonlyMap<string, unknown>;
  readonly #listed: string;
  readonly #server: Server;
  readonly #sessions = new Set<string>();
  #behaviour: Behaviour = { state: 'healthy', format: 'json', payload: 'none', delayMs: 0 };
  #port = 0;
  lists = 0;
  calls = 0;

  constructor(plan: Plan) {
    this.#eras = plan.eras;
    this.#definitions = new Map(
      Array.from({ length: plan.tools }, (_, index) => [`${plan.name}_echo_${index}`, definition(`${plan.name}_echo_${index}`)]),
    );
    // Serialised once: this is what the gateway's own list is compared with.
    this.#listed = JSON.stringify([...this.#definitions.values()]);
    this.#server = createServer((req, res) => this.#serve(req, res));
    this.#server.keepAliveTimeout = 120_000;
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(this.#port, '127.0.0.1', () => {
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve(this.#port);
      });
    });
  }

  async behave(changes: Partial<Behaviour>): Promise<void> {
    const wasDead = this.#behaviour.state === 'dead';
    this.#behaviour = { ...this.#behaviour, ...changes };
    const isDead = this.#behaviour.state === 'dead';
    if (wasDead && !isDead) await this.listen();
    if (!wasDead && isDead) {
      this.#server.close();
      this.#server.closeAllConnections();
    }
  }

  #serve(req: IncomingMessage, res: ServerResponse) {
    res.sendDate = false;
    if (req.method === 'GET' && req.url?.startsWith('/api/')) return this.#operate(req, res);
    if (req.method === 'DELETE') return this.#endSession(req, res);
    if (req.method !== 'POST') return void res.writeHead(405, ['Allow', 'POST, DELETE', 'Content-Length', '0']).end();
    let body = '';
    req.setEncoding('utf8');
    req.on('data', (chunk: string) => {
      body += chunk;
    });
    req.on('end', () => {
      if (this.#behaviour.state === 'hanging') return;
      let request: Request;
      try {
        request = JSON.parse(body) as Request;
      } catch {
        return refuse(res, 400, null, -32700, 'not JSON');
      }
      this.#answer(req, res, request);
    });
  }

  #answer(req: IncomingMessage, res: ServerResponse, request: Request) {
    const version = req.headers['mcp-protocol-version'];
    const isModern = version === modernVersion;
    if (isModern && this.#eras === 'legacy') return refuse(res, 400, null, -32000, 'unsupported protocol version');
    if (request.id === undefined) return void res.writeHead(202, ['Content-Length', '0']).end();
    if (request.method === 'initialize') return this.#initialize(res, request);
    if (!isModern && !this.#sessions.has(String(req.headers['mcp-session-id']))) {
      return refuse(res, req.headers['mcp-session-id'] === undefined ? 400 : 404, request.id, -32600, 'no such session');
    }
    if (request.method === 'tools/call') return this.#call(res, request, isModern);
    const result = this.#otherResult(request.method, isModern);
    if (result === undefined) return refuse(res, isModern ? 404 : 200, request.id, -32601, `no method ${String(request.method)}`);
    this.#send(res, [`{"jsonrpc":"2.0","id":${JSON.stringify(request.id)},"result":${result}}`]);
  }

  #initialize(res: ServerResponse, request: Request): void {
    const session = `session-${this.#port}-${crypto.randomUUID()}`;
    this.#sessions.add(session);
    if (this.#sessions.size > knownSessions) this.#sessions.delete(this.#sessions.values().next().value!);
    const asked = String(request.params?.protocolVersion);
    const protocolVersion = legacyVersions.includes(asked) ? asked : legacyVersion;
    const result = { protocolVersion, capabilities: { tools: {} }, serverInfo };
    const body = JSON.stringify({ jsonrpc: '2.0', id: request.id, result });
    res.writeHead(200, ['Content-Type', 'application/json', 'Mcp-Session-Id', session, 'Content-Length', String(body.length)]);
    res.end(body);
  }

  #endSession(req: IncomingMessage, res: ServerResponse): void {
    const isKnown = this.#sessions.delete(String(req.headers['mcp-session-id']));
    res.writeHead(isKnown ? 200 : 404, ['Content-Length', '0']).end();
  }

  /** A result as JSON source. */
  #otherResult(method: unknown, isModern: boolean): string | undefined {
    if (method === 'tools/list') {
      this.lists += 1;
      return isModern ? `{"tools":${this.#listed},${modernCached}}` : `{"tools":${this.#listed}}`;
    }
    if (method === 'server/discover' && isModern) {
      return `{"supportedVersions":["${modernVersion}"],"capabilities":{"tools":{}},${modernCached}}`;
    }
    return method === 'ping' && !isModern ? '{}' : undefined;
  }

  #call(res: ServerResponse, request: Request, isModern: boolean) {
    this.calls += 1;
    const tool = String(request.params?.name);
    if (!this.#definitions.has(tool)) return refuse(res, 200, request.id, -32602, `Unknown tool: ${tool}`);
    const text = JSON.stringify(`${tool} ${String(request.params?.arguments?.text)}`);
    const start = `{"jsonrpc":"2.0","id":${JSON.stringify(request.id)},"result":{"content":[{"type":"text","text":`;
    const end = isModern ? `}],${modernMembers}}}` : '}]}}';
    const pieces = withPayload(this.#behaviour.payload, start, text, end);
    if (this.#behaviour.delayMs === 0) this.#send(res, pieces);
    else setTimeout(() => this.#send(res, pieces), this.#behaviour.delayMs);
  }

  /** The same tools as operations of an HTTP API: `GET /api/echo_0?text=...`. */
  #operate(req: IncomingMessage, res: ServerResponse): void {
    this.calls += 1;
    const [, tool = '', text = ''] = /^\/api\/([^?]*)\?text=(.*)$/u.exec(req.url ?? '') ?? [];
    if (!this.#definitions.has(tool)) return void res.writeHead(404, ['Content-Length', '0']).end();
    const body = JSON.stringify({ text: `${tool} ${decodeURIComponent(text)}` });
    res.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]).end(body);
  }

  #send(res: ServerResponse, pieces: readonly (string | Buffer)[]) {
    if (this.#behaviour.format === 'sse') {
      res.writeHead(200, ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-cache']);
      return write(res, ['event: message\ndata: ', ...pieces, '\n\n']);
    }
    const length = pieces.reduce((sum, piece) => sum + Buffer.byteLength(piece), 0);
    res.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', String(length)]);
    write(res, pieces);
  }
}

const modernMembers = `"resultType":"complete","_meta":${JSON.stringify({ 'io.modelcontextprotocol/serverInfo': serverInfo })}`;
const modernCached = `"ttlMs":3600000,"cacheScope":"public",${modernMembers}`;

function write(res: ServerResponse, pieces: readonly (string | Buffer)[]): void {
  if (pieces.every((piece) => typeof piece === 'string')) return void res.end(pieces.join(''));
  res.cork();
  for (const piece of pieces) res.write(piece);
  // Node 24 sends the end of a chunked answer before what is still corked.
  res.uncork();
  res.end();
}

function refuse(res: ServerResponse, status: number, id: unknown, code: number, message: string): void {
  const body = JSON.stringify({ jsonrpc: '2.0', id, error: { code, message } });
  res.writeHead(status, ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]).end(body);
}

/** JSON source as real answers have it: line ends and quotes to escape, and letters of more than one byte. */
const line = JSON.stringify('  "status": "open", "owner": "Zoë", "path": "C:\\\\data\\\\reports", "amount": 1249.5,\n').slice(
  1,
  -1,
);
const filler = Buffer.from(line.repeat(Math.ceil(payloadBytes / Buffer.byteLength(line))));
const item = JSON.stringify({ type: 'text', text: `{"id":4711,"name":"${'item '.repeat(26)}","ok":true}` });
const items = Buffer.from(`},${`${item},`.repeat(Math.ceil(payloadBytes / (item.length + 1)))}{"type":"text","text":`);

function withPayload(payload: Behaviour['payload'], start: string, text: string, end: string): (string | Buffer)[] {
  if (payload === 'none') return [start + text + end];
  if (payload === 'items') return [start + text, items, text + end];
  return [`${start}${text.slice(0, -1)} `, filler, ` ${text.slice(1)}${end}`];
}

/** About 500 bytes, as the tools of real servers are. */
function definition(name: string): unknown {
  return {
    name,
    title: `Look up ${name}`,
    description: `Looks up records of ${name} and returns the text it was given. Use it when a person asks for one record by its reference.`,
    inputSchema: {
      type: 'object',
      properties: {
        text: { type: 'string', description: 'The text to return.' },
        limit: { type: 'integer', minimum: 1, maximum: 100 },
        order: { type: 'string', enum: ['newest', 'oldest'] },
      },
      required: ['text'],
    },
    annotations: { readOnlyHint: true, openWorldHint: false },
  };
}

const upstreams = (JSON.parse(process.argv[2]!) as Plan[]).map((plan) => new Upstream(plan));
process.on('message', async ({ id, index, behaviour }: Order) => {
  const meant = index === undefined ? upstreams : [upstreams[index]!];
  if (behaviour !== undefined) await Promise.all(meant.map((upstream) => upstream.behave(behaviour)));
  process.send!({ id, lists: sum(meant, 'lists'), calls: sum(meant, 'calls') });
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true, ports: await Promise.all(upstreams.map((upstream) => upstream.listen())) });

function sum(upstreams: readonly Upstream[], count: 'lists' | 'calls'): number {
  return upstreams.reduce((total, upstream) => total + upstream[count], 0);
}
