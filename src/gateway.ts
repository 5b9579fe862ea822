import type { Logger } from 'pino';
import { KeyRing, makeKey } from './call/authenticate.ts';
import { Lanes } from './call/call-upstream.ts';
import type { UpstreamConfig } from './catalog/config.ts';
import { LiveCatalog } from './catalog/live-catalog.ts';
import { type LoadResult, loadNamespaces } from './catalog/load.ts';
import { NamespaceWatch } from './catalog/watch.ts';
import type { Clock } from './clock.ts';
import type { Edge } from './inbound/mcp/edge.ts';
import { restoreSubscriptions } from './inbound/mcp/legacy.ts';
import { Listeners } from './inbound/mcp/listen.ts';
import { changedLists } from './inbound/mcp/lists.ts';
import { ParkedCalls } from './inbound/mcp/parked.ts';
import { Sessions } from './inbound/mcp/sessions.ts';
import { Subscriptions } from './inbound/mcp/subscriptions.ts';
import { ConfigurationError } from './problems.ts';
import { resolveSecrets } from './secrets.ts';
import type { Settings } from './settings.ts';
import { openStore } from './store/open-store.ts';
import type { RememberedUpstream, Store } from './store/ports.ts';
import { createEgressGuard } from './upstreams/egress.ts';
import { connectUpstream } from './upstreams/kinds.ts';
import type { Upstream } from './upstreams/upstream.ts';
import { version } from './version.ts';

/** How long the first list of a fresh start waits for upstreams that were never heard of. */
const settleWithinMs = 3000;

/** A gateway without its doors: everything that `serve`, `stdio` and tests put doors on. */
export interface Gateway {
  readonly edge: Edge;
  readonly keys: KeyRing;
  /** The admin key, when this start made it: it is shown once and never again. */
  readonly newAdminKey: string | undefined;
  status(): Status;
  /** Resolves when every upstream has connected or failed to, or the time is over. */
  connected(withinMs: number): Promise<void>;
  /** Ends sessions, upstreams and their child processes, and the store. */
  close(): Promise<void>;
}

/** What `doctor` and `/api/status` show. */
export interface Status {
  readonly version: string;
  readonly startedAtMs: number;
  readonly upstreams: readonly UpstreamStatus[];
  readonly toolboxes: readonly {
    readonly name: string;
    readonly tools: number;
    readonly prompts: number;
    readonly resources: number;
  }[];
  /** What is wrong with the files that are in use, or with newer ones that are not. */
  readonly configuration: readonly {
    readonly file?: string | undefined;
    readonly line?: number | undefined;
    readonly message: string;
  }[];
  readonly sessions: number;
  readonly streams: number;
}

export type UpstreamStatus = { readonly id: string } & ReturnType<Upstream['health']> & {
    readonly tools: number;
    readonly isStale: boolean;
    readonly isPaused: boolean;
    /** Capabilities that are not listed, and why. */
    readonly missing: readonly { readonly subject: string; readonly message: string }[];
  };

interface GatewayPorts {
  readonly settings: Settings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly clock: Clock;
  /** Makes an admin key where there is none. Only for a command that shows it. */
  readonly makesAdminKey: boolean;
}

