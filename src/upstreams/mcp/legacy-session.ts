import { GatewayError } from '../../errors.ts';
import { Bag } from '../../wire/bag.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { legacyVersions, passesLevel } from '../../wire/mcp.ts';
import {
  type ErrorMessage,
  type NotificationMessage,
  notificationBytes,
  type RequestMessage,
  type ResultMessage,
  type RpcError,
} from '../../wire/message.ts';
import type { BoundedLog } from '../bounded-log.ts';
import { LinkError } from '../link-error.ts';
import { RpcFailure, type UpstreamCall } from '../upstream.ts';
import { askLink, isInteractive, type ListKind, listOf, passLog, passProgress, readValue } from './dialect.ts';
import { nameOf } from './envelope.ts';
import type { LegacyCall } from './legacy-call.ts';
import type { Link } from './link.ts';
import { Principals } from './principals.ts';

const maxQuestions = 32;
const maxParked = 8;
// Messages of ours that the far end has not taken yet: answers to what it asks come at its will, notices at our callers'.
const maxUntakenAnswers = 32;
const maxUntaken = 256;
const ownLimitBytes = 32 * 1024 * 1024;

interface SessionOptions {
  readonly link: Link;
  readonly subject: string;
  readonly clientInfo: JsonObject;
  /** Declared in `initialize`. */
  readonly capabilities: JsonObject;
  readonly timeoutMs: number;
  readonly log: BoundedLog;
  readonly events: SessionEvents;
  /** The one client this session was opened for; undefined: many share it. */
  readonly client: string | undefined;
}

export interface SessionEvents {
  listChanged(kind: ListKind): void;
  resourceUpdated(uri: string): void;
  closed(session: LegacySession, error: LinkError): void;
  lost(session: LegacySession): void;
  needsOwnSessions(): void;
}

/** The far end answered `initialize` with an error of its own. */
export class OpeningRefused extends LinkError {}

/** One initialized conversation with a legacy upstream (2024-11-05 to 2025-11-25) and what is going on in it. */
export class LegacySession {
  readonly link: Link;
  readonly subject: string;
  readonly client: string | undefined;
  readonly protocolVersion: string;
  readonly server: string | undefined;
  readonly capabilities: JsonObject;
  readonly instructions: string | undefined;
  /** What every request of this session carries. */
  readonly headers: readonly string[];
  /** The server keeps state under an id that it can forget. */
  readonly hasId: boolean;
  /** In flight; a call's id is its progress token too. */
  readonly calls = new Bag<LegacyCall>();
  lastUsedAtMs = 0;
  isGone = false;
  #logLevel: string | undefined;
  readonly #options: SessionOptions;
  // Questions of the upstream that are with a client, by the upstream's id.
  readonly #questions = new Map<string, { isWithdrawn: boolean }>();
  #parked: RequestMessage[] = [];
  readonly #principals = new Principals();
  #untaken = 0;

  private constructor(options: SessionOptions, result: JsonObject, version: string, sessionId: string | undefined) {
    this.#options = options;
    this.link = options.link;
    this.subject = options.subject;
    this.client = options.client;
    this.protocolVersion = version;
    this.server = nameOf(result.serverInfo);
    this.capabilities = isObject(result.capabilities) ? result.capabilities : {};
    this.instructions = typeof result.instructions === 'string' ? result.instructions : undefined;
    this.hasId = sessionId !== undefined;
    this.headers = sessionHeaders(options.link, version, sessionId);
    options.link.inbox = {
      received: (message) => this.received(message, undefined),
      closed: (error) => {
        if (this.isGone) return;
        this.isGone = true;
        options.events.closed(this, error);
      },
      sessionLost: () => this.lose(),
    };
  }

