import { Bag, type Bagged } from '../../wire/bag.ts';
import { type Message, MessageError, readMessage } from '../../wire/message.ts';
import { logText } from '../bounded-log.ts';
import type { LinkError } from '../link-error.ts';
import type { Inbox, InFlight, OutgoingRequest, RequestListener } from './link.ts';

interface Waiting extends Bagged {
  readonly id: string;
  readonly listener: RequestListener;
  readonly limitBytes: number;
}

interface PendingOptions {
  readonly inbox: () => Inbox;
  readonly tooLarge: (limitBytes: number) => LinkError;
  /** Bytes that are not a message, or an answer to nothing, and what the log may say of them. */
  readonly onStray: (details: Readonly<Record<string, unknown>>, bytes: Buffer) => void;
}

/** Requests on a connection that carries many: which message answers which. */
export class PendingRequests {
  readonly #options: PendingOptions;
  readonly #waiting = new Bag<Waiting>();

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  has(id: number): boolean {
    return this.#find(String(id)) !== undefined;
  }

  add(request: OutgoingRequest, listener: RequestListener): InFlight {
    const waiting = { id: String(request.id), listener, limitBytes: request.limitBytes, place: -1 };
    this.#waiting.add(waiting);
    return { giveUp: () => void this.#waiting.delete(waiting) };
  }

  /** Takes one message as it came. Returns false when it was none. */
  take(bytes: Buffer): boolean {
    let message: Message;
    try {
      message = readMessage(bytes);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#options.onStray(describeUnreadable(error, bytes), bytes);
      return false;
    }
    if (message.kind === 'request' || message.kind === 'notification') {
      this.#options.inbox().received(message);
      return true;
    }
    const waiting = message.id === undefined ? undefined : this.#find(message.id);
    if (waiting === undefined) {
      // Late answers to what was given up are ordinary; a second answer or a wrong id looks the same from here.
      const { kind, id = 'null' } = message;
      const reason = 'it answers no request that is open';
      this.#options.onStray({ reason, kind, id: logText(id, 100), size: bytes.length }, bytes);
      return true;
    }
    this.#waiting.delete(waiting);
    if (bytes.length > waiting.limitBytes) waiting.listener.failed(this.#options.tooLarge(waiting.limitBytes));
    else waiting.listener.answered(message, 200);
    return true;
  }

  #find(id: string): Waiting | undefined {
    return this.#waiting.find((waiting) => waiting.id === id);
  }

  failAll(error: LinkError): void {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const { listener } of all) listener.failed(error);
  }
}

// A result that is cut, has a wrong envelope or stretches over several lines is still a result: only text that is no JSON, such
// as a print that was meant for stderr, is shown.
function describeUnreadable({ reason, message, id }: MessageError, bytes: Buffer): Record<string, unknown> {
  const details = { reason: message, id: id === undefined ? undefined : logText(id, 100), size: bytes.length };
  const looksLikeJson =
    reason !== 'parse' || bytes.includes('"jsonrpc"') || /^\s*(?:[{"}\]]|\[\s*[{["])/.test(bytes.toString('latin1', 0, 200));
  return looksLikeJson ? details : { ...details, text: logText(bytes.toString('utf8', 0, 300), 200) };
}
