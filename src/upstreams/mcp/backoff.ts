/** Growing pauses between attempts: doubled each time up to a cap, with a quarter of jitter so that many do not come at once. */
export class Backoff {
  readonly #firstMs: number;
  readonly #capMs: number;
  #attempts = 0;

  constructor(firstMs: number, capMs: number) {
    this.#firstMs = firstMs;
    this.#capMs = capMs;
  }

  next(): number {
    const pauseMs = Math.min(this.#capMs, this.#firstMs * 2 ** Math.min(this.#attempts++, 30));
    return Math.round(pauseMs * (0.75 + Math.random() * 0.5));
  }

  reset(): void {
    this.#attempts = 0;
  }
}
