import type { AnswerStream } from '../../upstreams/upstream.ts';
import { longestKeptBytes } from './kept.ts';

/** A client's stream, and a copy of all that goes into it. */
export class RecordingStream implements AnswerStream {
  readonly #inner: AnswerStream;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(inner: AnswerStream) {
    this.#inner = inner;
  }

  /** Undefined where it was too long to be kept. */
  get recorded(): Buffer | undefined {
    return this.#bytes > longestKeptBytes ? undefined : Buffer.concat(this.#parts);
  }

  begin(headers: Readonly<Record<string, string>>): void {
    this.#inner.begin?.(headers);
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    this.#bytes += bytes.length;
    if (this.#bytes <= longestKeptBytes) this.#parts.push(Buffer.from(bytes));
    else this.#parts = [];
    return this.#inner.write(bytes);
  }
}
