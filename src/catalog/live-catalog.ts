import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { formatProblem, type Problem } from '../problems.ts';
import type { Offer, Upstream } from '../upstreams/upstream.ts';
import { buildCatalog, type FindingOptions } from './build.ts';
import type { Catalog, Member } from './catalog.ts';
import type { UpstreamConfig } from './config.ts';
import type { ApprovedOf } from './contribution.ts';
import { prepareInTurns } from './definition.ts';
import type { LoadOutcome } from './load.ts';
import type { NamespaceConfig } from './namespace-config.ts';

interface LiveCatalogOptions {
  /** Makes an upstream of the configured kind; does not start it. */
  readonly createUpstream: (config: UpstreamConfig) => Upstream;
  readonly log: Logger;
  /** What may be served; everything, when left out. */
  readonly approvedOf?: ApprovedOf;
  /** How long an upstream stays in its place while its successor has not answered yet. */
  readonly replaceMs?: number;
  /** How often an upstream that left the catalog is looked at: it is closed when it has no calls. */
  readonly drainMs?: number;
  /** Least time between two rebuilds that upstreams cause. */
  readonly rebuildMs?: number;
  readonly finding?: FindingOptions;
}

type SwapListener = (catalog: Catalog, previous: Catalog) => void;

/** What runs for one entry of the files. */
interface Running {
  /** What is listed and called: the entry as it is now, its upstream perhaps still of the entry as it was. */
  readonly member: Member;
  /** The entry that the member's upstream was made from. */
  readonly madeFrom: UpstreamConfig;
  /** Made from the entry as it is now, where that needs another connection. */
  readonly successor: Successor | undefined;
}

interface Successor {
  readonly upstream: Upstream;
  /** When it takes over, whether it has answered or not; by `performance.now()`. */
  readonly dueAtMs: number;
}

/** As many are prepared in a few milliseconds. */
const manyDefinitions = 100;

/** How long a call may stand still for a question, beyond its longest duration. */
const questionMs = 10 * 60_000;

/** The running catalog: keeps upstreams in step with the configuration and the snapshot in step with what they offer. */
export class LiveCatalog {
  readonly #createUpstream: (config: UpstreamConfig) => Upstream;
  readonly #log: Logger;
  readonly #approvedOf: ApprovedOf | undefined;
  readonly #replaceMs: number;
  readonly #drainMs: number;
  readonly #rebuildMs: number;
  readonly #finding: FindingOptions;
  readonly #listeners = new Set<SwapListener>();
  /** No longer in the catalog, but perhaps in a call. */
  readonly #retired = new Map<Upstream, NodeJS.Timeout>();
  readonly #ending = new Set<Promise<void>>();
  /** Offers on their way into the next snapshot. */
  readonly #preparing = new Set<Promise<void>>();
  #namespaces: readonly NamespaceConfig[] = [];
  #running: ReadonlyMap<string, Running> = new Map();
  #current: Catalog = buildCatalog(0, [], new Map());
  #problems: readonly Problem[] = [];
  #rebuildTimer: NodeJS.Timeout | undefined;
  #dueTimer: NodeJS.Timeout | undefined;
  #rebuiltAtMs = Number.NEGATIVE_INFINITY;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;

  constructor({
    createUpstream,
    log,
    replaceMs = 30_000,
    drainMs = 1000,
    rebuildMs = 50,
    finding = {},
    approvedOf,
  }: LiveCatalogOptions) {
    this.#createUpstream = createUpstream;
    this.#log = log;
    this.#approvedOf = approvedOf;
    this.#replaceMs = replaceMs;
    this.#drainMs = drainMs;
    this.#rebuildMs = rebuildMs;
    this.#finding = finding;
  }

  /** The snapshot of this moment; a call takes it once. */
  get current(): Catalog {
    return this.#current;
  }

  /** Why the files are not what is running; empty when they are. */
  problems(): readonly Problem[] {
    return this.#problems;
  }

  /** Takes what was loaded: a good configuration is applied, a bad one leaves everything as it is and is remembered. Never throws. */
  take(result: LoadOutcome): void {
    if (result.kind === 'problems') {
      this.#refuse(result.problems);
      return;
    }
    try {
      this.apply(result.namespaces);
    } catch (error) {
      this.#log.error({ err: error }, 'the configuration could not be applied');
      this.#refuse([{ message: 'The files could not be applied: an unexpected error; the log has it.' }]);
    }
  }

