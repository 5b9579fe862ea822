import { type Finish, noUsage, type ProviderFailure, type ReplyEvent, type Usage } from '../../models/reply.ts';

/** The provider said that it failed, in an answer of its own or in the middle of one. */
export class ProviderFailed extends Error {
  readonly failure: ProviderFailure;
  constructor(failure: ProviderFailure) {
    super(`${failure.kind} (HTTP ${failure.status})`);
    this.failure = failure;
  }
}

/** About what a token of text has in bytes. */
const bytesPerToken = 4;

/** What is known of an answer while it comes. */
export class StreamMeter {
  /** The provider's name of the model that answers. */
  model: string | undefined;
  finish: Finish | undefined;
  /** Undefined until the provider says something of it. */
  usage: Usage | undefined;
  /** Of what was said so far, for an answer that breaks off. */
  spokenBytes = 0;
  bytesOut = 0;
  firstTokenMs: number | undefined;
  readonly #startedAtMs = performance.now();

  /** Something went to the client: nobody else may answer now. */
  get hasWritten(): boolean {
    return this.bytesOut > 0;
  }

  elapsedMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  wrote(bytes: number): void {
    this.firstTokenMs ??= this.elapsedMs();
    this.bytesOut += bytes;
  }

  /** Throws ProviderFailed. */
  saw(event: ReplyEvent): void {
    switch (event.kind) {
      case 'start':
        if (event.model !== '') this.model = event.model;
        break;
      case 'usage':
        this.usage = { ...(this.usage ?? noUsage), ...event.usage };
        break;
      case 'finish':
        this.finish = event.finish;
        break;
      case 'failed':
        throw new ProviderFailed(event.failure);
    }
  }

  spokenTokens(): number {
    return Math.ceil(this.spokenBytes / bytesPerToken);
  }
}
