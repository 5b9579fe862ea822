import type { Request, Response, Router } from 'express';
import { Router as makeRouter } from 'express';
import { z } from 'zod';
import type { Action } from '../../admin/action.ts';
import { actions } from '../../admin/actions.ts';
import type { Ask } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import { call } from '../../call/call.ts';
import { readIdempotencyKey } from '../../call/once/idempotency-key.ts';
import { digestInTurns } from '../../call/record.ts';
import { silentConversation } from '../../call/silent-conversation.ts';
import { GatewayError } from '../../errors.ts';
import { commandAgent, version } from '../../version.ts';
import { Cancel, clientLeft } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import type { Edge } from '../mcp/edge.ts';
import { traceHeadersOf } from '../mcp/headers.ts';
import { largeBodyBytes } from './large-body.ts';

/** Who asks, from where. */
interface Visitor {
  readonly caller: Caller;
  readonly ip: string;
  /** The header `User-Agent`. */
  readonly agent: string | undefined;
}

/** Every action as a route under `/api`. Each request takes the path of a call, as the tool of the same name does. */
export function adminRoutes(edge: Edge, visitorOf: (request: Request) => Visitor): Router {
  const router = makeRouter();
  router.get('/openapi.json', (_request, response) => {
    response.json(openApiDocument());
  });
  for (const action of actions) {
    const { method, path } = routeOf(action);
    router[method](path.replaceAll(/\{(\w+)\}/g, ':$1'), async (request, response) => {
      await serveAction(edge, action, visitorOf(request), request, response);
    });
  }
  return router;
}

async function serveAction(edge: Edge, action: Action, visitor: Visitor, request: Request, response: Response): Promise<void> {
  const cancel = new Cancel();
  response.once('close', () => cancel.cancel(clientLeft));
  const args = argumentsOf(action, request);
  const asked = askOf(action, visitor, args, cancel, keyOf(request));
  // To write down what is large only to measure it would hold up everybody else.
  const largeBytes = largeBodyBytes(request);
  const bytesIn = largeBytes ?? JSON.stringify(args).length;
  if (largeBytes !== undefined) await digestInTurns(edge.calls, args);
  const ask = { ...asked, bytesIn, traceHeaders: traceHeadersOf(request.headers) };
  const outcome = await call(edge.calls, edge.catalog(), visitor.caller, ask);
  if (outcome.kind !== 'result') throw new GatewayError('internal', 'This action did not answer.');
  response.status(200).json(outcome.result.value.structuredContent);
}

/** What only reads is simply read again. */
function keyOf({ method, headers }: Request): string | undefined {
  return method === 'GET' ? undefined : readIdempotencyKey(headers['idempotency-key']);
}

function askOf(
  { name }: Action,
  { caller, ip, agent }: Visitor,
  args: JsonObject,
  cancel: Cancel,
  idempotencyKey: string | undefined,
): Omit<Ask, 'traceHeaders' | 'bytesIn'> {
  return {
    door: agent?.startsWith(`${commandAgent}/`) === true ? 'cli' : 'rest',
    era: 'modern',
    toolbox: 'admin',
    method: 'tools/call',
    params: { name, arguments: args },
    meta: undefined,
    client: { principal: caller.id, session: undefined, capabilities: {} },
    conversation: silentConversation,
    retry: undefined,
    cancel,
    ip,
    idempotencyKey,
  };
}

// A GET has no body: its values come as text and are read as what the input says they are.
function argumentsOf(action: Action, request: Request): JsonObject {
  const body: unknown = request.body;
  if (body !== undefined && !isObject(body)) throw new GatewayError('invalid_params', 'The body must be a JSON object.');
  const query = Object.entries(request.query).map(([key, value]) => [key, fromText(action, key, value)]);
  const path = Object.entries(request.params).map(([key, value]) => [key, fromText(action, key, value)]);
  return { ...(isObject(body) ? body : {}), ...Object.fromEntries(query), ...Object.fromEntries(path) };
}

