import type { Dispatcher } from 'undici';
import { GatewayError } from '../../errors.ts';
import { Bag } from '../../wire/bag.ts';
import type { BoundedLog } from '../bounded-log.ts';
import type { EgressGuard } from '../egress.ts';
import { hopHeader } from '../hop.ts';
import { LinkError } from '../link-error.ts';
import { openPool } from '../origin-pool.ts';
import { HttpExchange } from './http-exchange.ts';
import { HttpSend } from './http-send.ts';
import { HttpStream } from './http-stream.ts';
import { emptyInbox, type Inbox, type InFlight, type Link, type OutgoingRequest, type RequestListener } from './link.ts';

interface HttpTarget {
  readonly url: URL;
  /** From the namespace file, secrets filled in. */
  readonly headers: Readonly<Record<string, string>>;
  /** Byte strings that no answer may carry back. */
  readonly secrets: readonly Buffer[];
  /** Requests carry credentials that are not among the headers. */
  readonly isAuthorized: boolean;
  /** `The upstream support/crm`: how sentences begin. */
  readonly subject: string;
  readonly userAgent: string;
  /** Told to the far end, so that a gateway that is asked by itself notices. */
  readonly hop: string | undefined;
  readonly egress: Pick<EgressGuard, 'dispatcherFor' | 'connect'>;
  /** Every address is checked as it is connected to. */
  readonly isGuarded: boolean;
  readonly log: BoundedLog;
  /** Calls at the same time; those that wait for a client's answer come on top. */
  readonly concurrency: number;
}

/** How long the far end may take to accept a notification or a response. */
export const sendTimeoutMs = 15_000;
// A session's end is a courtesy: closing must not wait for a far end that hangs.
const goodbyeMs = 1_000;
const lingerMs = 10_000;
const maxRedirects = 3;
// These are ours to say; a namespace file that sets them would break the protocol or the framing.
const ownHeaders =
  /^(accept|accept-encoding|content-type|content-length|connection|host|transfer-encoding|upgrade|te|expect|keep-alive|last-event-id|mcp-.*|x-gatehouse-hop)$/i;

/** One MCP address and the connections to it, shared by all sessions of one upstream. */
export class HttpEndpoint {
  readonly subject: string;
  readonly log: BoundedLog;
  /** `crm.example.com:443`. */
  readonly where: string;
  readonly path: string;
  readonly headers: readonly string[];
  /** The same for a GET. */
  readonly streamHeaders: readonly string[];
  readonly secrets: readonly Buffer[];
  readonly #origin: string;
  readonly #hasCredentials: boolean;
  readonly #egress: Pick<EgressGuard, 'dispatcherFor'>;
  readonly #pool: Dispatcher;
  // Answered, but the far end has not ended the stream: each holds a connection.
  readonly #lingering = new Bag<HttpExchange>();
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(target: HttpTarget) {
    const { url } = target;
    this.subject = target.subject;
    this.log = target.log;
    this.where = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
    this.path = `${url.pathname}${url.search}`;
    const configured = configuredHeaders(target);
    this.#hasCredentials = configured.length > 0 || target.isAuthorized;
    this.secrets = target.secrets;
    const hop = target.hop === undefined ? [] : [hopHeader, target.hop];
    const common = ['user-agent', target.userAgent, ...hop, ...configured];
    this.headers = ['content-type', 'application/json', 'accept', 'application/json, text/event-stream', ...common];
    this.streamHeaders = ['accept', 'text/event-stream', ...common];
    this.#origin = url.origin;
    this.#egress = target.egress;
    this.#pool = openPool(target);
  }

  dispatch(
    method: 'POST' | 'GET' | 'DELETE',
    headers: readonly string[],
    body: string | null,
    handler: Dispatcher.DispatchHandler,
    path = this.path,
  ): void {
    this.#pool.dispatch({ path, method, headers: headers as string[], body }, handler);
  }

  /** The path of an address that this far end named, if it is of the same origin. */
  ownPath(text: string): string | undefined {
    const url = parseUrl(text, `${this.#origin}${this.path}`);
    return url?.origin === this.#origin ? `${url.pathname}${url.search}` : undefined;
  }

