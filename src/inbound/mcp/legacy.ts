import { randomUUID } from 'node:crypto';
import { ApprovalPending } from '../../call/approve/say.ts';
import type { Ask } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import { visibleToolbox } from '../../call/authorize.ts';
import { call } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { readIdempotencyKey, withoutIdempotencyKey } from '../../call/once/idempotency-key.ts';
import { findToolbox } from '../../call/resolve.ts';
import { innerParams, instructionsOf } from '../../catalog/search-tools.ts';
import { type ErrorCode, GatewayError, toGatewayError } from '../../errors.ts';
import { SignInRequired } from '../../upstreams/authorization.ts';
import { type CallMethod, type Conversation, RpcFailure } from '../../upstreams/upstream.ts';
import { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { isLogLevel, legacyVersions, passesLevel } from '../../wire/mcp.ts';
import { type Message, notificationBytes, type RawResult, type RequestMessage, requestBytes } from '../../wire/message.ts';
import { decideOwn, decideWithinMs, questionOf, readReply } from './approval.ts';
import { checkClientCan } from './client-can.ts';
import type { Edge } from './edge.ts';
import { foreignMeta, readProgressToken } from './era.ts';
import { capabilitiesOf, isListMethod, listResult } from './lists.ts';
import {
  errorMessage,
  legacyResult,
  resultMessage,
  retryHeaders,
  serverInfo,
  toolError,
  toRpcError,
  unreadable,
} from './messages.ts';
import type { Reply } from './reply.ts';
import type { Running, Session } from './session.ts';
import type { Visitor } from './sessions.ts';
import { callSignedIn, canVisit, visitOf } from './sign-in.ts';

/** How long a client may take to answer an upstream's question. */
const answerWithinMs = 10 * 60_000;

/** One request inside a session of the 2024-11-05 to 2025-11-25 era. */
export interface LegacyRequest {
  readonly caller: Caller;
  /** Of the client; empty where there is none. */
  readonly ip: string;
  readonly session: Session;
  readonly door: Ask['door'];
  readonly message: RequestMessage;
  readonly bytes: number;
  readonly reply: Reply;
  readonly traceHeaders?: Ask['traceHeaders'];
  readonly hops?: Ask['hops'];
  /** The header. */
  readonly idempotencyKey?: string | string[] | undefined;
}

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

async function subscribe(edge: Edge, ip: string, session: Session, uri: unknown): Promise<void> {
  if (typeof uri !== 'string') throw new GatewayError('invalid_params', '"uri" must be a string.');
  if (session.subscriptions.has(uri)) return;
  // Its place is taken before anything is waited for: a second request, or the end of the session, finds it there.
  let isWanted = true;
  const place = () => {
    isWanted = false;
  };
  session.subscriptions.set(uri, place);
  try {
    const onUpdated = () => session.notify('notifications/resources/updated', { uri });
    const end = await edge.subscriptions.add(edge.catalog(), {
      circumstances: () => edge.circumstances(ip),
      caller: () => session.caller,
      toolbox: session.toolbox,
      uri,
      onUpdated,
    });
    if (!isWanted) {
      end();
      return;
    }
    session.subscriptions.set(uri, end);
  } catch (error) {
    if (session.subscriptions.get(uri) === place) session.subscriptions.delete(uri);
    throw error;
  }
  edge.sessions.save(session);
}

/** Takes up again what a session that came back from its id had subscribed to; what cannot be had yet is tried at the next change. */
export function restoreSubscriptions(edge: Edge, { ip }: Visitor, session: Session, uris: readonly string[]): void {
  session.unrestored = new Set(uris);
  session.restore = () => {
    for (const uri of session.unrestored ?? []) {
      subscribe(edge, ip, session, uri).then(
        () => session.unrestored?.delete(uri),
        (error: unknown) => edge.log.debug({ err: error, uri }, 'a subscription cannot be taken up yet'),
      );
    }
  };
  session.restore();
}

function unsubscribe(edge: Edge, session: Session, uri: unknown): void {
  if (typeof uri !== 'string') throw new GatewayError('invalid_params', '"uri" must be a string.');
  session.unrestored?.delete(uri);
  session.subscriptions.get(uri)?.();
  if (session.subscriptions.delete(uri)) edge.sessions.save(session);
}

async function serveCall(edge: Edge, request: LegacyRequest, method: CallMethod, cancel: Cancel): Promise<void> {
  const { message, session, caller, ip, reply, door, bytes, traceHeaders, hops } = request;
  const { _meta, inputResponses, requestState, ...outer } = message.params;
  const { everything, toolboxes } = edge.catalog();
  const toolbox = session.toolbox === '' ? everything : toolboxes.get(session.toolbox);
  const params = method === 'tools/call' ? innerParams(toolbox, outer) : outer;
  const given = isObject(_meta) ? _meta : {};
  const conversation = new LegacyConversation(session, reply, readProgressToken(given), cancel);
  const ask: Ask = {
    door,
    era: 'legacy',
    toolbox: session.toolbox,
    method,
    params,
    meta: withoutIdempotencyKey(foreignMeta(given)),
    client: { principal: caller.id, session: session.id, capabilities: session.capabilities },
    conversation,
    retry: undefined,
    cancel,
    bytesIn: bytes,
    ip,
    traceHeaders,
    hops,
    idempotencyKey: readIdempotencyKey(request.idempotencyKey, given),
  };
  try {
    const attempt = () => call(edge.calls, edge.catalog(), caller, ask);
    const signIn = (error: unknown) => signInAndRepeat(error, attempt, conversation, ask);
    const outcome = await attempt().catch((error: unknown) =>
      error instanceof ApprovalPending ? decideAndRepeat(edge, error, caller, conversation, ask).catch(signIn) : signIn(error),
    );
    reply.finish(answer(message.id, outcome));
  } catch (error) {
    const failure = unreadable(error);
    const asResult = method === 'tools/call' ? toolError(failure) : undefined;
    if (asResult === undefined) throw failure;
    reply.finish(resultMessage(message.id, [Buffer.from(JSON.stringify(asResult))]));
  }
}

/** Puts the decision that a call waits for to the client's person, where the client can, and makes the call once more. */
async function decideAndRepeat(
  edge: Edge,
  error: ApprovalPending,
  caller: Caller,
  conversation: LegacyConversation,
  ask: Ask,
): Promise<Outcome> {
  const question = questionOf(error, ask.client.capabilities);
  if (question === undefined) throw error;
  const wasForm = question.mode !== 'url';
  const visit = wasForm ? question : { ...question, elicitationId: randomUUID() };
  let said: ReturnType<typeof readReply>;
  try {
    said = readReply(await conversation.ask('elicitation/create', visit), wasForm);
  } catch (thrown) {
    if (ask.cancel.isCancelled) throw thrown;
    throw error;
  }
  if (said === 'none') throw error;
  // Whoever has waited may not be who they were.
  const present = () => {
    const now = edge.renewed(caller);
    if (now === undefined) throw new GatewayError('cancelled', 'The key or token of this call is no longer valid.');
    return now;
  };
  if (said === 'visit') {
    await edge.approvals.settled(error.id, decideWithinMs, ask.cancel);
    conversation.notify('notifications/elicitation/complete', { elicitationId: visit.elicitationId ?? '' });
  } else await decideOwn(edge.approvals, error.id, present(), said);
  return await call(edge.calls, edge.catalog(), present(), ask);
}

/** Sends the client's person to the page that a call needs first, where the client can do that, and makes the call once more. */
async function signInAndRepeat(
  error: unknown,
  attempt: () => Promise<Outcome>,
  conversation: LegacyConversation,
  { client, cancel }: Ask,
): Promise<Outcome> {
  if (!(error instanceof SignInRequired) || !canVisit(client.capabilities)) throw error;
  const visit = { ...visitOf(error), elicitationId: randomUUID() };
  let given: JsonObject;
  try {
    given = await conversation.ask('elicitation/create', visit);
  } catch (thrown) {
    if (cancel.isCancelled) throw thrown;
    if (!(thrown instanceof GatewayError) || thrown.code !== 'missing_client_capability') throw error;
    throw new GatewayError('url_elicitation_required', error.message, { data: { elicitations: [visit] } });
  }
  if (given.action !== 'accept') throw error;
  const outcome = await callSignedIn(attempt, cancel);
  conversation.notify('notifications/elicitation/complete', { elicitationId: visit.elicitationId });
  return outcome;
}

function answer(id: string, outcome: Outcome): readonly Buffer[] {
  if (outcome.kind === 'result') return resultMessage(id, legacyResult(outcome.result));
  if (outcome.kind === 'error') return errorMessage(id, outcome.error);
  throw new GatewayError('upstream_failed', 'The upstream asks for another round, which this client cannot take.');
}

/** What an upstream may say to a legacy client while its call runs: everything goes out on that call's own stream. */
class LegacyConversation implements Conversation {
  readonly takesRounds = false;
  readonly logLevel: string | undefined;
  readonly progress: Conversation['progress'];
  readonly #session: Session;
  readonly #reply: Reply;
  readonly #cancel: Cancel;
  /** Ids of the pages the client was asked to visit. */
  readonly #visits = new Set<unknown>();

  constructor(session: Session, reply: Reply, progressToken: string | number | undefined, cancel: Cancel) {
    this.#session = session;
    this.#reply = reply;
    this.#cancel = cancel;
    this.logLevel = session.logLevel;
    let last = Number.NEGATIVE_INFINITY;
    this.progress =
      progressToken === undefined
        ? undefined
        : (params) => {
            if (typeof params.progress !== 'number' || params.progress <= last) return;
            last = params.progress;
            reply.send(notificationBytes('notifications/progress', { ...params, progressToken }));
          };
  }

  log(params: JsonObject): void {
    if (this.logLevel === undefined || !passesLevel(params.level, this.logLevel)) return;
    this.#reply.send(notificationBytes('notifications/message', params));
  }

  notify(method: string, params: JsonObject): void {
    // The end of a visit that this very call asked for. Whatever else an upstream says could speak for another one.
    if (method !== 'notifications/elicitation/complete' || !this.#visits.has(params.elicitationId)) return;
    this.#reply.send(notificationBytes(method, { elicitationId: params.elicitationId ?? '' }));
  }

  ask(method: string, params: JsonObject): Promise<JsonObject> {
    checkClientCan(this.#session.capabilities, method, params);
    // Modern upstreams have no id for a visit to a page; legacy clients insist on one.
    const needsId = params.mode === 'url' && params.elicitationId === undefined;
    const asked = needsId ? { ...params, elicitationId: randomUUID() } : params;
    if (asked.elicitationId !== undefined) this.#visits.add(asked.elicitationId);
    return putQuestion(this.#session, this.#reply, method, asked, this.#cancel);
  }
}

function putQuestion(session: Session, reply: Reply, method: string, params: JsonObject, cancel: Cancel): Promise<JsonObject> {
  return new Promise((resolve, reject) => {
    const forget: (() => void)[] = [];
    let timer: NodeJS.Timeout | undefined;
    let isDone = false;
    const done = () => {
      isDone = true;
      clearTimeout(timer);
      for (const take of forget) take();
    };
    const question = {
      resolve: (result: JsonObject) => {
        done();
        resolve(result);
      },
      reject: (error: Error) => {
        done();
        reject(error);
      },
    };
    const withdraw = (reason: string) => {
      if (session.takeQuestion(id) === undefined) return;
      reply.send(notificationBytes('notifications/cancelled', { requestId: Number(id), reason }));
      question.reject(new GatewayError('cancelled', `The question was withdrawn: ${reason}.`));
    };
    const { channel } = session;
    if (!reply.canSend && channel === undefined) {
      throw new GatewayError(
        'missing_client_capability',
        'The client takes no event stream for this request, so nothing can be asked of it.',
      );
    }
    const carrier = reply.canSend || channel === undefined ? reply : channel;
    const id = session.question((number) => carrier.send(requestBytes(number, method, params)), question);
    // A client in this process may have answered before this line.
    if (isDone) return;
    timer = setTimeout(() => withdraw('the client did not answer in time'), answerWithinMs);
    // Without its stream the client neither sees the question nor can it answer.
    forget.push(cancel.onCancel(withdraw));
    if (carrier === reply) forget.push(reply.onGone(() => withdraw('the client closed the connection')));
  });
}

// Read before the question is taken: an answer that cannot be read leaves it open for one that can.
function readAnswer(result: RawResult): JsonObject {
  try {
    return result.value;
  } catch (error) {
    throw new GatewayError('parse_error', 'The response cannot be read: its result is not valid JSON.', { cause: error });
  }
}

/** A notification or response of a client in its session. Throws GatewayError `parse_error`. */
export function hearLegacy(edge: Edge, session: Session, message: Exclude<Message, RequestMessage>): void {
  if (message.kind === 'result') {
    const value = readAnswer(message.result);
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
