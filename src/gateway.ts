import { createHmac } from 'node:crypto';
import { AdminUpstream } from './admin/admin-upstream.ts';
import { AnswerChecks } from './arguments/answer-check.ts';
import { ArgumentChecks } from './arguments/argument-check.ts';
import type { KeyRing } from './call/authenticate/key-ring.ts';
import type { Proofs } from './call/authenticate.ts';
import { type CallPorts, call } from './call/call.ts';
import { Lanes } from './call/call-upstream.ts';
import { Once } from './call/once.ts';
import type { CallModel } from './call/own-call.ts';
import { type LoadResult, loadNamespaces } from './catalog/load.ts';
import { NamespaceWatch } from './catalog/watch.ts';
import type { Credentials } from './credentials/credentials.ts';
import { administrationPorts } from './gateway/administration.ts';
import { openDecisionsBySignature, openGatewayApprovals } from './gateway/approvals.ts';
import { openCatalog } from './gateway/catalog.ts';
import { openClients } from './gateway/clients.ts';
import { openIdentities } from './gateway/identities.ts';
import { type GatewayPorts, type Kept, openKept, storeOptionsOf } from './gateway/kept.ts';
import { openJudges, openReplies } from './gateway/models.ts';
import { openNotices } from './gateway/notices.ts';
import { ownAddress } from './gateway/own-address.ts';
import { openPolicyNotes } from './gateway/policy-notes.ts';
import { gaugesOf, type Status, statusOf, storesOf } from './gateway/status.ts';
import { startUpkeep } from './gateway/upkeep.ts';
import { openUpstreams } from './gateway/upstreams.ts';
import { waitConnected } from './gateway/wait-connected.ts';
import type { Edge } from './inbound/mcp/edge.ts';
import { Subscriptions } from './inbound/mcp/subscriptions.ts';
import type { RatingPorts } from './inbound/models/rate.ts';
import type { Notifier } from './notify/notify.ts';
import { ConfigurationError } from './problems.ts';
import { openStore } from './store/open-store.ts';
import { openTelemetry, type Telemetry } from './telemetry/telemetry.ts';
import { createEgressGuard } from './upstreams/egress.ts';
import { openReach } from './upstreams/fetch-json.ts';
import { version } from './version.ts';

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
  /** Calls that run are answered with an error, and no upstream is called any more. */
  endCalls(): void;
  close(): Promise<void>;
}

/** Builds a gateway: the only place where its parts meet. Throws ConfigurationError with every problem. */
export async function openGateway(ports: GatewayPorts): Promise<Gateway> {
  const { settings } = ports;
  const loading = loadNamespaces(settings.namespaces, settings.openapiImports);
  const options = storeOptionsOf(ports);
  const store = await openStore(options);
  try {
    const loaded = await loading;
    if (loaded.kind === 'problems') throw new ConfigurationError(loaded.problems);
    return await build(ports, await openKept(ports, store, options), loaded);
  } catch (error) {
    await store.close();
    throw error;
  }
}

