import { GatewayError } from '../errors.ts';
import type { Cancel } from '../wire/cancel.ts';

/** How many calls one upstream gets at once. As many again may wait; the next is refused, so that a slow upstream cannot fill the memory. */
export class Slots {
  readonly size: number;
  readonly #waiting: (() => void)[] = [];
  #used = 0;
  #idle: (() => void) | undefined;

  constructor(size: number) {
    this.size = size;
  }

  /** Resolves when a slot is free. Throws GatewayError `upstream_busy` or `cancelled`. */
  take(upstreamId: string, cancel: Cancel): Promise<void> | undefined {
    if (this.#used < this.size) {
      this.#used++;
      return undefined;
    }
    if (this.#waiting.length >= this.size) {
      throw new GatewayError(
        'upstream_busy',
        `The upstream ${upstreamId} already has ${this.size} calls running and as many waiting. Try again in a few seconds.`,
        { retryAfterMs: 2000 },
      );
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        this.#used++;
        forget();
        resolve();
      };
      const forget = cancel.onCancel((reason) => {
        const at = this.#waiting.indexOf(enter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(new GatewayError('cancelled', `The call was given up while it waited for the upstream (${reason}).`));
      });
      if (!cancel.isCancelled) this.#waiting.push(enter);
    });
  }

  /** Gives a slot back, to the longest waiting call if there is one. */
  give(): void {
    this.#used--;
    if (this.#used < this.size) this.#waiting.shift()?.();
    if (this.#used === 0) this.#idle?.();
  }

  /**
   * Frees the slot of a call that waits for a person. The function it returns takes the slot again, over the limit if need be:
   * the call is already at the upstream, refusing it now would help nobody.
   */
  leave(): () => void {
    this.give();
    return () => {
      this.#used++;
    };
  }

  /** Calls the listener once nothing runs, at once if nothing does. */
  onIdle(listener: () => void): void {
    if (this.#used === 0) listener();
    else
      this.#idle = () => {
        this.#idle = undefined;
        listener();
      };
  }
}
