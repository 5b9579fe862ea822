import { GatewayError } from '../../errors.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ErrorMessage, NotificationMessage, RawResult, RequestMessage, ResultMessage } from '../../wire/message.ts';
import { notificationBytes, requestBytes } from '../../wire/message.ts';
import { encodeHeaderValue, type ParamHeader, paramHeaders, paramHeaderText } from '../../wire/param-headers.ts';
import { type Answer, RpcFailure, type ToolDefinition, type UpstreamCall } from '../upstream.ts';
import type { BoundedLog } from './bounded-log.ts';
import {
  askLink,
  type Dialect,
  type DialectEvents,
  listOf,
  MisfitError,
  passableCapabilities,
  passLog,
  passProgress,
} from './dialect.ts';
import {
  capabilitiesKey,
  infoKey,
  logLevelKey,
  lowerFirst,
  modernHeaders,
  modernVersion,
  nameOf,
  ownMeta,
  versionKey,
} from './envelope.ts';
import { emptyInbox, type InFlight, type Link, type LinkError, type RequestListener } from './link.ts';
import { Listening } from './listen.ts';

const subscriptionKey = 'io.modelcontextprotocol/subscriptionId';
const maxRounds = 16;
const ownLimitBytes = 32 * 1024 * 1024;

export interface ModernOptions {
  readonly link: Link;
  readonly subject: string;
  /** The result of `server/discover`, from this connection or remembered. */
  readonly discover: JsonObject;
  readonly clientInfo: JsonObject;
  readonly timeoutMs: number;
  readonly events: DialectEvents;
  readonly log: BoundedLog;
}

/** MCP 2026-07-28: every request says for itself who asks, in which version and with which capabilities. */
export class Modern implements Dialect {
  readonly era = 'modern';
  readonly transport: Link['transport'];
  readonly protocolVersion = modernVersion;
  readonly server: string | undefined;
  readonly capabilities: JsonObject;
  readonly instructions: string | undefined;
  readonly link: Link;
  readonly subject: string;
  readonly clientInfo: JsonObject;
  readonly log: BoundedLog;
  /** In flight, by id; the id is the progress token too. */
  readonly calls = new Map<number, ModernCall>();
  readonly #timeoutMs: number;
  readonly #events: DialectEvents;
  readonly #listening: Listening;
  readonly #paramHeaders = new WeakMap<ToolDefinition, readonly ParamHeader[]>();

  constructor(options: ModernOptions) {
    const { link, discover } = options;
    this.link = link;
    this.transport = link.transport;
    this.subject = options.subject;
    this.clientInfo = options.clientInfo;
    this.log = options.log;
    this.#timeoutMs = options.timeoutMs;
    this.#events = options.events;
    this.server = serverName(discover);
    this.capabilities = isObject(discover.capabilities) ? discover.capabilities : {};
    this.instructions = typeof discover.instructions === 'string' ? discover.instructions : undefined;
    link.inbox = {
      received: (message) => this.#unclaimed(message),
      closed: (error) => {
        this.#listening.close();
        this.#events.lost(error);
      },
      sessionLost() {},
    };
    this.#listening = new Listening({
      link,
      clientInfo: options.clientInfo,
      capabilities: this.capabilities,
      events: options.events,
    });
    this.#listening.open();
  }

  get connections(): number {
    return 1;
  }

  async ask(method: string, params: JsonObject): Promise<ResultMessage | ErrorMessage> {
    const { answer } = await askLink(
      this.link,
      method,
      { ...params, _meta: ownMeta(this.clientInfo) },
      {
        headers: modernHeaders(this.link, method),
        limitBytes: ownLimitBytes,
        timeoutMs: this.#timeoutMs,
        subject: this.subject,
      },
    );
    return answer;
  }

  call(call: UpstreamCall): Promise<Answer> {
    return new Promise((resolve, reject) => new ModernCall(this, call, resolve, reject).begin());
  }

  watch(uris: ReadonlySet<string>): void {
    this.#listening.watch(uris);
  }

  announces(): boolean {
    return this.#listening.isOpen;
  }

  // A modern upstream has no sessions: each request carries what a session would have.
  notify(): void {}
  endSession(): void {}

  async close(): Promise<void> {
    this.#listening.close();
    this.link.inbox = emptyInbox;
    await this.link.close();
  }

  /** The `Mcp-Param-*` headers of one call. */
  pushParamHeaders(call: UpstreamCall, headers: string[]): void {
    if (call.tool === undefined) return;
    let known = this.#paramHeaders.get(call.tool);
    if (known === undefined) {
      const found = paramHeaders(call.tool.inputSchema);
      known = 'headers' in found ? found.headers : [];
      this.#paramHeaders.set(call.tool, known);
    }
    for (const header of known) {
      const text = paramHeaderText(call.params.arguments, header);
      if (text !== undefined) headers.push(header.name, encodeHeaderValue(text));
    }
  }

  /** On stdio everything shares one pipe: what a notification belongs to is in its token or subscription id. */
  #unclaimed(message: RequestMessage | NotificationMessage): void {
    if (message.kind === 'request') {
      this.log.warn({ method: message.method.slice(0, 100) }, 'a request from the upstream is not part of its protocol version');
      return;
    }
    const { method, params } = message;
    const list = listOf[method];
    if (
      list !== undefined ||
      method === 'notifications/resources/updated' ||
      method === 'notifications/subscriptions/acknowledged'
    ) {
      const meta = params._meta;
      this.#listening.received(message, isObject(meta) ? meta[subscriptionKey] : undefined);
    } else if (method === 'notifications/progress') {
      if (typeof params.progressToken === 'number') this.calls.get(params.progressToken)?.received(message);
    } else {
      this.#onlyCall()?.received(message);
    }
  }

  #onlyCall(): ModernCall | undefined {
    if (this.calls.size !== 1) return undefined;
    for (const call of this.calls.values()) return call;
    return undefined;
  }
}

