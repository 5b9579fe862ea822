import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { formatProblem, type Problem } from '../problems.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { buildCatalog } from './build.ts';
import type { Catalog, Member } from './catalog.ts';
import type { NamespaceConfig, UpstreamConfig } from './config.ts';
import type { LoadOutcome } from './load.ts';

interface LiveCatalogOptions {
  /** Makes an upstream of the configured kind; does not start it. */
  readonly createUpstream: (config: UpstreamConfig) => Upstream;
  readonly log: Logger;
  /** How long a changed upstream may take to make its first offer before it takes its predecessor's place without one. */
  readonly replaceMs?: number;
  /** How long an upstream that is no longer configured stays up for calls that are under way. Default: its own `timeoutMs`. */
  readonly drainMs?: number;
  /** Least time between two rebuilds that upstreams cause. */
  readonly rebuildMs?: number;
}

type SwapListener = (catalog: Catalog, previous: Catalog) => void;

/** The running catalog: keeps upstreams in step with the configuration and the snapshot in step with what they offer. */
export class LiveCatalog {
  readonly #createUpstream: (config: UpstreamConfig) => Upstream;
  readonly #log: Logger;
  readonly #replaceMs: number;
  readonly #drainMs: number | undefined;
  readonly #rebuildMs: number;
  readonly #listeners = new Set<SwapListener>();
  /** No longer in the snapshot, but perhaps in a call. */
  readonly #retired = new Map<Upstream, NodeJS.Timeout>();
  #namespaces: readonly NamespaceConfig[] = [];
  #members: ReadonlyMap<string, Member> = new Map();
  #current: Catalog = buildCatalog(0, [], new Map());
  #problems: readonly Problem[] = [];
  /** Configurations are applied one after the other. */
  #applying: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #rebuiltAtMs = Number.NEGATIVE_INFINITY;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor({ createUpstream, log, replaceMs = 2000, drainMs, rebuildMs = 50 }: LiveCatalogOptions) {
    this.#createUpstream = createUpstream;
    this.#log = log;
    this.#replaceMs = replaceMs;
    this.#drainMs = drainMs;
    this.#rebuildMs = rebuildMs;
  }

  /** The snapshot of this moment; a call takes it once. */
  get current(): Catalog {
    return this.#current;
  }

  /** Why the files are not what is running; empty when they are. */
  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Takes what was loaded: a good configuration is applied, a bad one leaves everything as it is and is remembered. */
  async take(result: LoadOutcome): Promise<void> {
    if (result.kind === 'loaded') await this.apply(result.namespaces);
    else this.#refuse(result.problems);
  }

  /**
   * Makes a configuration the running one. Upstreams whose connection is configured as before keep it and their sessions.
   * Resolves after the swap.
   */
  apply(namespaces: readonly NamespaceConfig[]): Promise<void> {
    const applied = this.#applying.then(() => this.#apply(namespaces));
    // One that failed does not stop the next.
    this.#applying = applied.catch(() => {});
    return applied;
  }

  /** Calls the listener after every swap. Returns a function that takes it back. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when every upstream has offered something or failed to, and the snapshot shows it, or when the time is over. */
  async settled(timeoutMs: number): Promise<void> {
    await this.#applying;
    const ready = Promise.allSettled([...this.#members.values()].map(({ upstream }) => upstream.ready()));
    await within(timeoutMs, [ready, this.#closed.promise]);
    if (this.#timer !== undefined) this.#rebuild();
  }

  /** Ends every upstream; resolves when nothing is left. The last snapshot stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.resolve();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const timer of this.#retired.values()) clearTimeout(timer);
    const upstreams = new Set([...this.#retired.keys(), ...[...this.#members.values()].map(({ upstream }) => upstream)]);
    this.#retired.clear();
    await Promise.all([this.#applying, ...[...upstreams].map((upstream) => this.#end(upstream))]);
  }

  async #apply(namespaces: readonly NamespaceConfig[]): Promise<void> {
    if (this.#isClosed) return;
    const previous = this.#members;
    const members = new Map<string, Member>();
    const started: Upstream[] = [];
    for (const config of namespaces.flatMap(({ upstreams }) => upstreams)) {
      const known = previous.get(config.id);
      if (known !== undefined && isDeepStrictEqual(known.config, config)) {
        members.set(config.id, known);
      } else if (known !== undefined && hasSameConnection(known.config, config)) {
        members.set(config.id, Object.freeze({ id: config.id, config, upstream: known.upstream }));
      } else {
        const upstream = this.#create(config);
        if (upstream === undefined) {
          await Promise.all(started.map((created) => this.#end(created)));
          return;
        }
        started.push(upstream);
        members.set(config.id, Object.freeze({ id: config.id, config, upstream }));
      }
    }
    for (const upstream of started) this.#start(upstream);
    // Whoever lists capabilities meanwhile sees the old ones instead of none.
    const replacing = started.filter(({ id }) => previous.has(id));
    if (replacing.length > 0) {
      const ready = Promise.allSettled(replacing.map((upstream) => upstream.ready()));
      await within(this.#replaceMs, [ready, this.#closed.promise]);
    }
    if (this.#isClosed) {
      await Promise.all(started.map((upstream) => this.#end(upstream)));
      return;
    }
    this.#namespaces = namespaces;
    this.#members = members;
    this.#problems = [];
    this.#rebuild();
    this.#log.info({ version: this.#current.version, upstreams: members.size, started: started.length }, 'configuration applied');
    const kept = new Set([...members.values()].map(({ upstream }) => upstream));
    for (const { upstream, config } of previous.values()) if (!kept.has(upstream)) this.#retire(upstream, config);
  }

  #create(config: UpstreamConfig): Upstream | undefined {
    try {
      return this.#createUpstream(config);
    } catch (error) {
      this.#log.error({ err: error, upstream: config.id }, 'upstream cannot be made');
      this.#refuse([{ message: `The upstream ${config.id} cannot be made from its configuration: ${(error as Error).message}` }]);
      return undefined;
    }
  }

  #start(upstream: Upstream): void {
    upstream.onChange((change) => {
      if (change.kind === 'offer') this.#schedule();
    });
    upstream.start();
  }

  #refuse(problems: readonly Problem[]): void {
    this.#problems = problems;
    for (const problem of problems) this.#log.error(`configuration not applied: ${formatProblem(problem)}`);
  }

  // Twenty upstreams that start together cause one or two rebuilds, and one that never rests does not cause more.
  #schedule(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    const pauseMs = Math.max(0, this.#rebuiltAtMs + this.#rebuildMs - performance.now());
    this.#timer = setTimeout(() => {
      try {
        this.#rebuild();
      } catch (error) {
        this.#log.error({ err: error }, 'the catalog could not be rebuilt; the one before stays');
      }
    }, pauseMs);
  }

  #rebuild(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#rebuiltAtMs = performance.now();
    const previous = this.#current;
    const catalog = buildCatalog(previous.version + 1, this.#namespaces, this.#members);
    this.#current = catalog;
    const known = new Set(previous.problems.map(({ upstream, message }) => `${upstream} ${message}`));
    for (const { upstream, subject, message } of catalog.problems) {
      if (!known.has(`${upstream} ${message}`)) this.#log.warn({ upstream, subject }, message);
    }
    for (const listener of this.#listeners) {
      try {
        listener(catalog, previous);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener failed to take a new catalog');
      }
    }
  }

  #retire(upstream: Upstream, { timeoutMs }: UpstreamConfig): void {
    const timer = setTimeout(() => {
      this.#retired.delete(upstream);
      void this.#end(upstream);
    }, this.#drainMs ?? timeoutMs);
    this.#retired.set(upstream, timer);
  }

  async #end(upstream: Upstream): Promise<void> {
    try {
      await upstream.close();
    } catch (error) {
      this.#log.error({ err: error, upstream: upstream.id }, 'upstream failed to close');
    }
  }
}

// What is listed and under which name is the catalog's business: it changes without the upstream noticing.
function hasSameConnection(a: UpstreamConfig, b: UpstreamConfig): boolean {
  const { include: _a1, exclude: _a2, rename: _a3, ...connectionA } = a;
  const { include: _b1, exclude: _b2, rename: _b3, ...connectionB } = b;
  return isDeepStrictEqual(connectionA, connectionB);
}

// Until the first of these, or until the time is over.
async function within(limitMs: number, waits: readonly Promise<unknown>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([...waits, timeout]);
  clearTimeout(timer);
}
