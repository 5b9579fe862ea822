import type { Logger } from 'pino';
import { asCaller } from '../call/authenticate/caller.ts';
import { visibleToolbox } from '../call/authorize.ts';
import { type CallPorts, circumstancesOf } from '../call/call.ts';
import { LiveCatalog } from '../catalog/live-catalog.ts';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import { Finder, finderMember } from '../finding/finder.ts';
import type { Notifier } from '../notify/notify.ts';
import { LiveConfiguration } from '../registry/live-configuration.ts';
import { ChangeReviews } from '../review/change-reviews.ts';
import { Pins } from '../review/pins.ts';
import type { Settings } from '../settings.ts';
import { adminNamespaceConfig } from './admin-namespace.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';
import type { Upstreams } from './upstreams.ts';

interface CatalogPorts {
  readonly settings: Settings;
  readonly kept: Pick<Kept, 'store' | 'registry' | 'secrets' | 'journal'>;
  readonly upstreams: Upstreams;
  readonly notifier: Notifier;
  readonly address: OwnAddress;
  /** What shows callers only what is theirs. */
  readonly calls: () => CallPorts;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What there is to call, as files and the registry declare it and reviews let it through. */
export interface GatewayCatalog {
  readonly live: LiveCatalog;
  readonly configuration: LiveConfiguration;
  readonly pins: Pins;
  readonly changeReviews: ChangeReviews;
}

export function openCatalog(ports: CatalogPorts): GatewayCatalog {
  const { settings, kept, upstreams, notifier, address, clock, log } = ports;
  const { registry, secrets, journal } = kept;
  const { definitions } = kept.store;
  const pins: Pins = new Pins({
    registry,
    definitions,
    journal,
    catalog: () => live.current,
    madeFrom: (upstream) => upstreams.configOf(upstream),
    rebuild: () => live.rebuildSoon(),
    clock,
    log,
  });
  const { ownUrl } = address;
  const changeReviews = new ChangeReviews({ registry, definitions, journal, pins, notifier, ownUrl, clock, log });
  const live: LiveCatalog = new LiveCatalog({
    createUpstream: (config) => upstreams.make(config),
    approvedOf: (member, offer) => pins.approvedOf(member, offer),
    log,
    finding: { finder: finderMember(openFinder(ports, () => live)), search: settings.search.everything },
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
  return { live, configuration, pins, changeReviews };
}

function openFinder({ settings, address, calls }: CatalogPorts, live: () => LiveCatalog): Finder {
  return new Finder({
    visible(whoever, ip, toolbox) {
      const caller = asCaller(whoever);
      if (caller === undefined) throw new GatewayError('not_found', 'Nobody calls.');
      return visibleToolbox(circumstancesOf(calls(), ip), live().current, caller, toolbox);
    },
    synonyms: settings.search.synonyms,
    async document(toolbox, uri, whoever) {
      const caller = asCaller(whoever);
      const { pageAt } = await import('../admin/documentation.ts');
      return caller === undefined ? undefined : pageAt({ calls: calls(), ownUrl: address.ownUrl }, caller, toolbox, uri);
    },
  });
}
