import { ApprovalPending } from '../../call/approve/say.ts';
import type { ApprovedRound, Ask } from '../../call/ask.ts';
import { checkEntry } from '../../call/authorize.ts';
import { call, readmit, refuse } from '../../call/call.ts';
import type { Outcome } from '../../call/inspect.ts';
import { readIdempotencyKey, withoutIdempotencyKey } from '../../call/once/idempotency-key.ts';
import { traceOf } from '../../call/record.ts';
import { namesOf } from '../../call/record-names.ts';
import { toolboxOf } from '../../catalog/catalog.ts';
import { innerParams } from '../../catalog/search-tools.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { SignInRequired } from '../../upstreams/authorization.ts';
import type { CallMethod, Conversation } from '../../upstreams/upstream.ts';
import { clientLeft } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { passesLevel } from '../../wire/mcp.ts';
import { memberBytes, notificationBytes, RawResult } from '../../wire/message.ts';
import { canDecideHere, decideOwn, decideWithinMs, questionOf, readReply } from './approval.ts';
import { checkClientCan, checkQuestions } from './client-can.ts';
import type { Edge } from './edge.ts';
import { type Envelope, readEnvelope } from './era.ts';
import { checkNamedHeaders, checkParamHeaders, hopsOf, traceHeadersOf } from './headers.ts';
import {
  errorMessage,
  modernResult,
  ownModernResult,
  resultMessage,
  retryHeaders,
  toolError,
  toRpcError,
  unreadable,
  withTrace,
} from './messages.ts';
import { bindingOf, type Round, type State } from './parked.ts';
import type { ModernRequest } from './request.ts';
import { callSignedIn, canVisit, visitOf } from './sign-in.ts';
import { newTask } from './tasks.ts';
import { declaresTasks } from './tasks-extension.ts';

/** Serves one round of a call. Throws GatewayError for what is refused at the door; all else is the answer. */
export function serveCall(edge: Edge, request: ModernRequest, method: CallMethod): Promise<void> {
  const { message, caller } = request;
  const envelope = readEnvelope(message.params);
  const { _meta, inputResponses, requestState, ...outer } = message.params;
  const catalog = edge.catalog();
  const params = method === 'tools/call' ? innerParams(toolboxOf(catalog, request.toolbox), outer) : outer;
  const round: Round = { reply: request.reply, id: message.id, progressToken: envelope.progressToken };
  const answers = isObject(inputResponses) ? inputResponses : undefined;
  const running = new ModernCall(edge, request, envelope, params, round);
  const ask = running.toAsk(method, params, answers);
  let state: State | undefined;
  try {
    checkEntry(caller, request.toolbox);
    if (request.headers !== undefined) {
      checkNamedHeaders(request.headers, message);
      if (method === 'tools/call') checkParamHeaders(request.headers, catalog, request.toolbox, outer);
    }
    if (typeof requestState === 'string')
      state = edge.parked.unseal(caller.id, bindingOf(catalog, request.toolbox, method, params), requestState);
  } catch (error) {
    refuse(edge.calls, caller, ask, error);
    throw error;
  }
  if (state?.kind === 'parked') {
    const { id } = state;
    return readmit(edge.calls, catalog, caller, ask).then(() => edge.parked.take(caller.id, id)(answers, round));
  }
  if (state?.kind === 'sign-in') return running.runSignedIn(method, ask, answers);
  if (state?.kind === 'approval') return running.runDecided(method, ask, state, answers);
  return running.run(
    method,
    state === undefined
      ? ask
      : { ...ask, retry: { inputResponses: answers, requestState: state.state, approval: state.approval } },
  );
}

/** One call of a modern client, over as many rounds as it takes. */
class ModernCall implements Conversation {
  readonly takesRounds = true;
  readonly logLevel: string | undefined;
  readonly #edge: Edge;
  readonly #request: ModernRequest;
  readonly #envelope: Envelope;
  readonly #params: JsonObject;
  #round: Round | undefined;
  #asks: PendingAsk[] = [];
  /** An answer that came while no round was open. */
  #late: ((round: Round) => void) | undefined;
  /** What the client said when it was asked to send its person to a page. */
  #visit: 'accepted' | 'declined' | undefined;
  /** Its person was asked about this call before: that is not done twice in a row. */
  #wasAsked = false;
  #lastProgress = Number.NEGATIVE_INFINITY;
  /** A question that this client cannot answer: then the upstream's failure is ours to explain. */
  #refused: GatewayError | undefined;
  #ask: Ask | undefined;

