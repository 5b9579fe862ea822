import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { statusFor } from '../admin/status-for.ts';
import type { Caller } from '../call/authenticate.ts';
import { GatewayError, toGatewayError } from '../errors.ts';
import { clientAddress } from '../policy/network.ts';
import { metricsContentType } from '../telemetry/telemetry.ts';
import { isObject } from '../wire/json.ts';
import { type MessageScan, scanMessage } from '../wire/json-scan.ts';
import { findExcess } from '../wire/parse-limits.ts';
import { ScanError } from '../wire/scan-error.ts';
import { readLargeJson } from './admin/large-body.ts';
import { adminRoutes } from './admin/rest.ts';
import { serveApprovalPage } from './approval-page.ts';
import { authenticateRequest, errorHeaders, identifyShown, pathOf, type ServerPorts } from './door.ts';
import { letGoOfStalled } from './let-go.ts';

type WebApp = (request: IncomingMessage, response: ServerResponse) => void;

const apps = new WeakMap<ServerPorts, Map<string, WebApp>>();

/** The plane for people and their tools: everything that is not on a call's path. */
export function webApp(ports: ServerPorts, local: Caller | undefined): WebApp {
  let known = apps.get(ports);
  if (known === undefined) {
    known = new Map();
    apps.set(ports, known);
  }
  const who = local?.id ?? '';
  let app = known.get(who);
  if (app === undefined) {
    app = closed(makeApp(ports, local));
    known.set(who, app);
  }
  return app;
}

// What Express hands to no handler of ours, such as an address that it cannot read, it would answer with a page of its own.
function closed(app: Express): WebApp {
  return (request, response) => {
    const refuse = () => {
      if (response.headersSent) return void response.destroy();
      const { code, message, row } = new GatewayError('invalid_request', 'The address of this request cannot be read.');
      const headers = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };
      response.writeHead(row.http, headers).end(JSON.stringify({ error: { code, message } }));
    };
    letGoOfStalled(response);
    Reflect.apply(app, undefined, [request, response, refuse]);
  };
}

function makeApp(ports: ServerPorts, local: Caller | undefined): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.use((_request, response, next) => {
    response.set({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    });
    next();
  });
  const callers = new WeakMap<Request, Caller>();
  const identify = async (request: Request, _response: Response, next: NextFunction): Promise<void> => {
    callers.set(request, local ?? (await authenticateRequest(ports, request, pathOf(request.originalUrl))));
    await ports.loadAdministration();
    next();
  };
  const callerOf = (request: Request): Caller => {
    const caller = callers.get(request);
    if (caller === undefined) throw new GatewayError('internal', 'A request was not identified.');
    return caller;
  };
  app.get('/metrics', identify, async (request, response) => {
    if (!callerOf(request).roles.some(({ role }) => role === 'admin' || role === 'auditor'))
      throw new GatewayError('forbidden', 'Metrics are for administrators and auditors.');
    response.set('content-type', metricsContentType).send(await ports.metricsText());
  });
  // No key: what proves it is its signature, over the very bytes.
  const { signedDecisions } = ports.edge;
  if (signedDecisions !== undefined)
    app.post(
      '/api/approvals/:id/decisions/signed',
      express.raw({ type: () => true, limit: '16kb' }),
      async (request, response) => {
        const { row } = await signedDecisions.decide({
          id: request.params.id ?? '',
          messageId: request.get('webhook-id'),
          timestamp: request.get('webhook-timestamp'),
          signature: request.get('webhook-signature'),
          body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
        });
        response.json({ id: row.id, state: row.state });
      },
    );
  // Whoever administers the whole gateway may send a configuration with API descriptions in it.
  const readJson = express.json({ limit: ports.bodyLimitBytes, strict: true, verify: refuseExcess });
  const readLarge = readLargeJson(Math.max(ports.bodyLimitBytes, configurationLimitBytes));
  const isLarge = (request: Request) => takesConfiguration.has(request.path) && isAdmin(callerOf(request));
  app.use('/api', identify, (request, response, next) => (isLarge(request) ? readLarge : readJson)(request, response, next));
  app.get('/api/status', (request, response) => {
    const caller = callerOf(request);
    if (caller.roles.length === 0) throw new GatewayError('forbidden', 'This key may call capabilities, and nothing else.');
    response.json(statusFor(caller, ports.status()));
  });
  app.use(
    '/api',
    adminRoutes(ports.edge, (request) => ({
      caller: callerOf(request),
      agent: request.headers['user-agent'],
      ip: local === undefined ? clientAddress(request.socket.remoteAddress, request.headers, ports.isTrustedProxy) : '',
    })),
  );
  app.use('/approvals/:id', express.urlencoded({ limit: '64kb', extended: false }), async (request, response) => {
    const { method, body, socket, headers: given } = request;
    const asked = {
      method,
      id: request.params.id,
      form: isObject(body) ? body : {},
      ip: local === undefined ? clientAddress(socket.remoteAddress, given, ports.isTrustedProxy) : '',
    };
    const page = await serveApprovalPage(
      { approvals: ports.edge.approvals, identify: (shown) => identifyShown(ports, shown) },
      asked,
    );
    response.writeHead(page.status, page.headers).end(page.body);
  });
  app.use('/oauth', async (request, response, next) => {
    const { method, originalUrl } = request;
    const { pathname: path, searchParams: query } = new URL(originalUrl, 'http://gatehouse.invalid');
    const page = await ports.servePage({ method, path, query, cookie: request.get('cookie') });
    if (page === undefined) next();
    else response.writeHead(page.status, page.headers).end(page.body);
  });
  app.use((_request, response) => {
    response.status(404).json({
      error: {
        code: 'not_found',
        message:
          'There is nothing at this address. MCP is served at /mcp and /mcp/<toolbox>, models at /v1, administration at /api.',
      },
    });
  });
  // Express tells an error handler by its four parameters.
  app.use((thrown: unknown, request: Request, response: Response, _next: NextFunction) => {
    const error = toGatewayError(fromExpress(thrown));
    // What follows there signs somebody in.
    const url = request.originalUrl.startsWith('/oauth/') ? '/oauth/' : request.url;
    if (error.code === 'internal') ports.edge.log.error({ err: error.cause, url }, 'a request failed');
    for (const [name, value] of Object.entries(errorHeaders(ports, request, error))) response.set(name, String(value));
    const { code, message, data, retryAfterMs, row } = error;
    // What a tool answers with is a status here: the first three digits of its integer.
    const status = row.shows === 'result' ? Math.floor(row.rpc / 100) : code === 'unknown_capability' ? 404 : row.http;
    const more = { ...(data === undefined ? {} : { data }), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
    response.status(status).json({ error: { code, message, ...more } });
  });
  return app;
}