function fromText(action: Action, key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const type = typesOf(action).get(key);
  if ((type === 'number' || type === 'integer') && value.trim() !== '' && Number.isFinite(Number(value))) return Number(value);
  if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true';
  if (type === 'array' && !value.startsWith('[')) return value.split(',');
  return type === 'array' || type === 'object' ? fromJson(value) : value;
}

// Made once: a query may have a thousand members, and to describe an input takes a millisecond or ten.
const types = new WeakMap<Action, ReadonlyMap<string, unknown>>();

/** The JSON type of each member of an action's input. */
function typesOf(action: Action): ReadonlyMap<string, unknown> {
  let known = types.get(action);
  if (known === undefined) {
    const { properties = {} } = z.toJSONSchema(action.input, { io: 'input' });
    known = new Map(Object.entries(properties).map(([key, schema]) => [key, isObject(schema) ? schema.type : undefined]));
    types.set(action, known);
  }
  return known;
}

// Text that is no JSON is what the input says it must not be.
function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface Route {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
}

function routeOf({ route }: Action): Route {
  const [method = '', path = ''] = route.split(' ');
  return { method: method.toLowerCase() as Route['method'], path };
}

/** Of `bad_arguments`: everything there is to change, at once. */
const misfitSchema = {
  type: 'object',
  required: ['path', 'message'],
  properties: {
    path: { type: 'string', description: 'JSON pointer (RFC 6901); empty for the input as a whole.' },
    message: { type: 'string', description: 'What is wrong, as a sentence with the place.' },
    expected: { type: 'string', description: 'What belongs there.' },
    didYouMean: { type: 'string', description: 'The name that is known, where one is not.' },
  },
};

let document: object | undefined;

/** The description of all routes (OpenAPI 3.1). */
function openApiDocument(): object {
  document ??= {
    openapi: '3.1.0',
    info: {
      title: 'Gatehouse',
      version,
      description: 'Administration of a Gatehouse. The same actions are MCP tools at /mcp/admin.',
    },
    servers: [{ url: '/api' }],
    security: [{ key: [] }],
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: {
        Error: {
          type: 'object',
          required: ['error'],
          properties: {
            error: {
              type: 'object',
              required: ['code', 'message'],
              properties: {
                code: { type: 'string' },
                message: { type: 'string' },
                retryAfterMs: { type: 'number' },
                data: { type: 'object', properties: { errors: { type: 'array', items: misfitSchema } } },
              },
            },
          },
        },
      },
    },
    paths: pathsOf(),
  };
  return document;
}

function pathsOf(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const action of actions) {
    const { method, path } = routeOf(action);
    paths[path] = { ...paths[path], [method]: operationOf(action, method, path) };
  }
  return paths;
}

function operationOf({ name, title, description, input, output }: Action, method: Route['method'], path: string): object {
  const { $schema: _, ...schema } = z.toJSONSchema(input, { io: 'input' });
  const { $schema: __, ...answer } = z.toJSONSchema(output, { io: 'output' });
  const properties = schema.properties ?? {};
  const inPath = Array.from(path.matchAll(/\{(\w+)\}/g), ([, key = '']) => key);
  const others = Object.keys(properties).filter((key) => !inPath.includes(key));
  const required = (schema.required ?? []).filter((key) => !inPath.includes(key));
  const parameters = [
    ...inPath.map((key) => ({ name: key, in: 'path', required: true, schema: properties[key] ?? {} })),
    ...(method === 'get'
      ? others.map((key) => ({ name: key, in: 'query', required: required.includes(key), schema: properties[key] }))
      : []),
  ];
  const body = { type: 'object', properties: Object.fromEntries(others.map((key) => [key, properties[key]])), required };
  const hasBody = method !== 'get' && others.length > 0;
  return {
    operationId: name,
    summary: title,
    description,
    parameters,
    ...(hasBody ? { requestBody: { required: required.length > 0, content: { 'application/json': { schema: body } } } } : {}),
    responses: {
      '200': { description: 'Done.', content: { 'application/json': { schema: answer } } },
      default: {
        description: 'It was not done, and why.',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    },
  };
}
