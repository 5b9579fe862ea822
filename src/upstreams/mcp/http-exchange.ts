import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Bag } from '../../wire/bag.ts';
import { type ErrorMessage, type Message, MessageError, type ResultMessage, readMessage } from '../../wire/message.ts';
import { Pieces } from '../../wire/pieces.ts';
import { type SseEvent, SseReader } from '../../wire/sse.ts';
import { blankInTurns, blankOut } from '../blank-out.ts';
import { describeFailure, LinkError } from '../link-error.ts';
import { readRetryAfter } from '../retry-after.ts';
import type { HttpEndpoint } from './http.ts';
import { givenUp, unreachable, withoutContentType } from './http-send.ts';
import type { InFlight, OutgoingRequest, RequestListener } from './link.ts';

type Controller = Dispatcher.DispatchController;

const refusalLimitBytes = 65_536;
const resumeLimit = 5;
/** To look for secrets in less takes a millisecond or two, whatever it is. */
const largeBytes = 128 * 1024;
const resumeDefaultMs = 1_000;
const resumeMaxMs = 60_000;
// The same words whatever is there, so that a redirect cannot be used to look around.
const unusable = 'the address it redirects to cannot be used';

/** One POST and its answer: JSON or an event stream, kept as bytes. This is the hot path; nothing here waits or wraps. */
export class HttpExchange implements Dispatcher.DispatchHandler, InFlight {
  place = -1;
  readonly #endpoint: HttpEndpoint;
  readonly #request: OutgoingRequest;
  readonly #listener: RequestListener;
  readonly #open: Bag<HttpExchange>;
  readonly #id: string;
  #controller: Controller | undefined;
  #isDone = false;
  #wasSent = false;
  #status = 0;
  #kind: 'json' | 'events' | 'refusal' | 'redirect' | 'ignored' = 'ignored';
  #retryAfterMs: number | undefined;
  #challenge: string | undefined;
  #body = new Pieces();
  #bytes = 0;
  #reader: SseReader | undefined;
  #location = '';
  #hops = 0;
  #lastEventId: string | undefined;
  #retryMs = resumeDefaultMs;
  #resumes = 0;
  #isResume = false;
  #resumeTimer: NodeJS.Timeout | undefined;
  #isOld = false;

