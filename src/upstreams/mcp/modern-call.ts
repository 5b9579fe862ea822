import { GatewayError } from '../../errors.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { modernVersion } from '../../wire/mcp.ts';
import {
  type ErrorMessage,
  type NotificationMessage,
  notificationBytes,
  type RawResult,
  type RequestMessage,
  type ResultMessage,
  requestBytes,
} from '../../wire/message.ts';
import { type Answer, RpcFailure, type UpstreamCall } from '../upstream.ts';
import { listOf, MisfitError, passableCapabilities, passLog, passProgress } from './dialect.ts';
import { capabilitiesKey, infoKey, logLevelKey, lowerFirst, versionKey, withContext } from './envelope.ts';
import type { Failure, InFlight, RequestListener } from './link.ts';
import type { Modern } from './modern.ts';

const maxRounds = 16;

type Resolve = (answer: Answer) => void;

/** One call in flight; with a client that cannot take rounds, one after the other of its requests. */
export class ModernCall implements RequestListener {
  readonly #dialect: Modern;
  readonly #call: UpstreamCall;
  readonly #resolve: Resolve;
  readonly #reject: (error: Error) => void;
  /** Of the request that is in flight. */
  id = 0;
  place = -1;
  #inFlight: InFlight | undefined;
  #rounds = 0;
  #isDone = false;
  #takeBack: (() => void) | undefined;

  constructor(dialect: Modern, call: UpstreamCall, resolve: Resolve, reject: (error: Error) => void) {
    this.#dialect = dialect;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { cancel, retry } = this.#call;
    if (cancel.reason !== undefined) {
      this.#fail(new GatewayError('cancelled', cancel.reason));
      return;
    }
    this.#takeBack = cancel.onCancel((reason) => this.#cancelled(reason));
    this.#send(retry?.inputResponses, retry?.requestState);
  }

