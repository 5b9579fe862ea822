import type { Logger } from 'pino';
import type { UpstreamChange } from './upstream.ts';

type Listener = (change: UpstreamChange) => void;

/** Who wants to hear of an upstream's changes. */
export class ChangeListeners {
  readonly #listeners = new Set<Listener>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Returns a function that takes it back. */
  add(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** One that fails keeps the others from nothing. */
  tell(change: UpstreamChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener for changes failed');
      }
    }
  }
}
