import { GatewayError } from '../errors.ts';
import type { Cancel } from '../wire/cancel.ts';

/** What requests to one upstream are let in with, where its configuration says more than fixed headers. */
export interface Authorization {
  /** Everybody has credentials of their own: nothing that was opened with one's is used for another. */
  readonly isPerUser: boolean;
  /**
   * What only the description of an API says: where everything goes that carries its tokens (otherwise the address of the entry), and
   * the scopes that its operations need.
   */
  leadsTo(address: URL, scopes: readonly string[]): void;
  /**
   * What to send for a caller, or for Gatehouse itself (`undefined`); at once where it is known. Undefined: nothing.
   * Throws or rejects with SignInRequired, or GatewayError `credentials_failed`.
   */
  bearerFor(principal: string | undefined): Bearer | undefined | Promise<Bearer | undefined>;
  /**
   * The upstream did not act on a request because of its credentials. Resolves with what to send it once more with; undefined
   * where its own refusal says it best. Rejects with SignInRequired, or GatewayError `credentials_failed`.
   */
  refused(refusal: Refusal): Promise<Bearer | undefined>;
  /** Somebody has signed in: what was refused may pass now. Returns a function that takes the listener back. */
  onSignedIn(listener: () => void): () => void;
}

/** One access token. The same object as long as it is the same token. */
export interface Bearer {
  /** Whose it is; undefined: Gatehouse's own. */
  readonly principal: string | undefined;
  /** The value of the header `Authorization`. */
  readonly header: string;
  /** Byte strings that no answer may carry back. */
  readonly secrets: readonly Buffer[];
  /** The upstream has taken it at least once. */
  isAccepted: boolean;
}

export interface Refusal {
  /** For whom the request was; undefined for Gatehouse itself. */
  readonly principal: string | undefined;
  readonly bearer: Bearer | undefined;
  readonly status: number;
  /** The header `WWW-Authenticate`. */
  readonly challenge: string | undefined;
  /** It was sent with other credentials before. */
  readonly isSecondTry: boolean;
}

/** The caller must visit a page before the call can go out. Nothing was sent for it. */
export class SignInRequired extends GatewayError {
  readonly url: string;
  readonly #finished: (withinMs: number, cancel: Cancel) => Promise<boolean>;

  /** The message must not hold the address: messages are logged, and who has the address can sign in for somebody else. */
  constructor(message: string, url: string, finished: (withinMs: number, cancel: Cancel) => Promise<boolean>) {
    super('sign_in_required', message, { data: { url } });
    this.url = url;
    this.#finished = finished;
  }

  /** Waits for the end of this sign-in, on whatever replica. False where the time is over or the call was cancelled. */
  finished(withinMs: number, cancel: Cancel): Promise<boolean> {
    return this.#finished(withinMs, cancel);
  }
}
