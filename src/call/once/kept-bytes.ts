const hourMs = 3_600_000;
const mostCallers = 10_000;

/** How much may be kept for each caller in an hour: nobody fills the store by asking for long answers. Of this process. */
export class KeptBytes {
  readonly #mostBytes: number;
  readonly #nowMs: () => number;
  readonly #bytes = new Map<string, number>();
  #hour = 0;

  constructor(mostBytes: number, nowMs: () => number) {
    this.#mostBytes = mostBytes;
    this.#nowMs = nowMs;
  }

  /** Counts them, unless that is too much. */
  take(caller: string, bytes: number): boolean {
    const hour = Math.floor(this.#nowMs() / hourMs);
    if (hour !== this.#hour) this.#bytes.clear();
    this.#hour = hour;
    const known = this.#bytes.get(caller);
    if (known === undefined && this.#bytes.size >= mostCallers) return false;
    const sum = (known ?? 0) + bytes;
    if (sum > this.#mostBytes) return false;
    this.#bytes.set(caller, sum);
    return true;
  }
}
