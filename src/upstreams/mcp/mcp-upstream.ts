import type { Logger } from 'pino';
import type { UpstreamConfig } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import { GatewayError } from '../../errors.ts';
import type { RememberedUpstream, UpstreamMemory } from '../../store/ports/upstream-memory.ts';
import type { JsonObject } from '../../wire/json.ts';
import { BoundedLog } from '../bounded-log.ts';
import { ChangeListeners } from '../change-listeners.ts';
import { Health } from '../health.ts';
import { LinkError } from '../link-error.ts';
import { orCancelled } from '../or-cancelled.ts';
import type { Answer, Offer, Upstream, UpstreamCall, UpstreamChange, UpstreamHealth } from '../upstream.ts';
import { Backoff } from './backoff.ts';
import { type Connection, openAtOnce, openConnection } from './connection.ts';
import { type DialectEvents, MisfitError } from './dialect.ts';
import { decodeMemory, encodeMemory, fingerprint, type Memory, type Recollection } from './memory.ts';
import { allLists, OfferKeeper } from './offer-keeper.ts';
import { isOtherEra, type Verdict } from './probe.ts';
import { Refresher } from './refresher.ts';
import { SignInTool } from './sign-in-tool.ts';
import type { TransportDeps, UsedWays } from './ways.ts';

export interface McpUpstreamDeps extends TransportDeps {
  readonly memory: Pick<UpstreamMemory, 'save'>;
  /** What an earlier run, or a predecessor in this one, kept of this upstream. */
  readonly remembered: RememberedUpstream | undefined;
  readonly log: Logger;
  readonly clock: Clock;
}

// A connection that held this long starts again with short pauses when it is lost.
const steadyMs = 30_000;
// Callers with credentials of their own do not make an upstream that refuses Gatehouse's be asked at each of their calls.
const recoverPauseMs = 1_000;

/** A registered MCP server: keeps the connection, the last good offer and the health; a dialect speaks its era. */
export class McpUpstream implements Upstream {
  readonly id: string;
  readonly kind = 'mcp';
  readonly #config: UpstreamConfig;
  readonly #deps: McpUpstreamDeps;
  readonly #log: Logger;
  readonly #bounded: BoundedLog;
  readonly #subject: string;
  readonly #health: Health;
  readonly #keeper: OfferKeeper;
  readonly #refresher: Refresher;
  readonly #backoff = new Backoff(500, 30_000);
  readonly #changes: ChangeListeners;
  readonly #subscriptions = new Map<string, number>();
  #connection: Connection | undefined;
  /** Replaced, but with calls that still end as they will. */
  readonly #retired = new Set<Connection>();
  #callsInFlight = 0;
  #opening: UsedWays | undefined;
  #known: Recollection | undefined;
  #needsEach: boolean;
  #attempt: Promise<void> | undefined;
  #attemptTimer: NodeJS.Timeout | undefined;
  #openedAtMs: number | undefined;
  #generation = 0;
  #saving: Promise<void> = Promise.resolve();
  /** Where everybody has credentials of their own. */
  readonly #signInTool: SignInTool | undefined;
  readonly #stopListening: (() => void) | undefined;
  /** It is down for nothing else. */
  #lacksCredentials = false;
  #recovering: Promise<void> | undefined;
  #recoveredAtMs = Number.NEGATIVE_INFINITY;
  readonly #ready: Promise<void>;
  #setReady: () => void = () => {};

