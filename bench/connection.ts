import { connect, type Socket } from 'node:net';

/** One HTTP response, whole. */
export interface Answer {
  readonly status: number;
  readonly isEventStream: boolean;
  readonly body: Buffer;
  readonly head: Head;
}

class Head {
  readonly #text: string;
  readonly #lowerText: string;

  constructor(text: string) {
    this.#text = text;
    this.#lowerText = text.toLowerCase();
  }

  get status(): number {
    return Number(this.#text.slice(9, 12));
  }

  /** A header's value; names are given in lower case. */
  get(name: string): string | undefined {
    const at = this.#lowerText.indexOf(`\r\n${name}:`);
    if (at < 0) return undefined;
    const start = at + name.length + 3;
    return this.#text.slice(start, this.#text.indexOf('\r\n', start)).trim();
  }
}

export interface Listener {
  onAnswer(answer: Answer): void;
  /** The connection is of no use any more. */
  onFailure(reason: string): void;
  /** Bytes of the body as they come. */
  onPart?(bytes: Buffer): void;
}

/**
 * A keep-alive connection that carries one request at a time: just enough of HTTP/1.1 (content-length and chunked answers)
 * to keep the generator several times cheaper than what it measures.
 */
export class Connection {
  readonly #socket: Socket;
  #listener: Listener | undefined;
  /** Bytes whose meaning is not known yet. */
  #rest: Buffer = nothing;
  #parts: Buffer[] = [];
  #head: Head | undefined;
  /** Body bytes still to come; -1 while the body is chunked. */
  #missing = 0;
  #isClosed = false;
  /** When the request under way was sent; 0 when there is none. */
  sentAt = 0;
  /** When the first byte of its answer's body came; 0 before. */
  firstByteAt = 0;

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new Connection(socket));
      });
    });
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', (error) => this.fail(error.message));
    socket.on('close', () => this.fail('the connection was closed'));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends a request (head and body, ASCII); the listener hears of its answer or of its failure, once. */
  send(request: string, listener: Listener) {
    if (this.#isClosed) return listener.onFailure('the connection was closed');
    this.#listener = listener;
    this.firstByteAt = 0;
    this.sentAt = performance.now();
    this.#socket.write(request, 'latin1');
  }

  exchange(request: string): Promise<Answer> {
    return new Promise((onAnswer, reject) => {
      this.send(request, { onAnswer, onFailure: (reason) => reject(new Error(reason)) });
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#listener = undefined;
    this.#socket.destroy();
  }

  fail(reason: string): void {
    if (this.#isClosed) return;
    const listener = this.#listener;
    this.close();
    listener?.onFailure(reason);
  }

  #read(chunk: Buffer) {
    if (this.#listener === undefined) return this.fail('bytes came that no request asked for');
    try {
      this.#take(chunk);
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  #take(chunk: Buffer) {
    if (this.#head !== undefined && this.#missing > 0) return this.#takeBody(chunk);
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (this.#head === undefined && !this.#takeHead()) return;
    if (this.#missing === -1) return this.#takeChunks();
    const body = this.#rest;
    this.#rest = nothing;
    this.#takeBody(body);
  }

  #takeHead(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = new Head(this.#rest.toString('latin1', 0, end + 2));
    this.#rest = this.#rest.subarray(end + 4);
    this.#head = head;
    const length = head.get('content-length');
    if (length !== undefined) this.#missing = Number(length);
    else if (head.get('transfer-encoding') === 'chunked') this.#missing = -1;
    else if (head.status === 204) this.#missing = 0;
    else throw new Error('an answer without a length');
    return true;
  }

  #takeBody(bytes: Buffer): void {
    if (bytes.length > this.#missing) throw new Error('an answer longer than it said');
    this.#missing -= bytes.length;
    if (bytes.length > 0) this.#addPart(bytes);
    if (this.#missing === 0) this.#finish();
  }

  #addPart(bytes: Buffer): void {
    if (this.firstByteAt === 0) this.firstByteAt = performance.now();
    const { onPart } = this.#listener!;
    if (onPart === undefined) this.#parts.push(bytes);
    else onPart(bytes);
  }

  #takeChunks() {
    for (;;) {
      const lineEnd = this.#rest.indexOf('\r\n');
      if (lineEnd < 0) return;
      const size = Number.parseInt(this.#rest.toString('latin1', 0, lineEnd), 16);
      if (!(size >= 0)) throw new Error('a chunk without a size');
      const end = lineEnd + 2 + size;
      // No trailers: nobody here sends any.
      if (this.#rest.length < end + 2) return;
      if (size === 0) {
        if (this.#rest.length > end + 2) throw new Error('an answer longer than it said');
        this.#rest = nothing;
        return this.#finish();
      }
      this.#addPart(this.#rest.subarray(lineEnd + 2, end));
      this.#rest = this.#rest.subarray(end + 2);
    }
  }

  #finish(): void {
    const listener = this.#listener!;
    const head = this.#head!;
    const body = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#listener = undefined;
    this.#head = undefined;
    this.#parts = [];
    // Before the listener runs, which sends the next request: it has to see that this connection takes no more.
    if (head.get('connection')?.toLowerCase() === 'close') this.close();
    listener.onAnswer({
      status: head.status,
      isEventStream: head.get('content-type')?.startsWith('text/event-stream') === true,
      body,
      head,
    });
  }
}

const nothing = Buffer.alloc(0);
