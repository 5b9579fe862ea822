import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { GatewayError } from '../../errors.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { Pieces } from '../../wire/pieces.ts';
import { describeFailure, LinkError } from '../link-error.ts';

/** One request to a provider. */
interface ProviderPost {
  readonly pool: Dispatcher;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** `The target primary of models/fast`: how sentences begin. */
  readonly subject: string;
  /** `api.example.com:443`. */
  readonly where: string;
  /** Of an answer that is read as a whole. */
  readonly limitBytes: number;
  /** Longest wait for the first byte of the answer's body; undefined: as long as the call may take. */
  readonly firstByteMs: number | undefined;
  readonly cancel: Cancel;
}

export interface ProviderHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** A whole answer; without a body where a sink took it. */
export interface ProviderAnswer extends ProviderHead {
  readonly body: Buffer;
}

/** Takes an answer as it comes. Whatever it throws ends the exchange, and is what that rejects with. */
export interface BodySink {
  /** A promise: nothing more comes until it has resolved. */
  data(chunk: Buffer): Promise<void> | undefined;
  end(): Promise<void> | undefined;
  /** What comes last has come: how the connection ends makes no difference any more. */
  readonly isComplete?: boolean;
}

/**
 * Sends one request, and reads its answer as a whole or into the sink that its head is given. Follows nothing. Rejects with LinkError
 * where there is no answer or where it breaks off, with `upstream_timeout` where none begins in time, and with `cancelled`.
 */
export function post(request: ProviderPost, sinkFor: (head: ProviderHead) => BodySink | undefined): Promise<ProviderAnswer> {
  return new Promise((resolve, reject) => {
    const exchange = new Exchange(request, sinkFor, resolve, reject);
    exchange.takeBack = request.cancel.onCancel((reason) => exchange.fail(new GatewayError('cancelled', reason)));
    if (exchange.isDone) return;
    const { pool, path, headers, body } = request;
    pool.dispatch({ method: 'POST', path, body, headers: headers as string[] }, exchange);
  });
}

const givenUp = new Error('given up');
/** Of an answer that says why there is none. */
const refusalLimitBytes = 256 * 1024;

class Exchange implements Dispatcher.DispatchHandler {
  isDone = false;
  takeBack: (() => void) | undefined;
  readonly #request: ProviderPost;
  readonly #sinkFor: (head: ProviderHead) => BodySink | undefined;
  readonly #resolve: (answer: ProviderAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #body = new Pieces();
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #sink: BodySink | undefined;
  #head: ProviderHead = { status: 0, headers: {} };
  #wasSent = false;
  #writing: Promise<void> | undefined;

  constructor(
    request: ProviderPost,
    sinkFor: (head: ProviderHead) => BodySink | undefined,
    resolve: (answer: ProviderAnswer) => void,
    reject: (error: unknown) => void,
  ) {
    this.#request = request;
    this.#sinkFor = sinkFor;
    this.#resolve = resolve;
    this.#reject = reject;
    if (request.firstByteMs !== undefined) this.#timer = setTimeout(tooLate, request.firstByteMs, this);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.isDone) controller.abort(givenUp);
    else this.#wasSent = true;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.isDone) return;
    this.#head = { status, headers };
    try {
      this.#sink = this.#sinkFor(this.#head);
    } catch (error) {
      this.fail(error);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.isDone) return;
    this.#began();
    if (this.#sink === undefined) this.#gather(chunk);
    else this.#run(this.#sink, chunk);
  }

  onResponseEnd(): void {
    if (this.isDone) return;
    const sink = this.#sink;
    if (sink === undefined) this.#succeed();
    else if (this.#writing === undefined) this.#end(sink);
    else this.#writing.then(() => this.#end(sink), ignore);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.isDone) return;
    if (this.#sink?.isComplete === true) this.onResponseEnd();
    else if (error instanceof LinkError) this.fail(error);
    else this.fail(this.#wasSent ? this.#brokeOff(error) : this.#unreachable(error));
  }

  tooLate(): void {
    const { subject, firstByteMs = 0 } = this.#request;
    this.fail(new GatewayError('upstream_timeout', `${subject} did not begin to answer within ${firstByteMs / 1000} s.`));
  }

  fail(error: unknown): void {
    if (this.isDone) return;
    this.#finish();
    this.#controller?.abort(givenUp);
    this.#reject(error);
  }

  #end(sink: BodySink): void {
    if (this.isDone) return;
    this.#run(sink, undefined);
    if (this.#writing === undefined) this.#succeed();
    else this.#writing.then(() => this.#succeed(), ignore);
  }

  /** While the client takes nothing, nothing is taken from the provider. */
  #run(sink: BodySink, chunk: Buffer | undefined): void {
    let writing: Promise<void> | undefined;
    try {
      writing = chunk === undefined ? sink.end() : sink.data(chunk);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (writing === undefined) return;
    this.#controller?.pause();
    this.#writing = writing.then(
      () => {
        this.#writing = undefined;
        this.#controller?.resume();
      },
      (error: unknown) => {
        this.fail(error);
        throw error;
      },
    );
    this.#writing.catch(ignore);
  }

  #gather(chunk: Buffer): void {
    const { limitBytes, subject } = this.#request;
    if (this.#head.status >= 400) {
      // More of it helps nobody.
      if (this.#body.length < refusalLimitBytes) this.#body.push(chunk);
      return;
    }
    if (this.#body.length + chunk.length <= limitBytes) this.#body.push(chunk);
    else this.fail(new LinkError('answer_too_large', `${subject} sent more than the ${limitBytes} bytes an answer may have.`));
  }

  #began(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #succeed(): void {
    if (this.isDone) return;
    this.#finish();
    this.#resolve({ ...this.#head, body: this.#body.take() });
  }

  #brokeOff(error: Error): LinkError {
    const { subject, where } = this.#request;
    const detail = describeFailure(error, where);
    return new LinkError('upstream_failed', `${subject} broke off before its answer was complete (${detail}).`, {
      detail,
      cause: error,
    });
  }

  #unreachable(error: Error): LinkError {
    const { subject, where } = this.#request;
    const detail = describeFailure(error, where);
    return new LinkError('upstream_unavailable', `${subject} cannot be reached (${detail}).`, {
      isUnsent: true,
      detail,
      cause: error,
    });
  }

  #finish(): void {
    this.isDone = true;
    this.#began();
    this.takeBack?.();
  }
}

function tooLate(exchange: Exchange): void {
  exchange.tooLate();
}

// Whoever waits was told by `fail`.
function ignore(): void {}
