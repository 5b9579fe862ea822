import type { Logger } from 'pino';
import { KeyRing } from '../call/authenticate/key-ring.ts';
import type { Clock } from '../clock.ts';
import { type Journal, journalPath, openJournal } from '../journal/journal.ts';
import { Registry } from '../registry/registry.ts';
import { SecretValues } from '../registry/secret-values.ts';
import type { Settings } from '../settings.ts';
import { openCounters, openReplyCache, openSightings, type openStore } from '../store/open-store.ts';
import type { Counters } from '../store/ports/counters.ts';
import type { ReplyCache } from '../store/ports/reply-cache.ts';
import type { Sightings } from '../store/ports/sightings.ts';
import type { RememberedUpstream } from '../store/ports/upstream-memory.ts';
import type { Store } from '../store/ports.ts';
import { admitAdmin } from './admit-admin.ts';

/** What a gateway is opened with. */
export interface GatewayPorts {
  readonly settings: Settings;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly clock: Clock;
  /** Makes an admin key where there is none. Only for a command that shows it. */
  readonly makesAdminKey: boolean;
}

/** Everything that outlives the process, opened. */
export interface Kept {
  readonly store: Store;
  readonly sealing: Readonly<Record<'pepper' | 'session' | 'requestState' | 'credential' | 'journal', Buffer>>;
  readonly registry: Registry;
  readonly keys: KeyRing;
  /** Set when this start made it. */
  readonly newAdminKey: string | undefined;
  readonly secrets: SecretValues;
  readonly journal: Journal;
  readonly counters: Counters;
  readonly sightings: Sightings;
  /** Upstreams as earlier runs knew them. */
  readonly remembered: readonly RememberedUpstream[];
  /** Most gateways give no answer again, and open none. */
  openReplyCache(): Promise<ReplyCache>;
}

type StoreOptions = Parameters<typeof openStore>[0];

export function storeOptionsOf({ settings, clock, log }: GatewayPorts): StoreOptions {
  return {
    dataDir: settings.data,
    databaseUrl: settings.databaseUrl,
    redisUrl: settings.redisUrl,
    masterKey: settings.masterKey,
    previousMasterKeys: settings.previousMasterKeys,
    clock,
    log,
  };
}

export async function openKept(ports: GatewayPorts, store: Store, options: StoreOptions): Promise<Kept> {
  const { settings, environment, log, clock, makesAdminKey } = ports;
  const [pepper, session, requestState, credential, journalKey, remembered] = await Promise.all([
    store.sealing.get('pepper'),
    store.sealing.get('session'),
    store.sealing.get('request-state'),
    store.sealing.get('credential'),
    store.sealing.get('journal'),
    store.upstreams.load(),
  ]);
  const registry = await Registry.open(store.registry, log);
  const keys = new KeyRing(pepper, clock, registry);
  const newAdminKey = await admitAdmin(keys, store.keys, settings.adminKey, makesAdminKey ? clock : undefined);
  const secrets = new SecretValues({ registry, vault: store.vault, environment, directory: settings.secrets, log });
  const journal = await openJournal({
    dir: journalPath(settings.data),
    sync: settings.auditSync,
    key: journalKey,
    clock,
    log,
    index: store.audit,
  });
  return {
    store,
    sealing: { pepper, session, requestState, credential, journal: journalKey },
    registry,
    keys,
    newAdminKey,
    secrets,
    journal,
    counters: await openCounters(store, options),
    sightings: await openSightings(store, options),
    remembered,
    openReplyCache: () => openReplyCache(store, options),
  };
}