  constructor(config: UpstreamConfig, deps: McpUpstreamDeps) {
    this.id = config.id;
    this.#config = config;
    this.#deps = deps;
    this.#log = deps.log.child({ upstream: config.id });
    this.#changes = new ChangeListeners(this.#log);
    this.#bounded = new BoundedLog(this.#log, deps.clock);
    this.#subject = `The upstream ${config.id}`;
    this.#health = new Health(this.#subject, deps.clock, () => this.#changes.tell({ kind: 'health' }));
    this.#keeper = new OfferKeeper(deps.instance.hop);
    this.#refresher = new Refresher(this.#keeper, {
      changed: () => this.#offerChanged(),
      answered: () => this.#health.answered(),
      failed: (error) => this.#refreshFailed(error),
    });
    this.#ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    const { authorization } = deps;
    this.#signInTool = authorization?.isPerUser ? new SignInTool(config.id) : undefined;
    this.#stopListening = authorization?.onSignedIn(() => this.#signedIn());
    this.#known = decodeMemory(deps.remembered, config, deps.clock.nowMs());
    this.#needsEach = this.#known?.needsEach ?? false;
    if (this.#known !== undefined) this.#keeper.restore(this.#known.offer);
  }

  start(): void {
    if (this.#attempt !== undefined || this.#isClosed) return;
    if (this.#known !== undefined) this.#setReady();
    this.#try(() => this.#connect());
  }

  offer(): Offer {
    const { offer } = this.#keeper;
    return this.#signInTool === undefined ? offer : this.#signInTool.addTo(offer);
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  health(): UpstreamHealth {
    const dialect = this.#connection?.dialect;
    return {
      ...this.#health.figures,
      protocolVersion: dialect?.protocolVersion,
      era: dialect?.era,
      transport: dialect?.transport ?? this.#config.transport.type,
      server: dialect?.server,
      callsInFlight: this.#callsInFlight,
      connections: dialect?.connections ?? 0,
    };
  }

  call(call: UpstreamCall): Promise<Answer> {
    if (this.#signInTool !== undefined) return this.#callSignedIn(this.#signInTool, call);
    const connection = this.#usable();
    return connection === undefined ? this.#callLater(call) : this.#send(connection, call);
  }

  async #callSignedIn(tool: SignInTool, call: UpstreamCall): Promise<Answer> {
    this.#callsInFlight++;
    try {
      // Whoever has no credentials hears that, and not how the connection fares.
      const bearer = this.#deps.authorization?.bearerFor(call.client.principal);
      if (bearer instanceof Promise) {
        await orCancelled(bearer, call);
        await bearer;
      }
      if (this.#lacksCredentials) await orCancelled(this.#recover(), call);
      const answer = tool.answer(call);
      if (answer !== undefined) return answer;
      const connection = this.#usable();
      return await (connection === undefined ? this.#callLater(call) : this.#send(connection, call));
    } finally {
      this.#callsInFlight--;
    }
  }

  async subscribe(uri: string): Promise<void> {
    const count = this.#subscriptions.get(uri) ?? 0;
    this.#subscriptions.set(uri, count + 1);
    if (count === 0) this.#watch();
  }

  async unsubscribe(uri: string): Promise<void> {
    const count = this.#subscriptions.get(uri) ?? 0;
    if (count > 1) {
      this.#subscriptions.set(uri, count - 1);
    } else if (this.#subscriptions.delete(uri)) {
      this.#watch();
    }
  }

  notify(session: string, method: string, params: JsonObject): void {
    this.#connection?.dialect.notify(session, method, params);
  }

  endSession(session: string): void {
    this.#connection?.dialect.endSession(session);
  }

  onChange(listener: (change: UpstreamChange) => void): () => void {
    return this.#changes.add(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#health.become('closed');
    clearTimeout(this.#attemptTimer);
    this.#stopListening?.();
    this.#refresher.close();
    this.#setReady();
    await Promise.allSettled([this.#connection, ...this.#retired].map((connection) => connection?.close()));
    // An attempt that is going on fails with its ways, or finds out that it is too late and closes what it opened.
    await this.#opening?.close();
    await Promise.allSettled([this.#attempt, this.#saving]);
  }

  get #isClosed(): boolean {
    return this.#health.state === 'closed';
  }

  #usable(): Connection | undefined {
    const { state } = this.#health;
    return state === 'down' || state === 'closed' ? undefined : this.#connection;
  }

  // Calls

  async #send(connection: Connection, call: UpstreamCall, isSecondTry = false): Promise<Answer> {
    this.#callsInFlight++;
    try {
      const answer = await connection.call(call);
      this.#health.callSucceeded();
      return answer;
    } catch (error) {
      if (error instanceof MisfitError && !isSecondTry) return await this.#sendAgain(connection, call);
      throw this.#judge(error, call);
    } finally {
      this.#callsInFlight--;
      connection.ended();
    }
  }

  /** The far end speaks something else by now and did not act: the same call may go out once more, in whatever that is. */
  async #sendAgain(connection: Connection, call: UpstreamCall): Promise<Answer> {
    if (connection === this.#connection && this.#attempt === undefined) this.#try(() => this.#reprobe());
    if (this.#attempt !== undefined) await orCancelled(this.#attempt, call);
    const next = this.#usable();
    if (next === undefined) throw this.#health.unavailable();
    return this.#send(next, call, true);
  }

  async #callLater(call: UpstreamCall): Promise<Answer> {
    this.#callsInFlight++;
    try {
      // The very first attempt is waited for: nothing says yet that the far end is down.
      if (this.#health.state === 'connecting' && this.#attempt !== undefined) await orCancelled(this.#attempt, call);
      const connection = this.#usable();
      if (connection === undefined) throw this.#health.unavailable();
      return await this.#send(connection, call);
    } finally {
      this.#callsInFlight--;
    }
  }

  /** Books a failed call, and returns what its caller is told. */
  #judge(error: unknown, call: UpstreamCall): unknown {
    if (!(error instanceof GatewayError)) return error;
    if (error instanceof LinkError && error.isUnsent) {
      this.#health.callFailed(error);
      if (this.#attempt === undefined) this.#down(error);
      return this.#health.unavailable();
    }
    this.#health.callThrew(error, call, 'answer_too_large');
    return error;
  }

  // Connecting

  #try(work: () => Promise<void>): void {
    this.#health.nextAttemptAtMs = undefined;
    this.#attempt = work()
      .catch((error: unknown) => this.#down(error))
      .finally(() => {
        this.#attempt = undefined;
        this.#setReady();
      });
  }

  async #connect(): Promise<void> {
    const connection = (await this.#revived()) ?? (await this.#opened());
    try {
      await this.#refresher.readAll(connection.dialect);
    } catch (error) {
      if (!(error instanceof MisfitError)) throw error;
      await this.#reprobe();
      return;
    }
    this.#isUp();
  }

  /** The connection there is, if it can go on: an address needs none, a legacy session is opened again. */
  async #revived(): Promise<Connection | undefined> {
    const connection = this.#connection;
    if (connection === undefined) return undefined;
    const { era, transport } = connection.dialect;
    if (era === 'modern' && transport === 'http') return connection;
    try {
      if (await connection.reopen()) return connection;
    } catch (error) {
      if (!isOtherEra(error)) throw error;
      this.#known = undefined;
    }
    return undefined;
  }

  async #opened(): Promise<Connection> {
    this.#retireConnection();
    const setup = {
      config: this.#config,
      deps: this.#deps,
      subject: this.#subject,
      log: this.#bounded,
      known: this.#known,
      needsEach: this.#needsEach,
      events: this.#events(++this.#generation),
      onWays: (ways: UsedWays) => {
        this.#opening = ways;
      },
    };
    const connection = (await openAtOnce(setup)) ?? (await openConnection(setup));
    if (this.#isClosed) {
      await connection.close();
      throw this.#health.unavailable();
    }
    this.#connection = connection;
    this.#opening = undefined;
    if (this.#subscriptions.size > 0) this.#watch();
    return connection;
  }

  #retireConnection(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.#retired.add(connection);
    const closed = () => this.#retired.delete(connection);
    connection.retire().then(closed, closed);
  }

  /** The far end no longer speaks what it spoke: asks again, from the start. */
  async #reprobe(): Promise<void> {
    this.#log.info('the upstream no longer fits what was known of it; asking again which protocol version it speaks');
    this.#known = undefined;
    const { dialect } = await this.#opened();
    await this.#refresher.readAll(dialect);
    this.#isUp();
  }

  /** Somebody has signed in: what was refused for want of credentials is tried again at once. */
  #signedIn(): void {
    if (this.#isClosed) return;
    this.#recoveredAtMs = Number.NEGATIVE_INFINITY;
    if (this.#lacksCredentials || this.#attempt !== undefined) {
      void this.#recover();
    } else if (this.#connection !== undefined && this.#keeper.offer.problems.length > 0) {
      for (const list of allLists) this.#refresher.listChanged(this.#connection.dialect, list);
    }
  }

  /** One attempt with the credentials there are now, without the pause that failures without them have earned. */
  #recover(): Promise<void> {
    this.#recovering ??= this.#connectAnew().finally(() => {
      this.#recovering = undefined;
    });
    return this.#recovering;
  }

  async #connectAnew(): Promise<void> {
    // One that is going on may have begun before.
    await this.#attempt;
    if (!this.#lacksCredentials || this.#isClosed || performance.now() - this.#recoveredAtMs < recoverPauseMs) return;
    this.#recoveredAtMs = performance.now();
    if (this.#attempt === undefined) {
      clearTimeout(this.#attemptTimer);
      this.#attemptTimer = undefined;
      this.#backoff.reset();
      this.#try(() => this.#connect());
    }
    await this.#attempt;
  }

  #isUp(): void {
    this.#openedAtMs = this.#deps.clock.nowMs();
    this.#lacksCredentials = false;
    this.#health.become('healthy');
  }

  #down(error: unknown): void {
    if (this.#isClosed || this.#attemptTimer !== undefined) return;
    this.#lacksCredentials = error instanceof GatewayError && error.code === 'credentials_failed';
    if (!(error instanceof GatewayError)) this.#log.error({ err: error }, 'connecting failed unexpectedly');
    const { clock } = this.#deps;
    if (this.#openedAtMs !== undefined && clock.nowMs() - this.#openedAtMs > steadyMs) this.#backoff.reset();
    this.#openedAtMs = undefined;
    const pauseMs = this.#backoff.next();
    this.#attemptTimer = setTimeout(() => {
      this.#attemptTimer = undefined;
      this.#try(() => this.#connect());
    }, pauseMs);
    if (this.#keeper.markStale()) this.#changes.tell({ kind: 'offer' });
    this.#health.down(error, pauseMs);
    this.#bounded.warn({ reason: this.#health.lastError?.message, pauseMs }, 'the upstream is down');
  }

  /** What a connection tells. One that was replaced is still heard out, but changes nothing any more. */
  #events(generation: number): DialectEvents {
    const isCurrent = () => this.#generation === generation;
    return {
      listChanged: (list) => {
        if (isCurrent() && this.#connection !== undefined) this.#refresher.listChanged(this.#connection.dialect, list);
      },
      resourceUpdated: (uri) => {
        if (isCurrent() && this.#subscriptions.has(uri)) this.#changes.tell({ kind: 'resource-updated', uri });
      },
      lost: (error) => {
        // An attempt that is going on notices by itself, unless it had all it wanted a moment ago.
        const settled = this.#attempt ?? Promise.resolve();
        void settled.then(() => isCurrent() && this.#down(error));
      },
      needsOwnSessions: () => {
        this.#log.info('the upstream asks without saying for which call; clients that can be asked get sessions of their own');
        this.#needsEach = true;
        this.#remember();
      },
    };
  }

  // Offer

  #refreshFailed(error: unknown): void {
    if (this.#isClosed || this.#attempt !== undefined) return;
    if (error instanceof MisfitError) this.#try(() => this.#reprobe());
    else if (error instanceof LinkError && error.isUnsent) this.#down(error);
    else this.#health.noteFailure(error);
  }

  #offerChanged(): void {
    if (this.#isClosed) return;
    for (const { subject, message } of this.#keeper.offer.problems) {
      this.#bounded.warn({ subject: subject.slice(0, 200), problem: message }, 'left out of the catalog');
    }
    this.#remember();
    this.#changes.tell({ kind: 'offer' });
  }

  #remember(): void {
    if (this.#connection === undefined) return;
    const { era, transport, capabilities, instructions, server } = this.#connection.dialect;
    const verdict: Verdict = era === 'modern' ? 'modern' : transport === 'sse' ? 'sse' : 'legacy';
    const discover: JsonObject = { capabilities };
    if (instructions !== undefined) discover.instructions = instructions;
    if (server !== undefined) discover.serverInfo = { name: server };
    const kept: Memory = { verdict, discover, needsEach: this.#needsEach, offer: this.#keeper.offer };
    this.#known = kept;
    const { memory, clock } = this.#deps;
    const saved = { id: this.id, fingerprint: fingerprint(this.#config), state: encodeMemory(kept), savedAtMs: clock.nowMs() };
    this.#saving = this.#saving
      .then(() => memory.save(saved))
      .catch((error: unknown) => this.#bounded.warn({ err: error }, 'the definitions could not be kept for the next start'));
  }

  #watch(): void {
    this.#connection?.dialect.watch(new Set(this.#subscriptions.keys()));
  }
}
