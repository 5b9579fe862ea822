import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { authenticate, type Caller } from '../call/authenticate.ts';
import { toGatewayError } from '../errors.ts';
import type { ServerPorts } from './server.ts';

const apps = new WeakMap<ServerPorts, Map<string, Express>>();

/** The plane for people and their tools: everything that is not on a call's path. */
export function webApp(ports: ServerPorts, local: Caller | undefined): Express {
  let known = apps.get(ports);
  if (known === undefined) {
    known = new Map();
    apps.set(ports, known);
  }
  const who = local?.id ?? '';
  let app = known.get(who);
  if (app === undefined) {
    app = makeApp(ports, local);
    known.set(who, app);
  }
  return app;
}

function makeApp(ports: ServerPorts, local: Caller | undefined): Express {
  const app = express();
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.set({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    });
    next();
  });
  app.use('/api', (request, _response, next) => {
    if (local === undefined) authenticate(ports.keys, request.get('authorization'), request.get('x-api-key'));
    next();
  });
  app.get('/api/status', (_request, response) => {
    response.json(ports.status());
  });
  app.use((_request, response) => {
    response.status(404).json({
      error: { code: 'not_found', message: 'There is nothing at this address. MCP is served at /mcp and /mcp/<toolbox>.' },
    });
  });
  // Express tells an error handler by its four parameters.
  app.use((thrown: unknown, request: Request, response: Response, _next: NextFunction) => {
    const error = toGatewayError(thrown);
    if (error.code === 'internal') ports.edge.log.error({ err: error.cause, url: request.url }, 'a request failed');
    if (error.code === 'unauthenticated') response.set('www-authenticate', 'Bearer realm="gatehouse"');
    response.status(error.row.http).json({ error: { code: error.code, message: error.message } });
  });
  return app;
}
