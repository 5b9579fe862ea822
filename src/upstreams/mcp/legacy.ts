import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { ErrorMessage, ResultMessage } from '../../wire/message.ts';
import type { BoundedLog } from '../bounded-log.ts';
import { LinkError } from '../link-error.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import { type Dialect, type DialectEvents, isInteractive, promisesNews } from './dialect.ts';
import { LegacyCall, type SessionKeeper } from './legacy-call.ts';
import { LegacySession, type SessionEvents } from './legacy-session.ts';
import type { Link } from './link.ts';
import { closeSession, SessionPool } from './session-pool.ts';

interface LegacyOptions {
  readonly subject: string;
  readonly clientInfo: JsonObject;
  /** The configuration's `sessions`. */
  readonly sessions: 'auto' | 'shared' | 'each';
  /** Known from before: this upstream asks without saying for whom. */
  readonly needsEach: boolean;
  readonly timeoutMs: number;
  readonly openTimeoutMs: number;
  /** Everybody has credentials of their own: a session is never used for two. */
  readonly isPerUser: boolean;
  /** A new way to the far end: for stdio another child process. */
  readonly openLink: (principal?: string) => Promise<Link>;
  readonly events: DialectEvents;
  readonly log: BoundedLog;
  readonly clock: Clock;
}

/**
 * What the session shared by all declares: enough that tools which depend on a capability are listed. It declares no roots,
 * because they would be one client's.
 */
const homeCapabilities: JsonObject = { elicitation: { form: {}, url: {} }, sampling: { tools: {}, context: {} } };
const sessionLimit = 256;
const processLimit = 32;

/**
 * MCP 2024-11-05 to 2025-11-25. One home session serves lists, change notices, subscriptions and the calls of clients that
 * cannot be asked anything; clients that can get sessions of their own where the upstream could confuse them.
 */
export class Legacy implements Dialect, SessionKeeper {
  readonly era = 'legacy';
  readonly transport: Link['transport'];
  readonly #options: LegacyOptions;
  readonly #pool: SessionPool;
  // There from `open` on, before anybody else holds this object.
  #home!: LegacySession;
  #reopening: Promise<LegacySession> | undefined;
  #needsEach: boolean;
  #watched: ReadonlySet<string> = new Set();
  #isClosed = false;