  /** Initializes. Rejects with LinkError; with OpeningRefused when the far end answered with an error. */
  static async open(options: SessionOptions): Promise<LegacySession> {
    const { link, subject, clientInfo, capabilities, timeoutMs } = options;
    // A server may ask or tell something as soon as it has answered: it waits until there is a session to take it.
    const early: (RequestMessage | NotificationMessage)[] = [];
    const { closed } = link.inbox;
    link.inbox = { received: (message) => early.length < maxParked && early.push(message), closed, sessionLost() {} };
    const params = { protocolVersion: legacyVersions[0], capabilities, clientInfo };
    const { answer, sessionId, status } = await askLink(link, 'initialize', params, {
      headers: link.headers,
      limitBytes: ownLimitBytes,
      timeoutMs,
      subject,
    });
    if (answer.kind === 'error') throw refusedOpening(subject, answer.error, status);
    const value = readValue(answer.result, subject);
    const { protocolVersion } = value;
    if (typeof protocolVersion !== 'string' || !legacyVersions.includes(protocolVersion)) {
      const named = typeof protocolVersion === 'string' ? protocolVersion.slice(0, 40) : 'no version at all';
      throw new LinkError('upstream_failed', `${subject} speaks a protocol version that Gatehouse does not know (${named}).`, {
        detail: `unknown protocol version ${named}`,
      });
    }
    const session = new LegacySession(options, value, protocolVersion, sessionId);
    await link.send(notificationBytes('notifications/initialized', {}), session.headers);
    link.listen(session.headers);
    for (const message of early) session.received(message, undefined);
    return session;
  }

  async ask(method: string, params: JsonObject, timeoutMs = this.#options.timeoutMs): Promise<ResultMessage | ErrorMessage> {
    const { link, headers, subject } = this;
    const { answer, status } = await askLink(link, method, params, { headers, limitBytes: ownLimitBytes, timeoutMs, subject });
    if (answer.kind === 'error' && this.hasId && status === 404) {
      this.lose();
      throw new LinkError('upstream_unavailable', `${subject} has lost its session.`, { status });
    }
    return answer;
  }

  /** Sends a notification; whether it arrived is not known and does not matter. */
  tell(method: string, params: JsonObject): void {
    this.#send(notificationBytes(method, params), maxUntaken);
  }

  begin(call: LegacyCall): void {
    this.calls.add(call);
    this.#principals.add(call.call.client.principal);
    const parked = this.#parked;
    if (parked.length === 0) return;
    this.#parked = [];
    for (const question of parked) this.#put(question, call.call);
  }

  /** The level the caller wants must be set before its call; levels only go down, since each caller's messages are filtered. */
  needsLogLevel(level: string | undefined): level is string {
    if (level === undefined || this.capabilities.logging === undefined) return false;
    return this.#logLevel === undefined || !passesLevel(level, this.#logLevel);
  }

  async setLogLevel(level: string): Promise<void> {
    this.#logLevel = level;
    await this.ask('logging/setLevel', { level });
  }

  lose(): void {
    if (this.isGone) return;
    this.isGone = true;
    this.#options.events.lost(this);
  }

  /** Takes what the upstream said; `own` is the call on whose stream it came. */
  received(message: RequestMessage | NotificationMessage, own: LegacyCall | undefined): void {
    if (message.kind === 'request') {
      this.#asked(message, own);
      return;
    }
    const { method, params } = message;
    const list = listOf[method];
    if (list !== undefined) this.#options.events.listChanged(list);
    else if (method === 'notifications/resources/updated') {
      if (typeof params.uri === 'string') this.#options.events.resourceUpdated(params.uri);
    } else if (method === 'notifications/progress') {
      const call = this.calls.find(({ id }) => id === params.progressToken);
      // On a stream of its own a call hears of itself only.
      if (call !== undefined && (own === undefined || own === call)) passProgress(call.call.conversation, params);
    } else if (method === 'notifications/cancelled') {
      const question = this.#questions.get(JSON.stringify(params.requestId ?? null));
      if (question !== undefined) question.isWithdrawn = true;
    } else {
      this.#told(method, params, own ?? this.#soleCall());
    }
  }

