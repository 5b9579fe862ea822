import { randomBytes, randomInt } from 'node:crypto';
import type { Logger } from 'pino';
import type { Caller } from '../../call/authenticate.ts';
import { mayEnter } from '../../call/authorize.ts';
import type { Toolbox } from '../../catalog/catalog.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import { seal, unseal } from '../../seal.ts';
import type { SessionStore } from '../../store/ports/sessions.ts';
import { Bag, type Bagged } from '../../wire/bag.ts';
import type { Cancel } from '../../wire/cancel.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { isLogLevel } from '../../wire/mcp.ts';
import { notificationBytes } from '../../wire/message.ts';
import type { SseStream } from './stream.ts';

/** How often a session in use is written down as alive, at most. */
const touchEveryMs = 60_000;

/**
 * What a session id carries, sealed: everything `initialize` settled. Any replica that holds the key takes the session up,
 * and a restart loses none: most clients never initialize again.
 */
interface SealedSession {
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

export interface SessionChannel {
  send(message: string): void;
  end(): void;
}

interface Question {
  resolve(result: JsonObject): void;
  reject(error: Error): void;
}

/** Who shows a session's id, and from which address. */
export interface Visitor {
  readonly caller: Caller;
  readonly ip: string;
}

interface SessionLimits {
  readonly idleMs: number;
  /** Sessions kept in memory; one that has to make room comes back from its id. */
  readonly max: number;
}

interface SessionPorts {
  readonly key: Buffer;
  readonly store: SessionStore;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** A session came back from its id: its subscriptions have to be made again. */
  readonly onRevived: (session: Session, visitor: Visitor, uris: readonly string[]) => void;
  readonly onEnded: (session: Session) => void;
}

/** All sessions of legacy clients, each bound to the caller that opened it. */
export class Sessions {
  readonly #ports: SessionPorts;
  // In order of last use: the first is the one that has been idle longest.
  readonly #live = new Map<string, Session>();
  readonly #reviving = new Map<string, Promise<Session | undefined>>();
  readonly #ended = new Set<string>();
  readonly #sweep: NodeJS.Timeout;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#sweep = setInterval(() => this.#endIdle(), Math.min(ports.limits.idleMs, 60_000)).unref();
  }

  get size(): number {
    return this.#live.size;
  }

