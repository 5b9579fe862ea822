import type { Clock } from '../clock.ts';

/** Longest that a token is taken without being checked again. */
const longestMs = 60_000;

interface Entry<Value> {
  readonly value: Value;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What was found valid, by the digest of the whole token; a part of it would let one token pass for another. */
export class TokenCache<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #clock: Clock;
  readonly #most: number;

  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  get(digest: string): Value | undefined {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return undefined;
    const nowMs = this.#clock.nowMs();
    // A clock that was set back makes nothing valid again.
    if (nowMs < entry.untilMs && nowMs >= entry.fromMs) return entry.value;
    this.#entries.delete(digest);
    return undefined;
  }

  /** Keeps a value for a minute, and no longer than the token is valid. The oldest makes room. */
  set(digest: string, value: Value, validUntilMs: number): void {
    const fromMs = this.#clock.nowMs();
    if (this.#entries.size >= this.#most) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(digest, { value, fromMs, untilMs: Math.min(validUntilMs, fromMs + longestMs) });
  }

  get size(): number {
    return this.#entries.size;
  }
}