type Resolve = (answer: Answer) => void;

/** One call in flight; with a client that cannot take rounds, one after the other of its requests. */
class ModernCall implements RequestListener {
  readonly #dialect: Modern;
  readonly #call: UpstreamCall;
  readonly #resolve: Resolve;
  readonly #reject: (error: Error) => void;
  #id = 0;
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
    this.#id = id;
    this.#dialect.calls.set(id, this);
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
    };
    this.#inFlight = link.request(request, this);
  }

  #headers(): readonly string[] {
    const { method, params } = this.#call;
    const name = method === 'resources/read' ? params.uri : method === 'completion/complete' ? undefined : params.name;
    const headers = modernHeaders(this.#dialect.link, method, typeof name === 'string' ? name : undefined);
    if (method === 'tools/call' && headers.length > 0) this.#dialect.pushParamHeaders(this.#call, headers as string[]);
    return headers;
  }

  received(message: RequestMessage | NotificationMessage): void {
    if (message.kind === 'request' || this.#isDone) return;
    const { method, params } = message;
    if (method === 'notifications/progress') {
      if (params.progressToken === this.#id) passProgress(this.#call.conversation, params);
    } else if (method === 'notifications/message') {
      passLog(this.#call.conversation, params);
    } else if (listOf[method] === undefined) {
      this.#call.conversation.notify(method, params);
    }
  }

  answered(answer: ResultMessage | ErrorMessage, status: number): void {
    this.#dialect.calls.delete(this.#id);
    if (this.#isDone) return;
    if (answer.kind === 'error') {
      this.#refused(answer, status);
      return;
    }
    const { result } = answer;
    let resultType: Json | undefined;
    try {
      resultType = result.get('resultType');
    } catch {
      this.#fail(this.#broken('answered with something that is not JSON'));
      return;
    }
    if (resultType === undefined || resultType === 'complete') this.#succeed({ kind: 'result', result });
    else if (resultType === 'input_required') this.#inputRequired(result);
    else this.#fail(this.#broken('answered with a kind of result that was not asked for'));
  }

  failed(error: LinkError): void {
    this.#dialect.calls.delete(this.#id);
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
    calls.delete(this.#id);
    // On HTTP the closed stream says it; on a pipe it must be said.
    if (link.transport !== 'http') {
      link.send(notificationBytes('notifications/cancelled', { requestId: this.#id, reason }), link.headers).catch(() => {});
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

function serverName(discover: JsonObject): string | undefined {
  const meta = discover._meta;
  const info = isObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined;
  return nameOf(info) ?? nameOf(discover.serverInfo);
}
