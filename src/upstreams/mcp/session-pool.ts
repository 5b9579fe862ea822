import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { UpstreamCall } from '../upstream.ts';
import { Backoff } from './backoff.ts';
import { isInteractive, passableCapabilities } from './dialect.ts';
import type { LegacySession } from './legacy-session.ts';

interface PoolOptions {
  readonly subject: string;
  /** Opens a session that declares these capabilities and serves this one client. */
  readonly open: (capabilities: JsonObject, client: string, principal: string) => Promise<LegacySession>;
  /** Callers have credentials of their own: one who cannot be asked anything is served by one session for all calls. */
  readonly isPerUser: boolean;
  /** Sessions or child processes at the same time. */
  readonly limit: number;
  readonly clock: Clock;
}

interface Held {
  /** Who it was opened for: a principal with a session, or a principal with a set of capabilities. */
  readonly key: string;
  /** The client's session, empty for a caller's own without one; undefined: lent to one call at a time. */
  readonly clientSession: string | undefined;
  readonly opening: Promise<LegacySession>;
  session: LegacySession | undefined;
}

const idleMs = 10 * 60_000;
const sweepMs = 60_000;

/**
 * Sessions of a legacy upstream that belong to one client each, so that what the upstream asks and tells in them can only
 * mean that client. A client without a session of its own is lent one per call, never one that another principal used.
 */
export class SessionPool {
  readonly #options: PoolOptions;
  readonly #all = new Set<Held>();
  readonly #kept = new Map<string, Held>();
  readonly #idle = new Map<string, Held[]>();
  readonly #bySession = new Map<LegacySession, Held>();
  readonly #backoff = new Backoff(1_000, 30_000);
  #openAfterMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#all.size;
  }

  /** The session for this call. Throws GatewayError `upstream_busy` when there are too many. */
  take({ client }: UpstreamCall): LegacySession | Promise<LegacySession> {
    const capabilities = passableCapabilities(client.capabilities);
    const isShared = this.#options.isPerUser && !isInteractive(capabilities);
    const session = isShared ? '' : client.session;
    if (session === undefined) return this.#lend(client.principal, capabilities);
    const key = JSON.stringify([client.principal, session]);
    const held = this.#kept.get(key) ?? this.#open(key, session, capabilities, client.principal);
    this.#kept.set(key, held);
    return held.session ?? held.opening;
  }

  #lend(principal: string, capabilities: JsonObject): LegacySession | Promise<LegacySession> {
    const key = JSON.stringify([principal, null, capabilities]);
    const held = this.#idle.get(key)?.pop() ?? this.#open(key, undefined, capabilities, principal);
    return held.session ?? held.opening;
  }

  /** A call is over. */
  release(session: LegacySession): void {
    session.lastUsedAtMs = this.#options.clock.nowMs();
    const held = this.#bySession.get(session);
    if (held === undefined || held.clientSession !== undefined || session.isGone) return;
    const idle = this.#idle.get(held.key);
    if (idle === undefined) this.#idle.set(held.key, [held]);
    else if (!idle.includes(held)) idle.push(held);
  }

  /** The upstream has ended or forgotten this session. */
  drop(session: LegacySession): void {
    const held = this.#bySession.get(session);
    if (held === undefined) return;
    this.#forget(held);
    session.link.retire().catch(() => {});
  }

  has(session: LegacySession): boolean {
    return this.#bySession.has(session);
  }

  endSession(clientSession: string): void {
    for (const held of [...this.#all]) if (held.clientSession === clientSession) void this.#end(held);
  }

  notify(clientSession: string, method: string, params: JsonObject): void {
    for (const held of this.#all) if (held.clientSession === clientSession) held.session?.tell(method, params);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.allSettled([...this.#all].map((held) => this.#end(held)));
  }

  #open(key: string, clientSession: string | undefined, capabilities: JsonObject, principal: string): Held {
    const { subject, limit, clock, open } = this.#options;
    const waitMs = this.#openAfterMs - clock.nowMs();
    if (waitMs > 0) {
      const text = `${subject} cannot open a session for this client; the next attempt is in ${Math.ceil(waitMs / 1000)} s.`;
      throw new GatewayError('upstream_unavailable', text, { retryAfterMs: waitMs });
    }
    if (this.#all.size >= limit && !this.#evict()) {
      throw new GatewayError('upstream_busy', `${subject} has ${limit} sessions open, and all of them are in use.`, {
        retryAfterMs: 1_000,
      });
    }
    const opening = open(capabilities, key, principal);
    const held: Held = { key, clientSession, opening, session: undefined };
    this.#all.add(held);
    this.#timer ??= setInterval(() => this.#sweep(), sweepMs).unref();
    opening.then(
      (session) => {
        if (session.isGone) return this.#forget(held);
        this.#backoff.reset();
        held.session = session;
        session.lastUsedAtMs = clock.nowMs();
        this.#bySession.set(session, held);
        if (!this.#all.has(held)) void this.#end(held);
      },
      () => {
        this.#openAfterMs = clock.nowMs() + this.#backoff.next();
        this.#forget(held);
      },
    );
    return held;
  }

  #evict(): boolean {
    let oldest: Held | undefined;
    for (const held of this.#all) {
      const { session } = held;
      if (session === undefined || session.calls.size > 0) continue;
      // A lent session whose call is about to begin is not idle.
      if (held.clientSession === undefined && !this.#idle.get(held.key)?.includes(held)) continue;
      if (session.lastUsedAtMs < (oldest?.session?.lastUsedAtMs ?? Number.POSITIVE_INFINITY)) oldest = held;
    }
    if (oldest !== undefined) void this.#end(oldest);
    return oldest !== undefined;
  }

  #sweep(): void {
    const before = this.#options.clock.nowMs() - idleMs;
    for (const held of [...this.#all]) {
      const { session } = held;
      if (session !== undefined && session.calls.size === 0 && session.lastUsedAtMs < before) void this.#end(held);
    }
    if (this.#all.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #end(held: Held): Promise<void> {
    this.#forget(held);
    // One that is still opening is ended by `#open` as soon as it is there.
    return held.session === undefined ? Promise.resolve() : closeSession(held.session);
  }

  #forget(held: Held): void {
    this.#all.delete(held);
    if (held.session !== undefined) this.#bySession.delete(held.session);
    if (this.#kept.get(held.key) === held) this.#kept.delete(held.key);
    const idle = this.#idle.get(held.key);
    const at = idle?.indexOf(held) ?? -1;
    if (at >= 0) idle?.splice(at, 1);
    if (idle?.length === 0) this.#idle.delete(held.key);
  }
}

/** Ends a session with the goodbye its transport has. */
export async function closeSession(session: LegacySession): Promise<void> {
  const wasGone = session.isGone;
  session.isGone = true;
  if (!wasGone && session.hasId) await session.link.endSession(session.headers);
  await session.link.close();
}
