import type { Logger } from 'pino';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { Registry } from '../registry/registry.ts';
import type { RememberedUpstream, UpstreamMemory } from '../store/ports/upstream-memory.ts';
import type { Kept } from './kept.ts';

type Save = UpstreamMemory['save'];

/** What is known of upstreams: one that replaces another begins with what is known by then, not with what was known at the start. */
interface UpstreamMemories {
  of(id: string): RememberedUpstream | undefined;
  /** What one that goes into the catalog begins with. */
  take(config: UpstreamConfig): RememberedUpstream | undefined;
  /** For one in the catalog. */
  saveFor(config: UpstreamConfig): Save;
  /** For one that is only tried. */
  readonly saveTried: Save;
}

type MemoryPorts = Pick<Kept, 'store' | 'registry' | 'remembered'>;

export function openMemories({ store, registry, remembered }: MemoryPorts, log: Logger): UpstreamMemories {
  const memories = new Map(remembered.map((upstream) => [upstream.id, upstream]));
  const remember: Save = (upstream) => {
    memories.set(upstream.id, upstream);
    return store.upstreams.save(upstream);
  };
  onUnregistered(registry, (id) => {
    memories.delete(id);
    store.upstreams
      .forget(id)
      .catch((error: unknown) => log.warn({ err: error, upstream: id }, 'an upstream that was taken out could not be forgotten'));
  });
  // What was just tried is most often what is registered next: its API description is not converted once more.
  let tried: RememberedUpstream | undefined;
  const rememberTried = ({ id, transport }: UpstreamConfig): void => {
    if (tried === undefined || tried.id !== id || transport.type !== 'openapi') return;
    if (!tried.fingerprint.endsWith(transport.description.sha256)) return;
    remember(tried).catch((error: unknown) => log.warn({ err: error }, 'an upstream could not be kept for the next start'));
    tried = undefined;
  };
  return {
    of: (id) => memories.get(id),
    take(config) {
      rememberTried(config);
      return memories.get(config.id);
    },
    // One that was taken out may still be in a call; what it learns is of no use to anybody.
    saveFor: (config) => async (known) => void (isRegistered(registry, config) && (await remember(known))),
    saveTried: async (known) => {
      tried = known;
    },
  };
}

function isRegistered(registry: Registry, { id, registration }: UpstreamConfig): boolean {
  return registration === undefined || registry.get('upstream', id)?.body.registration === registration;
}

function onUnregistered(registry: Registry, forget: (id: string) => void): void {
  const listed = () => new Set(registry.list('upstream').map(({ id }) => id));
  let registered = listed();
  registry.onChange(() => {
    const before = registered;
    registered = listed();
    for (const id of before) if (!registered.has(id)) forget(id);
  });
}
