import { randomInt } from 'node:crypto';
import type { Caller } from '../../call/authenticate.ts';
import type { Toolbox } from '../../catalog/catalog.ts';
import { GatewayError } from '../../errors.ts';
import { Bag, type Bagged } from '../../wire/bag.ts';
import type { Cancel } from '../../wire/cancel.ts';
import type { JsonObject } from '../../wire/json.ts';
import { notificationBytes } from '../../wire/message.ts';
import type { SseStream } from './stream.ts';

/**
 * What a session id carries, sealed: everything `initialize` settled. Any replica that holds the key takes the session up,
 * and a restart loses none: most clients never initialize again.
 */
export interface SealedSession {
  /** Short random id: names the session in the store and in records. */
  readonly i: string;
  /** Caller. */
  readonly c: string;
  /** Toolbox. */
  readonly t: string;
  /** Protocol version. */
  readonly v: string;
  /** Client capabilities. */
  readonly k: JsonObject;
  readonly createdAtMs: number;
}

/** One legacy client that has initialized. */
export class Session {
  readonly id: string;
  /** What the client sends in `Mcp-Session-Id`; empty on stdio. */
  readonly handle: string;
  /** As its last request showed, or as the registry has it since. */
  caller: Caller;
  /** Of its last request; empty where there is none. */
  ip = '';
  readonly toolbox: string;
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
  /** What `logging/setLevel` asked for; nothing is passed on until then. */
  logLevel: string | undefined;
  lastUsedAtMs: number;
  storedAtMs = 0;
  /** What it saw of its toolbox when it was last told of changes; undefined: nothing. */
  seen: Toolbox | undefined;
  /** For messages that belong to no request: the GET stream, or the pipe on stdio. */
  channel: SessionChannel | undefined;
  /** Takes up subscriptions that could not be taken up yet, when the session came back from its id. */
  restore: (() => void) | undefined;
  unrestored: Set<string> | undefined;
  /** Ends of the resource subscriptions, by outward URI. */
  readonly subscriptions = new Map<string, () => void>();
  /** Notices that came while nothing was open to send them on. */
  #missed: Set<string> | undefined;
  #running: Bag<Running> | undefined;
  #questions: Map<string, Question> | undefined;

  constructor(handle: string, sealed: SealedSession, caller: Caller, nowMs: number) {
    this.id = sealed.i;
    this.handle = handle;
    this.caller = caller;
    this.toolbox = sealed.t;
    this.protocolVersion = sealed.v;
    this.capabilities = sealed.k;
    this.lastUsedAtMs = nowMs;
  }

  get isBusy(): boolean {
    return this.channel !== undefined || (this.#running?.size ?? 0) > 0 || (this.#questions?.size ?? 0) > 0;
  }

  notify(method: string, params: JsonObject): void {
    if (this.channel !== undefined) {
      this.channel.send(notificationBytes(method, params));
    } else if (method.endsWith('/list_changed')) {
      this.#missed ??= new Set();
      this.#missed.add(method);
    }
  }

  changed(method: string): void {
    this.notify(method, {});
  }

  open(channel: SessionChannel): void {
    this.channel = channel;
    for (const method of this.#missed ?? []) channel.send(notificationBytes(method, {}));
    this.#missed = undefined;
  }

  /** `finish` must follow. Throws GatewayError `invalid_request` when a request with this id is still running. */
  begin(requestId: string, cancel: Cancel): Running {
    this.#running ??= new Bag();
    if (this.#find(requestId) !== undefined)
      throw new GatewayError('invalid_request', `A request with the id ${requestId} is still running.`);
    const running = { requestId, cancel, place: -1 };
    this.#running.add(running);
    return running;
  }

  finish(running: Running): void {
    this.#running?.delete(running);
  }

  cancel(requestId: string, reason: string): void {
    this.#find(requestId)?.cancel.cancel(reason);
  }

  #find(requestId: string): Running | undefined {
    return this.#running?.find((running) => running.requestId === requestId);
  }

  /** Puts a question to the client by `send`; resolves with the id's answer. */
  question(send: (id: number) => void, question: Question): string {
    this.#questions ??= new Map();
    // Not counted up: nobody who has seen one id knows the next.
    const id = randomInt(2 ** 47);
    this.#questions.set(String(id), question);
    send(id);
    return String(id);
  }

  takeQuestion(id: string): Question | undefined {
    const question = this.#questions?.get(id);
    this.#questions?.delete(id);
    return question;
  }

  end(reason: string): void {
    for (const { cancel } of this.#running ?? []) cancel.cancel(reason);
    for (const question of this.#questions?.values() ?? []) question.reject(new GatewayError('cancelled', reason));
    for (const end of this.subscriptions.values()) end();
    this.subscriptions.clear();
    this.#running = undefined;
    this.#questions = undefined;
    this.channel?.end();
    this.channel = undefined;
  }
}

/** A request of a session that is not answered yet. */
export interface Running extends Bagged {
  readonly requestId: string;
  readonly cancel: Cancel;
}

interface SessionChannel {
  send(message: string): void;
  end(): void;
}

interface Question {
  resolve(result: JsonObject): void;
  reject(error: Error): void;
}

/** A session's channel over an event stream. */
export function streamChannel(stream: SseStream): SessionChannel {
  return { send: (message) => stream.write([Buffer.from(message)]), end: () => stream.end() };
}
