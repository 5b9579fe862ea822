import { Pieces } from '../../wire/pieces.ts';

const lf = 0x0a;
const cr = 0x0d;
const empty = Buffer.alloc(0);

/**
 * Cuts a stream of server-sent events (WHATWG HTML 9.2) behind the empty line that ends each, and changes no byte. Lines may end in LF
 * or CRLF, or all of them in a lone CR.
 */
export class EventSplitter {
  readonly #limitBytes: number;
  readonly #rest = new Pieces();
  /** The last two bytes of the rest: an empty line may begin there. */
  #tail: Buffer = empty;
  /** The byte that ends a line; undefined until one has ended. */
  #lineEnd: number | undefined;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes of an event that has no end yet. */
  get restBytes(): number {
    return this.#rest.length;
  }

  /**
   * The stream has ended. Calls `take` with a last event whose empty line alone is missing, and adds it. Returns false where half of
   * an event is left.
   */
  end(take: (event: Buffer) => void): boolean {
    const rest = this.#rest.take();
    const data = readEvent(rest)?.data;
    if (data === undefined) return true;
    if (!isWhole(data)) return false;
    take(Buffer.concat([rest, Buffer.from(this.#lineEnd === cr ? '\r\r' : '\n\n')]));
    return true;
  }

  /** Calls `take` with each whole event. Throws RangeError for one that is larger than the limit. */
  push(chunk: Buffer, take: (event: Buffer) => void): void {
    let from = 0;
    this.#lineEnd ??= lineEndOf(this.#tail.at(-1) === cr ? Buffer.concat([this.#tail, chunk]) : chunk);
    const endOf = this.#lineEnd === cr ? endBehindCr : endBehindLf;
    if (this.#rest.length > 0) {
      const found = endOf(Buffer.concat([this.#tail, chunk]), 0);
      if (found < 0) {
        this.#keep(chunk);
        return;
      }
      const end = found - this.#tail.length;
      this.#rest.push(chunk.subarray(0, end));
      take(this.#rest.take());
      this.#tail = empty;
      from = end;
    }
    for (let end = endOf(chunk, from); end >= 0; end = endOf(chunk, from)) {
      take(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end));
      from = end;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  #keep(bytes: Buffer): void {
    if (this.#rest.length + bytes.length > this.#limitBytes)
      throw new RangeError(`an event is larger than ${this.#limitBytes} bytes`);
    this.#tail = bytes.length >= 2 ? Buffer.from(bytes.subarray(-2)) : Buffer.concat([this.#tail, bytes]).subarray(-2);
    // A copy: the little that is left would keep the whole chunk alive.
    this.#rest.push(Buffer.from(bytes));
  }
}

/** Undefined where no line ends, or where it is not known yet in what. */
function lineEndOf(bytes: Buffer): number | undefined {
  const [atLf, atCr] = [bytes.indexOf(lf), bytes.indexOf(cr)];
  const isLoneCr = atCr >= 0 && atCr + 1 < bytes.length && bytes[atCr + 1] !== lf;
  if (isLoneCr && (atLf < 0 || atCr < atLf)) return cr;
  return atLf < 0 ? undefined : lf;
}

function endBehindCr(bytes: Buffer, from: number): number {
  const at = bytes.indexOf('\r\r', from, 'latin1');
  return at < 0 ? -1 : at + 2;
}

/** Behind the next empty line; -1 where there is none. */
function endBehindLf(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(lf, from); at >= 0; at = bytes.indexOf(lf, at + 1)) {
    if (bytes[at + 1] === lf) return at + 2;
    if (bytes[at + 1] === cr && bytes[at + 2] === lf) return at + 3;
  }
  return -1;
}

function isWhole(data: string): boolean {
  if (data.trim() === '[DONE]') return true;
  try {
    JSON.parse(data);
    return true;
  } catch {
    return false;
  }
}

/** The type and the data of one event; undefined where there are none, or nothing is in them. */
export function readEvent(event: Buffer): { readonly type: string; readonly data: string } | undefined {
  let type = '';
  let data: string | undefined;
  // A stream may begin with a byte order mark, which belongs to no line.
  const text = event[0] === 0xef ? event.toString().replace(/^\ufeff/, '') : event.toString();
  for (const line of text.split(/\r\n|[\r\n]/)) {
    if (line.startsWith('data:')) {
      const value = line.slice(line[5] === ' ' ? 6 : 5);
      data = data === undefined ? value : `${data}\n${value}`;
    } else if (line.startsWith('event:')) {
      type = line.slice(line[6] === ' ' ? 7 : 6);
    }
  }
  return data === undefined || data === '' ? undefined : { type, data };
}