  constructor(edge: Edge, request: ModernRequest, envelope: Envelope, params: JsonObject, round: Round) {
    this.#edge = edge;
    this.#request = request;
    this.#envelope = envelope;
    this.#params = params;
    this.#round = round;
    this.logLevel = envelope.logLevel;
  }

  /** The call as the path of a call takes it. */
  toAsk(method: CallMethod, params: JsonObject, inputResponses: JsonObject | undefined): Ask {
    const { door, toolbox, caller, cancel, bytes, ip, headers, requestId } = this.#request;
    return {
      door,
      era: 'modern',
      toolbox,
      method,
      params,
      meta: withoutIdempotencyKey(this.#envelope.meta),
      client: { principal: caller.id, session: undefined, capabilities: this.#envelope.capabilities },
      conversation: this,
      retry: inputResponses === undefined ? undefined : { inputResponses, requestState: undefined },
      cancel,
      bytesIn: bytes,
      ip,
      traceHeaders: headers === undefined ? undefined : traceHeadersOf(headers),
      hops: headers === undefined ? undefined : hopsOf(headers),
      idempotencyKey: readIdempotencyKey(headers?.['idempotency-key'], this.#envelope.meta),
      nextName: requestId === undefined ? undefined : namesOf(requestId),
    };
  }

  async run(method: CallMethod, ask: Ask): Promise<void> {
    const { reply } = this.#request;
    this.#ask = ask;
    reply.onGone(() => ask.cancel.cancel(clientLeft));
    try {
      const attempt = () => call(this.#edge.calls, this.#edge.catalog(), this.#request.caller, ask);
      const outcome = await (this.#visit === 'accepted' ? callSignedIn(attempt, ask.cancel) : attempt());
      this.#settle((round) => {
        try {
          this.#answer(round, method, outcome);
        } catch (error) {
          this.#fail(round, method, unreadable(error));
        }
      });
    } catch (thrown) {
      this.#settle((round) => this.#fail(round, method, thrown));
    }
  }

  /** The round after its person was asked to sign in. What was answered is for us and not for the upstream. */
  runSignedIn(method: CallMethod, ask: Ask, answers: JsonObject | undefined): Promise<void> {
    const answer = answers?.[signInKey];
    this.#visit = isObject(answer) && answer.action === 'accept' ? 'accepted' : 'declined';
    return this.run(method, { ...ask, retry: undefined });
  }

  /** The round after its person was asked for a decision. What they said is for us and not for the upstream. */
  async runDecided(
    method: CallMethod,
    ask: Ask,
    { id, wasForm }: State & { readonly kind: 'approval' },
    answers: JsonObject | undefined,
  ): Promise<void> {
    // Without an answer the same question is put again; that is no error.
    this.#wasAsked = isObject(answers?.[approvalKey]);
    const { caller, reply } = this.#request;
    const said = readReply(answers?.[approvalKey], wasForm);
    try {
      if (said === 'visit') {
        const takeBack = reply.onGone(() => ask.cancel.cancel(clientLeft));
        await this.#edge.approvals.settled(id, decideWithinMs, ask.cancel);
        takeBack();
      } else if (said !== 'none') await decideOwn(this.#edge.approvals, id, caller, said);
    } catch (error) {
      this.#ask = ask;
      refuse(this.#edge.calls, caller, ask, error);
      this.#settle((round) => this.#fail(round, method, error));
      return;
    }
    await this.run(method, { ...ask, retry: undefined });
  }

  get progress(): Conversation['progress'] {
    return this.#envelope.progressToken === undefined ? undefined : this.#progress;
  }

  readonly #progress = (params: JsonObject): void => {
    const round = this.#round;
    const { progress } = params;
    if (round?.progressToken === undefined || typeof progress !== 'number' || progress <= this.#lastProgress) return;
    this.#lastProgress = progress;
    round.reply.send(notificationBytes('notifications/progress', { ...params, progressToken: round.progressToken }));
  };

  log(params: JsonObject): void {
    if (this.logLevel === undefined || !passesLevel(params.level, this.logLevel)) return;
    this.#round?.reply.send(notificationBytes('notifications/message', params));
  }

  // The modern era has no other notification about a request.
  notify(): void {}

  ask(method: string, params: JsonObject): Promise<JsonObject> {
    try {
      checkClientCan(this.#envelope.capabilities, method, params);
    } catch (error) {
      this.#refused = toGatewayError(error);
      throw error;
    }
    const { promise, resolve, reject } = Promise.withResolvers<JsonObject>();
    // A legacy upstream's handle for its own notification means nothing to a modern client.
    const { elicitationId, ...asked } = params;
    const takeBack = this.#request.cancel.onCancel((reason) =>
      reject(new GatewayError('cancelled', `The question was withdrawn: ${reason}.`)),
    );
    this.#asks.push({
      request: { method, params: asked },
      resolve: (answer) => {
        takeBack();
        resolve(answer);
      },
    });
    try {
      if (this.#asks.length === 1) this.#putFirst();
    } catch (error) {
      this.#asks.pop();
      takeBack();
      throw error;
    }
    return promise;
  }

  /** Answers the current round with the first open question, and parks until the client comes back. */
  #putFirst(): void {
    const round = this.#round;
    const [first] = this.#asks;
    if (round === undefined || first === undefined) return;
    const { caller, cancel } = this.#request;
    const id = this.#edge.parked.park(caller.id, cancel, (answers, next) => this.#resume(answers, next));
    const requestState = this.#edge.parked.seal(caller.id, this.#binding(), { kind: 'parked', id });
    this.#round = undefined;
    finishInputRequired(round, { [questionKey]: first.request }, requestState);
  }

  #resume(answers: JsonObject | undefined, round: Round): void {
    this.#round = round;
    // The call goes on, and with it its one record.
    if (this.#request.requestId !== undefined) round.reply.named?.(this.#request.requestId);
    round.reply.onGone(() => this.#request.cancel.cancel(clientLeft));
    if (this.#late !== undefined) {
      this.#late(round);
      return;
    }
    const answer = answers?.[questionKey];
    if (isObject(answer)) this.#asks.shift()?.resolve(answer);
    // Without a usable answer the same question is put again; that is no error.
    try {
      this.#putFirst();
    } catch (error) {
      this.#request.cancel.cancel('the next question could not be put');
      throw error;
    }
  }

  #binding(): string {
    const { toolbox, message } = this.#request;
    return bindingOf(this.#edge.catalog(), toolbox, message.method, this.#params);
  }

  #settle(give: (round: Round) => void): void {
    const round = this.#round;
    if (round === undefined) this.#late = give;
    else give(round);
  }

  #answer(round: Round, method: CallMethod, outcome: Outcome): void {
    if (this.#refused !== undefined && isFailure(outcome)) {
      this.#fail(round, method, this.#refused);
    } else if (outcome.kind === 'result') {
      const { result } = outcome;
      const extra = method !== 'resources/read' ? undefined : result.has('ttlMs') ? kept : uncached;
      round.reply.finish(resultMessage(round.id, modernResult(result, extra)));
    } else if (outcome.kind === 'input-required') {
      this.#relay(round, outcome.inputRequests, outcome.requestState, outcome.approval);
    } else if (outcome.kind !== 'error') {
      throw new Error(`a ${outcome.kind} is no answer to ${method}`);
    } else if (outcome.error.code === urlElicitationRequired) {
      this.#relay(round, questionsOf(outcome.error.data), undefined, outcome.approval);
    } else {
      // -32002 must not be sent in this era (MCP 2026-07-28 server/resources).
      const code = outcome.error.code === -32002 ? -32602 : outcome.error.code;
      round.reply.finish(errorMessage(round.id, { ...outcome.error, code }), badRequestCodes.has(code) ? 400 : 200);
    }
  }

  #relay(
    round: Round,
    inputRequests: JsonObject | undefined,
    state: string | undefined,
    approval: ApprovedRound | undefined,
  ): void {
    if (inputRequests !== undefined) checkQuestions(this.#envelope.capabilities, inputRequests);
    const { caller } = this.#request;
    const requestState =
      state === undefined && approval === undefined
        ? undefined
        : this.#edge.parked.seal(caller.id, this.#binding(), { kind: 'upstream', state, approval });
    finishInputRequired(round, inputRequests, requestState);
  }

  #fail(round: Round, method: CallMethod, thrown: unknown): void {
    const trace = traceOf(this.#ask);
    const error = toGatewayError(withTrace(thrown, trace));
    if (error instanceof SignInRequired && this.#visit === undefined && canVisit(this.#envelope.capabilities)) {
      const requestState = this.#edge.parked.seal(this.#request.caller.id, this.#binding(), { kind: 'sign-in' });
      finishInputRequired(round, { [signInKey]: { method: 'elicitation/create', params: visitOf(error) } }, requestState);
      return;
    }
    if (error instanceof ApprovalPending && !this.#wasAsked && this.#askPerson(round, error)) return;
    if (error instanceof ApprovalPending && declaresTasks(this.#envelope.capabilities)) {
      const task = newTask(error, this.#edge.approvals.handleFor(error.id, this.#request.caller));
      round.reply.finish(resultMessage(round.id, ownModernResult(task)));
      return;
    }
    const asResult = method === 'tools/call' ? toolError(error, trace) : undefined;
    if (error.code === 'cancelled') round.reply.abandon();
    else if (asResult !== undefined) round.reply.finish(resultMessage(round.id, modernResult(RawResult.from(asResult))));
    else round.reply.finish(errorMessage(round.id, toRpcError(error)), error.row.http, retryHeaders(error));
  }

  /** Puts the decision to the client's person, where the client can. */
  #askPerson(round: Round, pending: ApprovalPending): boolean {
    const { capabilities } = this.#envelope;
    // A task waits as long as the decision takes; sending its person to the page only says where that is made.
    if (declaresTasks(capabilities) && !canDecideHere(pending, capabilities)) return false;
    const params = questionOf(pending, capabilities);
    if (params === undefined) return false;
    const state: State = { kind: 'approval', id: pending.id, wasForm: params.mode !== 'url' };
    const { caller } = this.#request;
    const requestState = this.#edge.parked.seal(caller.id, this.#binding(), state, pending.expiresAtMs);
    finishInputRequired(round, { [approvalKey]: { method: 'elicitation/create', params } }, requestState);
    return true;
  }
}

/** What the specification answers with HTTP 400 (MCP 2026-07-28 streamable HTTP). */
const badRequestCodes: ReadonlySet<number> = new Set([-32020, -32021, -32022]);

function isFailure(outcome: Outcome): boolean {
  return outcome.kind === 'error' || (outcome.kind === 'result' && outcome.result.get('isError') === true);
}

interface PendingAsk {
  readonly request: { readonly method: string; readonly params: JsonObject };
  readonly resolve: (answer: JsonObject) => void;
}

/** Legacy questions come one by one and without keys. */
const questionKey = 'question';
const signInKey = 'sign_in';
const approvalKey = 'approval';
const kept = [memberBytes('cacheScope', '"private"')];
const uncached = [memberBytes('ttlMs', '0'), ...kept];
/** MCP 2025-11-25 client/elicitation: the legacy way to say that a person must visit a page first. */
const urlElicitationRequired = -32042;

function finishInputRequired(round: Round, inputRequests: JsonObject | undefined, requestState: string | undefined): void {
  const result = {
    resultType: 'input_required',
    ...(inputRequests === undefined ? {} : { inputRequests }),
    ...(requestState === undefined ? {} : { requestState }),
  };
  round.reply.finish(resultMessage(round.id, ownModernResult(result)));
}

function questionsOf(data: unknown): JsonObject {
  const elicitations = isObject(data) && Array.isArray(data.elicitations) ? data.elicitations : [];
  return Object.fromEntries(
    elicitations
      .filter(isObject)
      .map(({ url, message }, index) => [
        `visit${index + 1}`,
        { method: 'elicitation/create', params: { mode: 'url', url: url ?? '', message: message ?? '' } },
      ]),
  );
}
