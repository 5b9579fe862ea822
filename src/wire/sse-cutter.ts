/** One server-sent event (WHATWG HTML 9.2) with the very bytes it was made of. */
export interface RawEvent {
  /** The blank line behind it included. */
  readonly bytes: Buffer;
  /** Its data lines, joined by line feeds; undefined where it has none. */
  readonly data: string | undefined;
}

const lf = 0x0a;
const cr = 0x0d;

/** Cuts a stream of bytes into its events, wherever the pieces were cut. An event larger than `limitBytes` throws RangeError. */
export class SseCutter {
  readonly #limitBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  /** What of the rest is known to have no end of an event in it. */
  #seen = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  push(bytes: Buffer): RawEvent[] {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const events: RawEvent[] = [];
    let start = 0;
    for (let end = eventEnd(all, this.#seen); end > 0; end = eventEnd(all, start)) {
      events.push(eventOf(all.subarray(start, end)));
      start = end;
    }
    this.#rest = all.subarray(start);
    this.#seen = Math.max(0, this.#rest.length - 3);
    if (this.#rest.length > this.#limitBytes) throw new RangeError(`an event is larger than ${this.#limitBytes} bytes`);
    return events;
  }

  /** What came behind the last event and is none: it has no end. */
  get rest(): Buffer {
    return this.#rest;
  }
}

/** Behind the first empty line from `from` on, or -1. A line ends in LF, CR LF or CR. */
function eventEnd(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== lf && byte !== cr) continue;
    const next = byte === cr && bytes[at + 1] === lf ? at + 2 : at + 1;
    const second = bytes[next];
    if (second === lf) return next + 1;
    if (second === cr) return bytes[next + 1] === lf ? next + 2 : next + 1;
  }
  return -1;
}

function eventOf(bytes: Buffer): RawEvent {
  let data: string | undefined;
  for (const line of linesOf(bytes)) {
    if (line !== 'data' && !line.startsWith('data:')) continue;
    const value = line.slice(line.charCodeAt(5) === 0x20 ? 6 : 5);
    data = data === undefined ? value : `${data}\n${value}`;
  }
  return { bytes, data };
}

/** The event with other data, its other lines as they were. */
export function withData({ bytes }: RawEvent, data: string): Buffer {
  const kept = linesOf(bytes).filter((line) => line !== '' && line !== 'data' && !line.startsWith('data:'));
  return Buffer.from([...kept, `data: ${data}`, '', ''].join('\n'));
}

function linesOf(bytes: Buffer): string[] {
  const text = bytes.toString('utf8');
  // A stream may begin with a byte order mark, which belongs to no line.
  return (text.startsWith('\ufeff') ? text.slice(1) : text).split(/\r\n|[\r\n]/);
}