  /** Sends a redirected request again. Returns why it must not go there. */
  async follow(
    location: string,
    hops: number,
    request: { headers: readonly string[]; body: string },
    handler: Dispatcher.DispatchHandler,
  ): Promise<string | undefined> {
    if (hops > maxRedirects) return `it redirects more than ${maxRedirects} times`;
    const url = parseUrl(location, `${this.#origin}${this.path}`);
    if (url === undefined) return 'it redirects to something that is not an address';
    const path = `${url.pathname}${url.search}`;
    const options = { path, method: 'POST' as const, headers: request.headers as string[], body: request.body };
    if (url.origin === this.#origin) {
      this.#pool.dispatch(options, handler);
      return undefined;
    }
    const elsewhere = 'it redirects to another origin; give that address if it is right';
    if (this.#hasCredentials || url.username !== '' || url.password !== '') return elsewhere;
    const dispatcher = await this.#egress.dispatcherFor(url);
    if (dispatcher === undefined) return elsewhere;
    dispatcher.dispatch({ ...options, origin: url.origin }, handler);
    return undefined;
  }

  /** Keeps count of answered streams that stay open, and cuts them after a while. */
  linger(exchange: HttpExchange): void {
    this.#lingering.add(exchange);
    this.#lingerTimer ??= setInterval(() => this.#cutLingering(), lingerMs).unref();
  }

  ended(exchange: HttpExchange): void {
    this.#lingering.delete(exchange);
  }

  #cutLingering(): void {
    for (const exchange of this.#lingering) exchange.cutIfOld();
    if (this.#lingering.size > 0) return;
    clearInterval(this.#lingerTimer);
    this.#lingerTimer = undefined;
  }

  async close(): Promise<void> {
    clearInterval(this.#lingerTimer);
    this.#lingerTimer = undefined;
    await this.#pool.destroy(new LinkError('upstream_unavailable', `${this.subject} was closed.`));
  }
}

/** One session's way through an endpoint. */
export class HttpLink implements Link {
  readonly transport = 'http';
  readonly endpoint: HttpEndpoint;
  inbox: Inbox = emptyInbox;
  readonly #inFlight = new Bag<HttpExchange>();
  #stream: HttpStream | undefined;
  #lastId = 0;
  #isClosed = false;

  constructor(endpoint: HttpEndpoint) {
    this.endpoint = endpoint;
  }

  get headers(): readonly string[] {
    return this.endpoint.headers;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  request(request: OutgoingRequest, listener: RequestListener): InFlight {
    const exchange = new HttpExchange(this.endpoint, request, listener, this.#inFlight);
    this.#inFlight.add(exchange);
    if (this.#isClosed)
      exchange.fail(new LinkError('upstream_unavailable', `${this.endpoint.subject} is closed.`, { isUnsent: true }));
    else exchange.start();
    return exchange;
  }

  send(body: string, headers: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const handler = new HttpSend(this.endpoint, (error) => {
        if (error === undefined) return resolve();
        if (error.status === 404) this.inbox.sessionLost();
        reject(error);
      });
      handler.expire(sendTimeoutMs);
      this.endpoint.dispatch('POST', headers, body, handler);
    });
  }

  /** `authorize` gives what is added to the headers each time the stream is opened. */
  listen(headers: readonly string[], authorize?: () => Promise<readonly string[]>): void {
    if (this.#isClosed || this.#stream !== undefined) return;
    this.#stream = new HttpStream(this.endpoint, headers, () => this.inbox, authorize);
    this.#stream.open();
  }

  get isListening(): boolean {
    return this.#stream?.isOpen === true;
  }

  async endSession(headers: readonly string[]): Promise<void> {
    await new Promise<void>((resolve) => {
      const handler = new HttpSend(this.endpoint, () => resolve());
      handler.expire(goodbyeMs);
      this.endpoint.dispatch('DELETE', headers, null, handler);
    });
  }

  async retire(): Promise<void> {
    this.#isClosed = true;
    this.#stream?.close();
  }

  async close(): Promise<void> {
    await this.retire();
    for (const exchange of this.#inFlight) {
      exchange.fail(new LinkError('upstream_unavailable', `${this.endpoint.subject} was closed.`));
    }
  }
}

function configuredHeaders({ url, headers, subject, log }: HttpTarget): string[] {
  const list: string[] = [];
  if (url.username !== '' || url.password !== '') {
    const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    list.push('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
  }
  for (const [name, value] of Object.entries(headers)) {
    if (ownHeaders.test(name))
      log.warn({ header: name }, `${subject} sets a header that belongs to the protocol; it is left out`);
    else if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw new GatewayError(
        'bad_configuration',
        `${subject} sets the header ${JSON.stringify(name)}, which cannot be sent as it is.`,
      );
    } else list.push(name, value);
  }
  return list;
}

function parseUrl(text: string, base: string): URL | undefined {
  const url = URL.parse(text, base);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : undefined;
}