/** Builds a gateway: the only place where its parts meet. Throws ConfigurationError with every problem. */
export async function openGateway(ports: GatewayPorts): Promise<Gateway> {
  const { settings, log, clock } = ports;
  const loading = loadNamespaces(settings.namespaces);
  const store = await openStore({
    dataDir: settings.data,
    databaseUrl: settings.databaseUrl,
    redisUrl: settings.redisUrl,
    masterKey: settings.masterKey,
    clock,
    log,
  });
  try {
    const loaded = await loading;
    if (loaded.kind === 'problems') throw new ConfigurationError(loaded.problems);
    return await build(ports, store, loaded);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function build(
  { settings, environment, log, clock, makesAdminKey }: GatewayPorts,
  store: Store,
  loaded: LoadResult & { readonly kind: 'loaded' },
): Promise<Gateway> {
  const startedAtMs = clock.nowMs();
  const [pepper, sessionKey, stateKey, remembered] = await Promise.all([
    store.sealing.get('pepper'),
    store.sealing.get('session'),
    store.sealing.get('request-state'),
    store.upstreams.load(),
  ]);
  const keys = new KeyRing(pepper);
  const newAdminKey = await admitAdmin(keys, store, settings, makesAdminKey ? clock : undefined);
  const memories = new Map(remembered.map((upstream) => [upstream.id, upstream]));
  // An upstream that replaces another begins with what is known by then, not with what was known at the start.
  const remember = (upstream: RememberedUpstream): Promise<void> => {
    memories.set(upstream.id, upstream);
    return store.upstreams.save(upstream);
  };

  const lanes = new Lanes();
  const egress = createEgressGuard(settings.egressAllow);
  const subscriptions = new Subscriptions(log);
  const listeners = new Listeners();
  const makeUpstream = (config: UpstreamConfig): Upstream => {
    const upstream = connectUpstream(config, {
      memory: { save: remember },
      remembered: memories.get(config.id),
      resolveSecrets: (text) => resolveSecrets(text, environment),
      egress,
      instance: { name: 'gatehouse', version },
      log,
      clock,
    });
    upstream.onChange((change) => {
      // One that was replaced may still be in a call, and its successor tells the same.
      const isCurrent = live.current.upstreams.get(config.id)?.upstream === upstream;
      if (change.kind === 'resource-updated' && isCurrent) subscriptions.updated(config.id, change.uri);
    });
    return upstream;
  };
  const live = new LiveCatalog({ createUpstream: makeUpstream, log });
  live.apply(loaded.namespaces);

  const sessions: Sessions = new Sessions({
    key: sessionKey,
    store: store.sessions,
    limits: { idleMs: settings.sessionIdleMs, max: settings.maxSessions },
    clock,
    log,
    onRevived: (session, caller, uris) => restoreSubscriptions(edge, caller, session, uris),
    onEnded: (session) => {
      for (const { upstream } of live.current.upstreams.values()) upstream.endSession(session.id);
    },
  });
  const settled = live.settled(settleWithinMs);
  const edge: Edge = {
    catalog: () => live.current,
    settled: () => settled,
    calls: { lanes, log },
    sessions,
    parked: new ParkedCalls(stateKey, clock),
    listeners,
    subscriptions,
    log,
  };
  live.onSwap((after, before) => {
    lanes.keep(after.upstreams);
    subscriptions.move(after);
    listeners.swapped(before, after);
    sessions.swapped((toolbox) => {
      const of = (catalog: typeof after) => (toolbox === '' ? catalog.everything : catalog.toolboxes.get(toolbox));
      return changedLists(of(before), of(after));
    });
  });
  const watch = new NamespaceWatch(settings.namespaces, (result) => live.take(result), { since: loaded });
  watch.start();

  return {
    edge,
    keys,
    newAdminKey,
    status: () => ({ ...statusOf(live, lanes), startedAtMs, sessions: sessions.size, streams: listeners.size }),
    connected: (withinMs) => connected(live, withinMs),
    async close() {
      await watch.close();
      edge.parked.cancelAll();
      await sessions.close();
      await live.close();
      await egress.close();
      lanes.keep(new Map());
      await store.close();
    },
  };
}

async function admitAdmin(
  keys: KeyRing,
  store: Store,
  { adminKey }: Settings,
  clock: Clock | undefined,
): Promise<string | undefined> {
  const stored = await store.keys.list();
  for (const { id, hash } of stored) keys.add(id, hash);
  if (adminKey !== undefined) {
    keys.add('admin', keys.hash(adminKey.reveal()));
    return undefined;
  }
  if (stored.length > 0 || clock === undefined) return undefined;
  const key = makeKey('admin');
  const hash = keys.hash(key);
  // Another replica may have been first; then its key is the one that was shown.
  if (!(await store.keys.create({ id: 'admin', hash, createdAtMs: clock.nowMs() }))) {
    for (const other of await store.keys.list()) keys.add(other.id, other.hash);
    return undefined;
  }
  keys.add('admin', hash);
  return key;
}

async function connected(live: LiveCatalog, withinMs: number): Promise<void> {
  const stops: (() => void)[] = [];
  const all = Promise.all(
    Array.from(
      live.current.upstreams.values(),
      ({ upstream }) =>
        new Promise<void>((resolve) => {
          const look = () => {
            if (upstream.health().state !== 'connecting') resolve();
          };
          stops.push(upstream.onChange(look));
          look();
        }),
    ),
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, withinMs);
  });
  await Promise.race([all, late]);
  clearTimeout(timer);
  for (const stop of stops) stop();
  // What they offered is in the snapshot by then.
  await live.settled(0);
}

function statusOf(live: LiveCatalog, lanes: Lanes): Omit<Status, 'startedAtMs' | 'sessions' | 'streams'> {
  const { current: catalog } = live;
  return {
    version,
    upstreams: Array.from(catalog.upstreams.values(), (member) => {
      const { id, upstream } = member;
      const offer = upstream.offer();
      return {
        id,
        ...upstream.health(),
        tools: offer.tools.length,
        isStale: offer.isStale,
        isPaused: lanes.isOpen(id),
        missing: [...offer.problems, ...catalog.problems.filter((problem) => problem.upstream === id)],
      };
    }),
    toolboxes: [catalog.everything, ...catalog.toolboxes.values()].map(({ name, tools, prompts, resources }) => ({
      name,
      tools: tools.size,
      prompts: prompts.size,
      resources: resources.size,
    })),
    configuration: live.problems(),
  };
}
