import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { modernVersion } from '../../wire/mcp.ts';
import { encodeHeaderValue } from '../../wire/param-headers.ts';
import { hopHeader } from '../hop.ts';
import type { UpstreamCall } from '../upstream.ts';
import type { Link } from './link.ts';

export const versionKey = 'io.modelcontextprotocol/protocolVersion';
export const infoKey = 'io.modelcontextprotocol/clientInfo';
export const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';
export const logLevelKey = 'io.modelcontextprotocol/logLevel';
/** `_meta` of a request that Gatehouse sends on its own account. */
export function ownMeta(clientInfo: JsonObject): JsonObject {
  return { [versionKey]: modernVersion, [infoKey]: clientInfo, [capabilitiesKey]: {} };
}

/** Headers of a modern request (streamable HTTP, "Request headers"); nothing where the link has none. */
export function modernHeaders(link: Link, method: string, name?: string): readonly string[] {
  if (link.headers.length === 0) return link.headers;
  const headers = link.headers.concat('mcp-protocol-version', modernVersion, 'mcp-method', method);
  if (name !== undefined) headers.push('mcp-name', encodeHeaderValue(name));
  return headers;
}

/** The same with the trace that the call is part of (W3C Trace Context) and the gateways it came through; nothing where the link has no headers. */
export function withContext(headers: readonly string[], { traceContext, hops }: UpstreamCall): readonly string[] {
  if ((traceContext === undefined && hops === undefined) || headers.length === 0) return headers;
  const all = [...headers];
  // Beside the one that names this gateway, which every request has: HTTP joins the two.
  if (hops !== undefined) all.push(hopHeader, hops);
  if (traceContext === undefined) return all;
  all.push('traceparent', traceContext.traceparent);
  if (traceContext.tracestate !== undefined) all.push('tracestate', traceContext.tracestate);
  return all;
}

/** `name version` of an implementation, for display only. */
export function nameOf(info: Json | undefined): string | undefined {
  if (!isObject(info) || typeof info.name !== 'string') return undefined;
  const text = typeof info.version === 'string' ? `${info.name} ${info.version}` : info.name;
  return text.slice(0, 200);
}

export function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
