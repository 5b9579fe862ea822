import type { Json, JsonObject } from '../../wire/json.ts';
import { isObject } from '../../wire/json.ts';
import { type NotificationMessage, notificationBytes, requestBytes } from '../../wire/message.ts';
import { Backoff } from './backoff.ts';
import { type DialectEvents, listOf } from './dialect.ts';
import { modernHeaders, ownMeta } from './envelope.ts';
import type { InFlight, Link } from './link.ts';

interface ListeningOptions {
  readonly link: Link;
  readonly clientInfo: JsonObject;
  readonly capabilities: JsonObject;
  readonly events: DialectEvents;
}

const noticeLimitBytes = 1024 * 1024;

/**
 * The `subscriptions/listen` stream of a modern upstream (basic/patterns/subscriptions). A changed set of URIs opens a new
 * stream before the old one ends, so that nothing falls between. A far end without it is asked again when its lists expire.
 */
export class Listening {
  readonly #options: ListeningOptions;
  readonly #backoff = new Backoff(1_000, 60_000);
  #uris: ReadonlySet<string> = new Set();
  #current: { readonly id: number; readonly sent: InFlight } | undefined;
  #previous: { readonly id: number; readonly sent: InFlight } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isAcknowledged = false;
  #isSupported = true;
  #isClosed = false;
  #isDue = false;

  constructor(options: ListeningOptions) {
    this.#options = options;
  }

  /** The far end has promised to say when something changes. */
  get isOpen(): boolean {
    return this.#isAcknowledged;
  }

  watch(uris: ReadonlySet<string>): void {
    this.#uris = new Set(uris);
    this.#isSupported = true;
    if (this.#isDue || this.#isClosed) return;
    this.#isDue = true;
    // Subscriptions come in bursts: one stream for all that came in this turn.
    setImmediate(() => {
      this.#isDue = false;
      this.open();
    });
  }

  open(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const notifications = this.#wanted();
    if (this.#isClosed || !this.#isSupported) return;
    if (Object.keys(notifications).length === 0) {
      this.#end(this.#take());
      return;
    }
    const { link, clientInfo } = this.#options;
    const id = link.nextId();
    this.#end(this.#previous);
    this.#previous = this.#current;
    this.#isAcknowledged = false;
    const request = {
      id,
      body: requestBytes(id, 'subscriptions/listen', { notifications, _meta: ownMeta(clientInfo) }),
      headers: modernHeaders(link, 'subscriptions/listen'),
      limitBytes: noticeLimitBytes,
      isResumable: false,
    };
    const sent = link.request(request, {
      received: (message) => message.kind === 'notification' && this.received(message, id),
      answered: (answer) => this.#ended(id, answer.kind === 'error'),
      failed: (error) => this.#ended(id, error.status !== undefined && error.status >= 400 && error.status < 500),
    });
    // A link that fails at once has already called `failed`.
    if (!this.#isClosed && this.#timer === undefined) this.#current = { id, sent };
  }

  received(message: NotificationMessage, subscription: Json | undefined): void {
    const { method, params } = message;
    if (this.#isClosed || (subscription !== this.#current?.id && subscription !== this.#previous?.id)) return;
    if (method === 'notifications/subscriptions/acknowledged') {
      this.#isAcknowledged = true;
      this.#backoff.reset();
      this.#end(this.#previous);
      this.#previous = undefined;
      return;
    }
    const list = listOf[method];
    if (list !== undefined) this.#options.events.listChanged(list);
    else if (method === 'notifications/resources/updated' && typeof params.uri === 'string') {
      this.#options.events.resourceUpdated(params.uri);
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#end(this.#previous);
    this.#end(this.#take());
  }

  #wanted(): JsonObject {
    const { tools, prompts, resources } = this.#options.capabilities;
    const notifications: JsonObject = {};
    if (isObject(tools) && tools.listChanged === true) notifications.toolsListChanged = true;
    if (isObject(prompts) && prompts.listChanged === true) notifications.promptsListChanged = true;
    if (isObject(resources) && resources.listChanged === true) notifications.resourcesListChanged = true;
    if (this.#uris.size > 0) notifications.resourceSubscriptions = [...this.#uris];
    return notifications;
  }

  #ended(id: number, isRefused: boolean): void {
    if (this.#previous?.id === id) this.#previous = undefined;
    if (this.#current !== undefined && this.#current.id !== id) return;
    const wasAcknowledged = this.#isAcknowledged;
    this.#current = undefined;
    this.#isAcknowledged = false;
    if (isRefused && !wasAcknowledged) this.#isSupported = false;
    if (this.#isClosed || !this.#isSupported) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.open();
      // Whatever changed while nobody listened was not heard.
      if (wasAcknowledged) for (const list of ['tools', 'prompts', 'resources'] as const) this.#options.events.listChanged(list);
    }, this.#backoff.next()).unref();
  }

  #take(): { readonly id: number; readonly sent: InFlight } | undefined {
    const current = this.#current;
    this.#current = undefined;
    return current;
  }

  #end(stream: { readonly id: number; readonly sent: InFlight } | undefined): void {
    if (stream === undefined) return;
    const { link } = this.#options;
    if (link.transport !== 'http') {
      const body = notificationBytes('notifications/cancelled', { requestId: stream.id, reason: 'no longer wanted' });
      link.send(body, link.headers).catch(() => {});
    }
    stream.sent.giveUp();
  }
}
