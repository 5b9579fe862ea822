import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { type SseEvent, SseReader } from '../../wire/sse.ts';
import { blankOut } from '../blank-out.ts';
import { describeFailure, LinkError } from '../link-error.ts';
import { type HttpEndpoint, sendTimeoutMs } from './http.ts';
import { givenUp, HttpSend } from './http-send.ts';
import {
  closedBefore,
  emptyInbox,
  type Inbox,
  type InFlight,
  type Link,
  type OutgoingRequest,
  type RequestListener,
} from './link.ts';
import { PendingRequests } from './pending.ts';

const openTimeoutMs = 15_000;
const eventSlackBytes = 64 * 1024;

/** HTTP+SSE of 2024-11-05: one stream that everything comes in on, and an address from that stream to POST to. */
export class SseLink implements Link, Dispatcher.DispatchHandler {
  readonly transport = 'sse';
  readonly #endpoint: HttpEndpoint;
  readonly #pending: PendingRequests;
  readonly #reader: SseReader;
  readonly #settleOpening: (error: LinkError | undefined) => void;
  #inbox: Inbox = emptyInbox;
  #controller: Dispatcher.DispatchController | undefined;
  #postPath: string | undefined;
  #status = 0;
  #lastId = 0;
  #end: LinkError | undefined;

  private constructor(endpoint: HttpEndpoint, settle: (error: LinkError | undefined) => void) {
    this.#endpoint = endpoint;
    this.#settleOpening = settle;
    this.#reader = new SseReader(this, eventSlackBytes);
    this.#pending = new PendingRequests({
      inbox: () => this.#inbox,
      tooLarge: (limit) =>
        new LinkError('answer_too_large', `${endpoint.subject} sent more than the ${limit} bytes an answer may have.`),
      onStray: (details) => endpoint.log.warn(details, 'the upstream sent something that is not for us'),
    });
  }

  /** Opens the stream and waits for its `endpoint` event. Rejects with LinkError. */
  static open(endpoint: HttpEndpoint): Promise<SseLink> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const detail = `no event stream from ${endpoint.where}`;
        link.#close(new LinkError('upstream_timeout', `${endpoint.subject} did not open its event stream.`, { detail }));
      }, openTimeoutMs);
      const link = new SseLink(endpoint, (error) => {
        clearTimeout(timer);
        if (error === undefined) resolve(link);
        else reject(error);
      });
      endpoint.dispatch('GET', endpoint.streamHeaders, null, link);
    });
  }

  get headers(): readonly string[] {
    return this.#endpoint.headers;
  }

  get inbox(): Inbox {
    return this.#inbox;
  }
  set inbox(inbox: Inbox) {
    this.#inbox = inbox;
    if (this.#end !== undefined) inbox.closed(this.#end);
  }

  nextId(): number {
    return ++this.#lastId;
  }

  request(request: OutgoingRequest, listener: RequestListener): InFlight {
    // Some servers accept the POST of a request only with its answer: it has the call's deadline, not that of a message.
    const post = new HttpSend(this.#endpoint, (error) => {
      // The answer may be there already: then nobody waits any more and this changes nothing.
      if (error === undefined || !this.#pending.has(request.id)) return;
      sent.giveUp();
      listener.failed(error);
    });
    const sent = this.#pending.add(request, {
      received: (message, isReplayed) => listener.received(message, isReplayed),
      answered: (answer, status) => {
        post.expire(sendTimeoutMs);
        listener.answered(answer, status);
      },
      failed: (error) => {
        post.expire(sendTimeoutMs);
        listener.failed(error);
      },
    });
    // An event may be as large as the largest answer that anybody ever waited for; what is larger is no answer at all.
    this.#reader.limitBytes = Math.max(this.#reader.limitBytes, request.limitBytes + eventSlackBytes);
    if (this.#end !== undefined) {
      this.#pending.failAll(closedBefore(this.#endpoint.subject, this.#end));
      return sent;
    }
    this.#endpoint.dispatch('POST', request.headers, request.body, post, this.#postPath);
    return {
      giveUp: () => {
        sent.giveUp();
        post.expire(sendTimeoutMs);
      },
    };
  }

  send(body: string, headers: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const handler = new HttpSend(this.#endpoint, (error) => (error === undefined ? resolve() : reject(error)));
      handler.expire(sendTimeoutMs);
      this.#endpoint.dispatch('POST', headers, body, handler, this.#postPath);
    });
  }

  listen(): void {}
  readonly isListening = true;
  async endSession(): Promise<void> {}

  retire(): Promise<void> {
    return this.close();
  }

  async close(): Promise<void> {
    this.#close(new LinkError('upstream_unavailable', `${this.#endpoint.subject} was closed.`, { detail: 'it was closed' }));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#end !== undefined) controller.abort(givenUp);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#status = status;
    if (status === 200 && (headers['content-type'] ?? '').startsWith('text/event-stream')) return;
    const { subject, where } = this.#endpoint;
    const detail = `no event stream from ${where} (HTTP ${status})`;
    this.#close(new LinkError('upstream_failed', `${subject} has no event stream (HTTP ${status}).`, { status, detail }));
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#end !== undefined) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#close(
        new LinkError('answer_too_large', `${this.#endpoint.subject} sent an event that is too large; it is being opened again.`),
      );
    }
  }

  onResponseEnd(): void {
    this.#broken('it closed its event stream');
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { subject, where } = this.#endpoint;
    const detail = describeFailure(error, where);
    if (this.#status !== 0) {
      this.#broken(detail);
      return;
    }
    this.#close(
      new LinkError('upstream_unavailable', `${subject} cannot be reached (${detail}).`, {
        isUnsent: true,
        detail,
        cause: error,
      }),
    );
  }

  onEvent(event: SseEvent): void {
    if (event.type === 'endpoint') {
      if (this.#postPath === undefined) this.#takeEndpoint(event.data.toString('utf8'));
    } else if (event.type === 'message' && event.data.length > 0) {
      blankOut(event.data, this.#endpoint.secrets);
      this.#pending.take(event.data);
    }
  }

  // Another origin here would be sent every call and our credentials.
  #takeEndpoint(text: string): void {
    const path = this.#endpoint.ownPath(text);
    if (path === undefined) {
      const detail = 'it names another origin to send messages to';
      this.#close(new LinkError('upstream_failed', `${this.#endpoint.subject} is not used: ${detail}.`, { detail }));
      return;
    }
    this.#postPath = path;
    this.#settleOpening(undefined);
  }

  #broken(detail: string): void {
    const text = `${this.#endpoint.subject} broke off (${detail}). Whether the call was carried out is not known.`;
    this.#close(new LinkError('upstream_failed', text, { detail }));
  }

  #close(error: LinkError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#controller?.abort(givenUp);
    this.#settleOpening(error);
    this.#pending.failAll(error);
    this.#inbox.closed(error);
  }
}
