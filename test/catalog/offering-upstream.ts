import type { Member } from '../../src/catalog/catalog.ts';
import type { ToolboxConfig, UpstreamConfig } from '../../src/catalog/config.ts';
import type { NamespaceConfig } from '../../src/catalog/namespace-config.ts';
import { emptyOffer, type Offer, type Upstream, type UpstreamChange, type UpstreamHealth } from '../../src/upstreams/upstream.ts';

/** An upstream that offers what it is told to and takes no calls: all that a catalog needs of one. */
export class OfferingUpstream implements Upstream {
  readonly id: string;
  readonly kind = 'mcp';
  readonly events: string[] = [];
  #offer: Offer = emptyOffer;
  /** What `health()` says of it. */
  callsInFlight = 0;
  readonly #listeners = new Set<(change: UpstreamChange) => void>();
  readonly #ready = Promise.withResolvers<void>();

  constructor(id: string) {
    this.id = id;
  }

  /** What the far end offers from now on; everybody who listens hears of it. */
  show(offer: Partial<Offer>): void {
    this.#offer = { ...emptyOffer, isStale: false, ...offer };
    this.#ready.resolve();
    for (const listener of this.#listeners) listener({ kind: 'offer' });
  }

  start(): void {
    this.events.push('start');
  }
  offer(): Offer {
    return this.#offer;
  }
  ready(): Promise<void> {
    return this.#ready.promise;
  }
  onChange(listener: (change: UpstreamChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async close(): Promise<void> {
    this.events.push('close');
  }
  health(): UpstreamHealth {
    return {
      state: 'healthy',
      protocolVersion: undefined,
      era: undefined,
      transport: 'stdio',
      server: undefined,
      lastError: undefined,
      lastSuccessAtMs: undefined,
      calls: { succeeded: 0, failed: 0 },
      callsInFlight: this.callsInFlight,
      nextAttemptAtMs: undefined,
      connections: 0,
    };
  }
  async call(): Promise<never> {
    throw new Error('takes no calls');
  }
  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  notify(): void {}
  endSession(): void {}
}

export function upstreamConfig(id: string, changes: Partial<UpstreamConfig> = {}): UpstreamConfig {
  const [namespace = '', name = ''] = id.split('/');
  return {
    id,
    namespace,
    name,
    kind: 'mcp',
    transport: { type: 'stdio', command: ['none'], env: {}, cwd: '/' },
    era: 'auto',
    sessions: 'auto',
    timeoutMs: 1000,
    maxDurationMs: 1000,
    concurrency: 1,
    include: ['*'],
    exclude: [],
    rename: {},
    answerLimitBytes: 1024,
    breaker: { errorRate: 0.5, minimumCalls: 10, windowMs: 1000, openMs: 1000 },
    ...changes,
  };
}

export function toolboxConfig(name: string, include: readonly string[], changes: Partial<ToolboxConfig> = {}): ToolboxConfig {
  return {
    name,
    namespace: 'any',
    title: undefined,
    description: undefined,
    include,
    exclude: [],
    names: 'prefixed',
    search: 'auto',
    pinned: [],
    ...changes,
  };
}

export function namespaceConfig(
  name: string,
  upstreams: readonly UpstreamConfig[],
  toolboxes: readonly ToolboxConfig[] = [],
): NamespaceConfig {
  return { name, description: undefined, file: `/${name}.yaml`, upstreams, toolboxes, policy: {} };
}

export function memberOf(config: UpstreamConfig, offer: Partial<Offer>): Member & { readonly upstream: OfferingUpstream } {
  const upstream = new OfferingUpstream(config.id);
  upstream.show(offer);
  return { id: config.id, config, upstream };
}

export function tools(...names: string[]): Offer['tools'] {
  return names.map((name) => ({ name, inputSchema: { type: 'object' } }));
}
