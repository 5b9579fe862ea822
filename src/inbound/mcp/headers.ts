import type { IncomingHttpHeaders } from 'node:http';
import type { Ask } from '../../call/ask.ts';
import { type Catalog, toolboxOf } from '../../catalog/catalog.ts';
import { GatewayError } from '../../errors.ts';
import { hopHeader, readHops } from '../../upstreams/hop.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { RequestMessage } from '../../wire/message.ts';
import { decodeHeaderValue, type ParamHeader, paramHeaders, paramHeaderText } from '../../wire/param-headers.ts';

const namedBy: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** `Mcp-Method` and `Mcp-Name` must say what the body says (MCP 2026-07-28 streamable HTTP). Throws GatewayError `header_mismatch`. */
export function checkNamedHeaders(headers: IncomingHttpHeaders, { method, params }: RequestMessage): void {
  check('Mcp-Method', headers['mcp-method'], method);
  const key = namedBy[method];
  if (key === undefined) return;
  const value = params[key];
  if (typeof value === 'string') check('Mcp-Name', headers['mcp-name'], value);
}

function check(name: string, header: string | string[] | undefined, body: string): void {
  if (header === undefined) throw new GatewayError('header_mismatch', `The header ${name} is missing.`);
  if (header === body) return;
  if (Array.isArray(header) || decodeHeaderValue(header) !== body) {
    throw new GatewayError('header_mismatch', `The header ${name} does not say what the request's body says.`);
  }
}

/** `Mcp-Param-*` must repeat the arguments that a tool's schema marks for it. Throws GatewayError `header_mismatch`. */
export function checkParamHeaders(headers: IncomingHttpHeaders, catalog: Catalog, toolboxName: string, params: JsonObject): void {
  const tool = typeof params.name === 'string' ? toolboxOf(catalog, toolboxName)?.tools.get(params.name) : undefined;
  if (tool === undefined) return;
  for (const mirrored of mirroredBy(tool.definition.inputSchema)) {
    const expected = paramHeaderText(params.arguments, mirrored);
    const header = headers[mirrored.name.toLowerCase()];
    const value = typeof header === 'string' ? decodeHeaderValue(header) : undefined;
    if (header === undefined ? expected === undefined : value !== undefined && value === expected) continue;
    const what = header === undefined ? 'is missing' : 'does not say what the argument says';
    throw new GatewayError('header_mismatch', `The header ${mirrored.name} ${what}.`);
  }
}

const known = new WeakMap<JsonObject, readonly ParamHeader[]>();

function mirroredBy(inputSchema: JsonObject): readonly ParamHeader[] {
  let headers = known.get(inputSchema);
  if (headers === undefined) {
    const read = paramHeaders(inputSchema);
    headers = 'headers' in read ? read.headers : [];
    known.set(inputSchema, headers);
  }
  return headers;
}

/** The gateways that a request came through; undefined where it names none. */
export function hopsOf({ [hopHeader]: hops }: IncomingHttpHeaders): string | undefined {
  if (hops === undefined) return undefined;
  const read = readHops(hops);
  return read.length === 0 ? undefined : read.join(', ');
}

/** The trace that a request belongs to (W3C Trace Context); undefined where its headers say nothing. */
export function traceHeadersOf({ traceparent, tracestate }: IncomingHttpHeaders): Ask['traceHeaders'] {
  if (typeof traceparent !== 'string') return undefined;
  return { traceparent, tracestate: typeof tracestate === 'string' ? tracestate : undefined };
}
