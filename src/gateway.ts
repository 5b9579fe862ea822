import { createHmac } from 'node:crypto';
import type { Logger } from 'pino';
import type { AdminPorts } from './admin/action.ts';
import { AdminUpstream, adminConfig, adminNamespace } from './admin/admin-upstream.ts';
import { ArgumentChecks } from './arguments/argument-check.ts';
import { openApprovals } from './call/approve/approvals.ts';
import { deciderOf, standingOf } from './call/approve/standing.ts';
import type { Ask } from './call/ask.ts';
import { asCaller } from './call/authenticate/caller.ts';
import { KeyRing, makeKey } from './call/authenticate/key-ring.ts';
import { callerOfMember, TokenCallers } from './call/authenticate/token-callers.ts';
import { type Caller, type Proofs, renewCallers } from './call/authenticate.ts';
import { mayEnter, visibleToolbox } from './call/authorize.ts';
import type { BreakerStatus } from './call/breaker.ts';
import { type CallPorts, call, circumstancesOf } from './call/call.ts';
import { Lanes } from './call/call-upstream.ts';
import { modelEmbedder } from './call/model-embedder.ts';
import { modelJudge } from './call/model-judge.ts';
import { urlJudge } from './call/url-judge.ts';
import type { Toolbox } from './catalog/catalog.ts';
import type { UpstreamConfig } from './catalog/config.ts';
import type { ApprovedOf } from './catalog/contribution.ts';
import { LiveCatalog } from './catalog/live-catalog.ts';
import { type LoadResult, loadNamespaces } from './catalog/load.ts';
import type { NamespaceConfig } from './catalog/namespace-config.ts';
import { NamespaceWatch } from './catalog/watch.ts';
import { type Clock, systemSteadyClock } from './clock.ts';
import type { Judges } from './content/judge.ts';
import { type Credentials, openCredentials } from './credentials/credentials.ts';
import { GatewayError } from './errors.ts';
import { Finder, finderMember } from './finding/finder.ts';
import type { IssuerStatus } from './identity/issuer-keys.ts';
import { createTokenVerifier } from './identity/verify-token.ts';
import type { Edge } from './inbound/mcp/edge.ts';
import { restoreSubscriptions } from './inbound/mcp/legacy.ts';
import { ListChanges, type Watcher } from './inbound/mcp/list-changes.ts';
import { Listeners } from './inbound/mcp/listen.ts';
import { ParkedCalls } from './inbound/mcp/parked.ts';
import { Sessions } from './inbound/mcp/sessions.ts';
import { Subscriptions } from './inbound/mcp/subscriptions.ts';
import { TaskRuns } from './inbound/mcp/tasks.ts';
import type { RatingPorts } from './inbound/models/rate.ts';
import { journalAgeMs, journalPath, openJournal } from './journal/journal.ts';
import type { ReplyCaches } from './models/cache/reply-caches.ts';
import { type Audience, type Channel, type Notifier, type NotifyEvent, openNotifier } from './notify/notify.ts';
import { smtpChannel } from './notify/smtp.ts';
import { webhookChannel } from './notify/webhook.ts';
import { longestWithinMs } from './policy/gate-schema.ts';
import { ConfigurationError } from './problems.ts';
import { descriptionReader } from './registry/descriptions.ts';
import { LiveConfiguration } from './registry/live-configuration.ts';
import { mailAddressesOf } from './registry/mail-addresses.ts';
import { Registry } from './registry/registry.ts';
import { SecretValues } from './registry/secret-values.ts';
import { ChangeReviews } from './review/change-reviews.ts';
import { Pins } from './review/pins.ts';
import { pruneDefinitions } from './review/prune-definitions.ts';
import type { Settings } from './settings.ts';
import { openCounters, openReplyCache, openSightings, openStore } from './store/open-store.ts';
import type { RememberedUpstream, UpstreamMemory } from './store/ports/upstream-memory.ts';
import type { Store } from './store/ports.ts';
import type { UpstreamGauge } from './telemetry/gauges.ts';
import { openTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { createEgressGuard } from './upstreams/egress.ts';
import { openReach, type Reach } from './upstreams/fetch-json.ts';
import { createGuardedFetch } from './upstreams/guarded-fetch.ts';
import { compareUpstreams, connectUpstream } from './upstreams/kinds.ts';
import type { Upstream } from './upstreams/upstream.ts';
import { version } from './version.ts';
import type { JsonObject } from './wire/json.ts';

/** How long the first list of a fresh start waits for upstreams that were never heard of. */
const settleWithinMs = 3000;

/** A gateway without its doors: everything that `serve`, `stdio` and tests put doors on. */
export interface Gateway {
  readonly edge: Edge;
  readonly keys: KeyRing;
  /** What callers over HTTP are known by. */
  readonly proofs: Proofs;
  /** The address that tokens are issued for. */
  ownUrl(): string;
  /** Prometheus text. */
  metricsText(): Promise<string>;
  /** Loads what administers the gateway, which a start leaves out. */
  loadAdministration(): Promise<void>;
  /** The admin key, when this start made it: it is shown once and never again. */
  readonly newAdminKey: string | undefined;
  status(): Status;
  readonly ratings: RatingPorts;
  /** The pages that people sign in to upstreams on. */
  readonly servePage: Credentials['servePage'];
  /** Tells the gateway an address of its own that a browser on this machine can open; the setting `publicUrl` wins. */
  listensAt(url: string): void;
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
  /** Whether calls can be put on record; those that may change something are refused while not. */
  readonly journal: { readonly isWritable: boolean };
  /** Set where the store came from a backup: keys that were revoked after it was made may be valid again. */
  readonly restored: { readonly atMs: number; readonly backupMadeAtMs: number } | undefined;
  /** Breakers that are not closed: of an upstream by its id, of a capability by its name. */
  readonly breakers: readonly ({ readonly of: string } & BreakerStatus)[];
  /** Whose tokens are taken, and whether their keys are to be had. */
  readonly issuers: readonly IssuerStatus[];
}

export type UpstreamStatus = { readonly id: string } & ReturnType<Upstream['health']> & {
    readonly tools: number;
    readonly isStale: boolean;
    readonly isPaused: boolean;
    readonly pausedBecause: string | undefined;
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
  const loading = loadNamespaces(settings.namespaces, settings.openapiImports);
  const storeOptions = {
    dataDir: settings.data,
    databaseUrl: settings.databaseUrl,
    redisUrl: settings.redisUrl,
    masterKey: settings.masterKey,
    previousMasterKeys: settings.previousMasterKeys,
    clock,
    log,
  };
  const store = await openStore(storeOptions);
  try {
    const loaded = await loading;
    if (loaded.kind === 'problems') throw new ConfigurationError(loaded.problems);
    return await build(ports, storeOptions, store, loaded);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function build(
  { settings, environment, log, clock, makesAdminKey }: GatewayPorts,
  storeOptions: Parameters<typeof openStore>[0],
  store: Store,
  loaded: LoadResult & { readonly kind: 'loaded' },
): Promise<Gateway> {
  const startedAtMs = clock.nowMs();
  const [pepper, sessionKey, stateKey, credentialKey, journalKey, remembered] = await Promise.all([
    store.sealing.get('pepper'),
    store.sealing.get('session'),
    store.sealing.get('request-state'),
    store.sealing.get('credential'),
    store.sealing.get('journal'),
    store.upstreams.load(),
  ]);
  const registry = await Registry.open(store.registry, log);
  const keys = new KeyRing(pepper, clock, registry);
  const newAdminKey = await admitAdmin(keys, store, settings, makesAdminKey ? clock : undefined);
  const secrets = new SecretValues({ registry, vault: store.vault, environment, directory: settings.secrets, log });
  const journal = await openJournal({
    dir: journalPath(settings.data),
    sync: settings.auditSync,
    key: journalKey,
    clock,
    log,
    index: store.audit,
  });
  const counters = await openCounters(store, storeOptions);
  const sightings = await openSightings(store, storeOptions);
  const checks = new ArgumentChecks();
  const memories = new Map(remembered.map((upstream) => [upstream.id, upstream]));
  // An upstream that replaces another begins with what is known by then, not with what was known at the start.
  const remember = (upstream: RememberedUpstream): Promise<void> => {
    memories.set(upstream.id, upstream);
    return store.upstreams.save(upstream);
  };

  const forget = (id: string): void => {
    memories.delete(id);
    store.upstreams
      .forget(id)
      .catch((error: unknown) => log.warn({ err: error, upstream: id }, 'an upstream that was taken out could not be forgotten'));
  };

  const hop = createHmac('sha256', pepper).update('hop').digest('hex').slice(0, 16);
  const lanes = new Lanes();
  const egress = createEgressGuard(settings.egressAllow);
  let { publicUrl } = settings;
  const ownUrl = () => publicUrl ?? `http://127.0.0.1:${settings.port}`;
  const tokens =
    settings.issuers.length === 0
      ? undefined
      : createTokenVerifier({
          issuers: settings.issuers,
          publicUrl: ownUrl(),
          fetch: createGuardedFetch(egress),
          clock,
          log,
        });
  const credentials = openCredentials({
    store: store.credentials,
    key: credentialKey,
    reach: openReach(egress),
    clock,
    log,
    publicUrl: () => publicUrl,
    resolveSecrets: (text) => secrets.resolve(text),
  });
  const notifier: Notifier = openNotifier({
    channels: channelsOf(settings, {
      reach: openReach(egress),
      secrets,
      clock,
      registry,
      confide: async (event) => (await signedDecisions?.confide(event)) ?? {},
    }),
    store: store.notices,
    clock,
    log,
  });
  const subscriptions = new Subscriptions(log);
  const listeners = new Listeners();
  const admin: AdminUpstream = new AdminUpstream(() => adminPorts);
  const readDescription = descriptionReader(registry);
  // Most gateways have no model that gives answers again.
  let replies: { readonly close: () => Promise<void> } | undefined;
  let openingReplies: Promise<ReplyCaches> | undefined;
  const openReplies = async (): Promise<ReplyCaches> => {
    const { ReplyCaches } = await import('./models/cache/reply-caches.ts');
    const cache = await openReplyCache(store, storeOptions);
    const callModel = (caller: Caller, ask: Ask) => call(calls, live.current, caller, ask);
    const caches = new ReplyCaches({
      cache,
      key: await store.sealing.get('reply'),
      clock,
      embedder: (model) => modelEmbedder(model, callModel),
      warn: (error) =>
        log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'a question could not be compared'),
    });
    replies = cache;
    return caches;
  };
  const replyCaches = (): Promise<ReplyCaches> => {
    openingReplies ??= openReplies();
    return openingReplies;
  };
  // `document`: the API description of one that is only tried.
  const connect = (
    config: UpstreamConfig,
    memory: Pick<UpstreamMemory, 'save'>,
    known: RememberedUpstream | undefined,
    document?: Buffer,
  ) =>
    connectUpstream(config, {
      memory,
      remembered: known,
      resolveSecrets: (text) => secrets.resolve(text),
      egress,
      authorization: credentials.authorizationFor(config),
      instance: { name: 'gatehouse', version, hop },
      checks,
      readDescription: (source, id) => (document === undefined ? readDescription(source, id) : Promise.resolve(document)),
      log,
      clock,
      admin: () => admin,
      callerFacts: (caller) => asCaller(caller)?.facts,
      editedPrices: (id) => registry.get('model-price', id)?.body.price,
      replyCaches,
      onRouting: (model, event) => {
        telemetry.models.addFailover(model, event);
        telemetry.meter.routed(model, event.kind);
      },
    });
  const isRegistered = ({ id, registration }: UpstreamConfig) =>
    registration === undefined || registry.get('upstream', id)?.body.registration === registration;
  // What was just tried is most often what is registered next: its API description is not converted once more.
  let tried: RememberedUpstream | undefined;
  const takeTried = ({ id, transport }: UpstreamConfig): void => {
    if (tried === undefined || tried.id !== id || transport.type !== 'openapi') return;
    if (!tried.fingerprint.endsWith(transport.description.sha256)) return;
    remember(tried).catch((error: unknown) => log.warn({ err: error }, 'an upstream could not be kept for the next start'));
    tried = undefined;
  };
  const madeFrom = new WeakMap<Upstream, UpstreamConfig>();
  const makeUpstream = (config: UpstreamConfig): Upstream => {
    takeTried(config);
    // One that was taken out may still be in a call; what it learns is of no use to anybody.
    const save: UpstreamMemory['save'] = async (known) => void (isRegistered(config) && (await remember(known)));
    const upstream = connect(config, { save }, memories.get(config.id));
    madeFrom.set(upstream, config);
    upstream.onChange((change) => {
      // One that was replaced may still be in a call, and its successor tells the same.
      const isCurrent = live.current.upstreams.get(config.id)?.upstream === upstream;
      if (change.kind === 'resource-updated' && isCurrent) subscriptions.updated(config.id, change.uri);
    });
    return upstream;
  };
  const finder = new Finder({
    visible: (whoever, ip, toolbox) => {
      const caller = asCaller(whoever);
      if (caller === undefined) throw new GatewayError('not_found', 'Nobody calls.');
      return visibleToolbox(circumstancesOf(calls, ip), live.current, caller, toolbox);
    },
    synonyms: settings.search.synonyms,
    async document(toolbox, uri, whoever) {
      const caller = asCaller(whoever);
      const { pageAt } = await import('./admin/documentation.ts');
      return caller === undefined ? undefined : pageAt({ calls, ownUrl }, caller, toolbox, uri);
    },
  });
  const pins: Pins = new Pins({
    registry,
    definitions: store.definitions,
    journal,
    catalog: () => live.current,
    madeFrom: (upstream) => madeFrom.get(upstream),
    rebuild: () => live.rebuildSoon(),
    clock,
    log,
  });
  const changeReviews = new ChangeReviews({
    registry,
    definitions: store.definitions,
    journal,
    pins,
    notifier,
    ownUrl,
    clock,
    log,
  });
  const approvedOf: ApprovedOf = (member, offer) => pins.approvedOf(member, offer);
  const live: LiveCatalog = new LiveCatalog({
    createUpstream: makeUpstream,
    approvedOf,
    log,
    finding: { finder: finderMember(finder), search: settings.search.everything },
  });
  const configuration = new LiveConfiguration({
    registry,
    secrets,
    directory: settings.namespaces,
    allowedCommands: settings.allowedCommands,
    own: [adminNamespaceConfig],
    apply: (namespaces) => live.apply(namespaces),
    log,
  });
  await configuration.take(loaded.namespaces);

  let approvalsPending: number | undefined;
  const telemetry: Telemetry = openTelemetry({
    store: store.rollUps,
    models: store.models,
    clock,
    log,
    gauges: {
      version,
      startedAtMs,
      sessions: () => sessions.size,
      streams: () => listeners.size,
      journalLagMs: () => journal.lagMs,
      approvalsPending: () => approvalsPending,
      upstreams: () => gaugesOf(live, lanes),
    },
    otlpUrl: settings.otlpUrl,
    traceSampling: settings.traceSampling,
    metricsCapabilities: settings.metricsCapabilities,
  });
  const callers = new TokenCallers(registry, settings.issuers);
  const people = { keys, callers, registry };
  const approvals = openApprovals({
    store: store.approvals,
    key: createHmac('sha256', stateKey).update('approvals').digest(),
    journal,
    notifier,
    policies: () => configuration.policies,
    standing: (decider) => standingOf(people, decider),
    deciderOf: (caller) => deciderOf(people, caller),
    pageUrl: () => publicUrl,
    clock,
    steady: systemSteadyClock,
    log,
  });
  const decisions = settings.notify.webhook?.decisions;
  const signedDecisions =
    decisions &&
    (await import('./call/approve/signed-decisions.ts')).openSignedDecisions({
      settings: decisions,
      approvals,
      key: createHmac('sha256', stateKey).update('decision tokens').digest(),
      resolveSecret: (text) => secrets.resolve(text),
      callerOf: (member) => callerOfMember(registry, member),
      pageUrl: () => publicUrl,
      journal,
      clock,
    });
  const judges: Judges = {
    of(settings) {
      const { url, model } = settings;
      if (url !== undefined)
        return urlJudge({
          settings: { ...settings, url },
          reach: openReach(egress),
          resolveSecret: (text) => secrets.resolve(text),
        });
      return modelJudge(model ?? '', (caller, ask) => call(calls, live.current, caller, ask));
    },
  };
  const calls: CallPorts = {
    judges,
    approvals,
    lanes,
    log,
    journal,
    telemetry,
    counters,
    sightings,
    checks,
    clock,
    policies: () => configuration.policies,
    maySeeAction: (caller, name) => admin.maySee(caller, name),
  };

  const seenBy = ({ caller, ip, toolbox }: Pick<Watcher, 'caller' | 'ip' | 'toolbox'>): Toolbox | undefined =>
    mayEnter(caller, toolbox) && (toolbox === '' || live.current.toolboxes.has(toolbox))
      ? visibleToolbox(circumstancesOf(calls, ip), live.current, caller, toolbox)
      : undefined;
  const listChanges = new ListChanges({
    *watchers() {
      yield* listeners.open();
      yield* sessions.open();
    },
    visible: seenBy,
    log,
  });
  let registered = new Set(registry.list('upstream').map(({ id }) => id));
  registry.onChange(() => {
    const before = registered;
    registered = new Set(registry.list('upstream').map(({ id }) => id));
    for (const id of before) if (!registered.has(id)) forget(id);
  });
  const sessions: Sessions = new Sessions({
    key: sessionKey,
    store: store.sessions,
    limits: { idleMs: settings.sessionIdleMs, max: settings.maxSessions },
    clock,
    log,
    onRevived: (session, visitor, uris) => {
      session.seen = seenBy({ ...visitor, toolbox: session.toolbox });
      restoreSubscriptions(edge, visitor, session, uris);
    },
    onEnded: (session) => {
      for (const { upstream } of live.current.upstreams.values()) upstream.endSession(session.id);
    },
  });
  const settled = live.settled(settleWithinMs);
  const edge: Edge = {
    catalog: () => live.current,
    hop,
    settled: () => settled,
    circumstances: (ip) => circumstancesOf(calls, ip),
    renewed: (caller) => (caller.validUntilMs <= clock.nowMs() ? undefined : renewCallers({ keys, callers })(caller)),
    calls,
    approvals,
    signedDecisions,
    sessions,
    parked: new ParkedCalls(stateKey, clock),
    tasks: new TaskRuns(),
    listeners,
    subscriptions,
    log,
  };
  live.onSwap((after) => {
    lanes.keep(after.upstreams);
    changeReviews.look(after);
    subscriptions.move(after);
    sessions.restoreSubscriptions();
    listChanges.note();
  });
  configuration.onRefreshed(() => listChanges.note());
  registry.onChange(() => {
    const renewed = renewCallers({ keys, callers });
    sessions.renew(renewed);
    listeners.renew(renewed);
    listChanges.note();
  });
  // What let somebody in may end without any change.
  const expiring = setInterval(() => {
    const hasExpired = ({ validUntilMs }: Caller) => validUntilMs <= clock.nowMs();
    sessions.endChannelsOf(hasExpired);
    listeners.endOf(hasExpired);
  }, endExpiredEveryMs).unref();
  const watch = new NamespaceWatch(
    settings.namespaces,
    (result) => {
      if (result.kind === 'problems') live.take(result);
      else void configuration.take(result.namespaces);
    },
    { since: loaded, imports: settings.openapiImports },
  );
  watch.start();
  const noteUses = async (): Promise<void> => {
    const uses = keys.takeUses();
    if (uses.length > 0) await store.keyUses.note(uses);
  };
  const watching = setInterval(() => {
    if (registry.list('alert').length > 0) void alertsLookedAt();
  }, watchAlertsEveryMs);
  watching.unref();
  const alertsLookedAt = async (): Promise<void> => {
    const { watchAlerts } = await import('./alerts/alert-watch.ts');
    const { records, flush } = adminPorts.models;
    await watchAlerts({ registry, records, flush, notifier, ownUrl, clock, log });
  };
  const noting = setInterval(() => {
    noteUses().catch((error: unknown) => log.warn({ err: error }, 'when keys were last used could not be written'));
  }, noteUsesEveryMs).unref();
  const tidying = setInterval(() => {
    const nowMs = clock.nowMs();
    Promise.all([
      store.audit.prune(nowMs - journalAgeMs),
      store.budgets.prune(nowMs),
      store.sightings.prune(longestWithinMs),
      approvals.tidy(),
      pruneDefinitions(registry, store.definitions, nowMs),
    ]).catch((error: unknown) => log.warn({ err: error }, 'what is out of date could not be removed from the store'));
  }, tidyEveryMs).unref();

  const status = (): Status => ({
    ...statusOf(live, lanes),
    configuration: [...live.problems(), ...configuration.problems],
    startedAtMs,
    sessions: sessions.size,
    streams: listeners.size,
    journal: { isWritable: journal.isWritable },
    restored: registry.restored,
    breakers: breakersOf(live, lanes),
    issuers: tokens?.status() ?? [],
  });
  const adminPorts: Omit<AdminPorts, 'door'> = {
    registry,
    changeRecords: (query) => store.registry.changeRecords(query),
    vault: store.vault,
    secrets,
    definitions: store.definitions,
    pins,
    notifier,
    ownUrl,
    keys,
    keyUses: store.keyUses,
    catalog: () => live.current,
    files: () => configuration.files,
    policies: () => configuration.policies,
    calls,
    approvals,
    counters,
    checks,
    rollUps: { query: (query) => store.rollUps.query(query), flush: () => telemetry.rollUps.flush() },
    models: { records: store.models, flush: () => telemetry.models.flush() },
    audit: store.audit,
    journal,
    dataDir: settings.data,
    async verifyJournal(heads) {
      const { verifyJournal } = await import('./journal/verify-journal.ts');
      return verifyJournal(journalPath(settings.data), { key: journalKey, heads });
    },
    tryUpstream(config, document) {
      if (document === undefined) return connect(config, { save: async () => {} }, undefined);
      const save = async (upstream: RememberedUpstream) => {
        tried = upstream;
      };
      return connect(config, { save }, memories.get(config.id), document);
    },
    compareUpstreams,
    fetchDocument: createGuardedFetch(egress),
    namespacesDir: settings.namespaces,
    allowedCommands: settings.allowedCommands,
    status,
    synonyms: settings.search.synonyms,
    refreshed: () => configuration.refresh(),
    async settled(upstreams, withinMs) {
      await live.settled(withinMs, upstreams);
      await connected(live, withinMs, new Set(upstreams));
    },
    clock,
    log,
  };

  return {
    edge,
    keys,
    proofs: { keys, callers, tokens },
    ownUrl,
    newAdminKey,
    servePage: credentials.servePage,
    async metricsText() {
      approvalsPending = await approvals.countPending().catch(() => undefined);
      return await telemetry.metricsText();
    },
    async loadAdministration() {
      if (admin.isLoaded) return;
      await admin.load();
      // What was loaded is in the catalog by then.
      await live.settled(0);
    },
    listensAt(url) {
      publicUrl ??= url;
    },
    status,
    ratings: { ...adminPorts.models, nowMs: () => clock.nowMs() },
    connected: (withinMs) => connected(live, withinMs),
    async close() {
      clearInterval(watching);
      clearInterval(noting);
      clearInterval(tidying);
      clearInterval(expiring);
      listChanges.close();
      await watch.close();
      await changeReviews.close();
      await pins.close();
      registry.close();
      edge.parked.cancelAll();
      await edge.tasks.close();
      await sessions.close();
      await live.close();
      await approvals.close();
      await notifier.close();
      await replies?.close();
      await egress.close();
      lanes.keep(new Map());
      await Promise.allSettled([
        noteUses(),
        telemetry.close(),
        journal.close(),
        counters.close(),
        sightings.close(),
        checks.close(),
      ]);
      await store.close();
    },
  };
}

const noteUsesEveryMs = 10_000;
const watchAlertsEveryMs = 30_000;
const tidyEveryMs = 3_600_000;
const endExpiredEveryMs = 1_000;

/** The gateway's own administration, as the catalog has it. */
const adminNamespaceConfig: NamespaceConfig = {
  name: adminNamespace,
  description: 'Administration of this gateway.',
  file: '',
  upstreams: [adminConfig],
  toolboxes: [
    {
      name: adminNamespace,
      namespace: adminNamespace,
      title: 'Administration',
      description: 'Everything that an operator of this gateway can do, as far as the caller may.',
      include: [`${adminNamespace}/*`],
      exclude: [],
      names: 'one-to-one',
      search: 'off',
      pinned: [],
    },
  ],
  policy: {},
};

/** Every way to tell people that the settings name. */
function channelsOf({ notify }: Settings, { reach, secrets, clock, registry, confide }: ChannelPorts): readonly Channel[] {
  const resolveSecret = (text: string) => secrets.resolve(text);
  const addressesOf = (audience: Audience) => mailAddressesOf(registry, audience);
  const { webhook, smtp } = notify;
  return [
    ...(webhook === undefined ? [] : [webhookChannel({ settings: webhook, reach, resolveSecret, clock, confide })]),
    ...(smtp === undefined ? [] : [smtpChannel({ settings: smtp, resolveSecret, addressesOf })]),
  ];
}

interface ChannelPorts {
  readonly reach: Reach;
  readonly secrets: SecretValues;
  readonly clock: Clock;
  readonly registry: Registry;
  readonly confide: (event: NotifyEvent) => Promise<JsonObject>;
}

function* gaugesOf(live: LiveCatalog, lanes: Lanes): Iterable<UpstreamGauge> {
  for (const { id, config, upstream } of live.current.upstreams.values()) {
    if (config.kind === 'admin') continue;
    yield { id, isHealthy: upstream.health().state === 'healthy', breaker: lanes.status(id)?.state ?? 'closed' };
  }
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

/** Waits for every upstream, or for these: one that is remembered offers something before it has connected. */
async function connected(live: LiveCatalog, withinMs: number, only?: ReadonlySet<string>): Promise<void> {
  const stops: (() => void)[] = [];
  const all = Promise.all(
    Array.from(
      [...live.current.upstreams.values()].filter(({ id }) => only?.has(id) ?? true),
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

function breakersOf(live: LiveCatalog, lanes: Lanes): Status['breakers'] {
  const ofUpstreams = [...live.current.upstreams.keys()].map((id) => [id, lanes.status(id)] as const);
  return [...ofUpstreams, ...lanes.ownStatus()].flatMap(([of, status]) =>
    status === undefined || status.state === 'closed' ? [] : [{ of, ...status }],
  );
}

function statusOf(live: LiveCatalog, lanes: Lanes): Pick<Status, 'version' | 'upstreams' | 'toolboxes'> {
  const { current: catalog } = live;
  return {
    version,
    upstreams: [...catalog.upstreams.values()]
      .filter(({ config }) => config.kind !== 'admin')
      .map((member) => {
        const { id, upstream } = member;
        const offer = upstream.offer();
        return {
          id,
          ...upstream.health(),
          tools: offer.tools.length,
          isStale: offer.isStale,
          isPaused: lanes.status(id)?.state === 'open' && lanes.status(id)?.isDetectOnly === false,
          pausedBecause: lanes.status(id)?.reason,
          missing: [...offer.problems, ...catalog.problems.filter((problem) => problem.upstream === id)],
        };
      }),
    toolboxes: [
      catalog.everything,
      ...[...catalog.toolboxes.values()].filter(({ name }) => name !== adminNamespace && !name.includes('@')),
    ].map(({ name, tools, prompts, resources }) => ({
      name,
      tools: tools.size,
      prompts: prompts.size,
      resources: resources.size,
    })),
  };
}
