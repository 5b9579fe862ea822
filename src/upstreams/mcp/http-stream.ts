import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { readMessage } from '../../wire/message.ts';
import { type SseEvent, SseReader } from '../../wire/sse.ts';
import { blankOut } from '../blank-out.ts';
import { Backoff } from './backoff.ts';
import type { HttpEndpoint } from './http.ts';
import { givenUp, withoutContentType } from './http-send.ts';
import type { Inbox } from './link.ts';

const eventLimitBytes = 4 * 1024 * 1024;

/** The GET stream of a legacy session: what the server says on its own account. Optional: a server may answer 405. */
export class HttpStream implements Dispatcher.DispatchHandler {
  readonly #endpoint: HttpEndpoint;
  readonly #headers: readonly string[];
  readonly #inbox: () => Inbox;
  readonly #authorize: (() => Promise<readonly string[]>) | undefined;
  readonly #backoff = new Backoff(1_000, 60_000);
  #controller: Dispatcher.DispatchController | undefined;
  #reader: SseReader | undefined;
  #lastEventId: string | undefined;
  #retryMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #wasOpen = false;
  #isClosed = false;

  constructor(
    endpoint: HttpEndpoint,
    headers: readonly string[],
    inbox: () => Inbox,
    authorize?: () => Promise<readonly string[]>,
  ) {
    this.#endpoint = endpoint;
    this.#headers = withoutContentType(headers);
    this.#inbox = inbox;
    this.#authorize = authorize;
  }

  /** The far end holds it open. */
  get isOpen(): boolean {
    return this.#reader !== undefined;
  }

  open(): void {
    const id = this.#lastEventId;
    const headers = id === undefined ? this.#headers : [...this.#headers, 'last-event-id', id];
    if (this.#authorize === undefined) {
      this.#endpoint.dispatch('GET', headers, null, this);
      return;
    }
    this.#authorize().then(
      (more) => this.#isClosed || this.#endpoint.dispatch('GET', [...headers, ...more], null, this),
      () => this.#again(),
    );
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#controller?.abort(givenUp);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isClosed) controller.abort(givenUp);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    if (status === 200 && (headers['content-type'] ?? '').startsWith('text/event-stream')) {
      this.#wasOpen = true;
      this.#backoff.reset();
      this.#reader = new SseReader(this, eventLimitBytes);
      return;
    }
    // 405: it has none, which is allowed. Other refusals of a GET mean the same in practice, but for a lost session.
    // With credentials that run out it is asked again with the next ones.
    const mayPass = status === 429 || (status === 401 && this.#authorize !== undefined);
    if (status < 500 && !mayPass) this.#isClosed = true;
    if (status === 404 && this.#wasOpen) this.#inbox().sessionLost();
    controller.abort(givenUp);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    try {
      this.#reader?.push(chunk);
    } catch (error) {
      this.#endpoint.log.warn({ reason: (error as Error).message }, 'the event stream was cut');
      controller.abort(givenUp);
    }
  }

  onResponseEnd(): void {
    this.#again();
  }

  onResponseError(): void {
    this.#again();
  }

  onEvent(event: SseEvent): void {
    if (event.id !== undefined) this.#lastEventId = event.id;
    if (this.#isClosed || event.data.length === 0) return;
    blankOut(event.data, this.#endpoint.secrets);
    try {
      const message = readMessage(event.data);
      // Answers belong onto the stream of their request (streamable HTTP, "Listening for Messages").
      if (message.kind === 'request' || message.kind === 'notification') this.#inbox().received(message);
    } catch (error) {
      this.#endpoint.log.warn({ reason: (error as Error).message }, 'the event stream held something that is not a message');
    }
  }

  onRetry(retryMs: number): void {
    this.#retryMs = Math.min(retryMs, 60_000);
  }

  #again(): void {
    this.#reader = undefined;
    this.#controller = undefined;
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => this.open(), Math.max(this.#retryMs, this.#backoff.next())).unref();
  }
}
