import type { ErrorMessage, NotificationMessage, RequestMessage, ResultMessage } from '../../wire/message.ts';
import type { Authorization, Bearer } from '../authorization.ts';
import { LinkError } from '../link-error.ts';
import type { HttpLink } from './http.ts';
import type { Failure, Inbox, InFlight, Link, OutgoingRequest, RequestListener } from './link.ts';

/**
 * A way to an address whose requests carry a token each: the caller's, or Gatehouse's own. A request that was refused for its
 * token was not acted on, and goes out once more with another one, if there is one.
 */
export class AuthorizedLink implements Link {
  readonly transport = 'http';
  readonly #inner: HttpLink;
  readonly #authorization: Authorization;
  /** Whom this link serves alone. */
  readonly #principal: string | undefined;

  constructor(inner: HttpLink, authorization: Authorization, principal: string | undefined) {
    this.#inner = inner;
    this.#authorization = authorization;
    this.#principal = principal;
  }

  get inbox(): Inbox {
    return this.#inner.inbox;
  }
  set inbox(inbox: Inbox) {
    this.#inner.inbox = inbox;
  }

  get headers(): readonly string[] {
    return this.#inner.headers;
  }

  nextId(): number {
    return this.#inner.nextId();
  }

  request(request: OutgoingRequest, listener: RequestListener): InFlight {
    const principal = this.#principal ?? request.principal;
    const exchange = new AuthorizedExchange(this.#inner, this.#authorization, principal, request, listener);
    exchange.start();
    return exchange;
  }

  async send(body: string, headers: readonly string[]): Promise<void> {
    const bearer = await this.#authorization.bearerFor(this.#principal);
    try {
      await this.#inner.send(body, withBearer(headers, bearer));
    } catch (error) {
      if (!(error instanceof LinkError) || error.status !== 401) throw error;
      const { status, challenge } = error;
      const refusal = { principal: this.#principal, bearer, status, challenge, isSecondTry: false };
      const next = await this.#authorization.refused(refusal);
      if (next === undefined) throw error;
      await this.#inner.send(body, withBearer(headers, next));
    }
  }

  listen(headers: readonly string[]): void {
    this.#inner.listen(headers, async () => withBearer([], await this.#authorization.bearerFor(this.#principal)));
  }

  get isListening(): boolean {
    return this.#inner.isListening;
  }

  async endSession(headers: readonly string[]): Promise<void> {
    try {
      await this.#inner.endSession(withBearer(headers, await this.#authorization.bearerFor(this.#principal)));
    } catch {
      // Whose grant is gone cannot say goodbye either.
    }
  }

  retire(): Promise<void> {
    return this.#inner.retire();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class AuthorizedExchange implements InFlight, RequestListener {
  readonly #inner: HttpLink;
  readonly #authorization: Authorization;
  readonly #principal: string | undefined;
  readonly #request: OutgoingRequest;
  readonly #listener: RequestListener;
  #inFlight: InFlight | undefined;
  #bearer: Bearer | undefined;
  #isSecondTry = false;
  #isGivenUp = false;

  constructor(
    inner: HttpLink,
    authorization: Authorization,
    principal: string | undefined,
    request: OutgoingRequest,
    listener: RequestListener,
  ) {
    this.#inner = inner;
    this.#authorization = authorization;
    this.#principal = principal;
    this.#request = request;
    this.#listener = listener;
  }

  start(): void {
    let bearer: ReturnType<Authorization['bearerFor']>;
    try {
      bearer = this.#authorization.bearerFor(this.#principal);
    } catch (error) {
      // Whoever sends must have got hold of this exchange before it fails.
      bearer = Promise.reject(error);
    }
    if (bearer instanceof Promise) bearer.then((found) => this.#send(found)).catch((error: Failure) => this.#fail(error));
    else this.#send(bearer);
  }

  giveUp(): void {
    this.#isGivenUp = true;
    this.#inFlight?.giveUp();
  }

  received(message: RequestMessage | NotificationMessage, isReplayed: boolean): void {
    this.#listener.received(message, isReplayed);
  }

  answered(answer: ResultMessage | ErrorMessage, status: number): void {
    this.#listener.answered(answer, status);
  }

  opened(status: number, sessionId: string | undefined): void {
    if (this.#bearer !== undefined && status < 400) this.#bearer.isAccepted = true;
    this.#listener.opened?.(status, sessionId);
  }

  failed(error: Failure): void {
    const bearer = this.#bearer;
    const isRefusal = error instanceof LinkError && (error.status === 401 || isTooNarrow(error));
    if (!isRefusal) {
      this.#fail(error);
      return;
    }
    const { status = 0, challenge } = error;
    const refusal = { principal: this.#principal, bearer, status, challenge, isSecondTry: this.#isSecondTry };
    this.#authorization
      .refused(refusal)
      .then((next) => {
        if (next === undefined || this.#isSecondTry) {
          this.#fail(error);
          return;
        }
        this.#isSecondTry = true;
        this.#send(next);
      })
      .catch((reason: Failure) => this.#fail(reason));
  }

  #send(bearer: Bearer | undefined): void {
    if (this.#isGivenUp) return;
    this.#bearer = bearer;
    const { headers } = this.#request;
    this.#inFlight = this.#inner.request(
      { ...this.#request, headers: withBearer(headers, bearer), secrets: bearer?.secrets },
      this,
    );
  }

  #fail(error: Failure): void {
    if (!this.#isGivenUp) this.#listener.failed(error);
  }
}

/** MCP basic/authorization, "Scope Challenge Handling": the token is good, but not for this. */
function isTooNarrow({ status, challenge }: LinkError): boolean {
  return status === 403 && challenge !== undefined && /insufficient_scope/.test(challenge);
}

function withBearer(headers: readonly string[], bearer: Bearer | undefined): readonly string[] {
  return bearer === undefined ? headers : [...headers, 'authorization', bearer.header];
}
