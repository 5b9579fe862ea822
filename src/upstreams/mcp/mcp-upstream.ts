import type { Logger } from 'pino';
import type { UpstreamConfig } from '../../catalog/config.ts';
import { GatewayError } from '../../errors.ts';
import type { RememberedUpstream, UpstreamMemory } from '../../store/ports.ts';
import type { JsonObject } from '../../wire/json.ts';
import type { Answer, Offer, Upstream, UpstreamCall, UpstreamChange, UpstreamHealth, UpstreamState } from '../upstream.ts';
import { Backoff } from './backoff.ts';
import { BoundedLog } from './bounded-log.ts';
import { type Dialect, type DialectEvents, type ListKind, MisfitError } from './dialect.ts';
import { Legacy } from './legacy.ts';
import { LinkError } from './link.ts';
import { decodeMemory, encodeMemory, fingerprint, type Memory } from './memory.ts';
import { allLists, OfferKeeper } from './offer-keeper.ts';
import { isOtherEra, type OpenOptions, openAny, openKnown, openModern, type Verdict } from './probe.ts';
import { openWays, type TransportDeps, type UsedWays } from './ways.ts';

export interface McpUpstreamDeps extends TransportDeps {
  readonly memory: UpstreamMemory;
  /** What an earlier run kept of this upstream, loaded once at start. */
  readonly remembered: RememberedUpstream | undefined;
  readonly log: Logger;
  readonly clock: { now(): number };
}

// A list that changes many times in a burst is read once.
const debounceMs = 200;
const pollAtLeastMs = 60_000;
const processOpenMs = 60_000;
const addressOpenMs = 15_000;
const steadyMs = 30_000;

/** A registered MCP server: keeps the connection, the last good offer and the health; a dialect speaks its era. */
export class McpUpstream implements Upstream {
  readonly id: string;
  readonly kind = 'mcp';
  readonly #config: UpstreamConfig;
  readonly #deps: McpUpstreamDeps;
  readonly #log: Logger;
  readonly #subject: string;
  readonly #keeper = new OfferKeeper();
  readonly #listeners: ((change: UpstreamChange) => void)[] = [];
  readonly #backoff = new Backoff(500, 30_000);
  readonly #subscriptions = new Map<string, number>();
  #ways: UsedWays | undefined;
  #dialect: Dialect | undefined;
  #known: (Omit<Memory, 'verdict'> & { readonly verdict: Verdict | undefined }) | undefined;
  #needsEach = false;
  #state: UpstreamState = 'connecting';
  #lastError: UpstreamHealth['lastError'];
  #lastSuccessAtMs: number | undefined;
  #succeeded = 0;
  #failed = 0;
  #openedAtMs = 0;
  #nextAttemptAtMs: number | undefined;
  #attemptTimer: NodeJS.Timeout | undefined;
  #attempt: Promise<void> | undefined;
  readonly #due = new Set<ListKind>();
  #refreshTimer: NodeJS.Timeout | undefined;
  #refreshing: Promise<void> | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> = Promise.resolve();
  readonly #ready: Promise<void>;
  #setReady: () => void = () => {};

