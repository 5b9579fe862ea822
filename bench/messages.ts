/** The MCP requests of the benchmark, in both eras, as bytes that need only an id. */

export type Era = 'modern' | 'legacy';

export const modernVersion = '2026-07-28';
export const legacyVersion = '2025-11-25';

/** Size of the large answers. */
export const payloadBytes = 100_000;

/** Where requests go and as whom. */
export interface Address {
  readonly port: number;
  readonly path: string;
  readonly key: string;
  readonly era: Era;
}

/** A request cut where its id stands, so that a call costs the generator one string. */
export interface Template {
  /** The request for an id of nine digits. `session` is empty or what `sessionHeader` made. */
  fill(id: number, session: string): string;
}

export const firstId = 100_000_000;
export const lastId = 999_999_999;

/** What a call sends as its text and an answer has to bring back: no two calls of a run share it. */
export function marker(id: number): string {
  return `m${id}`;
}

export function callTemplate(address: Address, tool: string): Template {
  // The text argument carries the id a second time.
  const [head, middle, tail] = cut(address, 'tools/call', { name: tool, arguments: { text: marker(firstId) } }, tool);
  return { fill: (id, session) => `${head[0]}${session}${head[1]}${id}${middle}${id}${tail}` };
}

export function template(address: Address, method: string, params: Record<string, unknown>): Template {
  const [head, middle] = cut(address, method, params);
  return { fill: (id, session) => `${head[0]}${session}${head[1]}${id}${middle}` };
}

export function notification(address: Address, method: string, session: string): string {
  const body = JSON.stringify({ jsonrpc: '2.0', method });
  return `${head(address)}${session}Content-Length: ${body.length}\r\n\r\n${body}`;
}

export function endSession(address: Address, session: string): string {
  return `${head(address, 'DELETE')}${session}\r\n`;
}

export function sessionHeader(id: string): string {
  return `Mcp-Session-Id: ${id}\r\n`;
}

export const initializeParams = {
  protocolVersion: legacyVersion,
  capabilities: {},
  clientInfo: { name: 'gatehouse-bench', version: '1.0.0' },
};

const modernMeta = {
  'io.modelcontextprotocol/protocolVersion': modernVersion,
  'io.modelcontextprotocol/clientCapabilities': {},
  'io.modelcontextprotocol/clientInfo': initializeParams.clientInfo,
};

function cut(address: Address, method: string, params: Record<string, unknown>, name?: string) {
  const isModern = address.era === 'modern';
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: firstId,
    method,
    params: isModern ? { ...params, _meta: modernMeta } : params,
  });
  const [start, ...pieces] = body.split(String(firstId)) as [string, ...string[]];
  const mirrored = isModern ? `Mcp-Method: ${method}\r\n${name === undefined ? '' : `Mcp-Name: ${name}\r\n`}` : '';
  const rest = `${mirrored}Content-Length: ${body.length}\r\n\r\n${start}`;
  return [[head(address, 'POST', method), rest], pieces[0]!, pieces[1] ?? ''] as const;
}

function head(address: Address, verb = 'POST', method?: string): string {
  // Legacy clients name the version only once it is agreed on.
  const version = address.era === 'modern' ? modernVersion : method === 'initialize' ? undefined : legacyVersion;
  return [
    `${verb} ${address.path} HTTP/1.1`,
    `Host: 127.0.0.1:${address.port}`,
    'Content-Type: application/json',
    'Accept: application/json, text/event-stream',
    `Authorization: Bearer ${address.key}`,
    ...(version === undefined ? [] : [`MCP-Protocol-Version: ${version}`]),
    '',
  ].join('\r\n');
}
