import type { Logger } from 'pino';
import type { Approvals } from '../call/approve/approvals.ts';
import type { Clock } from '../clock.ts';
import { journalAgeMs } from '../journal/journal.ts';
import type { Notifier } from '../notify/notify.ts';
import { longestWithinMs } from '../policy/gate-schema.ts';
import { pruneDefinitions } from '../review/prune-definitions.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { Clients } from './clients.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';

const endExpiredEveryMs = 1_000;
const noteUsesEveryMs = 10_000;
const watchAlertsEveryMs = 30_000;
const tidyEveryMs = 3_600_000;

interface UpkeepPorts {
  readonly kept: Pick<Kept, 'store' | 'registry' | 'keys'>;
  readonly approvals: Approvals;
  readonly notifier: Notifier;
  readonly telemetry: Telemetry;
  readonly clients: Clients;
  readonly address: OwnAddress;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is done from time to time, beside the calls. */
interface Upkeep {
  /** Writes when keys were last used. */
  noteUses(): Promise<void>;
  stop(): void;
}

export function startUpkeep(ports: UpkeepPorts): Upkeep {
  const { kept, clients, log } = ports;
  const noteUses = async (): Promise<void> => {
    const uses = kept.keys.takeUses();
    if (uses.length > 0) await kept.store.keyUses.note(uses);
  };
  const timers = [
    setInterval(() => clients.endExpired(), endExpiredEveryMs),
    setInterval(() => {
      if (kept.registry.list('alert').length > 0) void lookAtAlerts(ports);
    }, watchAlertsEveryMs),
    setInterval(() => {
      noteUses().catch((error: unknown) => log.warn({ err: error }, 'when keys were last used could not be written'));
    }, noteUsesEveryMs),
    setInterval(() => {
      tidy(ports).catch((error: unknown) => log.warn({ err: error }, 'what is out of date could not be removed from the store'));
    }, tidyEveryMs),
  ];
  for (const timer of timers) timer.unref();
  return {
    noteUses,
    stop() {
      for (const timer of timers) clearInterval(timer);
    },
  };
}

async function lookAtAlerts({ kept, telemetry, notifier, address, clock, log }: UpkeepPorts): Promise<void> {
  const { watchAlerts } = await import('../alerts/alert-watch.ts');
  const flush = () => telemetry.models.flush();
  await watchAlerts({
    registry: kept.registry,
    records: kept.store.models,
    flush,
    notifier,
    ownUrl: address.ownUrl,
    clock,
    log,
  });
}

async function tidy({ kept: { store, registry }, approvals, clock }: UpkeepPorts): Promise<void> {
  const nowMs = clock.nowMs();
  await Promise.all([
    store.audit.prune(nowMs - journalAgeMs),
    store.budgets.prune(nowMs),
    store.sightings.prune(longestWithinMs),
    store.keyedCalls.prune(),
    approvals.tidy(),
    pruneDefinitions(registry, store.definitions, nowMs),
  ]);
}
