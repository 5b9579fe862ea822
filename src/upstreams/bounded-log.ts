import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';

const perWindow = 20;
const windowMs = 60_000;

/** A log for what an upstream can cause at will: at most 20 lines a minute, then one line that says how many were left out. */
export class BoundedLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  #windowStartMs = 0;
  #lines = 0;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  info(details: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#admits()) this.#log.info(details, message);
  }

  warn(details: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#admits()) this.#log.warn(details, message);
  }

  #admits(): boolean {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#windowStartMs >= windowMs || nowMs < this.#windowStartMs) {
      const suppressed = this.#lines - perWindow;
      if (suppressed > 0) this.#log.warn({ suppressed }, 'lines about this upstream were left out');
      this.#windowStartMs = nowMs;
      this.#lines = 0;
    }
    return ++this.#lines <= perWindow;
  }
}

/** Text of an upstream for the log: one line, no control characters, cut. */
export function logText(text: string, limit = 500): string {
  const line = text.replaceAll(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ');
  return line.length > limit ? `${line.slice(0, limit)}…` : line;
}
