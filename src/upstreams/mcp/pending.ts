import { type Message, MessageError, readMessage } from '../../wire/message.ts';
import type { Inbox, InFlight, LinkError, OutgoingRequest, RequestListener } from './link.ts';

interface Waiting {
  readonly listener: RequestListener;
  readonly limitBytes: number;
}

interface PendingOptions {
  readonly inbox: () => Inbox;
  readonly tooLarge: (limitBytes: number) => LinkError;
  /** Bytes that are not a message, or an answer to nothing. */
  readonly onStray: (reason: string, bytes: Buffer) => void;
}

/** Requests on a connection that carries many: which message answers which. */
export class PendingRequests {
  readonly #options: PendingOptions;
  readonly #waiting = new Map<string, Waiting>();

  constructor(options: PendingOptions) {
    this.#options = options;
  }

  has(id: number): boolean {
    return this.#waiting.has(String(id));
  }

  add(request: OutgoingRequest, listener: RequestListener): InFlight {
    const id = String(request.id);
    this.#waiting.set(id, { listener, limitBytes: request.limitBytes });
    return { giveUp: () => void this.#waiting.delete(id) };
  }

  /** Takes one message as it came. Returns false when it was none. */
  take(bytes: Buffer): boolean {
    let message: Message;
    try {
      message = readMessage(bytes);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#options.onStray(error.message, bytes);
      return false;
    }
    if (message.kind === 'request' || message.kind === 'notification') {
      this.#options.inbox().received(message);
      return true;
    }
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (waiting === undefined || message.id === undefined) {
      // Late answers to what was given up are ordinary; a second answer or a wrong id looks the same from here.
      this.#options.onStray('it answers no request that is open', bytes);
      return true;
    }
    this.#waiting.delete(message.id);
    if (bytes.length > waiting.limitBytes) waiting.listener.failed(this.#options.tooLarge(waiting.limitBytes));
    else waiting.listener.answered(message, 200);
    return true;
  }

  failAll(error: LinkError): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { listener } of all) listener.failed(error);
  }
}
