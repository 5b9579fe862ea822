import type { Readable, Writable } from 'node:stream';
import type { Caller } from '../../call/authenticate.ts';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { Cancel } from '../../wire/cancel.ts';
import { type Message, MessageError, type RequestMessage, readMessage } from '../../wire/message.ts';
import { Pieces } from '../../wire/pieces.ts';
import type { Edge } from './edge.ts';
import { classify } from './era.ts';
import { handleLegacy, hearLegacy, initialize } from './legacy.ts';
import { errorMessage, resultMessage, toRpcError } from './messages.ts';
import { handleModern } from './modern.ts';
import type { Reply } from './reply.ts';
import type { Session } from './session.ts';
import { maxBacklogBytes, oneLine } from './stream.ts';

interface StdioPorts {
  readonly caller: Caller;
  readonly toolbox: string;
  readonly input: Readable;
  readonly output: Writable;
  readonly limitBytes: number;
}

/** Serves one client on a pair of pipes, a message per line, both eras (MCP basic/transports, stdio). Resolves when the client has left. */
export function serveStdio(edge: Edge, ports: StdioPorts): Promise<void> {
  const door = new StdioDoor(edge, ports);
  return new Promise((resolve) => {
    const end = () => {
      door.end();
      resolve();
    };
    ports.input.on('data', (chunk: Buffer) => door.push(chunk));
    ports.input.once('end', end);
    ports.input.once('close', end);
    // A client that closes its end first makes every write fail; there is nobody left to tell.
    ports.output.on('error', end);
  });
}

class StdioDoor {
  readonly #edge: Edge;
  readonly #ports: StdioPorts;
  /** Requests of the modern era that still run, by id. */
  readonly #running = new Map<string, Cancel>();
  #session: Session | undefined;
  readonly #line = new Pieces();
  #lineBytes = 0;

  constructor(edge: Edge, ports: StdioPorts) {
    this.#edge = edge;
    this.#ports = ports;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(0x0a, from);
      const piece = chunk.subarray(from, end < 0 ? undefined : end);
      this.#lineBytes += piece.length;
      // The rest of a line that is too long is counted, not kept.
      if (this.#lineBytes <= this.#ports.limitBytes) this.#line.push(piece);
      if (end < 0) return;
      const line = this.#line.take();
      const isTooLong = this.#lineBytes > this.#ports.limitBytes;
      this.#lineBytes = 0;
      from = end + 1;
      if (isTooLong)
        this.#refuse(undefined, new GatewayError('invalid_request', `A message is larger than ${this.#ports.limitBytes} bytes.`));
      else if (!isBlank(line)) this.#read(line);
    }
  }

  end(): void {
    for (const cancel of this.#running.values()) cancel.cancel('the client left');
    if (this.#session !== undefined) this.#edge.sessions.end(this.#session, 'the client left');
    this.#session = undefined;
  }

  #read(line: Buffer): void {
    let message: Message;
    try {
      message = readMessage(line);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      const code = error.reason === 'parse' ? 'parse_error' : 'invalid_request';
      this.#refuse(error.id, new GatewayError(code, `The message cannot be read: ${error.message}.`));
      return;
    }
    this.#serve(message, line.length).catch((error: unknown) =>
      this.#refuse(message.kind === 'request' ? message.id : undefined, error),
    );
  }

  async #serve(message: Message, bytes: number): Promise<void> {
    const era = classify(message, undefined, false);
    if (message.kind === 'request' && message.method === 'initialize') {
      await this.#open(message);
    } else if (era === 'modern') {
      if (message.kind === 'request') await this.#serveModern(message, bytes);
    } else if (message.kind === 'request') {
      if (this.#session === undefined) throw new GatewayError('session_required', 'Send "initialize" first.');
      const { caller } = this.#ports;
      await handleLegacy(this.#edge, {
        caller,
        ip: '',
        session: this.#session,
        door: 'stdio',
        message,
        bytes,
        reply: this.#reply(),
      });
    } else {
      this.#hear(message);
    }
  }

  async #open(message: RequestMessage): Promise<void> {
    const { caller, toolbox } = this.#ports;
    const { session, result } = await initialize(this.#edge, { caller, ip: '', toolbox, message });
    if (this.#session !== undefined) this.#edge.sessions.end(this.#session, 'the client initialized again');
    this.#session = session;
    this.#write(resultMessage(message.id, result));
    session.open({ send: (text) => this.#write([Buffer.from(text)]), end: () => {} });
  }

  async #serveModern(message: RequestMessage, bytes: number): Promise<void> {
    if (this.#running.has(message.id))
      throw new GatewayError('invalid_request', `A request with the id ${message.id} is still running.`);
    const { caller, toolbox } = this.#ports;
    const cancel = new Cancel();
    this.#running.set(message.id, cancel);
    const reply = this.#reply(cancel, () => this.#running.delete(message.id));
    await handleModern(this.#edge, { caller, ip: '', toolbox, door: 'stdio', message, bytes, reply, headers: undefined, cancel });
  }

  #hear(message: Exclude<Message, RequestMessage>): void {
    if (message.kind === 'notification' && message.method === 'notifications/cancelled') {
      const running = this.#running.get(JSON.stringify(message.params.requestId));
      running?.cancel('the client cancelled the request');
    }
    if (this.#session !== undefined) hearLegacy(this.#edge, this.#session, message);
  }

  #reply(cancel?: Cancel, onDone?: () => void): Reply {
    let isDone = false;
    const done = () => {
      isDone = true;
      onDone?.();
    };
    return {
      get canSend() {
        return !isDone;
      },
      send: (message) => {
        if (!isDone) this.#write([Buffer.from(message)]);
      },
      finish: (message) => {
        if (isDone) return;
        done();
        this.#write(message);
      },
      abandon: done,
      onGone: (listener) => {
        const gone = () => {
          if (!isDone) listener();
        };
        return cancel?.onCancel(gone) ?? (() => {});
      },
    };
  }

  #refuse(id: string | undefined, thrown: unknown): void {
    const error = toGatewayError(thrown);
    if (error.code === 'internal') this.#edge.log.error({ err: error.cause }, 'a message failed');
    this.#write(errorMessage(id, toRpcError(error)));
  }

  #write(message: readonly Buffer[]): void {
    // A client that does not read is let go before what waits for it fills the memory.
    if (this.#ports.output.writableLength > maxBacklogBytes) {
      this.#ports.output.destroy();
      this.#ports.input.destroy();
      return;
    }
    this.#ports.output.write(Buffer.concat([...oneLine(message), newline]));
  }
}

const newline = Buffer.from('\n');

function isBlank(line: Buffer): boolean {
  return line.length === 0 || (line.length === 1 && line[0] === 0x0d);
}
