import type { GatewayError } from '../../errors.ts';
import type { ErrorMessage, NotificationMessage, RequestMessage, ResultMessage } from '../../wire/message.ts';
import { LinkError } from '../link-error.ts';

/** The way to one far end: a child process, an event stream with its POSTs, or HTTP requests. It knows JSON-RPC ids and nothing of MCP. */
export interface Link {
  readonly transport: 'http' | 'sse' | 'stdio';
  /** Takes what belongs to no request of ours. Set by whoever speaks through the link. */
  inbox: Inbox;
  /** Name, value, name, value: what every request carries. Empty where there are no headers. */
  readonly headers: readonly string[];
  /** An id no request of this link has had. */
  nextId(): number;
  /** Sends a request. Exactly one of `answered` and `failed` is called, once, unless it was given up. */
  request(request: OutgoingRequest, listener: RequestListener): InFlight;
  /** Sends a notification or a response. Resolves when it is accepted, rejects with LinkError. */
  send(body: string, headers: readonly string[]): Promise<void>;
  /** Opens the stream for what belongs to no request, where the transport has one apart. */
  listen(headers: readonly string[]): void;
  /** What belongs to no request can arrive right now. */
  readonly isListening: boolean;
  /** Tells the far end that a session is over, where the transport has a way to say so. Never rejects. */
  endSession(headers: readonly string[]): Promise<void>;
  /** Stops listening; requests in flight still get their answers, where each has a connection of its own. */
  retire(): Promise<void>;
  /** Ends everything; requests in flight fail. Resolves when nothing is left. */
  close(): Promise<void>;
}

export interface OutgoingRequest {
  /** The id inside `body`. */
  readonly id: number;
  readonly body: string;
  readonly headers: readonly string[];
  readonly limitBytes: number;
  /** A stream that breaks may be taken up again (legacy, `Last-Event-ID`). */
  readonly isResumable: boolean;
  /** Who the request is for, where a link serves many; undefined: Gatehouse itself, or whom the link was opened for. */
  readonly principal?: string | undefined;
  /** Byte strings that stand in `headers` and are blanked out wherever the answer repeats them. */
  readonly secrets?: readonly Buffer[] | undefined;
}

export interface RequestListener {
  /**
   * Came on this request's own stream, so it belongs to it. That is not certain for what is replayed on a stream that was
   * taken up again: some servers replay everything they ever sent.
   */
  received(message: RequestMessage | NotificationMessage, isReplayed: boolean): void;
  answered(answer: ResultMessage | ErrorMessage, status: number): void;
  failed(error: Failure): void;
  /** The head of an HTTP answer. */
  opened?(status: number, sessionId: string | undefined): void;
}

/** Why no answer came: LinkError, or what stands between Gatehouse and the credentials for the request. */
export type Failure = GatewayError & { readonly status?: number | undefined };

export interface InFlight {
  /** Nobody waits for the answer any more: nothing of the listener is called again. */
  giveUp(): void;
}

export interface Inbox {
  received(message: RequestMessage | NotificationMessage): void;
  /** The link is gone for good. */
  closed(error: LinkError): void;
  /** The far end no longer knows the session this link was used with. */
  sessionLost(): void;
}

export const emptyInbox: Inbox = { received() {}, closed() {}, sessionLost() {} };

/** For a request that came after the link had ended. */
export function closedBefore(subject: string, { detail = 'it was closed' }: LinkError): LinkError {
  return new LinkError('upstream_unavailable', `${subject} cannot be reached (${detail}).`, { isUnsent: true, detail });
}