  #told(method: string, params: JsonObject, call: LegacyCall | undefined): void {
    if (call === undefined) {
      this.#options.log.info(
        { method: method.slice(0, 100) },
        'a message of the upstream belongs to no call that is known; dropped',
      );
    } else if (method === 'notifications/message') {
      passLog(call.call.conversation, params);
    } else {
      call.call.conversation.notify(method, params);
    }
  }

  #asked(question: RequestMessage, own: LegacyCall | undefined): void {
    const { method } = question;
    if (method === 'ping') {
      this.#respond(question.id, { result: {} });
      return;
    }
    if (method !== 'elicitation/create' && method !== 'sampling/createMessage' && method !== 'roots/list') {
      this.#respond(question.id, { error: { code: -32601, message: `Method not found: ${method.slice(0, 100)}` } });
      return;
    }
    const call = own ?? this.#soleCall();
    if (call !== undefined) {
      this.#put(question, call.call);
      return;
    }
    if (this.calls.size > 0 || (this.#principals.isMixed && method !== 'roots/list')) {
      this.#options.events.needsOwnSessions();
    } else if (method === 'roots/list') {
      // Asked between calls, mostly right after initialize: the session's one client answers with its next call.
      if (this.client === undefined) {
        this.#respond(question.id, { result: { roots: [] } });
        return;
      }
      if (this.#parked.length < maxParked) {
        this.#parked.push(question);
        return;
      }
    }
    this.#respond(question.id, {
      error: { code: -32600, message: `${method} cannot be put to anyone: it does not say which call it belongs to.` },
    });
  }

  /**
   * The call a message without a stream of its own must belong to, as long as one principal only has used this session: the
   * only one in flight, the only one whose client can answer, or in a client's own session the newest such. After a second
   * principal nothing is certain: the message may be about a call that is over.
   */
  #soleCall(): LegacyCall | undefined {
    if (this.#principals.isMixed) return undefined;
    let only: LegacyCall | undefined;
    let interactive: LegacyCall | undefined;
    let interactiveCount = 0;
    for (const call of this.calls) {
      only = call;
      if (!isInteractive(call.call.client.capabilities)) continue;
      interactive = call;
      interactiveCount++;
    }
    if (this.calls.size <= 1 || this.client !== undefined) return interactive ?? only;
    return interactiveCount === 1 ? interactive : undefined;
  }

  #put(question: RequestMessage, { conversation }: UpstreamCall): void {
    // Replayed on a stream that was taken up again: it is being answered already.
    if (this.#questions.has(question.id)) return;
    if (this.#questions.size >= maxQuestions) {
      this.#respond(question.id, { error: { code: -32600, message: 'Too many requests are open.' } });
      return;
    }
    const state = { isWithdrawn: false };
    this.#questions.set(question.id, state);
    const settle = (response: { result: JsonObject } | { error: RpcError }) => {
      this.#questions.delete(question.id);
      if (!state.isWithdrawn) this.#respond(question.id, response);
    };
    conversation.ask(question.method, question.params).then(
      (result) => settle({ result }),
      (error: unknown) => settle({ error: refusal(error) }),
    );
  }

  #send(body: string, limit: number): void {
    if (this.#untaken >= limit) {
      this.#options.log.warn(
        { untaken: this.#untaken },
        'the upstream does not take what it is sent; a message to it is dropped',
      );
      return;
    }
    this.#untaken++;
    const taken = () => {
      this.#untaken--;
    };
    this.link.send(body, this.headers).then(taken, taken);
  }

  // The id goes back as the bytes it came in.
  #respond(id: string, response: { readonly result: JsonObject } | { readonly error: RpcError }): void {
    const body =
      'result' in response
        ? `{"jsonrpc":"2.0","id":${id},"result":${JSON.stringify(response.result)}}`
        : `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(response.error)}}`;
    this.#send(body, maxUntakenAnswers);
  }
}

function refusal(error: unknown): RpcError {
  if (error instanceof RpcFailure) return error.error;
  if (error instanceof GatewayError && error.code !== 'internal') return { code: error.row.rpc, message: error.message };
  return { code: -32603, message: 'The client could not be asked.' };
}

function sessionHeaders(link: Link, version: string, sessionId: string | undefined): readonly string[] {
  if (link.headers.length === 0) return link.headers;
  const headers = [...link.headers, 'mcp-protocol-version', version];
  if (sessionId !== undefined) headers.push('mcp-session-id', sessionId);
  return headers;
}

function refusedOpening(subject: string, error: RpcError, status: number): OpeningRefused {
  return new OpeningRefused('upstream_failed', `${subject} refused to open a session: ${error.message.slice(0, 300)}`, {
    status,
    detail: `initialize was refused with code ${error.code}`,
  });
}
