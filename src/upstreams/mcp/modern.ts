import { Bag } from '../../wire/bag.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { modernVersion } from '../../wire/mcp.ts';
import type { ErrorMessage, NotificationMessage, RequestMessage, ResultMessage } from '../../wire/message.ts';
import { encodeHeaderValue, type ParamHeader, paramHeaders, paramHeaderText } from '../../wire/param-headers.ts';
import type { BoundedLog } from '../bounded-log.ts';
import type { Answer, ToolDefinition, UpstreamCall } from '../upstream.ts';
import { askLink, type Dialect, type DialectEvents, listOf, promisesNews } from './dialect.ts';
import { modernHeaders, nameOf, ownMeta } from './envelope.ts';
import { emptyInbox, type Link } from './link.ts';
import { Listening } from './listen.ts';
import { ModernCall } from './modern-call.ts';
import { Principals } from './principals.ts';

const subscriptionKey = 'io.modelcontextprotocol/subscriptionId';
const maxKeptHeaders = 1_000;
const ownLimitBytes = 32 * 1024 * 1024;

interface ModernOptions {
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
  /** In flight; a call's id is its progress token too. */
  readonly calls = new Bag<ModernCall>();
  readonly #principals = new Principals();
  readonly #timeoutMs: number;
  readonly #events: DialectEvents;
  readonly #listening: Listening;
  readonly #headers = new Map<string, readonly string[]>();
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
      { ...params, _meta: { ...(isObject(params._meta) ? params._meta : {}), ...ownMeta(this.clientInfo) } },
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
    return this.#listening.isOpen && promisesNews(this.capabilities);
  }

  // A modern upstream has no sessions: each request carries what a session would have.
  notify(): void {}
  endSession(): void {}

  async close(): Promise<void> {
    this.#listening.close();
    this.link.inbox = emptyInbox;
    await this.link.close();
  }

  begin(call: ModernCall, principal: string): void {
    this.calls.add(call);
    this.#principals.add(principal);
  }

  /** Headers of a request; kept, since the same few tools are called again and again. */
  headersOf(method: string, name: string | undefined): readonly string[] {
    const key = name === undefined ? method : `${method}\n${name}`;
    let headers = this.#headers.get(key);
    if (headers === undefined) {
      headers = modernHeaders(this.link, method, name);
      if (this.#headers.size < maxKeptHeaders) this.#headers.set(key, headers);
    }
    return headers;
  }

  /** The same with the arguments that travel as `Mcp-Param-*`. */
  withParams(call: UpstreamCall, headers: readonly string[]): readonly string[] {
    if (call.tool === undefined || headers.length === 0) return headers;
    let known = this.#paramHeaders.get(call.tool);
    if (known === undefined) {
      const found = paramHeaders(call.tool.inputSchema);
      known = 'headers' in found ? found.headers : [];
      this.#paramHeaders.set(call.tool, known);
    }
    if (known.length === 0) return headers;
    const all = [...headers];
    for (const header of known) {
      const text = paramHeaderText(call.params.arguments, header);
      if (text !== undefined) all.push(header.name, encodeHeaderValue(text));
    }
    return all;
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
      this.calls.find(({ id }) => id === params.progressToken)?.received(message);
    } else {
      this.#onlyCall()?.received(message);
    }
  }

  // After a second principal it may be about a call that is over, of somebody else than whose call is in flight.
  #onlyCall(): ModernCall | undefined {
    if (this.calls.size !== 1 || this.#principals.isMixed) return undefined;
    return this.calls.find(() => true);
  }
}

function serverName(discover: JsonObject): string | undefined {
  const meta = discover._meta;
  const info = isObject(meta) ? meta['io.modelcontextprotocol/serverInfo'] : undefined;
  return nameOf(info) ?? nameOf(discover.serverInfo);
}
