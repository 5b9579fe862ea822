/** Why a call is cancelled whose client went without a word. */
export const clientLeft = 'the client closed the connection';

/**
 * Carries one cancellation from a client to whatever works for it. An AbortController costs over a microsecond and an
 * EventTarget per call; this is an array that is mostly empty.
 */
export class Cancel {
  #reason: string | undefined;
  #listeners: ((reason: string) => void)[] | undefined;

  get reason(): string | undefined {
    return this.#reason;
  }

  get isCancelled(): boolean {
    return this.#reason !== undefined;
  }

  /** Runs `listener` once, at once if it is already cancelled. Returns a function that takes it back. */
  onCancel(listener: (reason: string) => void): () => void {
    if (this.#reason !== undefined) {
      listener(this.#reason);
      return () => {};
    }
    this.#listeners ??= [];
    this.#listeners.push(listener);
    return () => {
      const at = this.#listeners?.indexOf(listener) ?? -1;
      if (at >= 0) this.#listeners?.splice(at, 1);
    };
  }

  cancel(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    for (const listener of listeners ?? []) listener(reason);
  }
}
