/** The part of a pino logger that telemetry uses. */
export interface TelemetryLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Says once that something stopped working and once that it works again: what is behind the calls must not fill their log. */
export class Outage {
  readonly #log: TelemetryLog;
  readonly #message: string;
  #failures = 0;

  constructor(log: TelemetryLog, message: string) {
    this.#log = log;
    this.#message = message;
  }

  failed(error: unknown): void {
    // The message alone: errors of clients carry requests, and those carry credentials.
    if (this.#failures === 0) this.#log.warn({ reason: error instanceof Error ? error.message : String(error) }, this.#message);
    this.#failures += 1;
  }

  ended(): void {
    if (this.#failures > 0) this.#log.info({ failures: this.#failures, ended: this.#message }, 'That works again.');
    this.#failures = 0;
  }
}
