import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../../call/authenticate.ts';
import { enterToolbox } from '../../call/authorize.ts';
import { GatewayError } from '../../errors.ts';
import { Cancel } from '../../wire/cancel.ts';
import { legacyVersions } from '../../wire/mcp.ts';
import { type Message, MessageError, type RequestMessage, readMessage } from '../../wire/message.ts';
import { readBody } from '../body.ts';
import type { Edge } from './edge.ts';
import { classify } from './era.ts';
import { checkNamedHeaders, hopsOf, traceHeadersOf } from './headers.ts';
import { handleLegacy, hearLegacy, initialize } from './legacy.ts';
import { resultMessage } from './messages.ts';
import { handleModern } from './modern.ts';
import { type Session, streamChannel } from './session.ts';
import { HttpReply, SseStream, writeJson } from './stream.ts';

/** One HTTP request to an MCP address, its caller known and its addressing checked. */
interface McpRequest {
  readonly caller: Caller;
  /** Of the client. */
  readonly ip: string;
  /** Empty for everything. */
  readonly toolbox: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly limitBytes: number;
  /** For every response: CORS, where an origin was allowed. */
  readonly headers: Readonly<Record<string, string>>;
  /** What the answer is named by, and the record of its call. */
  readonly requestId: string;
}

/** Streamable HTTP, both eras at one address (MCP 2025-11-25 and 2026-07-28 basic/transports). Throws GatewayError before an answer began. */
export function serveMcp(edge: Edge, mcp: McpRequest): Promise<void> {
  switch (mcp.request.method) {
    case 'POST':
      return post(edge, mcp);
    case 'GET':
      return openStream(edge, mcp);
    case 'DELETE':
      return endSession(edge, mcp);
    default:
      throw new GatewayError(
        'method_not_allowed',
        'Use POST here; GET and DELETE belong to sessions of earlier protocol versions.',
      );
  }
}

async function post(edge: Edge, mcp: McpRequest): Promise<void> {
  const { request, response } = mcp;
  checkContentType(request.headers['content-type']);
  const acceptsSse = checkAccept(request.headers.accept);
  const body = await readBody(request, mcp.limitBytes);
  let message: Message;
  try {
    message = readMessage(body);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    const code = error.reason === 'parse' ? 'parse_error' : 'invalid_request';
    throw new RequestError(new GatewayError(code, `The request cannot be read: ${error.message}.`), error.id);
  }
  const id = message.kind === 'request' ? message.id : undefined;
  try {
    const era = classify(message, header(request, 'mcp-protocol-version'), true);
    if (era === 'legacy') await postLegacy(edge, mcp, message, body.length, acceptsSse);
    else if (message.kind !== 'request') acceptNotification(mcp, message);
    else await postModern(edge, mcp, message, body.length, new HttpReply(response, acceptsSse, mcp.headers));
  } catch (error) {
    throw new RequestError(error, id);
  }
}

/** Something that went wrong after the request's id was known: the answer carries it. */
export class RequestError extends Error {
  readonly id: string | undefined;
  constructor(cause: unknown, id: string | undefined) {
    super('request failed', { cause });
    this.id = id;
  }
}

function postModern(edge: Edge, mcp: McpRequest, message: RequestMessage, bytes: number, reply: HttpReply): Promise<void> {
  const { caller, ip, toolbox, request, requestId } = mcp;
  return handleModern(edge, {
    requestId,
    caller,
    ip,
    toolbox,
    door: 'http',
    message,
    bytes,
    reply,
    headers: request.headers,
    cancel: new Cancel(),
  });
}

// A modern client cancels by closing its stream; what it says in notifications is heard and needs no answer.
function acceptNotification({ request, response, headers }: McpRequest, message: Message): void {
  if (message.kind === 'notification') checkNamedHeaders(request.headers, { ...message, kind: 'request', id: 'null' });
  response.writeHead(202, headers).end();
}

async function postLegacy(edge: Edge, mcp: McpRequest, message: Message, bytes: number, acceptsSse: boolean): Promise<void> {
  const { caller, ip, toolbox, response, headers } = mcp;
  if (message.kind === 'request' && message.method === 'initialize') {
    const { session, result } = await initialize(edge, { caller, ip, toolbox, message });
    writeJson(response, 200, resultMessage(message.id, result), { ...headers, 'mcp-session-id': session.handle });
    return;
  }
  const session = await findSession(edge, mcp);
  if (message.kind !== 'request') {
    hearLegacy(edge, session, message);
    response.writeHead(202, headers).end();
    return;
  }
  const reply = new HttpReply(response, acceptsSse, headers);
  await handleLegacy(edge, {
    caller,
    ip,
    session,
    door: 'http',
    message,
    bytes,
    reply,
    traceHeaders: traceHeadersOf(mcp.request.headers),
    hops: hopsOf(mcp.request.headers),
    idempotencyKey: mcp.request.headers['idempotency-key'],
    requestId: mcp.requestId,
  });
}

async function openStream(edge: Edge, mcp: McpRequest): Promise<void> {
  const { request, response, headers } = mcp;
  if (header(request, 'mcp-session-id') === undefined) {
    throw new GatewayError(
      'method_not_allowed',
      'A stream opened by GET belongs to a session: initialize first. Current clients use subscriptions/listen.',
    );
  }
  if (!checkAccept(request.headers.accept)) throw new GatewayError('not_acceptable', 'This stream is text/event-stream.');
  const session = await findSession(edge, mcp);
  // The first stream keeps its data: nobody takes it over by knowing the id.
  if (session.channel !== undefined) throw new GatewayError('stream_exists', 'This session already has an open stream.');
  edge.sessions.makeStreamRoom(mcp.caller);
  const channel = streamChannel(new SseStream(response, headers));
  response.once('close', () => {
    if (session.channel !== channel) return;
    session.channel = undefined;
    edge.sessions.touch(session);
  });
  session.open(channel);
}

async function endSession(edge: Edge, mcp: McpRequest): Promise<void> {
  const session = await findSession(edge, mcp);
  edge.sessions.end(session, 'the client ended the session');
  mcp.response.writeHead(200, { ...mcp.headers, 'content-length': 0 }).end();
}

function findSession(edge: Edge, { caller, ip, toolbox, request }: McpRequest): Session | Promise<Session> {
  const handle = header(request, 'mcp-session-id');
  if (handle === undefined) {
    throw new GatewayError(
      'session_required',
      'The header Mcp-Session-Id is missing: initialize first, then send the id from its answer.',
    );
  }
  const version = header(request, 'mcp-protocol-version');
  if (version !== undefined && !legacyVersions.includes(version)) {
    throw new GatewayError('unsupported_version', `Protocol version ${version.slice(0, 64)} is not supported here.`, {
      data: { supported: [...legacyVersions], requested: version.slice(0, 64) },
    });
  }
  enterToolbox(edge.catalog(), caller, toolbox);
  return edge.sessions.find({ caller, ip }, toolbox, handle);
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function checkContentType(type: string | undefined): void {
  if (type === 'application/json' || (type !== undefined && /^application\/json\s*(;|$)/i.test(type))) return;
  throw new GatewayError('unsupported_media_type', 'Send the message as Content-Type: application/json.');
}

/** Whether the client takes an event stream. Throws GatewayError `not_acceptable` when it takes neither form of an answer. */
function checkAccept(accept: string | undefined): boolean {
  if (accept === undefined || accept.includes('text/event-stream') || accept.includes('*/*')) return true;
  if (accept.includes('application/json') || accept.includes('application/*')) return false;
  throw new GatewayError('not_acceptable', 'Accept application/json and text/event-stream.');
}
