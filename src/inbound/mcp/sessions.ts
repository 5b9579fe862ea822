import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Caller } from '../../call/authenticate.ts';
import { mayEnter } from '../../call/authorize.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import { seal, unseal } from '../../seal.ts';
import type { SessionStore } from '../../store/ports/sessions.ts';
import { isObject, type JsonObject } from '../../wire/json.ts';
import { isLogLevel } from '../../wire/mcp.ts';
import { type SealedSession, Session } from './session.ts';

/** How often a session in use is written down as alive, at most. */
const touchEveryMs = 60_000;

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

  /**
   * Whether this caller may open another stream: a session with one makes room for nobody, so that one caller has half of them at most.
   * Throws GatewayError `too_many_sessions`.
   */
  makeStreamRoom({ id }: Pick<Caller, 'id'>): void {
    const most = Math.max(1, Math.floor(this.#ports.limits.max / 2));
    if (this.#live.size <= most) return;
    let own = 0;
    for (const { caller, channel } of this.#live.values()) if (channel !== undefined && caller.id === id) own += 1;
    if (own < most) return;
    throw new GatewayError('too_many_sessions', 'This caller holds as many open streams as it may; try again later.', {
      retryAfterMs: 10_000,
    });
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