/** A body whose parsing would hold up everybody else is not parsed. What is no JSON is for the parser to say. */
function refuseExcess(_request: IncomingMessage, _response: ServerResponse, body: Buffer, encoding: string): void {
  if (encoding !== 'utf-8')
    throw new GatewayError('unsupported_media_type', `The body is in the character set ${encoding.slice(0, 40)}; send UTF-8.`);
  if (body.length === 0) return;
  let scan: MessageScan;
  try {
    scan = scanMessage(body);
  } catch (error) {
    if (!(error instanceof ScanError)) throw error;
    if (/^\s*\[/.test(body.toString('latin1', 0, 100)))
      throw new GatewayError('invalid_params', 'The body must be a JSON object.');
    throw new GatewayError(error.isRefusal ? 'invalid_request' : 'parse_error', `The body cannot be read: ${error.message}.`);
  }
  const excess = findExcess(body, scan);
  if (excess !== undefined) throw new GatewayError('invalid_request', `The body cannot be read: it ${excess}.`);
}

const configurationLimitBytes = 96 * 1024 * 1024;
/** Below `/api`. */
const takesConfiguration: ReadonlySet<string> = new Set(['/configuration/plan', '/configuration/import']);

function isAdmin({ roles }: Caller): boolean {
  return roles.some(({ role, namespace }) => role === 'admin' && namespace === undefined);
}

// What Express refuses by itself: addresses and bodies that cannot be read. Neither is news for whoever runs the gateway.
function fromExpress(thrown: unknown): unknown {
  if (thrown instanceof GatewayError) return thrown;
  if (!(thrown instanceof Error) || !('status' in thrown) || !('statusCode' in thrown)) return thrown;
  const { status } = thrown;
  if (typeof status !== 'number' || status < 400 || status > 499) return thrown;
  if (thrown instanceof URIError)
    return new GatewayError(
      'invalid_request',
      'The address of this request has a "%" that two hexadecimal digits do not follow.',
    );
  if (status === 413)
    return new GatewayError('body_too_large', 'The request is larger than it may be (GATEHOUSE_BODY_LIMIT_BYTES).');
  if (status === 415)
    return new GatewayError(
      'unsupported_media_type',
      'The body is in a character set or a content encoding that is not read here; send UTF-8.',
    );
  if ('type' in thrown) return new GatewayError('parse_error', 'The body of the request is not valid JSON.');
  return new GatewayError('parse_error', 'The body of the request cannot be read.');
}
