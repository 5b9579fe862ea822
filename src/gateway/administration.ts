import type { Logger } from 'pino';
import type { LastingPorts } from '../admin/action.ts';
import type { ArgumentChecks } from '../arguments/argument-check.ts';
import type { Approvals } from '../call/approve/approvals.ts';
import type { CallPorts } from '../call/call.ts';
import type { Clock } from '../clock.ts';
import { journalPath } from '../journal/journal.ts';
import type { Notifier } from '../notify/notify.ts';
import type { Settings } from '../settings.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { EgressGuard } from '../upstreams/egress.ts';
import { createGuardedFetch } from '../upstreams/guarded-fetch.ts';
import { compareUpstreams } from '../upstreams/kinds.ts';
import type { GatewayCatalog } from './catalog.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';
import type { Status } from './status.ts';
import type { Upstreams } from './upstreams.ts';
import { waitConnected } from './wait-connected.ts';

interface AdministrationParts {
  readonly settings: Settings;
  readonly kept: Kept;
  readonly address: OwnAddress;
  readonly egress: EgressGuard;
  readonly checks: ArgumentChecks;
  readonly notifier: Notifier;
  readonly upstreams: Upstreams;
  readonly catalog: GatewayCatalog;
  readonly calls: CallPorts;
  readonly approvals: Approvals;
  readonly telemetry: Telemetry;
  readonly status: () => Status;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Everything that actions of the administration work on. */
export function administrationPorts(parts: AdministrationParts): LastingPorts {
  const { settings, kept, telemetry } = parts;
  const { store, registry, secrets, keys, journal, counters } = kept;
  const { live, configuration, pins } = parts.catalog;
  return {
    registry,
    changeRecords: (query) => store.registry.changeRecords(query),
    vault: store.vault,
    secrets,
    grants: store.credentials,
    definitions: store.definitions,
    pins,
    notifier: parts.notifier,
    ownUrl: parts.address.ownUrl,
    keys,
    keyUses: store.keyUses,
    catalog: () => live.current,
    files: () => configuration.files,
    policies: () => configuration.policies,
    issuers: settings.issuers,
    calls: parts.calls,
    approvals: parts.approvals,
    counters,
    checks: parts.checks,
    rollUps: { query: (query) => store.rollUps.query(query), flush: () => telemetry.rollUps.flush() },
    models: { records: store.models, flush: () => telemetry.models.flush() },
    audit: store.audit,
    journal,
    dataDir: settings.data,
    async verifyJournal(heads) {
      const { verifyJournal } = await import('../journal/verify-journal.ts');
      return verifyJournal(journalPath(settings.data), {
        key: kept.sealing.journal,
        heads,
        seen: await kept.store.audit.heads(),
        // Replicas share an index, and have a journal each.
        isSeenHere: settings.databaseUrl === undefined && kept.registry.restored === undefined,
      });
    },
    tryUpstream: (config, document) => parts.upstreams.tryOut(config, document),
    compareUpstreams,
    fetchDocument: createGuardedFetch(parts.egress),
    namespacesDir: settings.namespaces,
    allowedCommands: settings.allowedCommands,
    status: parts.status,
    synonyms: settings.search.synonyms,
    refreshed: () => configuration.refresh(),
    async settled(ids, withinMs) {
      await live.settled(withinMs, ids);
      await waitConnected(live, withinMs, new Set(ids));
    },
    clock: parts.clock,
    log: parts.log,
  };
}
