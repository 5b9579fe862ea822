import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { JsonObject } from '../../../src/wire/json.ts';
import type { TokenInfo } from '../authorization-server.ts';
import { listenOn, type TestServer } from './listen-on.ts';
import { discovered, initialized, type RawMessage } from './raw-server.ts';

export interface ProtectedOptions {
  readonly era: 'modern' | 'legacy';
  readonly verify: (token: string, resource: string) => Promise<TokenInfo | undefined>;
  /** What the resource metadata says, in place of its usual members. */
  readonly metadata: JsonObject | ((origin: string) => JsonObject);
  /** In place of the usual `WWW-Authenticate`; undefined leaves it out. */
  readonly challenge?: (origin: string) => string | undefined;
  /** Lets anybody list. */
  readonly listsOpenly?: boolean;
}

/** One request as it arrived, for looking for what must not be in it. */
export interface Arrived {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly method: string | undefined;
  readonly account: string | undefined;
}

export interface ProtectedServer extends TestServer {
  readonly origin: string;
  readonly arrived: Arrived[];
  /** Calls of tools that were carried out. */
  readonly calls: { readonly tool: string; readonly account: string; readonly session: string | undefined }[];
  /** Sessions that were used by more than the one account that opened them. */
  readonly mixed: string[];
}

const tools: JsonObject[] = ['whoami', 'write', 'echo_token'].map((name) => ({ name, inputSchema: { type: 'object' } }));

/**
 * An MCP server behind OAuth, as a resource server has to be (MCP basic/authorization): tokens are checked at each request and
 * must be for this resource; `write` needs the scope notes:write.
 */
export async function startProtectedServer(options: ProtectedOptions): Promise<ProtectedServer> {
  const arrived: Arrived[] = [];
  const calls: ProtectedServer['calls'] = [];
  const sessions = new Map<string, string>();
  const mixed: string[] = [];
  const http = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      serve(request, response, Buffer.concat(chunks).toString()).catch(() => response.destroy());
    });
  });
  const running = await listenOn(http);
  const origin = `http://127.0.0.1:${running.port}`;

  async function serve(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/.well-known/oauth-protected-resource/mcp') {
      const said = typeof options.metadata === 'function' ? options.metadata(origin) : options.metadata;
      answer(response, 200, { resource: running.url, scopes_supported: ['notes:read'], ...said });
      return;
    }
    if (path !== '/mcp') {
      answer(response, 404, {});
      return;
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const info = token === undefined ? undefined : await options.verify(token, running.url);
    const message = body === '' ? undefined : (JSON.parse(body) as RawMessage);
    arrived.push({ headers: request.headers, body, method: message?.method, account: info?.account });
    const isOpen = options.listsOpenly === true && message?.method !== 'tools/call';
    if (info === undefined && !isOpen) {
      const challenge = (options.challenge ?? usualChallenge)(origin);
      answer(response, 401, { error: 'invalid_token' }, challenge === undefined ? {} : { 'www-authenticate': challenge });
      return;
    }
    speak(request, response, message, token ?? '', info ?? { account: 'anybody', scopes: [] });
  }

  function speak(
    request: IncomingMessage,
    response: ServerResponse,
    message: RawMessage | undefined,
    token: string,
    { account, scopes }: TokenInfo,
  ): void {
    const session = request.headers['mcp-session-id'];
    if (typeof session === 'string' && sessions.get(session) !== account) mixed.push(session);
    const reply = (result: JsonObject, headers: Record<string, string> = {}) => {
      const shape = options.era === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private', ...result } : result;
      answer(response, 200, { jsonrpc: '2.0', id: message?.id ?? null, result: shape }, headers);
    };
    switch (message?.method) {
      case 'server/discover':
        if (options.era === 'legacy') answer(response, 400, {});
        else reply(discovered);
        return;
      case 'initialize': {
        const id = randomUUID();
        sessions.set(id, account);
        reply(initialized, { 'mcp-session-id': id });
        return;
      }
      case 'tools/list':
        reply({ tools });
        return;
      case 'tools/call':
        break;
      default:
        response.writeHead(message === undefined ? 405 : 202).end();
        return;
    }
    const tool = String(message.params.name);
    if (tool === 'write' && !scopes.includes('notes:write')) {
      const challenge = `Bearer error="insufficient_scope", scope="notes:write", resource_metadata="${metadataUrl(origin)}"`;
      answer(response, 403, { error: 'insufficient_scope' }, { 'www-authenticate': challenge });
      return;
    }
    calls.push({ tool, account, session: typeof session === 'string' ? session : undefined });
    const text = tool === 'echo_token' ? `you sent ${token} and ${JSON.stringify(request.headers)}` : account;
    reply({ content: [{ type: 'text', text }] });
  }

  return { ...running, origin, arrived, calls, mixed };
}

function usualChallenge(origin: string): string {
  return `Bearer realm="notes", resource_metadata="${metadataUrl(origin)}"`;
}

function metadataUrl(origin: string): string {
  return `${origin}/.well-known/oauth-protected-resource/mcp`;
}

function answer(response: ServerResponse, status: number, body: JsonObject, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