// Some parts need others that are made after them; those are handed over as functions that are called once everything is there.
async function build(
  { settings, log, clock }: GatewayPorts,
  kept: Kept,
  loaded: LoadResult & { readonly kind: 'loaded' },
): Promise<Gateway> {
  const startedAtMs = clock.nowMs();
  const { store, registry, keys, journal, counters, sightings } = kept;
  const base = { settings, kept, clock, log };
  // What all replicas call themselves in requests to upstreams.
  const hop = createHmac('sha256', kept.sealing.pepper).update('hop').digest('hex').slice(0, 16);
  const checks = new ArgumentChecks();
  const answers = new AnswerChecks((details, message) => log.warn(details, message));
  const lanes = new Lanes();
  const egress = createEgressGuard(settings.egressAllow);
  const address = ownAddress(settings);
  const identities = openIdentities({ ...base, address, egress });

  const notifier: Notifier = openNotices({
    ...base,
    reach: openReach(egress),
    confide: async (event) => (await signedDecisions?.confide(event)) ?? {},
  });
  const callModel: CallModel = (caller, ask) => call(calls, live.current, caller, ask);
  const replies = openReplies({ ...base, callModel });
  const subscriptions = new Subscriptions(log);
  const admin: AdminUpstream = new AdminUpstream(() => adminPorts);
  const upstreams = openUpstreams({
    ...base,
    address,
    egress,
    checks,
    isLetIn: identities.isLetIn,
    hop,
    importCpuMs: settings.importCpuMs,
    admin: () => admin,
    current: (id) => live.current.upstreams.get(id)?.upstream,
    onResourceUpdated: (id, uri) => subscriptions.updated(id, uri),
    replyCaches: () => replies.caches(),
    onRouting(model, event) {
      telemetry.models.addFailover(model, event);
      telemetry.meter.routed(model, event.kind);
    },
  });
  const catalog = openCatalog({ ...base, upstreams, notifier, address, calls: () => calls });
  const { live, configuration, pins, changeReviews } = catalog;
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
      sessions: () => edge.sessions.size,
      streams: () => edge.listeners.size,
      journalLagMs: () => journal.lagMs,
      approvalsPending: () => approvalsPending,
      upstreams: () => gaugesOf(live.current, lanes),
      stores: () => storesOf(kept),
    },
    otlpUrl: settings.otlpUrl,
    traceSampling: settings.traceSampling,
    metricsCapabilities: settings.metricsCapabilities,
  });
  const policies = () => configuration.policies;
  const approvals = openGatewayApprovals({ ...base, identities, address, notifier, policies });
  const signedDecisions = await openDecisionsBySignature({ ...base, address }, approvals);
  const once = new Once({
    rows: store.keyedCalls,
    key: await store.sealing.get('reply'),
    warn: (error) =>
      log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'what came of a keyed call could not be kept'),
  });
  const calls: CallPorts = {
    once,
    judges: openJudges({ kept, reach: () => openReach(egress), callModel }),
    approvals,
    lanes,
    log,
    journal,
    telemetry,
    counters,
    sightings,
    checks,
    answers,
    clock,
    policies,
    maySeeAction: (caller, name) => admin.maySee(caller, name),
    rolesOfAction: (name) => admin.rolesOf(name),
    checkAction: (name, args) => admin.misfits(name, args),
  };

  const clients = openClients({ ...base, identities, live, calls, approvals, signedDecisions, subscriptions, hop });
  const { edge, listChanges } = clients;
  live.onSwap((after) => {
    lanes.keep(after.upstreams);
    changeReviews.look(after);
    subscriptions.move(after);
    edge.sessions.restoreSubscriptions();
    listChanges.note();
  });
  configuration.onRefreshed(() => listChanges.note());
  const watch = new NamespaceWatch(
    settings.namespaces,
    (result) => {
      if (result.kind === 'problems') live.take(result);
      else void configuration.take(result.namespaces);
    },
    { since: loaded, imports: settings.openapiImports },
  );
  watch.start();
  const upkeep = startUpkeep({ ...base, approvals, notifier, telemetry, clients, address });
  const policyNotes = openPolicyNotes({ live, configuration, registry: kept.registry, issuers: settings.issuers });
  const status = () => statusOf({ startedAtMs, kept, identities, live, configuration, lanes, clients, policyNotes });
  const adminPorts = administrationPorts({
    ...base,
    address,
    egress,
    checks,
    notifier,
    upstreams,
    catalog,
    calls,
    approvals,
    telemetry,
    status,
  });

  return {
    edge,
    keys,
    proofs: identities,
    ownUrl: address.ownUrl,
    newAdminKey: kept.newAdminKey,
    servePage: upstreams.servePage,
    async metricsText() {
      approvalsPending = await approvals.countPending();
      return await telemetry.metricsText();
    },
    async loadAdministration() {
      if (admin.isLoaded) return;
      await admin.load();
      // What was loaded is in the catalog by then.
      await live.settled(0);
    },
    listensAt: address.listensAt,
    status,
    ratings: { ...adminPorts.models, nowMs: () => clock.nowMs() },
    connected: (withinMs) => waitConnected(live, withinMs),
    endCalls: () => void live.close(),
    async close() {
      upkeep.stop();
      upstreams.stop();
      listChanges.close();
      await watch.close();
      configuration.close();
      await changeReviews.close();
      await pins.close();
      registry.close();
      edge.parked.cancelAll();
      await edge.tasks.close();
      await edge.sessions.close();
      await live.close();
      await approvals.close();
      await notifier.close();
      await replies.close();
      await egress.close();
      await once.close();
      lanes.keep(new Map());
      await Promise.allSettled([
        upkeep.noteUses(),
        telemetry.close(),
        journal.close(),
        counters.close(),
        sightings.close(),
        checks.close(),
        answers.close(),
      ]);
      await store.close();
    },
  };
}