  private constructor(options: LegacyOptions, transport: Link['transport']) {
    this.#options = options;
    this.transport = transport;
    this.#needsEach = options.needsEach;
    const events = this.#sessionEvents();
    this.#pool = new SessionPool({
      subject: options.subject,
      isPerUser: options.isPerUser,
      limit: transport === 'stdio' ? processLimit : sessionLimit,
      clock: options.clock,
      open: async (capabilities, client, principal) =>
        openSession(options, await options.openLink(principal), capabilities, client, events),
    });
  }

  /** Initializes the home session on this link. Rejects with LinkError and leaves the link open. */
  static async open(options: LegacyOptions, link: Link): Promise<Legacy> {
    const legacy = new Legacy(options, link.transport);
    legacy.#home = await openSession(options, link, homeCapabilities, undefined, legacy.#sessionEvents());
    return legacy;
  }

  get protocolVersion(): string {
    return this.#home.protocolVersion;
  }
  get server(): string | undefined {
    return this.#home.server;
  }
  get capabilities(): JsonObject {
    return this.#home.capabilities;
  }
  get instructions(): string | undefined {
    return this.#home.instructions;
  }
  get connections(): number {
    return this.#pool.size + (this.#home.isGone ? 0 : 1);
  }

  async ask(method: string, params: JsonObject): Promise<ResultMessage | ErrorMessage> {
    const home = await this.#homeSession();
    return home.ask(method, params);
  }

  call(call: UpstreamCall): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const session = this.#sessionFor(call);
      if (session instanceof LegacySession) {
        new LegacyCall(session, call, this, resolve, reject).begin();
        return;
      }
      // Whoever gives up does not wait for a session to open; it stays for the next call.
      const takeBack = call.cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason)));
      session.then((opened) => {
        takeBack();
        if (call.cancel.isCancelled) this.finished(opened);
        else new LegacyCall(opened, call, this, resolve, reject).begin();
      }, reject);
    });
  }

  async replace(lost: LegacySession, call: UpstreamCall): Promise<LegacySession> {
    this.#pool.drop(lost);
    return this.#sessionFor(call);
  }

  finished(session: LegacySession): void {
    if (session.client !== undefined) this.#pool.release(session);
  }

  watch(uris: ReadonlySet<string>): void {
    const before = this.#watched;
    this.#watched = new Set(uris);
    if (this.#home.isGone) return;
    for (const uri of uris) if (!before.has(uri)) this.#subscribe('resources/subscribe', uri);
    for (const uri of before) if (!uris.has(uri)) this.#subscribe('resources/unsubscribe', uri);
  }

  announces(): boolean {
    const { link, capabilities } = this.#home;
    return link.isListening && promisesNews(capabilities);
  }

  notify(session: string, method: string, params: JsonObject): void {
    this.#pool.notify(session, method, params);
  }

  endSession(session: string): void {
    this.#pool.endSession(session);
  }

  /** Opens the home session again after its connection was lost; clients' own sessions stay. */
  async reopen(): Promise<void> {
    await this.#reopenHome();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled([this.#pool.close(), closeSession(this.#home)]);
  }

  #sessionFor(call: UpstreamCall): LegacySession | Promise<LegacySession> {
    return this.#isOwn(call) ? this.#pool.take(call) : this.#homeSession();
  }

  #isOwn(call: UpstreamCall): boolean {
    const { sessions, isPerUser } = this.#options;
    if (isPerUser) return true;
    if (sessions === 'shared') return false;
    if (sessions === 'each') return true;
    // A process per client is dear: a pipe is shared until the upstream turns out to need more.
    if (this.transport === 'stdio' && !this.#needsEach) return false;
    return isInteractive(call.client.capabilities);
  }

  #homeSession(): LegacySession | Promise<LegacySession> {
    if (this.#reopening !== undefined) return this.#reopening;
    return this.#home.isGone ? this.#reopenHome() : this.#home;
  }

  #reopenHome(): Promise<LegacySession> {
    this.#reopening ??= this.#openHome().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #openHome(): Promise<LegacySession> {
    const { link: oldLink } = this.#home;
    this.#home.isGone = true;
    await oldLink.retire();
    const link = await this.#options.openLink();
    try {
      const home = await openSession(this.#options, link, homeCapabilities, undefined, this.#sessionEvents());
      if (this.#isClosed) throw new LinkError('upstream_unavailable', `${this.#options.subject} was closed.`);
      this.#home = home;
    } catch (error) {
      await link.close();
      throw error;
    }
    for (const uri of this.#watched) this.#subscribe('resources/subscribe', uri);
    return this.#home;
  }

  #subscribe(method: string, uri: string): void {
    this.ask(method, { uri }).then(
      (answer) =>
        answer.kind === 'error' && this.#options.log.info({ method, code: answer.error.code }, 'a subscription was refused'),
      () => {},
    );
  }

  #sessionEvents(): SessionEvents {
    const { events } = this.#options;
    return {
      // A clients' session hears of the same changes as the home session does; one refresh serves all.
      listChanged: (kind) => events.listChanged(kind),
      resourceUpdated: (uri) => events.resourceUpdated(uri),
      closed: (session, error) => {
        if (session.client !== undefined) this.#pool.drop(session);
        else if (session === this.#home && !this.#isClosed) events.lost(error);
      },
      lost: (session) => {
        if (session.client !== undefined) return this.#pool.drop(session);
        if (session !== this.#home || this.#isClosed) return;
        this.#reopenHome().catch((error: unknown) => {
          events.lost(
            error instanceof LinkError
              ? error
              : new LinkError('upstream_unavailable', `${this.#options.subject} has lost its session.`),
          );
        });
      },
      needsOwnSessions: () => {
        if (this.#options.sessions !== 'auto' || this.#needsEach) return;
        this.#needsEach = true;
        events.needsOwnSessions();
      },
    };
  }
}

async function openSession(
  options: LegacyOptions,
  link: Link,
  capabilities: JsonObject,
  client: string | undefined,
  events: SessionEvents,
): Promise<LegacySession> {
  const { subject, clientInfo, openTimeoutMs, log } = options;
  try {
    return await LegacySession.open({ link, subject, clientInfo, capabilities, timeoutMs: openTimeoutMs, log, client, events });
  } catch (error) {
    if (client !== undefined) await link.close();
    throw error;
  }
}
