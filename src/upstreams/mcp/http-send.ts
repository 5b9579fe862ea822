import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { describeFailure, LinkError } from '../link-error.ts';
import type { HttpEndpoint } from './http.ts';

type Controller = Dispatcher.DispatchController;

const readLimitBytes = 65_536;

/** One POST that is not answered (a notification, a response to the far end) or a DELETE. */
export class HttpSend implements Dispatcher.DispatchHandler {
  readonly #endpoint: HttpEndpoint;
  readonly #done: (error: LinkError | undefined) => void;
  #controller: Controller | undefined;
  #status = 0;
  #bytes = 0;
  #isDone = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(endpoint: HttpEndpoint, done: (error: LinkError | undefined) => void) {
    this.#endpoint = endpoint;
    this.#done = done;
  }

  /** Gives up after this time, also while it waits for a connection. */
  expire(afterMs: number): void {
    if (this.#isDone) return;
    this.#timer = setTimeout(() => {
      const { subject, where } = this.#endpoint;
      const detail = `no answer from ${where} within ${afterMs / 1000} s`;
      this.#finish(new LinkError('upstream_timeout', `${subject} did not accept a message in time.`, { detail }));
      this.#controller?.abort(givenUp);
    }, afterMs).unref();
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#isDone) controller.abort(givenUp);
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#status = status;
    // Some servers open a stream even for a notification; nothing on it is for us.
    if ((headers['content-type'] ?? '').startsWith('text/event-stream')) controller.abort(givenUp);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > readLimitBytes) controller.abort(givenUp);
  }

  onResponseEnd(): void {
    this.#settle();
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (error === givenUp) this.#settle();
    else this.#finish(error instanceof LinkError ? error : unreachable(this.#endpoint, error));
  }

  #settle(): void {
    const status = this.#status;
    if (status < 300) {
      this.#finish(undefined);
      return;
    }
    const { subject, where } = this.#endpoint;
    this.#finish(
      new LinkError('upstream_failed', `${subject} did not accept a message (HTTP ${status}).`, {
        status,
        detail: `HTTP ${status} from ${where}`,
      }),
    );
  }

  #finish(error: LinkError | undefined): void {
    if (this.#isDone) return;
    this.#isDone = true;
    clearTimeout(this.#timer);
    this.#done(error);
  }
}

/** Why a request of ours ends without anything being wrong. */
export const givenUp = new Error('given up');

/** The request never left: nobody at the other end was reached. */
export function unreachable(endpoint: HttpEndpoint, error: unknown): LinkError {
  const detail = describeFailure(error, endpoint.where);
  return new LinkError('upstream_unavailable', `${endpoint.subject} cannot be reached (${detail}).`, {
    isUnsent: true,
    detail,
    cause: error,
  });
}

/** The headers of a POST, for a GET of an event stream. */
export function withoutContentType(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (name === 'content-type') continue;
    kept.push(name, name === 'accept' ? 'text/event-stream' : (headers[at + 1] ?? ''));
  }
  return kept;
}
