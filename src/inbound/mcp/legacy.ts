import type { Caller } from '../../call/authenticate.ts';
import { visibleToolbox } from '../../call/authorize.ts';
import { findToolbox } from '../../call/resolve.ts';
import { instructionsOf } from '../../catalog/search-tools.ts';
import { type ErrorCode, GatewayError, toGatewayError } from '../../errors.ts';
import { RpcFailure } from '../../upstreams/upstream.ts';
import { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { isLogLevel, legacyVersions } from '../../wire/mcp.ts';
import type { Message, RequestMessage } from '../../wire/message.ts';
import type { Edge } from './edge.ts';
import { serveCall } from './legacy-call.ts';
import { subscribe, unsubscribe } from './legacy-subscriptions.ts';
import { capabilitiesOf, isListMethod, listResult } from './lists.ts';
import { errorMessage, resultMessage, retryHeaders, serverInfo, toRpcError } from './messages.ts';
import type { LegacyRequest } from './request.ts';
import type { Running, Session } from './session.ts';

/** Somebody who initializes. */
interface Opening {
  readonly caller: Caller;
  readonly ip: string;
  readonly toolbox: string;
  readonly message: RequestMessage;
}

/** Opens a session. Returns it with the bytes of the result of `initialize`. Throws GatewayError. */
export async function initialize(
  edge: Edge,
  { caller, ip, toolbox: toolboxName, message }: Opening,
): Promise<{ readonly session: Session; readonly result: readonly Buffer[] }> {
  await edge.settled();
  const toolbox = visibleToolbox(edge.circumstances(ip), edge.catalog(), caller, toolboxName);
  const { protocolVersion: requested, capabilities } = message.params;
  if (typeof requested !== 'string') throw new GatewayError('invalid_params', '"protocolVersion" must be a string.');
  if (!isObject(capabilities)) throw new GatewayError('invalid_params', '"capabilities" must be an object.');
  const protocolVersion = legacyVersions.includes(requested) ? requested : legacyVersions[0];
  const session = edge.sessions.create(caller, toolboxName, protocolVersion, knownCapabilities(capabilities));
  session.ip = ip;
  session.seen = toolbox;
  const instructions = instructionsOf(toolbox);
  const result = {
    protocolVersion,
    capabilities: capabilitiesOf(toolbox, 'legacy'),
    serverInfo,
    ...(instructions === undefined ? {} : { instructions }),
  };
  return { session, result: [Buffer.from(JSON.stringify(result))] };
}

// The id of the session carries them: only what an upstream may make use of, and no more than fits into a header.
function knownCapabilities(capabilities: JsonObject): JsonObject {
  const kept = Object.fromEntries(
    ['elicitation', 'sampling', 'roots', 'extensions'].flatMap((key) =>
      isObject(capabilities[key]) ? [[key, capabilities[key]]] : [],
    ),
  );
  if (JSON.stringify(kept).length <= maxCapabilities) return kept;
  throw new GatewayError('invalid_params', `"capabilities" is larger than ${maxCapabilities} characters.`);
}

const maxCapabilities = 2048;

/** Answers one request. Never throws: what goes wrong is the answer. */
export async function handleLegacy(edge: Edge, request: LegacyRequest): Promise<void> {
  const { message, session, reply } = request;
  const cancel = new Cancel();
  let running: Running;
  try {
    running = session.begin(message.id, cancel);
  } catch (error) {
    refuse(edge, request, error);
    return;
  }
  try {
    await dispatch(edge, request, cancel);
  } catch (error) {
    refuse(edge, request, error);
  } finally {
    session.finish(running);
  }
  function refuse(at: Edge, { message: { id, method } }: LegacyRequest, thrown: unknown): void {
    const error = toGatewayError(thrown);
    if (error.code === 'internal') at.log.error({ err: error.cause, method }, 'a request failed');
    if (error.code === 'cancelled') reply.abandon();
    else {
      const rpc = { ...toRpcError(error), code: legacyCode(error.code, method, error.row.rpc) };
      // A caller over its limit hears it from HTTP; all else is the message's.
      reply.finish(errorMessage(id, rpc), error.code === 'rate_limited' ? error.row.http : 200, retryHeaders(error));
    }
  }
}

// Resources have a code of their own in this era (MCP 2025-11-25 server/resources).
function legacyCode(code: ErrorCode, method: string, rpc: number): number {
  return code === 'unknown_capability' && method.startsWith('resources/') ? -32002 : rpc;
}

async function dispatch(edge: Edge, request: LegacyRequest, cancel: Cancel): Promise<void> {
  const { message, session, caller, ip, reply } = request;
  const { method, params, id } = message;
  const ok = (result: readonly Buffer[]) => reply.finish(resultMessage(id, result));
  switch (method) {
    case 'tools/call':
    case 'prompts/get':
    case 'resources/read':
    case 'completion/complete':
      await serveCall(edge, request, method, cancel);
      return;
    case 'ping':
      ok(emptyResult);
      return;
    case 'logging/setLevel':
      if (typeof params.level !== 'string' || !isLogLevel(params.level))
        throw new GatewayError('invalid_params', '"level" must be a log level.');
      session.logLevel = params.level;
      edge.sessions.save(session);
      ok(emptyResult);
      return;
    case 'resources/subscribe':
      await subscribe(edge, ip, session, params.uri);
      ok(emptyResult);
      return;
    case 'resources/unsubscribe':
      unsubscribe(edge, session, params.uri);
      ok(emptyResult);
      return;
  }
  if (!isListMethod(method)) throw new GatewayError('method_not_found', `There is no method "${method.slice(0, 100)}" here.`);
  await edge.settled();
  ok(listResult(edge.list({ caller, ip, toolbox: session.toolbox }), method, 'legacy', params, edge.hop));
}

const emptyResult = [Buffer.from('{}')];

// Read before the question is taken: an answer that cannot be read leaves it open for one that can.
function readAnswer({ result, excess }: Message & { readonly kind: 'result' }): JsonObject {
  if (excess !== undefined) throw new GatewayError('invalid_request', `The response cannot be read: it ${excess}.`);
  try {
    return result.value;
  } catch (error) {
    throw new GatewayError('parse_error', 'The response cannot be read: its result is not valid JSON.', { cause: error });
  }
}

/** A notification or response of a client in its session. Throws GatewayError `parse_error` and `invalid_request`. */
export function hearLegacy(edge: Edge, session: Session, message: Exclude<Message, RequestMessage>): void {
  if (message.kind === 'result') {
    const value = readAnswer(message);
    session.takeQuestion(message.id)?.resolve(value);
  } else if (message.kind === 'error') {
    if (message.id !== undefined) session.takeQuestion(message.id)?.reject(new RpcFailure(message.error));
  } else if (message.method === 'notifications/cancelled') {
    const { requestId } = message.params;
    if (requestId !== undefined) session.cancel(JSON.stringify(requestId), 'the client cancelled the request');
  } else if (message.method === 'notifications/roots/list_changed') {
    for (const member of findToolbox(edge.catalog(), session.toolbox).members) {
      member.upstream.notify(session.id, message.method, message.params);
    }
  }
}
