import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { describeResource } from '../identity/resource-metadata.ts';
import { clientAddress } from '../policy/network.ts';
import { hopHeader, isTooLong, readHops } from '../upstreams/hop.ts';
import { authenticateRequest, errorHeaders, pathOf, type ServerPorts } from './door.ts';
import { RequestError, serveMcp } from './mcp/endpoint.ts';
import { errorMessage, toRpcError } from './mcp/messages.ts';
import { newRequestId } from './mcp/request-id.ts';
import { writeJson } from './mcp/stream.ts';
import type { ModelRequest } from './models/endpoint.ts';
import { checkAddressing } from './origin.ts';

/** The HTTP server of every door. `local` callers come over a socket that only this machine's user can open: no key, no Host. */
export function createGatewayServer(ports: ServerPorts, local?: Caller): Server {
  const server = createServer(
    { keepAliveTimeout: 75_000, headersTimeout: 15_000, requestTimeout: 60_000 },
    (request, response) => {
      serve(ports, local, request, response);
    },
  );
  return server;
}

function serve(ports: ServerPorts, local: Caller | undefined, request: IncomingMessage, response: ServerResponse): void {
  const headers: Record<string, string> = {};
  if (!ports.isReady()) headers.connection = 'close';
  try {
    route(ports, local, request, response, headers)?.catch((thrown: unknown) => fail(ports, thrown, request, response, headers));
  } catch (thrown) {
    fail(ports, thrown, request, response, headers);
  }
}

/** Every route, in one list. Throws, or rejects, with what the answer has to say. */
function route(
  ports: ServerPorts,
  local: Caller | undefined,
  request: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string>,
): Promise<void> | undefined {
  const path = pathOf(request.url ?? '');
  if (path === '/healthz') return void answer(response, 200, { status: 'ok' });
  if (path === '/readyz')
    return void answer(response, ports.isReady() ? 200 : 503, { status: ports.isReady() ? 'ready' : 'not ready' });
  if (local === undefined) {
    checkAddressing(ports.addressing, request);
    allowOrigin(request, headers);
  }
  const metadata = describeResource(ports.oauth.issuers, path, ports.oauth.publicUrl());
  if (metadata !== undefined) return void writeJson(response, 200, [Buffer.from(JSON.stringify(metadata))], headers);
  const toolbox = toolboxOf(path);
  if (toolbox !== undefined) {
    refuseOwn(ports.edge.hop, request);
    if (request.method === 'OPTIONS') return void preflight(request, response, headers);
    const { edge, bodyLimitBytes: limitBytes } = ports;
    const ip = local === undefined ? clientAddress(request.socket.remoteAddress, request.headers, ports.isTrustedProxy) : '';
    const requestId = newRequestId();
    if (request.method === 'POST') headers['x-request-id'] = requestId;
    const serveFor = (caller: Caller) =>
      serveMcp(edge, { caller, ip, toolbox, request, response, limitBytes, headers, requestId });
    const caller = local ?? authenticateRequest(ports, request, path);
    if (caller instanceof Promise) return caller.then(serveFor);
    return toolbox === 'admin' ? ports.loadAdministration().then(() => serveFor(caller)) : serveFor(caller);
  }
  if (path.startsWith('/v1/')) {
    refuseOwn(ports.edge.hop, request);
    if (request.method === 'OPTIONS') return void preflight(request, response, headers);
    const ip = local === undefined ? clientAddress(request.socket.remoteAddress, request.headers, ports.isTrustedProxy) : '';
    const model: ModelRequest = { caller: local, ip, request, response, headers };
    return models === undefined ? loadModels().then((loaded) => loaded(ports, model)) : models(ports, model);
  }
  // Express costs 50 ms to load and four times a call: it serves people, and is loaded when the first one comes.
  return import('./web.ts').then(({ webApp }) => webApp(ports, local)(request, response));
}

