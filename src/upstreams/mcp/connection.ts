import type { UpstreamConfig } from '../../catalog/config.ts';
import type { Clock } from '../../clock.ts';
import type { BoundedLog } from '../bounded-log.ts';
import type { Answer, UpstreamCall } from '../upstream.ts';
import type { Dialect, DialectEvents } from './dialect.ts';
import { Legacy } from './legacy.ts';
import type { Recollection } from './memory.ts';
import { isOtherEra, type OpenOptions, openAny, openKnown, openModern } from './probe.ts';
import { openWays, type TransportDeps, type UsedWays } from './ways.ts';

interface ConnectionSetup {
  readonly config: UpstreamConfig;
  readonly deps: TransportDeps & { readonly clock: Clock };
  readonly subject: string;
  readonly log: BoundedLog;
  /** From an earlier run, or an earlier connection. */
  readonly known: Recollection | undefined;
  readonly needsEach: boolean;
  readonly events: DialectEvents;
  /** Told the ways before they are used, so that an opening that hangs can be ended. */
  readonly onWays: (ways: UsedWays) => void;
}

const processOpenMs = 60_000;
const addressOpenMs = 15_000;

/** An opened way to the far end and the dialect spoken on it. */
export class Connection {
  readonly dialect: Dialect;
  readonly #ways: UsedWays;
  readonly #idle = Promise.withResolvers<void>();
  #calls = 0;
  #closing: Promise<void> | undefined;
  #isRetired = false;

  constructor(dialect: Dialect, ways: UsedWays) {
    this.dialect = dialect;
    this.#ways = ways;
  }

  /** Sends a call; `ended` must follow, whatever comes of it. */
  call(call: UpstreamCall): Promise<Answer> {
    this.#calls++;
    return this.dialect.call(call);
  }

  ended(): void {
    if (--this.#calls === 0 && this.#isRetired) this.#idle.resolve();
  }

  /** Opens the shared session of a legacy far end again; clients' own sessions stay. Returns false where there is none. */
  async reopen(): Promise<boolean> {
    if (!(this.dialect instanceof Legacy)) return false;
    await this.dialect.reopen();
    return true;
  }

  /** Takes no more calls and closes when those in flight have ended as they will. Resolves when nothing is left. */
  async retire(): Promise<void> {
    this.#isRetired = true;
    if (this.#calls > 0) await this.#idle.promise;
    await this.close();
  }

  /** Calls in flight fail. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.dialect.close();
    await this.#ways.close();
  }
}

/** Connects in the way that is known, or finds one out. Rejects with GatewayError. */
export async function openConnection(setup: ConnectionSetup): Promise<Connection> {
  const { config, deps, subject, log } = setup;
  const ways = openWays(config, deps, { subject, log });
  setup.onWays(ways);
  try {
    return new Connection(await openDialect(setup, optionsFor(setup, ways)), ways);
  } catch (error) {
    await ways.close();
    throw error;
  }
}

/**
 * Connects to a modern address that is known already: without a single round trip, so that calls can go out at once.
 * Returns undefined where that is not possible.
 */
export async function openAtOnce(setup: ConnectionSetup): Promise<Connection | undefined> {
  const { config, deps, subject, log, known } = setup;
  if (known?.verdict !== 'modern' || config.transport.type !== 'http' || config.era === 'legacy') return undefined;
  const ways = openWays(config, deps, { subject, log });
  return new Connection(openModern(optionsFor(setup, ways), await ways.openLink(), known.discover), ways);
}

async function openDialect({ config: { era }, known }: ConnectionSetup, options: OpenOptions): Promise<Dialect> {
  if (era !== 'auto') return openKnown(options, era);
  if (known?.verdict === undefined) return openAny(options);
  try {
    return await openKnown(options, known.verdict);
  } catch (error) {
    if (!isOtherEra(error)) throw error;
    return openAny(options);
  }
}

function optionsFor({ config, deps, subject, log, needsEach, events }: ConnectionSetup, ways: UsedWays): OpenOptions {
  const { transport, sessions, timeoutMs } = config;
  const openTimeoutMs = transport.type === 'stdio' ? processOpenMs : addressOpenMs;
  return {
    ways,
    subject,
    clientInfo: { name: deps.instance.name, version: deps.instance.version },
    sessions,
    needsEach,
    timeoutMs: Math.max(timeoutMs, openTimeoutMs),
    openTimeoutMs,
    events,
    log,
    clock: deps.clock,
  };
}
