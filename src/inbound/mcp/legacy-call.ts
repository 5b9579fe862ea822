import { randomUUID } from 'node:crypto';
import { ApprovalPending } from '../../call/approve/say.ts';
import type { Ask } from '../../call/ask.ts';
import type { Caller } from '../../call/authenticate.ts';
import { call } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { readIdempotencyKey, withoutIdempotencyKey } from '../../call/once/idempotency-key.ts';
import { traceOf } from '../../call/record.ts';
import { namesOf } from '../../call/record-names.ts';
import { toolboxOf } from '../../catalog/catalog.ts';
import { innerParams } from '../../catalog/search-tools.ts';
import { GatewayError } from '../../errors.ts';
import { SignInRequired } from '../../upstreams/authorization.ts';
import type { CallMethod, Conversation } from '../../upstreams/upstream.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { passesLevel } from '../../wire/mcp.ts';
import { notificationBytes, requestBytes } from '../../wire/message.ts';
import { decideOwn, decideWithinMs, questionOf, readReply } from './approval.ts';
import { checkClientCan } from './client-can.ts';
import type { Edge } from './edge.ts';
import { foreignMeta, readProgressToken } from './era.ts';
import { errorMessage, legacyResult, resultMessage, toolError, unreadable, withTrace } from './messages.ts';
import type { Reply } from './reply.ts';
import type { LegacyRequest } from './request.ts';
import type { Session } from './session.ts';
import { callSignedIn, canVisit, visitOf } from './sign-in.ts';

/** How long a client may take to answer an upstream's question. */
const answerWithinMs = 10 * 60_000;

/** Makes one call and answers it. Throws GatewayError for what is no result of a tool. */
export async function serveCall(edge: Edge, request: LegacyRequest, method: CallMethod, cancel: Cancel): Promise<void> {
  const { message, session, caller, ip, reply, door, bytes, traceHeaders, hops } = request;
  const { _meta, inputResponses, requestState, ...outer } = message.params;
  const params = method === 'tools/call' ? innerParams(toolboxOf(edge.catalog(), session.toolbox), outer) : outer;
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
    nextName: request.requestId === undefined ? undefined : namesOf(request.requestId),
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
    const asResult = method === 'tools/call' ? toolError(failure, traceOf(ask)) : undefined;
    if (asResult === undefined) throw withTrace(failure, traceOf(ask));
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
