import type { ServerResponse } from 'node:http';
import type { AnswerStream } from '../../upstreams/upstream.ts';
import { letGoOfStalled } from '../let-go.ts';
import { writeChunk, writeLastChunk } from './chunks.ts';

/** A model's answer in parts, on its way to one client (WHATWG HTML 9.2). Nothing is sent before the first part: until then the answer may still be an error. */
export class ReplyStream implements AnswerStream {
  readonly #response: ServerResponse;
  readonly #headers: Readonly<Record<string, string>>;
  #more: Readonly<Record<string, string>> = {};
  #last: Uint8Array | undefined;

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>) {
    this.#response = response;
    this.#headers = headers;
  }

  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  /** What was written last; undefined where nothing was. */
  get lastPart(): string | undefined {
    return this.#last === undefined ? undefined : Buffer.from(this.#last).toString();
  }

  begin(headers: Readonly<Record<string, string>>): void {
    this.#more = { ...this.#more, ...headers };
  }

  write(bytes: Uint8Array): Promise<void> | undefined {
    const response = this.#response;
    this.#begin();
    this.#last = bytes;
    if (writeChunk(response, bytes) || response.destroyed) return undefined;
    return new Promise((resolve) => {
      const go = () => {
        response.off('drain', go).off('close', go);
        resolve();
      };
      response.on('drain', go).on('close', go);
    });
  }

  /** `more`: what comes behind the answer. */
  end(more = ''): void {
    this.#begin();
    writeLastChunk(this.#response, more);
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    letGoOfStalled(this.#response);
    this.#response.writeHead(200, { ...sseHeaders, ...this.#headers, ...this.#more });
  }
}

const sseHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Keeps nginx and its kin from holding events back.
  'x-accel-buffering': 'no',
} as const;
