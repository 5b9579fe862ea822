import { Pieces } from './pieces.ts';

/** Server-sent events (WHATWG HTML 9.2), as MCP uses them: one JSON-RPC message in the data of one event. */
export interface SseEvent {
  readonly data: Buffer;
  /** `message` unless the stream names another type. */
  readonly type: string;
  readonly id: string | undefined;
}

interface SseListener {
  onEvent(event: SseEvent): void;
  /** The far end asks to wait this long before it is called again. */
  onRetry?(retryMs: number): void;
}

const lf = 0x0a;
const cr = 0x0d;
const empty = Buffer.alloc(0);
const lineFeed = Buffer.of(lf);

/** Reads a stream of chunks cut anywhere. An event larger than `limitBytes` throws RangeError. */
export class SseReader {
  readonly #listener: SseListener;
  /** May be raised at any time. */
  limitBytes: number;
  readonly #rest = new Pieces();
  #skipLf = false;
  readonly #data = new Pieces();
  #hasData = false;
  #type = 'message';
  #id: string | undefined;
  #isFirst = true;

  constructor(listener: SseListener, limitBytes: number) {
    this.#listener = listener;
    this.limitBytes = limitBytes;
  }

  push(chunk: Buffer): void {
    let from = 0;
    let nextCr = chunk.indexOf(cr);
    while (from < chunk.length) {
      if (this.#skipLf) {
        this.#skipLf = false;
        if (chunk[from] === lf) {
          from++;
          continue;
        }
      }
      // A stream without CR is searched for one once per chunk, not once per line.
      if (nextCr >= 0 && nextCr < from) nextCr = chunk.indexOf(cr, from);
      const nextLf = chunk.indexOf(lf, from);
      const end = nextCr >= 0 && (nextLf < 0 || nextCr < nextLf) ? nextCr : nextLf;
      if (end < 0) {
        this.#keep(chunk.subarray(from));
        return;
      }
      this.#skipLf = chunk[end] === cr;
      const line = chunk.subarray(from, end);
      from = end + 1;
      if (this.#rest.length === 0) {
        this.#line(line);
      } else {
        this.#keep(line);
        this.#line(this.#rest.take());
      }
    }
  }

  #keep(bytes: Buffer): void {
    this.#mustFit(this.#rest.length + bytes.length);
    this.#rest.push(bytes);
  }

  #mustFit(moreBytes: number): void {
    if (this.#data.length + moreBytes > this.limitBytes) throw new RangeError(`an event is larger than ${this.limitBytes} bytes`);
  }

  #line(given: Buffer): void {
    let line = given;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf) line = line.subarray(3);
    }
    if (line.length === 0) {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(0x3a);
    if (colon === 0) return;
    const field = colon < 0 ? line.toString('latin1') : line.toString('latin1', 0, colon);
    let value = colon < 0 ? empty : line.subarray(colon + 1);
    if (value[0] === 0x20) value = value.subarray(1);
    if (field === 'data') {
      this.#mustFit(value.length + 1);
      if (this.#hasData) this.#data.push(lineFeed);
      this.#hasData = true;
      this.#data.push(value);
    } else if (field === 'event') {
      this.#type = value.toString('utf8');
    } else if (field === 'id') {
      if (!value.includes(0)) this.#id = value.toString('utf8');
    } else if (field === 'retry') {
      const text = value.toString('latin1');
      if (/^[0-9]{1,9}$/.test(text)) this.#listener.onRetry?.(Number(text));
    }
  }

  #dispatch(): void {
    const type = this.#type;
    this.#type = 'message';
    if (!this.#hasData) return;
    this.#hasData = false;
    const data = this.#data.take();
    this.#listener.onEvent({ data, type: type === '' ? 'message' : type, id: this.#id });
  }
}