// Dialects and what they need are for gateways that have models.
let models: typeof import('./models/endpoint.ts').serveModels | undefined;

async function loadModels(): Promise<NonNullable<typeof models>> {
  ({ serveModels: models } = await import('./models/endpoint.ts'));
  return models;
}

function toolboxOf(path: string): string | undefined {
  if (path === '/mcp') return '';
  // Some clients write the "@" of a version as it stands in forms.
  return path.startsWith('/mcp/') ? path.slice(5).replace(/%40/, '@') : undefined;
}

/** Gateways that are each other's upstreams would ask each other for as long as they run. */
function refuseOwn(own: string, request: IncomingMessage): void {
  const header = request.headers[hopHeader];
  if (header === undefined) return;
  const hops = readHops(header);
  if (hops.length === 1 && hops[0] === own)
    throw new GatewayError('loop_detected', 'This address is this gateway itself: it cannot be an upstream of its own.');
  if (hops.includes(own))
    throw new GatewayError(
      'loop_detected',
      `This request came through this gateway before, and through ${hops.length - 1} other(s) since: they are upstreams of each other. Leave one out.`,
    );
  if (isTooLong(hops))
    throw new GatewayError(
      'loop_detected',
      `This request came through ${hops.length} gateways, which is more than may follow each other.`,
    );
}

const exposedHeaders = [
  ...['Mcp-Session-Id', 'WWW-Authenticate', 'Retry-After', 'X-Should-Retry'],
  ...['X-Request-Id', 'X-Gatehouse-Figures', 'X-Gatehouse-Cache', 'Age', 'Idempotent-Replayed'],
  ...['limit', 'remaining', 'reset'].flatMap((what) =>
    ['requests', 'tokens'].flatMap((unit) => [`X-RateLimit-${what}-${unit}`, `Anthropic-RateLimit-${unit}-${what}`]),
  ),
].join(', ');

/** A web page whose origin passed the check may read our answers. */
function allowOrigin({ headers: { origin } }: IncomingMessage, headers: Record<string, string>): void {
  if (origin === undefined) return;
  headers['access-control-allow-origin'] = origin;
  headers['access-control-expose-headers'] = exposedHeaders;
  headers.vary = 'Origin';
}

function preflight(request: IncomingMessage, response: ServerResponse, headers: Record<string, string>): void {
  response
    .writeHead(204, {
      ...headers,
      'access-control-allow-methods': 'POST, GET, DELETE',
      // Tools name headers of their own (Mcp-Param-*); whether a header does anything is decided by who reads it.
      'access-control-allow-headers': request.headers['access-control-request-headers'] ?? 'Authorization, Content-Type',
      'access-control-max-age': '600',
    })
    .end();
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  writeJson(response, status, [Buffer.from(JSON.stringify(body))], { 'cache-control': 'no-store' });
}

function fail(
  ports: ServerPorts,
  thrown: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string>,
): void {
  const id = thrown instanceof RequestError ? thrown.id : undefined;
  const error = toGatewayError(thrown instanceof RequestError ? thrown.cause : thrown);
  if (error.code === 'internal') ports.edge.log.error({ err: error.cause, url: request.url }, 'a request failed');
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const refuse = () => {
    if (response.headersSent) return;
    writeJson(response, error.row.http, errorMessage(id, toRpcError(error)), {
      ...headers,
      ...errorHeaders(ports, request, error),
    });
  };
  if (request.complete) refuse();
  else afterBody(request, refuse);
}

/** A client that is still sending does not read: the rest of its body is taken, for a while, before it is answered. */
function afterBody(request: IncomingMessage, refuse: () => void): void {
  const timer = setTimeout(refuse, lingerMs);
  request.once('close', () => clearTimeout(timer));
  request.removeAllListeners('data').once('end', () => {
    clearTimeout(timer);
    refuse();
  });
  request.resume();
}

const lingerMs = 2000;
