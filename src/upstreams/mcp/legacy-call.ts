import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import {
  type ErrorMessage,
  type NotificationMessage,
  type RequestMessage,
  type ResultMessage,
  requestBytes,
} from '../../wire/message.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { MisfitError } from './dialect.ts';
import { withContext } from './envelope.ts';
import type { LegacySession } from './legacy-session.ts';
import type { Failure, InFlight, RequestListener } from './link.ts';

/** What a call needs of the sessions around it. */
export interface SessionKeeper {
  /** A session in place of one that the upstream has forgotten. */
  replace(session: LegacySession, call: UpstreamCall): Promise<LegacySession>;
  /** The call is over; a session that was lent to it is free again. */
  finished(session: LegacySession): void;
}

/** One call in flight on a legacy session. */
export class LegacyCall implements RequestListener {
  readonly call: UpstreamCall;
  readonly #keeper: SessionKeeper;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: Error) => void;
  #session: LegacySession;
  /** Of the request that is in flight. */
  id = 0;
  place = -1;
  #inFlight: InFlight | undefined;
  #isDone = false;
  #isSecondTry = false;
  #takeBack: (() => void) | undefined;

  constructor(
    session: LegacySession,
    call: UpstreamCall,
    keeper: SessionKeeper,
    resolve: (answer: Answer) => void,
    reject: (error: Error) => void,
  ) {
    this.#session = session;
    this.call = call;
    this.#keeper = keeper;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { cancel, conversation } = this.call;
    if (cancel.reason !== undefined) {
      this.#fail(new GatewayError('cancelled', cancel.reason));
      return;
    }
    this.#takeBack = cancel.onCancel((reason) => this.#cancelled(reason));
    if (!this.#session.needsLogLevel(conversation.logLevel)) {
      this.#send();
      return;
    }
    // Without the level the call still works, only quieter.
    this.#session.setLogLevel(conversation.logLevel).then(
      () => this.#isDone || this.#send(),
      () => this.#isDone || this.#send(),
    );
  }

  #send(): void {
    const { method, params, meta, conversation, limitBytes } = this.call;
    const { link } = this.#session;
    const headers = withContext(this.#session.headers, this.call);
    const id = link.nextId();
    this.id = id;
    this.#session.begin(this);
    let sent: JsonObject = params;
    if (conversation.progress !== undefined) sent = { ...params, _meta: { ...meta, progressToken: id } };
    else if (meta !== undefined) sent = { ...params, _meta: meta };
    this.#inFlight = link.request({ id, body: requestBytes(id, method, sent), headers, limitBytes, isResumable: true }, this);
  }

  received(message: RequestMessage | NotificationMessage, isReplayed: boolean): void {
    this.#session.received(message, isReplayed ? undefined : this);
  }

  answered(answer: ResultMessage | ErrorMessage, status: number): void {
    if (this.#isDone) return;
    if (answer.kind === 'result') {
      this.#succeed({ kind: 'result', result: answer.result });
      return;
    }
    const { error } = answer;
    if (isLostSession(this.#session, status, error.message)) {
      this.#again();
      return;
    }
    if (error.code === -32022) {
      this.#fail(this.#misfit(status));
      return;
    }
    this.#succeed({ kind: 'error', error });
  }

  failed(error: Failure): void {
    if (error.status === 404 && this.#session.hasId) this.#again();
    else if (error.status === 404 || error.status === 405) this.#fail(this.#misfit(error.status));
    else this.#fail(error);
  }

  /** The server said that it did not even look at the call, so sending it once more cannot do anything twice. */
  #again(): void {
    this.#session.calls.delete(this);
    const lost = this.#session;
    lost.lose();
    if (this.#isSecondTry) {
      this.#fail(new GatewayError('upstream_unavailable', `${lost.subject} loses its sessions as soon as they are opened.`));
      return;
    }
    this.#isSecondTry = true;
    this.#keeper
      .replace(lost, this.call)
      .then((session) => {
        this.#session = session;
        if (this.#isDone) this.#keeper.finished(session);
        else this.#send();
      })
      .catch((error: Error) => this.#fail(error));
  }

  #cancelled(reason: string): void {
    if (this.id !== 0) this.#session.tell('notifications/cancelled', { requestId: this.id, reason });
    this.#inFlight?.giveUp();
    this.#fail(new GatewayError('cancelled', reason));
  }

  #misfit(status: number): MisfitError {
    return new MisfitError('upstream_failed', `${this.#session.subject} no longer answers at its address (HTTP ${status}).`, {
      status,
      isUnsent: true,
    });
  }

  #succeed(answer: Answer): void {
    if (this.#end()) this.#resolve(answer);
  }

  #fail(error: Error): void {
    if (this.#end()) this.#reject(error);
  }

  #end(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#takeBack?.();
    this.#session.calls.delete(this);
    this.#keeper.finished(this.#session);
    return true;
  }
}

// 404 is the rule; some servers answer 400 with a sentence about the session, also before looking at the message.
function isLostSession(session: LegacySession, status: number, message: string): boolean {
  return session.hasId && (status === 404 || (status === 400 && /session/i.test(message)));
}
