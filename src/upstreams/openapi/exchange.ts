import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { GatewayError } from '../../errors.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { Pieces } from '../../wire/pieces.ts';
import { describeFailure, LinkError } from '../link-error.ts';
import type { ApiRequest } from './compile-request.ts';

/** What an API answered, whatever it says. */
export interface ApiResponse {
  readonly status: number;
  /** By lower-case name, one value each. */
  readonly headers: AnswerHeaders;
  readonly body: Buffer;
}

type AnswerHeaders = Readonly<Record<string, string | undefined>>;

export interface Sending {
  readonly pool: Dispatcher;
  /** `The upstream support/pets`: how sentences begin. */
  readonly subject: string;
  /** `api.example.com:443`. */
  readonly where: string;
  readonly limitBytes: number;
  readonly cancel: Cancel;
}

/**
 * Sends one request and reads its answer; follows nothing. Rejects with LinkError where there is no answer, and with GatewayError
 * `cancelled`.
 */
export function exchange(request: ApiRequest, headers: readonly string[], sending: Sending): Promise<ApiResponse> {
  return new Promise((resolve, reject) => {
    const handler = new Exchange(sending, resolve, reject);
    handler.takeBack = sending.cancel.onCancel((reason) => handler.giveUp(reason));
    if (handler.isDone) return;
    const { method, path, body } = request;
    sending.pool.dispatch({ method: method as Dispatcher.HttpMethod, path, body, headers: headers as string[] }, handler);
  });
}

const givenUp = new Error('given up');

class Exchange implements Dispatcher.DispatchHandler {
  isDone = false;
  takeBack: (() => void) | undefined;
  readonly #sending: Sending;
  readonly #resolve: (response: ApiResponse) => void;
  readonly #reject: (error: GatewayError) => void;
  readonly #body = new Pieces();
  #controller: Dispatcher.DispatchController | undefined;
  #wasSent = false;
  #status = 0;
  #headers: AnswerHeaders = {};

  constructor(sending: Sending, resolve: (response: ApiResponse) => void, reject: (error: GatewayError) => void) {
    this.#sending = sending;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  giveUp(reason: string): void {
    this.#fail(new GatewayError('cancelled', reason));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.isDone) controller.abort(givenUp);
    else this.#wasSent = true;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.isDone) return;
    this.#status = status;
    this.#headers = withOneEach(headers);
    if (Number(this.#headers['content-length']) > this.#sending.limitBytes) this.#failTooLarge();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.isDone) return;
    if (this.#body.length + chunk.length > this.#sending.limitBytes) this.#failTooLarge();
    else this.#body.push(chunk);
  }

  onResponseEnd(): void {
    if (this.isDone) return;
    this.#finish();
    this.#resolve({ status: this.#status, headers: this.#headers, body: this.#body.take() });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.isDone) return;
    const { subject, where } = this.#sending;
    if (error instanceof LinkError) this.#fail(error);
    else if (this.#wasSent) {
      const detail = describeFailure(error, where);
      const text = `${subject} broke off before the answer came (${detail}). Whether the call was carried out is not known.`;
      this.#fail(new LinkError('upstream_failed', text, { status: this.#status, detail, cause: error }));
    } else {
      const detail = describeFailure(error, where);
      const text = `${subject} cannot be reached (${detail}).`;
      this.#fail(new LinkError('upstream_unavailable', text, { isUnsent: true, detail, cause: error }));
    }
  }

  #failTooLarge(): void {
    const { subject, limitBytes } = this.#sending;
    const text = `${subject} sent more than the ${limitBytes} bytes an answer may have. Ask for less, for example a page of it.`;
    this.#fail(new LinkError('answer_too_large', text, { status: this.#status }));
  }

  #fail(error: GatewayError): void {
    if (this.isDone) return;
    this.#finish();
    this.#controller?.abort(givenUp);
    this.#reject(error);
  }

  #finish(): void {
    this.isDone = true;
    this.takeBack?.();
  }
}

/** Headers that are lists, so that several of one name are one list (RFC 9110 section 5.3). */
const lists: ReadonlySet<string> = new Set(['link', 'www-authenticate']);

/** Of any other name that stands there twice, the first counts. */
function withOneEach(headers: IncomingHttpHeaders): AnswerHeaders {
  const single = Object.entries(headers).map(([name, value]) => {
    if (!Array.isArray(value)) return [name, value] as const;
    return [name, lists.has(name) ? value.join(', ') : value[0]] as const;
  });
  return Object.fromEntries(single);
}