  #send(inputResponses: JsonObject | undefined, requestState: string | undefined): void {
    const { method, params, meta, conversation, client } = this.#call;
    const { link } = this.#dialect;
    const id = link.nextId();
    this.id = id;
    this.#dialect.begin(this, client.principal);
    const envelope: JsonObject = {
      ...meta,
      [versionKey]: modernVersion,
      [infoKey]: this.#dialect.clientInfo,
      [capabilitiesKey]: passableCapabilities(client.capabilities),
    };
    if (conversation.logLevel !== undefined) envelope[logLevelKey] = conversation.logLevel;
    if (conversation.progress !== undefined) envelope.progressToken = id;
    const sent: JsonObject = { ...params, _meta: envelope };
    if (inputResponses !== undefined) sent.inputResponses = inputResponses;
    if (requestState !== undefined) sent.requestState = requestState;
    const request = {
      id,
      body: requestBytes(id, method, sent),
      headers: this.#headers(),
      limitBytes: this.#call.limitBytes,
      isResumable: false,
      principal: client.principal,
    };
    this.#inFlight = link.request(request, this);
  }

  #headers(): readonly string[] {
    const { method, params } = this.#call;
    const name = method === 'resources/read' ? params.uri : method === 'completion/complete' ? undefined : params.name;
    const headers = withContext(this.#dialect.headersOf(method, typeof name === 'string' ? name : undefined), this.#call);
    return method === 'tools/call' ? this.#dialect.withParams(this.#call, headers) : headers;
  }

  received(message: RequestMessage | NotificationMessage): void {
    if (message.kind === 'request' || this.#isDone) return;
    const { method, params } = message;
    if (method === 'notifications/progress') {
      if (params.progressToken === this.id) passProgress(this.#call.conversation, params);
    } else if (method === 'notifications/message') {
      passLog(this.#call.conversation, params);
    } else if (listOf[method] === undefined) {
      this.#call.conversation.notify(method, params);
    }
  }

  answered(answer: ResultMessage | ErrorMessage, status: number): void {
    this.#dialect.calls.delete(this);
    if (this.#isDone) return;
    if (answer.kind === 'error') {
      this.#refused(answer, status);
      return;
    }
    const { result } = answer;
    const source = result.source('resultType');
    if (source === '"complete"') this.#succeed({ kind: 'result', result });
    // So servers of drafts answered: taken for complete (MCP 2026-07-28 basic/index).
    else if (source === undefined) this.#succeed({ kind: 'result', result, lacksResultType: true });
    else if (source === '"input_required"') this.#inputRequired(result);
    else this.#fail(this.#broken('answered with a kind of result that was not asked for'));
  }

  failed(error: Failure): void {
    this.#dialect.calls.delete(this);
    // A plain 404 or 405 to a POST means that nothing behind it read the message.
    if (error.status === 404 || error.status === 405) this.#fail(this.#misfit(error.status));
    else this.#fail(error);
  }

  #refused({ error }: ErrorMessage, status: number): void {
    const isLegacyRefusal = status === 400 && error.code <= -32000 && error.code >= -32019;
    if (error.code === -32022 || isLegacyRefusal) {
      this.#fail(this.#misfit(status));
      return;
    }
    if (error.code === -32021) {
      this.#succeed({ kind: 'error', error: this.#missingCapability(error.data) });
      return;
    }
    this.#succeed({ kind: 'error', error });
  }

  // The upstream speaks of our request; its caller needs to hear about the capability of their own client.
  #missingCapability(data: Json | undefined): ErrorMessage['error'] {
    const required = isObject(data) && isObject(data.requiredCapabilities) ? data.requiredCapabilities : {};
    const names = Object.keys(required).join(', ') || 'a capability it did not declare';
    const { params, method } = this.#call;
    const what = method === 'tools/call' && typeof params.name === 'string' ? `The tool ${params.name}` : `The method ${method}`;
    return {
      code: -32021,
      message: `${what} of ${lowerFirst(this.#dialect.subject)} needs a client that supports: ${names}.`,
      data: { requiredCapabilities: required },
    };
  }

  #inputRequired(result: RawResult): void {
    let inputRequests: Json | undefined;
    let requestState: Json | undefined;
    try {
      inputRequests = result.get('inputRequests');
      requestState = result.get('requestState');
    } catch {
      this.#fail(this.#broken('answered with something that is not JSON'));
      return;
    }
    const requests = isObject(inputRequests) ? inputRequests : undefined;
    const state = typeof requestState === 'string' ? requestState : undefined;
    if (requests === undefined && state === undefined) {
      this.#fail(this.#broken('asked for input without saying which'));
      return;
    }
    if (this.#call.conversation.takesRounds) {
      this.#succeed({ kind: 'input-required', inputRequests: requests, requestState: state });
    } else if (++this.#rounds > maxRounds) {
      this.#fail(this.#broken(`asked for input more than ${maxRounds} times`));
    } else {
      this.#askClient(requests ?? {}).then(
        (responses) => !this.#isDone && this.#send(responses, state),
        (error: Error) => {
          if (error instanceof RpcFailure) this.#succeed({ kind: 'error', error: error.error });
          else this.#fail(error);
        },
      );
    }
  }

  async #askClient(requests: JsonObject): Promise<JsonObject> {
    const responses: [string, JsonObject][] = [];
    for (const [key, request] of Object.entries(requests)) {
      if (!isObject(request) || typeof request.method !== 'string')
        throw this.#broken('asked for input in a form that is not valid');
      responses.push([key, await this.#call.conversation.ask(request.method, isObject(request.params) ? request.params : {})]);
    }
    return Object.fromEntries(responses);
  }

  #cancelled(reason: string): void {
    const { link, calls } = this.#dialect;
    calls.delete(this);
    // On HTTP the closed stream says it; on a pipe it must be said.
    if (link.transport !== 'http') {
      link.send(notificationBytes('notifications/cancelled', { requestId: this.id, reason }), link.headers).catch(() => {});
    }
    this.#inFlight?.giveUp();
    this.#fail(new GatewayError('cancelled', reason));
  }

  #misfit(status: number): MisfitError {
    return new MisfitError(
      'upstream_failed',
      `${this.#dialect.subject} no longer speaks MCP ${modernVersion} (HTTP ${status}).`,
      {
        status,
        isUnsent: true,
      },
    );
  }

  #broken(what: string): GatewayError {
    return new GatewayError('upstream_failed', `${this.#dialect.subject} ${what}.`);
  }

  #succeed(answer: Answer): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#takeBack?.();
    this.#resolve(answer);
  }

  #fail(error: Error): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#takeBack?.();
    this.#reject(error);
  }
}