  constructor(config: UpstreamConfig, deps: McpUpstreamDeps) {
    this.id = config.id;
    this.#config = config;
    this.#deps = deps;
    this.#log = deps.log.child({ upstream: config.id });
    this.#subject = `The upstream ${config.id}`;
    this.#ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    this.#known = decodeMemory(deps.remembered, config, deps.clock.now());
    this.#needsEach = this.#known?.needsEach ?? false;
    if (this.#known !== undefined) this.#keeper.restore(this.#known.offer);
  }

  start(): void {
    if (this.#attempt !== undefined || this.#state === 'closed') return;
    if (this.#known !== undefined) this.#setReady();
    this.#try();
  }

  offer(): Offer {
    return this.#keeper.offer;
  }

  ready(): Promise<void> {
    return this.#ready;
  }

  health(): UpstreamHealth {
    const dialect = this.#dialect;
    return {
      state: this.#state,
      protocolVersion: dialect?.protocolVersion,
      era: dialect?.era,
      transport: dialect?.transport ?? this.#config.transport.type,
      server: dialect?.server,
      lastError: this.#lastError,
      lastSuccessAtMs: this.#lastSuccessAtMs,
      calls: { succeeded: this.#succeeded, failed: this.#failed },
      nextAttemptAtMs: this.#nextAttemptAtMs,
      connections: dialect?.connections ?? 0,
    };
  }

  async refresh(): Promise<void> {
    if (this.#attempt !== undefined) await this.#attempt;
    if (this.#dialect === undefined || this.#state === 'down') return;
    for (const list of allLists) this.#due.add(list);
    await this.#refreshing;
    await this.#refreshDue();
  }

  call(call: UpstreamCall): Promise<Answer> {
    const dialect = this.#dialect;
    if (dialect === undefined || this.#state === 'down' || this.#state === 'closed') return this.#callLater(call);
    return dialect.call(call).then(this.#succeed, (error: unknown) => this.#failCall(error, call));
  }

  async subscribe(uri: string): Promise<void> {
    const count = this.#subscriptions.get(uri) ?? 0;
    this.#subscriptions.set(uri, count + 1);
    if (count === 0) this.#dialect?.watch(new Set(this.#subscriptions.keys()));
  }

  async unsubscribe(uri: string): Promise<void> {
    const count = this.#subscriptions.get(uri);
    if (count === undefined) return;
    if (count > 1) {
      this.#subscriptions.set(uri, count - 1);
      return;
    }
    this.#subscriptions.delete(uri);
    this.#dialect?.watch(new Set(this.#subscriptions.keys()));
  }

  notify(session: string, method: string, params: JsonObject): void {
    this.#dialect?.notify(session, method, params);
  }

  endSession(session: string): void {
    this.#dialect?.endSession(session);
  }

  onChange(listener: (change: UpstreamChange) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#refreshTimer);
    clearTimeout(this.#pollTimer);
    this.#setReady();
    // Ways first: an attempt that is still going on ends with them.
    const dialect = this.#dialect;
    await dialect?.close();
    await this.#ways?.close();
    await Promise.allSettled([this.#attempt, this.#refreshing, this.#saving]);
    if (this.#dialect !== dialect) await this.#dialect?.close();
    await this.#ways?.close();
  }

  // Connecting

  #try(): void {
    this.#nextAttemptAtMs = undefined;
    this.#attempt = this.#connect()
      .catch((error: unknown) => this.#down(error))
      .finally(() => {
        this.#attempt = undefined;
        this.#setReady();
      });
  }

  async #connect(): Promise<void> {
    const verdict = this.#known?.verdict;
    // A known modern address needs no round trip: calls may go out while the lists are confirmed.
    const isCertain = verdict === 'modern' && this.#config.transport.type === 'http' && this.#config.era !== 'legacy';
    if (isCertain && this.#dialect === undefined && this.#known !== undefined) {
      const options = await this.#options();
      this.#use(openModern(options, await options.ways.openLink(), this.#known.discover));
    } else if (this.#dialect instanceof Legacy) {
      await this.#reopen(this.#dialect);
    } else if (this.#dialect === undefined || this.#dialect.transport !== 'http') {
      await this.#drop();
      this.#use(await this.#open(await this.#options()));
    }
    await this.#readAll();
    if (this.#isClosed()) return;
    this.#openedAtMs = this.#deps.clock.now();
    this.#setState('healthy');
  }

  async #readAll(): Promise<void> {
    for (const list of allLists) this.#due.add(list);
    try {
      await this.#refreshDue();
    } catch (error) {
      if (!(error instanceof MisfitError)) throw error;
      await this.#reprobe();
    }
  }

  async #options(): Promise<OpenOptions> {
    const { transport, sessions, timeoutMs } = this.#config;
    const { clock, instance } = this.#deps;
    await this.#ways?.close();
    const log = new BoundedLog(this.#log, clock.now);
    this.#ways = openWays(this.#config, this.#deps, { subject: this.#subject, log });
    const openTimeoutMs = transport.type === 'stdio' ? processOpenMs : addressOpenMs;
    return {
      ways: this.#ways,
      subject: this.#subject,
      clientInfo: { name: instance.name, version: instance.version },
      sessions,
      needsEach: this.#needsEach,
      timeoutMs: Math.max(timeoutMs, openTimeoutMs),
      openTimeoutMs,
      events: this.#events(),
      log,
      now: clock.now,
    };
  }

  async #open(options: OpenOptions): Promise<Dialect> {
    const { era } = this.#config;
    if (era !== 'auto') return openKnown(options, era);
    const verdict = this.#known?.verdict;
    if (verdict === undefined) return openAny(options);
    try {
      return await openKnown(options, verdict);
    } catch (error) {
      if (!isOtherEra(error)) throw error;
      this.#known = undefined;
      return openAny(options);
    }
  }

  async #reopen(dialect: Legacy): Promise<void> {
    try {
      await dialect.reopen();
    } catch (error) {
      if (!isOtherEra(error)) throw error;
      await this.#drop();
      this.#known = undefined;
      this.#use(await this.#open(await this.#options()));
    }
  }

  /** The far end no longer speaks what it spoke: asks again, from the start. */
  async #reprobe(): Promise<void> {
    this.#log.info('the upstream no longer fits what was known of it; asking again which protocol version it speaks');
    await this.#drop();
    this.#known = undefined;
    this.#use(await this.#open(await this.#options()));
    for (const list of allLists) this.#due.add(list);
    await this.#refreshDue();
  }

  #use(dialect: Dialect): void {
    if (this.#isClosed()) {
      dialect.close().catch(() => {});
      throw new LinkError('upstream_unavailable', `${this.#subject} was closed.`);
    }
    this.#dialect = dialect;
    if (this.#subscriptions.size > 0) dialect.watch(new Set(this.#subscriptions.keys()));
  }

  async #drop(): Promise<void> {
    const dialect = this.#dialect;
    this.#dialect = undefined;
    await dialect?.close();
  }

  #down(thrown: unknown): void {
    if (this.#isClosed() || this.#attemptTimer !== undefined) return;
    const error =
      thrown instanceof GatewayError
        ? thrown
        : new GatewayError('internal', 'it failed for an unknown reason', { cause: thrown });
    if (error.code === 'internal') this.#log.error({ err: thrown }, 'connecting failed unexpectedly');
    const { clock } = this.#deps;
    if (this.#openedAtMs > 0 && clock.now() - this.#openedAtMs > steadyMs) this.#backoff.reset();
    this.#openedAtMs = 0;
    const pauseMs = this.#backoff.next();
    this.#nextAttemptAtMs = clock.now() + pauseMs;
    this.#lastError = { atMs: clock.now(), message: this.#phrase(error) };
    this.#attemptTimer = setTimeout(() => {
      this.#attemptTimer = undefined;
      this.#try();
    }, pauseMs);
    this.#log.warn({ reason: this.#lastError.message, pauseMs }, 'upstream is down');
    if (this.#keeper.markStale()) this.#emit({ kind: 'offer' });
    this.#setState('down');
  }

  #phrase(error: GatewayError): string {
    const detail = error instanceof LinkError ? error.detail : undefined;
    return detail ?? error.message;
  }

  #unavailable(): GatewayError {
    const { message } = this.#lastError ?? { message: 'it was not reached yet' };
    const waitMs = this.#nextAttemptAtMs === undefined ? 0 : Math.max(0, this.#nextAttemptAtMs - this.#deps.clock.now());
    const next = waitMs === 0 ? 'it is being tried again right now' : `the next attempt is in ${Math.ceil(waitMs / 1000)} s`;
    return new GatewayError('upstream_unavailable', `${this.#subject} cannot be reached (${message}); ${next}.`, {
      retryAfterMs: Math.max(waitMs, 1_000),
    });
  }

  // Lists

  #listChanged(kind: ListKind): void {
    this.#due.add(kind);
    if (this.#refreshTimer !== undefined || this.#isClosed()) return;
    this.#refreshTimer = setTimeout(() => {
      this.#refreshTimer = undefined;
      if (this.#state === 'down') return;
      // One at a time: what changes during a refresh is read by the next one.
      if (this.#refreshing !== undefined) {
        const [first] = this.#due;
        if (first !== undefined) this.#listChanged(first);
        return;
      }
      this.#refreshDue().catch((error: unknown) => this.#refreshFailed(error));
    }, debounceMs).unref();
  }

  #refreshDue(): Promise<void> {
    this.#refreshing ??= this.#read().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #read(): Promise<void> {
    const dialect = this.#dialect;
    if (dialect === undefined) return;
    const kinds = [...this.#due];
    this.#due.clear();
    const hasChanged = await this.#keeper.read(dialect, kinds);
    if (this.#dialect !== dialect || this.#isClosed()) return;
    this.#lastSuccessAtMs = this.#deps.clock.now();
    this.#schedulePoll(dialect);
    if (!hasChanged) return;
    for (const { subject, message } of this.#keeper.offer.problems) {
      this.#log.warn({ subject: subject.slice(0, 200), problem: message }, 'left out of the catalog');
    }
    this.#remember();
    this.#emit({ kind: 'offer' });
  }

  #refreshFailed(error: unknown): void {
    if (this.#isClosed()) return;
    if (error instanceof MisfitError) {
      this.#lost(error);
      return;
    }
    if (error instanceof LinkError && error.isUnsent) {
      this.#down(error);
      return;
    }
    this.#recordFailure(error);
  }

  // Only where the far end does not say by itself that something changed (MCP 2026-07-28 utilities/caching).
  #schedulePoll(dialect: Dialect): void {
    clearTimeout(this.#pollTimer);
    const { ttlMs } = this.#keeper;
    if (ttlMs === undefined || dialect.era !== 'modern') return;
    this.#pollTimer = setTimeout(
      () => {
        if (this.#dialect !== dialect || this.#state === 'down') return;
        if (dialect.announces()) return this.#schedulePoll(dialect);
        for (const list of allLists) this.#due.add(list);
        this.#refreshDue().catch((error: unknown) => this.#refreshFailed(error));
      },
      Math.max(ttlMs, pollAtLeastMs),
    ).unref();
  }

  #remember(): void {
    const dialect = this.#dialect;
    if (dialect === undefined) return;
    const { memory, clock } = this.#deps;
    const verdict: Verdict = dialect.era === 'modern' ? 'modern' : dialect.transport === 'sse' ? 'sse' : 'legacy';
    const { capabilities, instructions, server } = dialect;
    const discover: JsonObject = { capabilities };
    if (instructions !== undefined) discover.instructions = instructions;
    if (server !== undefined) discover.serverInfo = { name: server };
    const kept: Memory = { verdict, discover, needsEach: this.#needsEach, offer: this.#keeper.offer };
    this.#known = kept;
    const saved = { id: this.id, fingerprint: fingerprint(this.#config), state: encodeMemory(kept), savedAtMs: clock.now() };
    this.#saving = this.#saving
      .then(() => memory.save(saved))
      .catch((error: unknown) => this.#log.warn({ err: error }, 'the definitions could not be kept for the next start'));
  }

  // Calls and health

  readonly #succeed = (answer: Answer): Answer => {
    this.#succeeded++;
    this.#lastSuccessAtMs = this.#deps.clock.now();
    if (this.#state === 'failing') this.#setState('healthy');
    return answer;
  };

  async #callLater(call: UpstreamCall): Promise<Answer> {
    if (this.#state === 'closed') throw new GatewayError('upstream_unavailable', `${this.#subject} was removed.`);
    // The very first attempt is waited for: nothing says yet that the far end is down.
    if (this.#state === 'connecting' && this.#attempt !== undefined) await orCancelled(this.#attempt, call);
    if (this.#dialect === undefined || this.#state === 'down') throw this.#unavailable();
    return this.#dialect.call(call).then(this.#succeed, (error: unknown) => this.#failCall(error, call));
  }

  async #failCall(error: unknown, call: UpstreamCall): Promise<Answer> {
    if (error instanceof MisfitError && !this.#isClosed()) {
      // The far end did not act, so the same call may go out once more, in whatever it speaks now.
      this.#attempt ??= this.#reprobe()
        .catch((reason: unknown) => this.#down(reason))
        .finally(() => {
          this.#attempt = undefined;
        });
      await orCancelled(this.#attempt, call);
      if (this.#dialect === undefined || this.#state === 'down') throw this.#unavailable();
      return this.#dialect.call(call).then(this.#succeed, (again: unknown) => {
        this.#recordFailure(again);
        throw again;
      });
    }
    if (error instanceof LinkError && error.isUnsent) {
      this.#failed++;
      this.#down(error);
      throw this.#isClosed() ? error : this.#unavailable();
    }
    // The caller's deadline comes as a cancellation; a far end that stays silent is not well.
    if (call.cancel.reason === 'timeout' && error instanceof GatewayError) {
      this.#failed++;
      this.#recordFailure(new GatewayError('upstream_timeout', 'a call was not answered in time'));
    } else if (error instanceof GatewayError && (error.code.startsWith('upstream_') || error.code === 'answer_too_large')) {
      this.#failed++;
      this.#recordFailure(error);
    }
    throw error;
  }

  #recordFailure(error: unknown): void {
    const message = error instanceof GatewayError ? this.#phrase(error) : 'it failed for an unknown reason';
    this.#lastError = { atMs: this.#deps.clock.now(), message };
    if (this.#state === 'healthy') this.#setState('failing');
  }

  #events(): DialectEvents {
    return {
      listChanged: (kind) => this.#listChanged(kind),
      resourceUpdated: (uri) => this.#subscriptions.has(uri) && this.#emit({ kind: 'resource-updated', uri }),
      lost: (error) => this.#lost(error),
      needsOwnSessions: () => {
        this.#log.info(
          'the upstream asks its clients without saying for which call; clients that can be asked get sessions of their own',
        );
        this.#needsEach = true;
        this.#remember();
      },
    };
  }

  #lost(error: LinkError): void {
    if (this.#attempt === undefined) this.#down(error);
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #setState(state: UpstreamState): void {
    if (this.#state === state || this.#state === 'closed') return;
    this.#state = state;
    this.#emit({ kind: 'health' });
  }

  #emit(change: UpstreamChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener for changes failed');
      }
    }
  }
}

function orCancelled(work: Promise<unknown>, { cancel }: UpstreamCall): Promise<void> {
  return new Promise((resolve, reject) => {
    const takeBack = cancel.onCancel((reason) => reject(new GatewayError('cancelled', reason)));
    const done = () => {
      takeBack();
      resolve();
    };
    work.then(done, done);
  });
}
