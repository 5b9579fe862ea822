import { createHmac } from 'node:crypto';
import type { Logger } from 'pino';
import type { ArgumentChecks } from '../arguments/argument-check.ts';
import { asCaller } from '../call/authenticate/caller.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { Clock } from '../clock.ts';
import { type Credentials, openCredentials } from '../credentials/credentials.ts';
import { hmacKey } from '../hmac.ts';
import { descriptionReader } from '../registry/descriptions.ts';
import type { RememberedUpstream, UpstreamMemory } from '../store/ports/upstream-memory.ts';
import type { EgressGuard } from '../upstreams/egress.ts';
import { openReach } from '../upstreams/fetch-json.ts';
import { connectUpstream, type UpstreamDeps } from '../upstreams/kinds.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { version } from '../version.ts';
import type { Kept } from './kept.ts';
import type { OwnAddress } from './own-address.ts';
import { openMemories } from './upstream-memories.ts';

interface UpstreamPorts extends Pick<UpstreamDeps, 'admin' | 'importCpuMs' | 'replyCaches' | 'onRouting'> {
  readonly kept: Pick<Kept, 'store' | 'sealing' | 'registry' | 'secrets' | 'remembered'>;
  readonly address: OwnAddress;
  readonly egress: EgressGuard;
  readonly checks: ArgumentChecks;
  /** Whether who signed in as this is still let in. */
  readonly isLetIn: (principal: string) => boolean;
  /** What all replicas call themselves in requests to upstreams. */
  readonly hop: string;
  /** The one that answers by this id now. */
  readonly current: (id: string) => Upstream | undefined;
  readonly onResourceUpdated: (id: string, uri: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Makes upstreams of every kind, with their credentials and with what is known of them from earlier. */
export interface Upstreams {
  /** For the catalog. */
  make(config: UpstreamConfig): Upstream;
  /** For somebody who tries it out; `document` is its API description. */
  tryOut(config: UpstreamConfig, document: Buffer | undefined): Upstream;
  /** What one was made from. */
  configOf(upstream: Upstream): UpstreamConfig | undefined;
  /** The pages that people sign in on. */
  readonly servePage: Credentials['servePage'];
  /** Reads no API description any more, also not for those that are only tried. */
  stop(): void;
}

export function openUpstreams(ports: UpstreamPorts): Upstreams {
  const { kept, current, onResourceUpdated, log } = ports;
  const credentials = openGatewayCredentials(ports);
  const stopping = new AbortController();
  const connect = connector(ports, credentials, stopping.signal);
  const memories = openMemories(kept, log);
  const configs = new WeakMap<Upstream, UpstreamConfig>();
  return {
    servePage: credentials.servePage,
    stop: () => stopping.abort(),
    configOf: (upstream) => configs.get(upstream),
    make(config) {
      const upstream = connect(config, { save: memories.saveFor(config) }, memories.take(config));
      configs.set(upstream, config);
      upstream.onChange((change) => {
        // One that was replaced may still be in a call, and its successor tells the same.
        if (change.kind === 'resource-updated' && current(config.id) === upstream) onResourceUpdated(config.id, change.uri);
      });
      return upstream;
    },
    tryOut(config, document) {
      if (document === undefined) return connect(config, { save: async () => {} }, undefined);
      return connect(config, { save: memories.saveTried }, memories.of(config.id), document);
    },
  };
}

function openGatewayCredentials({ kept, address, egress, isLetIn, clock, log }: UpstreamPorts): Credentials {
  return openCredentials({
    store: kept.store.credentials,
    key: kept.sealing.credential,
    reach: openReach(egress),
    clock,
    log,
    publicUrl: address.publicUrl,
    isLetIn,
    resolveSecrets: (text) => kept.secrets.resolve(text),
  });
}

type Connect = (
  config: UpstreamConfig,
  memory: Pick<UpstreamMemory, 'save'>,
  remembered: RememberedUpstream | undefined,
  document?: Buffer,
) => Upstream;

function connector(ports: UpstreamPorts, credentials: Credentials, stopping: AbortSignal): Connect {
  const { kept, egress, checks, hop, admin, importCpuMs, replyCaches, onRouting, clock, log } = ports;
  const { registry, secrets } = kept;
  const readDescription = descriptionReader(registry);
  const responseKey = hmacKey(createHmac('sha256', kept.sealing.pepper).update('responses').digest());
  return (config, memory, remembered, document) =>
    connectUpstream(config, {
      memory,
      remembered,
      resolveSecrets: (text) => secrets.resolve(text),
      egress,
      authorization: credentials.authorizationFor(config),
      instance: { name: 'gatehouse', version, hop },
      checks,
      stopping,
      readDescription: (source, id) => (document === undefined ? readDescription(source, id) : Promise.resolve(document)),
      log,
      clock,
      responseKey,
      admin,
      importCpuMs,
      callerFacts: (caller) => asCaller(caller)?.facts,
      editedPrices: (id) => registry.get('model-price', id)?.body.price,
      replyCaches,
      onRouting,
    });
}
