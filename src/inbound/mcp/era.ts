import { GatewayError } from '../../errors.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { isLogLevel, legacyVersions, modernVersion } from '../../wire/mcp.ts';
import type { Message } from '../../wire/message.ts';

const versionKey = 'io.modelcontextprotocol/protocolVersion';

/**
 * Which era one message speaks. A modern request says so itself in `_meta` and in its header, and both must agree; `initialize` is
 * legacy unless its `_meta` says otherwise: some clients send it with a modern header (MCP 2026-07-28 basic/transports, streamable HTTP). `header` is undefined on stdio.
 * Throws GatewayError `unsupported_version`, `header_mismatch` or `invalid_params`.
 */
export function classify(message: Message, header: string | undefined, isHttp: boolean): 'modern' | 'legacy' {
  if (message.kind === 'result' || message.kind === 'error') {
    if (header === modernVersion)
      throw new GatewayError('invalid_request', 'In this protocol version clients send requests, not responses.');
    return 'legacy';
  }
  const declared = declaredVersion(message.params);
  if (isHttp && declared !== undefined && header !== undefined && header !== declared) {
    throw new GatewayError(
      'header_mismatch',
      `The header MCP-Protocol-Version says ${shorten(header)}, the request's _meta says ${shorten(declared)}.`,
    );
  }
  if (message.method === 'initialize' || message.method === 'notifications/initialized') {
    return declared === modernVersion ? 'modern' : 'legacy';
  }
  if (declared === undefined) return classifyUndeclared(message, header);
  if (declared !== modernVersion) throw unsupported(declared);
  if (isHttp && header === undefined) throw new GatewayError('header_mismatch', 'The header MCP-Protocol-Version is missing.');
  return 'modern';
}

function classifyUndeclared(
  message: Message & { readonly kind: 'request' | 'notification' },
  header: string | undefined,
): 'modern' | 'legacy' {
  if (header === modernVersion || (header === undefined && message.method === 'server/discover')) {
    if (message.kind === 'notification') return 'modern';
    throw new GatewayError('invalid_params', `The request's _meta must carry "${versionKey}" and "${capabilitiesKey}".`);
  }
  if (header !== undefined && !legacyVersions.includes(header)) throw unsupported(header);
  return 'legacy';
}

const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities';

function declaredVersion(params: JsonObject): string | undefined {
  const { _meta: meta } = params;
  if (!isObject(meta)) return undefined;
  const declared = meta[versionKey];
  if (declared !== undefined && typeof declared !== 'string') {
    throw new GatewayError('invalid_params', `"${versionKey}" must be a string.`);
  }
  return declared;
}

function unsupported(requested: string): GatewayError {
  return new GatewayError('unsupported_version', `Protocol version ${shorten(requested)} is not supported here.`, {
    data: { supported: [modernVersion], requested: shorten(requested) },
  });
}

function shorten(text: string | undefined): string {
  return text === undefined ? 'nothing' : text.slice(0, 64);
}

/** What a modern request says about its client, taken out of `_meta` (MCP 2026-07-28 basic/index). */
export interface Envelope {
  readonly capabilities: JsonObject;
  readonly logLevel: string | undefined;
  readonly progressToken: string | number | undefined;
  /** What is left: trace context and other people's keys. */
  readonly meta: JsonObject | undefined;
}

/** Throws GatewayError `invalid_params` where a key that must be there is missing or of the wrong type. */
export function readEnvelope(params: JsonObject): Envelope {
  const given = params._meta;
  const meta = isObject(given) ? given : {};
  const capabilities = meta[capabilitiesKey];
  if (!isObject(capabilities))
    throw new GatewayError('invalid_params', `The request's _meta must carry "${capabilitiesKey}", an object.`);
  const level = meta['io.modelcontextprotocol/logLevel'];
  return {
    capabilities,
    logLevel: typeof level === 'string' && isLogLevel(level) ? level : undefined,
    progressToken: readProgressToken(meta),
    meta: foreignMeta(meta),
  };
}

export function readProgressToken(meta: JsonObject): string | number | undefined {
  const { progressToken } = meta;
  return typeof progressToken === 'string' || typeof progressToken === 'number' ? progressToken : undefined;
}

/** `_meta` without what only this hop understands. */
export function foreignMeta(meta: JsonObject): JsonObject | undefined {
  const foreign = Object.keys(meta).filter((key) => !isReserved(key));
  if (foreign.length === 0) return undefined;
  return Object.fromEntries(foreign.map((key) => [key, meta[key] ?? null]));
}

function isReserved(key: string): boolean {
  return key === 'progressToken' || key.startsWith('io.modelcontextprotocol/') || reservedPrefix.test(key);
}

// Any prefix whose second label is `mcp` or `modelcontextprotocol` belongs to the protocol.
const reservedPrefix = /^[^/.]+\.(mcp|modelcontextprotocol)(\.[^/]*)?\//;
