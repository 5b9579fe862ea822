import type { Logger } from 'pino';
import type { Approvals } from '../call/approve/approvals.ts';
import type { SignedDecisions } from '../call/approve/signed-decisions.ts';
import type { Caller } from '../call/authenticate.ts';
import { mayEnter, visibleToolbox } from '../call/authorize.ts';
import { type CallPorts, circumstancesOf } from '../call/call.ts';
import type { Toolbox } from '../catalog/catalog.ts';
import type { LiveCatalog } from '../catalog/live-catalog.ts';
import type { Clock } from '../clock.ts';
import type { Edge } from '../inbound/mcp/edge.ts';
import { restoreSubscriptions } from '../inbound/mcp/legacy-subscriptions.ts';
import { ListChanges, type Watcher } from '../inbound/mcp/list-changes.ts';
import { Listeners } from '../inbound/mcp/listen.ts';
import { ParkedCalls } from '../inbound/mcp/parked.ts';
import { Sessions } from '../inbound/mcp/sessions.ts';
import type { Subscriptions } from '../inbound/mcp/subscriptions.ts';
import { TaskRuns } from '../inbound/mcp/task-runs.ts';
import type { Settings } from '../settings.ts';
import type { Identities } from './identities.ts';
import type { Kept } from './kept.ts';

/** How long the first list of a fresh start waits for upstreams that were never heard of. */
const settleWithinMs = 3000;

interface ClientPorts {
  readonly settings: Settings;
  readonly kept: Pick<Kept, 'store' | 'sealing' | 'registry'>;
  readonly identities: Identities;
  readonly live: LiveCatalog;
  readonly calls: CallPorts;
  readonly approvals: Approvals;
  readonly signedDecisions: SignedDecisions | undefined;
  readonly subscriptions: Subscriptions;
  /** What all replicas call themselves in requests to upstreams. */
  readonly hop: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** MCP clients of both eras: their sessions, what they listen for, and what they see. */
export interface Clients {
  readonly edge: Edge;
  readonly listChanges: ListChanges;
  /** What let somebody in may end without any change. */
  endExpired(): void;
}

export function openClients(ports: ClientPorts): Clients {
  const { kept, identities, live, calls, approvals, signedDecisions, subscriptions, hop, clock, log } = ports;
  const listeners = new Listeners();
  const seenBy = viewOf(calls, live);
  const sessions: Sessions = openSessions(ports, seenBy, () => edge);
  const listChanges = new ListChanges({
    *watchers() {
      yield* listeners.open();
      yield* sessions.open();
    },
    visible: seenBy,
    log,
  });
  const settled = live.settled(settleWithinMs);
  const hasExpired = ({ validUntilMs }: Caller) => validUntilMs <= clock.nowMs();
  const edge: Edge = {
    catalog: () => live.current,
    hop,
    settled: () => settled,
    circumstances: (ip) => circumstancesOf(calls, ip),
    list(place) {
      const shown = visibleToolbox(circumstancesOf(calls, place.ip), live.current, place.caller, place.toolbox);
      listChanges.listed(place, shown);
      return shown;
    },
    renewed: (caller) => (hasExpired(caller) ? undefined : identities.renewing()(caller)),
    calls,
    approvals,
    signedDecisions,
    sessions,
    parked: new ParkedCalls(kept.sealing.requestState, clock),
    tasks: new TaskRuns(),
    listeners,
    subscriptions,
    log,
  };
  kept.registry.onChange(() => {
    const renewed = identities.renewing();
    sessions.renew(renewed);
    listeners.renew(renewed);
    listChanges.note();
  });
  return {
    edge,
    listChanges,
    endExpired() {
      sessions.endChannelsOf(hasExpired);
      listeners.endOf(hasExpired);
    },
  };
}

type SeenBy = (place: Pick<Watcher, 'caller' | 'ip' | 'toolbox'>) => Toolbox | undefined;

function viewOf(calls: CallPorts, live: LiveCatalog): SeenBy {
  return ({ caller, ip, toolbox }) =>
    mayEnter(caller, toolbox) && (toolbox === '' || live.current.toolboxes.has(toolbox))
      ? visibleToolbox(circumstancesOf(calls, ip), live.current, caller, toolbox)
      : undefined;
}

function openSessions({ settings, kept, live, clock, log }: ClientPorts, seenBy: SeenBy, edge: () => Edge): Sessions {
  return new Sessions({
    key: kept.sealing.session,
    store: kept.store.sessions,
    limits: { idleMs: settings.sessionIdleMs, max: settings.maxSessions },
    clock,
    log,
    onRevived: (session, visitor, uris) => {
      session.seen = seenBy({ ...visitor, toolbox: session.toolbox });
      restoreSubscriptions(edge(), visitor, session, uris);
    },
    onEnded: (session) => {
      for (const { upstream } of live.current.upstreams.values()) upstream.endSession(session.id);
    },
  });
}
