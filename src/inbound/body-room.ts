import { GatewayError } from '../errors.ts';

/** What a request may hold without asking: ordinary ones never wait for those of others. */
const freeBytes = 1024 * 1024;
const retryMs = 2_000;

/**
 * Memory for large bodies, of all requests together: limits count calls, and a call is none before its body was read. What came is
 * counted, not what was announced; a request keeps its share until it was answered.
 */
export class BodyRoom {
  readonly #limitBytes: number;
  #usedBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** For one request. */
  share(): BodyShare {
    let held = 0;
    return {
      grow: (bytes) => {
        const wanted = bytes <= freeBytes ? 0 : bytes;
        if (wanted <= held) return;
        if (this.#usedBytes + wanted - held > this.#limitBytes)
          throw new GatewayError(
            'too_busy',
            'This gateway holds as many large requests as it may; send this one again in a few seconds.',
            { retryAfterMs: retryMs },
          );
        this.#usedBytes += wanted - held;
        held = wanted;
      },
      giveBack: () => {
        this.#usedBytes -= held;
        held = 0;
      },
    };
  }
}

export interface BodyShare {
  /** The body has this many bytes by now. Throws GatewayError `too_busy`. */
  grow(bytes: number): void;
  giveBack(): void;
}
