import { crc32 } from 'node:zlib';
import { ReplyError } from '../../models/dialect.ts';
import { Pieces } from '../../wire/pieces.ts';

/** One message of an AWS event stream, as if it were a server-sent event. */
interface AwsEvent {
  /** `:event-type`; of an exception its type, of an error its code. */
  readonly type: string;
  /** JSON, for the services that we speak to. */
  readonly data: Buffer;
}

interface AwsEventListener {
  onEvent(event: AwsEvent): void;
}

const preludeBytes = 12;
const crcBytes = 4;
/** Smithy specification, Amazon Event Stream: most bytes of all headers of a message. */
const mostHeaderBytes = 128 * 1024;

/**
 * Reads `application/vnd.amazon.eventstream` from chunks cut anywhere (smithy.io, Amazon Event Stream Specification). Throws RangeError
 * for a message larger than `limitBytes`, and ReplyError for one that is damaged; nothing after that can be trusted.
 */
export class AwsEventStreamReader {
  readonly #listener: AwsEventListener;
  readonly #limitBytes: number;
  readonly #held = new Pieces();
  #wantedBytes = preludeBytes;

  constructor(listener: AwsEventListener, limitBytes: number) {
    this.#listener = listener;
    this.#limitBytes = limitBytes;
  }

  /** Part of a message has come: a stream that ends now was cut. */
  get isInside(): boolean {
    return this.#held.length > 0;
  }

  push(chunk: Buffer): void {
    let from = 0;
    while (from < chunk.length) {
      // What lies in the chunk whole is read where it is.
      if (this.#held.length === 0 && chunk.length - from >= preludeBytes) {
        const end = from + this.#readLength(chunk.subarray(from, from + preludeBytes));
        if (end <= chunk.length) {
          this.#readMessage(chunk.subarray(from, end));
          from = end;
          continue;
        }
      }
      from = this.#hold(chunk, from);
    }
  }

  #hold(chunk: Buffer, from: number): number {
    const end = Math.min(from + this.#wantedBytes - this.#held.length, chunk.length);
    this.#held.push(chunk.subarray(from, end));
    if (this.#held.length < this.#wantedBytes) return end;
    const bytes = this.#held.take();
    if (this.#wantedBytes === preludeBytes) {
      this.#wantedBytes = this.#readLength(bytes);
      this.#held.push(bytes);
    } else {
      this.#wantedBytes = preludeBytes;
      this.#readMessage(bytes);
    }
    return end;
  }

  /** Of the whole message. */
  #readLength(prelude: Buffer): number {
    if (crc32(prelude.subarray(0, 8)) !== prelude.readUInt32BE(8)) throw new ReplyError('the prelude of an event is damaged');
    const total = prelude.readUInt32BE(0);
    const headers = prelude.readUInt32BE(4);
    if (total > this.#limitBytes) throw new RangeError(`an event is larger than ${this.#limitBytes} bytes`);
    if (headers > mostHeaderBytes || total < preludeBytes + headers + crcBytes)
      throw new ReplyError('the lengths of an event do not fit');
    return total;
  }

  #readMessage(message: Buffer): void {
    const end = message.length - crcBytes;
    if (crc32(message.subarray(0, end)) !== message.readUInt32BE(end)) throw new ReplyError('an event is damaged');
    const headersEnd = preludeBytes + message.readUInt32BE(4);
    const headers = readHeaders(message.subarray(preludeBytes, headersEnd));
    this.#listener.onEvent(toEvent(headers, message.subarray(headersEnd, end)));
  }
}

function toEvent(headers: ReadonlyMap<string, string>, payload: Buffer): AwsEvent {
  const kind = headers.get(':message-type');
  if (kind === 'event') return { type: headers.get(':event-type') ?? '', data: payload };
  if (kind === 'exception') return { type: headers.get(':exception-type') ?? 'UnknownException', data: payload };
  if (kind !== 'error') throw new ReplyError(`an event is of the unknown kind ${kind ?? ''}`);
  // An error has no payload: what it says is in its headers.
  const message = headers.get(':error-message') ?? '';
  return { type: `${headers.get(':error-code') ?? 'Unknown'}Exception`, data: Buffer.from(JSON.stringify({ message })) };
}

/** Bytes of a value, by its type; those of 6 and 7 say their own length. */
const valueBytes = [0, 0, 1, 2, 4, 8, undefined, undefined, 8, 16];
const stringType = 7;

/** Those that are strings: no other is of use to us. */
function readHeaders(bytes: Buffer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + (bytes[at] ?? 0);
    const type = bytes[nameEnd];
    if (type === undefined || type >= valueBytes.length || nameEnd === at + 1)
      throw new ReplyError('a header of an event is damaged');
    let valueStart = nameEnd + 1;
    let length = valueBytes[type];
    if (length === undefined) {
      if (valueStart + 2 > bytes.length) throw new ReplyError('a header of an event is cut');
      length = bytes.readUInt16BE(valueStart);
      valueStart += 2;
    }
    const end = valueStart + length;
    if (end > bytes.length) throw new ReplyError('a header of an event is cut');
    if (type === stringType) headers.set(bytes.toString('utf8', at + 1, nameEnd), bytes.toString('utf8', valueStart, end));
    at = end;
  }
  return headers;
}