  /** Throws GatewayError `too_many_sessions`. */
  create(caller: Caller, toolbox: string, protocolVersion: string, capabilities: JsonObject): Session {
    this.#makeRoom();
    const nowMs = this.#ports.clock.nowMs();
    const sealed: SealedSession = {
      i: randomBytes(12).toString('base64url'),
      c: caller.id,
      t: toolbox,
      v: protocolVersion,
      k: capabilities,
      createdAtMs: nowMs,
    };
    const session = new Session(seal(this.#ports.key, 'session', sealed), sealed, caller, nowMs);
    this.#live.set(session.handle, session);
    this.save(session);
    return session;
  }

  /**
   * The caller's session behind an id. Throws GatewayError `session_not_found` for one that has ended, idled out, belongs to
   * somebody else or never was: they look the same.
   */
  find(visitor: Visitor, toolbox: string, handle: string): Session | Promise<Session> {
    const session = this.#live.get(handle);
    if (session === undefined) return this.#revived(visitor, toolbox, handle);
    return this.#checked(session, visitor, toolbox);
  }

  end(session: Session, reason: string): void {
    this.#remember(session.id);
    this.#ports.store.save({ id: session.id, isEnded: true, state: '{}', lastUsedAtMs: this.#ports.clock.nowMs() });
    this.#drop(session, reason);
  }

  /** Notes that a session is in use although no request of its client says so. */
  touch(session: Session): void {
    session.lastUsedAtMs = this.#ports.clock.nowMs();
    if (session.lastUsedAtMs - session.storedAtMs > touchEveryMs) this.save(session);
  }

  /** Writes down what the id cannot carry. */
  save(session: Session): void {
    session.storedAtMs = session.lastUsedAtMs;
    const state = {
      logLevel: session.logLevel,
      subscriptions: [...new Set([...session.subscriptions.keys(), ...(session.unrestored ?? [])])],
    };
    this.#ports.store.save({ id: session.id, isEnded: false, state: JSON.stringify(state), lastUsedAtMs: session.lastUsedAtMs });
  }

  /** Takes up subscriptions that could not be taken up yet. */
  restoreSubscriptions(): void {
    for (const session of this.#live.values()) {
      if (session.unrestored !== undefined && session.unrestored.size > 0) session.restore?.();
    }
  }

  /** All that are open. */
  open(): Iterable<Session> {
    return this.#live.values();
  }

  /** Knows every caller as they are now: ends the sessions of those who are no longer let in, and the streams of those who may not come here. */
  renew(renewed: (caller: Caller) => Caller | undefined): void {
    for (const session of this.#live.values()) {
      const caller = renewed(session.caller);
      if (caller === undefined) {
        this.end(session, 'its caller is no longer let in');
        continue;
      }
      session.caller = caller;
      if (!mayEnter(caller, session.toolbox)) session.channel?.end();
    }
  }

  /** Ends the streams of callers whose proof has expired; with a new one they go on with their session. */
  endChannelsOf(hasExpired: (caller: Caller) => boolean): void {
    for (const session of this.#live.values()) if (hasExpired(session.caller)) session.channel?.end();
  }

  /** Ends the streams that belong to no request: they would keep a server that stops accepting open for ever. */
  endChannels(): void {
    for (const session of this.#live.values()) session.channel?.end();
  }

  /** Leaves every session as it is for the next process, and ends their streams. */
  async close(): Promise<void> {
    clearInterval(this.#sweep);
    for (const session of this.#live.values()) {
      if (session.isBusy) session.lastUsedAtMs = this.#ports.clock.nowMs();
      this.save(session);
      session.end('the gateway is stopping');
    }
    this.#live.clear();
    await this.#ports.store.flush();
  }

  async #revived(visitor: Visitor, toolbox: string, handle: string): Promise<Session> {
    // Two requests of one client may arrive together after a restart; they must not make two sessions of one.
    let reviving = this.#reviving.get(handle);
    if (reviving === undefined) {
      reviving = this.#revive(visitor, handle).finally(() => this.#reviving.delete(handle));
      this.#reviving.set(handle, reviving);
    }
    const session = await reviving;
    if (session === undefined) throw notFound();
    return this.#checked(session, visitor, toolbox);
  }

  async #revive(visitor: Visitor, handle: string): Promise<Session | undefined> {
    const { caller } = visitor;
    const sealed = unseal(this.#ports.key, 'session', handle) as SealedSession | undefined;
    if (sealed === undefined || sealed.c !== caller.id || this.#ended.has(sealed.i)) return undefined;
    const stored = await this.#ports.store.load(sealed.i);
    const nowMs = this.#ports.clock.nowMs();
    const lastUsedAtMs = Math.max(stored?.lastUsedAtMs ?? 0, sealed.createdAtMs);
    if (stored?.isEnded || lastUsedAtMs + this.#ports.limits.idleMs + touchEveryMs < nowMs) return undefined;
    this.#makeRoom();
    const session = new Session(handle, sealed, caller, nowMs);
    const state = readState(stored?.state);
    session.logLevel = state.logLevel;
    this.#live.set(handle, session);
    this.#ports.onRevived(session, visitor, state.subscriptions);
    return session;
  }

  #checked(session: Session, { caller, ip }: Visitor, toolbox: string): Session {
    if (session.caller.id !== caller.id || session.toolbox !== toolbox) throw notFound();
    session.caller = caller;
    session.ip = ip;
    const nowMs = this.#ports.clock.nowMs();
    session.lastUsedAtMs = nowMs;
    // The map's order is the order of last use, kept to the minute: exact order would cost on every call.
    if (nowMs - session.storedAtMs > touchEveryMs) {
      this.#live.delete(session.handle);
      this.#live.set(session.handle, session);
      this.save(session);
    }
    return session;
  }

  #makeRoom(): void {
    if (this.#live.size < this.#ports.limits.max) return;
    for (const session of this.#live.values()) {
      if (session.isBusy) continue;
      this.save(session);
      this.#drop(session, 'the session made room for another');
      return;
    }
    throw new GatewayError('too_many_sessions', 'This gateway has as many sessions in use as it may; try again later.', {
      retryAfterMs: 10_000,
    });
  }

  #endIdle(): void {
    const oldest = this.#ports.clock.nowMs() - this.#ports.limits.idleMs;
    for (const session of this.#live.values()) {
      if (session.isBusy) this.touch(session);
      else if (session.lastUsedAtMs <= oldest) this.end(session, 'the session was idle for too long');
    }
    void this.#ports.store
      .prune(oldest - 24 * 3_600_000)
      .catch((error: unknown) => this.#ports.log.warn({ err: error }, 'old sessions could not be removed'));
  }

  #drop(session: Session, reason: string): void {
    this.#live.delete(session.handle);
    session.end(reason);
    this.#ports.onEnded(session);
  }

  // Ended sessions are in the store, which may be slow or gone: this process does not forget its own.
  #remember(id: string): void {
    this.#ended.add(id);
    if (this.#ended.size <= 10_000) return;
    for (const oldest of this.#ended) {
      this.#ended.delete(oldest);
      return;
    }
  }
}

function readState(state: string | undefined): { logLevel: string | undefined; subscriptions: readonly string[] } {
  const value: unknown = state === undefined ? {} : JSON.parse(state);
  if (!isObject(value)) return { logLevel: undefined, subscriptions: [] };
  const { logLevel, subscriptions } = value;
  return {
    logLevel: typeof logLevel === 'string' && isLogLevel(logLevel) ? logLevel : undefined,
    subscriptions: Array.isArray(subscriptions) ? subscriptions.filter((uri) => typeof uri === 'string') : [],
  };
}

function notFound(): GatewayError {
  return new GatewayError('session_not_found', 'This session has ended or never was; initialize again.');
}

/** A session's channel over an event stream. */
export function streamChannel(stream: SseStream): SessionChannel {
  return { send: (message) => stream.write([Buffer.from(message)]), end: () => stream.end() };
}