  constructor(endpoint: HttpEndpoint, request: OutgoingRequest, listener: RequestListener, open: Bag<HttpExchange>) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.#listener = listener;
    this.#open = open;
    this.#id = String(request.id);
  }

  start(): void {
    this.#endpoint.dispatch('POST', this.#request.headers, this.#request.body, this);
  }

  giveUp(): void {
    if (this.#finish()) this.#abort();
  }

  fail(error: LinkError): void {
    if (!this.#finish()) return;
    this.#abort();
    this.#listener.failed(error);
  }

  /** Called between sweeps: the first one marks, the second one cuts. */
  cutIfOld(): void {
    if (this.#isOld) this.#abort();
    this.#isOld = true;
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#isDone) controller.abort(givenUp);
    else this.#wasSent = true;
  }

  onResponseStart(_controller: Controller, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#isDone) return;
    this.#status = status;
    if (this.#body.length > 0) this.#body = new Pieces();
    this.#bytes = 0;
    this.#kind = this.#expect(status, headers);
    if (!this.#isResume && this.#kind !== 'redirect') {
      this.#listener.opened?.(status, readSessionId(headers['mcp-session-id']));
    }
    if (this.#kind === 'json' && Number(headers['content-length']) > this.#request.limitBytes) this.#failTooLarge();
  }

  #expect(status: number, headers: IncomingHttpHeaders): 'json' | 'events' | 'refusal' | 'redirect' | 'ignored' {
    const encoding = headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      this.#failBroken(`compressed its answer (${encoding.slice(0, 20)}), which was not asked for`);
      return 'ignored';
    }
    if (status >= 400) {
      this.#retryAfterMs = readRetryAfter(headers['retry-after']);
      this.#challenge = readText(headers['www-authenticate']);
      return 'refusal';
    }
    if (status >= 300) {
      this.#location = headers.location ?? '';
      return 'redirect';
    }
    const type = (headers['content-type'] ?? '').toLowerCase();
    if (type.startsWith('application/json')) return 'json';
    if (type.startsWith('text/event-stream')) {
      this.#reader = new SseReader(this, this.#request.limitBytes);
      return 'events';
    }
    if (status === 202 || status === 204) this.#failBroken(`accepted the request without an answer (HTTP ${status})`);
    else this.#failBroken('answered with something that is neither JSON nor an event stream');
    return 'ignored';
  }

  onResponseData(_controller: Controller, chunk: Buffer): void {
    if (this.#kind === 'events') {
      // An answered stream is read to its end, so that the connection can be used again; what it still says is of no interest.
      if (this.#isDone) {
        this.#bytes += chunk.length;
        if (this.#bytes > refusalLimitBytes) this.#abort();
        return;
      }
      try {
        this.#reader?.push(chunk);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#failTooLarge();
      }
      return;
    }
    if (this.#isDone || this.#kind === 'ignored' || this.#kind === 'redirect') return;
    this.#bytes += chunk.length;
    if (this.#kind === 'refusal' && this.#bytes > refusalLimitBytes) return;
    if (this.#bytes > this.#request.limitBytes) this.#failTooLarge();
    else this.#body.push(chunk);
  }

  onResponseEnd(): void {
    this.#endpoint.ended(this);
    if (this.#isDone) return;
    if (this.#kind === 'json') this.#takeWhole(this.#body.take());
    else if (this.#kind === 'refusal') this.#takeRefusal();
    else if (this.#kind === 'redirect') this.#redirect();
    else if (this.#kind === 'events') this.#streamEnded(undefined);
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#endpoint.ended(this);
    if (this.#isDone) return;
    if (error instanceof LinkError) this.fail(error);
    else if (this.#kind === 'events' || this.#isResume) this.#streamEnded(error);
    else if (this.#wasSent) this.#failBroken(`broke off before the answer came (${this.#describe(error)})`, error);
    else if (this.#hops > 0) this.#refuseRedirect(unusable);
    else this.fail(unreachable(this.#endpoint, error));
  }

  onEvent(event: SseEvent): void {
    if (event.id !== undefined) this.#lastEventId = event.id;
    if (this.#isDone || event.data.length === 0) return;
    this.#resumes = 0;
    this.#take(event.data);
  }

  onRetry(retryMs: number): void {
    this.#retryMs = Math.min(retryMs, resumeMaxMs);
  }

  /** Nothing comes behind it: what is large may take its time. */
  #takeWhole(bytes: Buffer): void {
    if (bytes.length < largeBytes) this.#take(bytes);
    else this.#takeLarge(bytes).catch((error: Error) => this.#failBroken('sent something that cannot be read', error));
  }

  async #takeLarge(bytes: Buffer): Promise<void> {
    await blankInTurns(bytes, this.#endpoint.secrets);
    if (this.#request.secrets !== undefined) await blankInTurns(bytes, this.#request.secrets);
    if (!this.#isDone) this.#understand(bytes);
  }

  #take(bytes: Buffer): void {
    this.#blank(bytes);
    this.#understand(bytes);
  }

  #understand(bytes: Buffer): void {
    let message: Message;
    try {
      message = readMessage(bytes);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#failBroken(`sent something that is not a JSON-RPC message (${error.message})`, error);
      return;
    }
    if (message.kind === 'request' || message.kind === 'notification') {
      if (this.#kind === 'events') this.#listener.received(message, this.#isResume);
      else this.#failBroken('sent a request where the answer was due');
      return;
    }
    if (message.id === this.#id || (message.kind === 'error' && message.id === undefined)) this.#answer(message);
    else if (!this.#isResume) this.#failBroken('answered a request that was not asked on this connection');
  }

  #blank(bytes: Buffer): void {
    blankOut(bytes, this.#endpoint.secrets);
    if (this.#request.secrets !== undefined) blankOut(bytes, this.#request.secrets);
  }

  #takeRefusal(): void {
    const { subject, where } = this.#endpoint;
    const status = this.#status;
    if (status === 401 || status === 403) {
      this.fail(
        new LinkError(
          'upstream_failed',
          `${subject} refused access (HTTP ${status}); the credentials for ${where} may be wrong.`,
          {
            status,
            challenge: this.#challenge,
            detail: `HTTP ${status} from ${where}`,
          },
        ),
      );
      return;
    }
    const body = this.#body.take();
    this.#blank(body);
    const message = readRefusal(body);
    if (message?.kind === 'error' && (message.id === undefined || message.id === this.#id)) {
      this.#answer(message);
      return;
    }
    const detail = `HTTP ${status} from ${where}`;
    const isBusy = status === 429 || status === 503;
    const text = isBusy ? 'is busy' : 'failed';
    this.fail(
      new LinkError(isBusy ? 'upstream_busy' : 'upstream_failed', `${subject} ${text} (HTTP ${status}).`, {
        status,
        detail,
        retryAfterMs: this.#retryAfterMs,
      }),
    );
  }

  #redirect(): void {
    const status = this.#status;
    // 301 to 303 turn a POST into a GET: what the far end would see then is not this call.
    if (status !== 307 && status !== 308) {
      this.#refuseRedirect(`it redirects with HTTP ${status}, which loses the request`);
      return;
    }
    this.#wasSent = false;
    this.#endpoint.follow(this.#location, ++this.#hops, this.#request, this).then(
      (why) => why !== undefined && this.#refuseRedirect(why),
      () => this.#refuseRedirect(unusable),
    );
  }

  #refuseRedirect(why: string): void {
    const { subject } = this.#endpoint;
    this.fail(new LinkError('upstream_failed', `${subject} was not called: ${why}.`, { status: this.#status, detail: why }));
  }

  #streamEnded(error: Error | undefined): void {
    this.#reader = undefined;
    const id = this.#lastEventId;
    if (!this.#request.isResumable || id === undefined || this.#resumes >= resumeLimit) {
      const reason = error === undefined ? 'it closed the stream' : this.#describe(error);
      this.#failBroken(`broke off before the answer came (${reason})`, error);
      return;
    }
    this.#resumes++;
    this.#isResume = true;
    this.#resumeTimer = setTimeout(() => {
      const headers = [...withoutContentType(this.#request.headers), 'last-event-id', id];
      this.#endpoint.dispatch('GET', headers, null, this);
    }, this.#retryMs);
  }

  #answer(message: ResultMessage | ErrorMessage): void {
    this.#finish();
    if (this.#kind === 'events') {
      this.#reader = undefined;
      this.#endpoint.linger(this);
    }
    this.#listener.answered(message, this.#status);
  }

  #finish(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#open.delete(this);
    if (this.#resumeTimer !== undefined) clearTimeout(this.#resumeTimer);
    return true;
  }

  #abort(): void {
    this.#controller?.abort(givenUp);
  }

  #failTooLarge(): void {
    const text = `${this.#endpoint.subject} sent more than the ${this.#request.limitBytes} bytes an answer may have.`;
    this.fail(new LinkError('answer_too_large', text, { status: this.#status }));
  }

  #failBroken(what: string, cause?: Error): void {
    const text = `${this.#endpoint.subject} ${what}. Whether the call was carried out is not known.`;
    this.fail(new LinkError('upstream_failed', text, { status: this.#status, detail: what, cause }));
  }

  #describe(error: Error): string {
    return describeFailure(error, this.#endpoint.where);
  }
}

function readText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

function readRefusal(bytes: Buffer): Message | undefined {
  try {
    return readMessage(bytes);
  } catch {
    return undefined;
  }
}

function readSessionId(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && /^[\x21-\x7e]{1,1024}$/.test(value) ? value : undefined;
}