  /**
   * Makes a configuration the running one. Upstreams whose connection is configured as before keep it and their sessions. One
   * that needs another connection is replaced as soon as its successor has answered; the rest of its entry counts at once.
   */
  apply(namespaces: readonly NamespaceConfig[]): void {
    if (this.#isClosed) return;
    const created: Upstream[] = [];
    let isApplied = false;
    try {
      const running = this.#plan(namespaces, created);
      if (running === undefined) return;
      this.#swap(namespaces, running);
      isApplied = true;
    } finally {
      if (!isApplied) for (const upstream of created) this.#end(upstream);
    }
    this.#problems = [];
    for (const upstream of created) this.#start(upstream);
    const { version, upstreams } = this.#current;
    this.#log.info({ version, upstreams: upstreams.size, started: created.length }, 'configuration applied');
  }

  /** Takes up what is approved by now. */
  rebuildSoon(): void {
    this.#schedule();
  }

  /** Calls the listener after every swap. Returns a function that takes it back. */
  onSwap(listener: SwapListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when every upstream, or each of these, has offered something or failed to, and the snapshot shows it, or when the time is over. */
  async settled(timeoutMs: number, ids?: readonly string[]): Promise<void> {
    const running =
      ids === undefined
        ? Array.from(this.#running.values(), ({ member }) => member.upstream)
        : ids.flatMap((id) => {
            const entry = this.#running.get(id);
            return entry === undefined ? [] : [entry.successor?.upstream ?? entry.member.upstream];
          });
    const ready = Promise.allSettled(running.map((upstream) => upstream.ready()));
    await within(timeoutMs, [ready, this.#closed.promise]);
    await Promise.all(this.#preparing);
    if (this.#rebuildTimer !== undefined) this.#rebuild();
  }

  /** Ends every upstream; resolves when nothing is left. The last snapshot stays. */
  async close(): Promise<void> {
    if (this.#isClosed) return void (await Promise.all(this.#ending));
    this.#isClosed = true;
    this.#closed.resolve();
    clearTimeout(this.#rebuildTimer);
    clearTimeout(this.#dueTimer);
    this.#rebuildTimer = undefined;
    for (const timer of this.#retired.values()) clearInterval(timer);
    const upstreams = [...this.#retired.keys(), ...upstreamsOf(this.#running).keys()];
    this.#retired.clear();
    for (const upstream of upstreams) this.#end(upstream);
    await Promise.all(this.#ending);
  }

  /** What shall run for each entry. What has to be made for it is added to `created`; undefined where one cannot be made. */
  #plan(namespaces: readonly NamespaceConfig[], created: Upstream[]): Map<string, Running> | undefined {
    const plan = new Map<string, Running>();
    for (const config of namespaces.flatMap(({ upstreams }) => upstreams)) {
      const known = this.#running.get(config.id);
      // Taken out and registered anew between two looks: it does not begin with what the earlier one offers.
      const before = known?.member.config.registration === config.registration ? known : undefined;
      const kept = before && keep(before, config);
      if (kept !== undefined) {
        plan.set(config.id, kept);
        continue;
      }
      const upstream = this.#create(config);
      if (upstream === undefined) return undefined;
      created.push(upstream);
      if (before === undefined) {
        plan.set(config.id, { member: memberOf(config, upstream), madeFrom: config, successor: undefined });
      } else {
        const { member, madeFrom } = before;
        const successor = { upstream, dueAtMs: performance.now() + this.#replaceMs };
        plan.set(config.id, { member: memberOf(config, member.upstream), madeFrom, successor });
      }
    }
    return plan;
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
      if (change.kind === 'offer') this.#heed(upstream);
    });
    upstream.start();
  }

  // What takes longest of a rebuild is done before it, in turns with everybody else's work, where there is much of it.
  #heed(upstream: Upstream): void {
    if (this.#retired.has(upstream)) return;
    const offer = upstream.offer();
    if (offer.tools.length + offer.prompts.length < manyDefinitions) {
      this.#schedule();
      return;
    }
    const preparing: Promise<void> = prepareInTurns(offer).finally(() => {
      this.#preparing.delete(preparing);
      this.#schedule();
    });
    this.#preparing.add(preparing);
  }

  #refuse(problems: readonly Problem[]): void {
    this.#problems = problems;
    for (const problem of problems) this.#log.error(`configuration not applied: ${formatProblem(problem)}`);
  }

  // Twenty upstreams that start together cause one or two rebuilds, and one that never rests does not cause more.
  #schedule(): void {
    if (this.#rebuildTimer !== undefined || this.#isClosed) return;
    const pauseMs = Math.max(0, this.#rebuiltAtMs + this.#rebuildMs - performance.now());
    this.#rebuildTimer = setTimeout(() => {
      this.#rebuildTimer = undefined;
      // It schedules another.
      if (this.#preparing.size > 0) return;
      try {
        this.#rebuild();
      } catch (error) {
        this.#log.error({ err: error }, 'the catalog could not be rebuilt; the one before stays');
      }
    }, pauseMs);
  }

  #rebuild(): void {
    clearTimeout(this.#rebuildTimer);
    this.#rebuildTimer = undefined;
    this.#rebuiltAtMs = performance.now();
    this.#swap(this.#namespaces, this.#running);
  }

  /** Builds the snapshot beside the running one. When that throws, nothing has changed. */
  #swap(namespaces: readonly NamespaceConfig[], planned: ReadonlyMap<string, Running>): void {
    const running = new Map(Array.from(planned, ([id, entry]) => [id, this.#succeeded(entry)]));
    const members = new Map(Array.from(running, ([id, { member }]) => [id, member]));
    const previous = this.#current;
    const catalog = buildCatalog(previous.version + 1, namespaces, members, this.#finding, this.#approvedOf);
    const before = upstreamsOf(this.#running);
    this.#namespaces = namespaces;
    this.#running = running;
    this.#current = catalog;
    this.#awaitSuccessors();
    const known = new Set(previous.problems.map(({ upstream, message }) => `${upstream} ${message}`));
    for (const { upstream, subject, message, awaits } of catalog.problems) {
      if (awaits !== undefined) continue;
      if (!known.has(`${upstream} ${message}`)) this.#log.warn({ upstream, subject }, message);
    }
    for (const listener of this.#listeners) {
      try {
        listener(catalog, previous);
      } catch (error) {
        this.#log.error({ err: error }, 'a listener failed to take a new catalog');
      }
    }
    const used = upstreamsOf(running);
    for (const [upstream, config] of before) if (!used.has(upstream)) this.#retire(upstream, config);
  }

  /** The entry with its successor in place, if it is time. Whoever lists capabilities until then sees the old ones instead of none. */
  #succeeded(entry: Running): Running {
    const { member, successor } = entry;
    if (successor === undefined) return entry;
    if (successor.upstream.offer().isStale && offersAnything(member.upstream.offer())) {
      if (performance.now() < successor.dueAtMs) return entry;
      this.#log.warn(
        { upstream: member.id },
        'the changed upstream has not answered; it takes the place of the one before all the same',
      );
    }
    return { member: memberOf(member.config, successor.upstream), madeFrom: member.config, successor: undefined };
  }

  #awaitSuccessors(): void {
    clearTimeout(this.#dueTimer);
    const dueAtMs = Math.min(...Array.from(this.#running.values(), ({ successor }) => successor?.dueAtMs ?? Infinity));
    if (dueAtMs === Infinity || this.#isClosed) return;
    this.#dueTimer = setTimeout(() => this.#schedule(), Math.max(0, dueAtMs - performance.now()));
  }

  // Looked at from time to time and not told: between two calls of a queue there is a moment without any.
  #retire(upstream: Upstream, { maxDurationMs }: UpstreamConfig): void {
    const lastMs = performance.now() + maxDurationMs + questionMs;
    const timer = setInterval(() => {
      if (upstream.health().callsInFlight > 0 && performance.now() < lastMs) return;
      clearInterval(timer);
      this.#retired.delete(upstream);
      this.#end(upstream);
    }, this.#drainMs);
    this.#retired.set(upstream, timer);
  }

  #end(upstream: Upstream): void {
    const ending = upstream
      .close()
      .catch((error: unknown) => this.#log.error({ err: error, upstream: upstream.id }, 'upstream failed to close'))
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }
}

/** What runs goes on under a new entry; undefined where that needs a connection that is not there. */
function keep({ member, madeFrom, successor }: Running, config: UpstreamConfig): Running | undefined {
  const next = isDeepStrictEqual(member.config, config) ? member : memberOf(config, member.upstream);
  if (hasSameConnection(madeFrom, config)) return { member: next, madeFrom, successor: undefined };
  if (successor !== undefined && hasSameConnection(member.config, config)) return { member: next, madeFrom, successor };
  return undefined;
}

// All else is the catalog's or the call's business: it changes without the upstream noticing. An upstream's own requests keep
// the `timeoutMs` it was made with, which is no reason to break what goes on over its connection.
function hasSameConnection(a: UpstreamConfig, b: UpstreamConfig): boolean {
  const connectionOf = ({
    kind,
    transport,
    era,
    sessions,
    secretsRevision,
    missingSecrets,
    registration,
    title,
    description,
  }: UpstreamConfig) => ({
    ...{ kind, transport, era, sessions, secretsRevision, missingSecrets, registration },
    // What a model offers is made of them.
    ...(kind === 'model' ? { title, description } : {}),
  });
  return isDeepStrictEqual(connectionOf(a), connectionOf(b));
}

function memberOf(config: UpstreamConfig, upstream: Upstream): Member {
  return Object.freeze({ id: config.id, config, upstream });
}

/** Every upstream that runs, with the entry it runs under. */
function upstreamsOf(running: ReadonlyMap<string, Running>): Map<Upstream, UpstreamConfig> {
  const upstreams = new Map<Upstream, UpstreamConfig>();
  for (const { member, successor } of running.values()) {
    upstreams.set(member.upstream, member.config);
    if (successor !== undefined) upstreams.set(successor.upstream, member.config);
  }
  return upstreams;
}

function offersAnything({ tools, prompts, resources, resourceTemplates }: Offer): boolean {
  return tools.length + prompts.length + resources.length + resourceTemplates.length > 0;
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
