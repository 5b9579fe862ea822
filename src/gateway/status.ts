import { adminNamespace } from '../admin/admin-upstream.ts';
import type { BreakerStatus } from '../call/breaker.ts';
import type { Lanes } from '../call/call-upstream.ts';
import type { Catalog, CatalogProblem } from '../catalog/catalog.ts';
import type { LiveCatalog } from '../catalog/live-catalog.ts';
import type { IssuerStatus } from '../identity/issuer-keys.ts';
import type { LiveConfiguration } from '../registry/live-configuration.ts';
import type { ReachStatus } from '../store/ports/reach.ts';
import type { UpstreamGauge } from '../telemetry/gauges.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { version } from '../version.ts';
import type { Clients } from './clients.ts';
import type { Identities } from './identities.ts';
import type { Kept } from './kept.ts';
import type { PolicyNote } from './policy-notes.ts';

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
    /** Lines that take nothing, and why. */
    readonly missing: readonly CatalogProblem[];
  }[];
  /** Lines of policies that hold nothing, and why. */
  readonly policies: readonly PolicyNote[];
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
  /** Servers that replicas share; none where there is one process with its own files. */
  readonly stores: readonly ReachStatus[];
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
    /** Secrets that it refers to and that are not set. */
    readonly missingSecrets: readonly string[];
  };

interface StatusParts {
  readonly startedAtMs: number;
  readonly kept: Pick<Kept, 'registry' | 'journal' | 'store' | 'counters'>;
  readonly identities: Pick<Identities, 'tokens'>;
  readonly live: LiveCatalog;
  readonly configuration: LiveConfiguration;
  readonly lanes: Lanes;
  readonly clients: Pick<Clients, 'edge'>;
  readonly policyNotes: () => readonly PolicyNote[];
}

export function statusOf(parts: StatusParts): Status {
  const { startedAtMs, kept, identities, live, configuration, lanes, policyNotes } = parts;
  const { edge } = parts.clients;
  const { current: catalog } = live;
  return {
    version,
    startedAtMs,
    upstreams: upstreamsIn(catalog, lanes),
    toolboxes: toolboxesIn(catalog),
    policies: policyNotes(),
    configuration: [...live.problems(), ...configuration.problems],
    sessions: edge.sessions.size,
    streams: edge.listeners.size,
    journal: { isWritable: kept.journal.isWritable },
    stores: storesOf(kept),
    restored: kept.registry.restored,
    breakers: breakersOf(catalog, lanes),
    issuers: identities.tokens?.status() ?? [],
  };
}

export function storesOf({ store, counters }: Pick<Kept, 'store' | 'counters'>): readonly ReachStatus[] {
  return [store.reach?.(), counters.reach?.()].filter((reach) => reach !== undefined);
}

function upstreamsIn(catalog: Catalog, lanes: Lanes): readonly UpstreamStatus[] {
  return [...catalog.upstreams.values()]
    .filter(({ config }) => config.kind !== 'admin')
    .map(({ id, config, upstream }) => {
      const offer = upstream.offer();
      const breaker = lanes.status(id);
      return {
        id,
        ...upstream.health(),
        tools: offer.tools.length,
        isStale: offer.isStale,
        isPaused: breaker?.state === 'open' && !breaker.isDetectOnly,
        pausedBecause: breaker?.reason,
        missing: catalog.problems.filter((problem) => problem.upstream === id),
        missingSecrets: config.missingSecrets ?? [],
      };
    });
}

function toolboxesIn(catalog: Catalog): Status['toolboxes'] {
  const shown = [...catalog.toolboxes.values()].filter(({ name }) => name !== adminNamespace && !name.includes('@'));
  return [catalog.everything, ...shown].map(({ name, tools, prompts, resources }) => ({
    name,
    tools: tools.size,
    prompts: prompts.size,
    resources: resources.size,
    missing: catalog.problems
      .filter((problem) => problem.upstream === `toolbox ${name}` && !isComing(problem))
      .map(({ upstream, subject, message }) => ({ upstream, subject, message })),
  }));
}

/** What an upstream that is still starting will offer is not known, and is no news. */
function isComing({ awaits = [] }: CatalogProblem): boolean {
  return awaits.some(({ upstream }) => upstream.health().state === 'connecting');
}

function breakersOf(catalog: Catalog, lanes: Lanes): Status['breakers'] {
  const ofUpstreams = [...catalog.upstreams.keys()].map((id) => [id, lanes.status(id)] as const);
  return [...ofUpstreams, ...lanes.ownStatus()].flatMap(([of, status]) =>
    status === undefined || status.state === 'closed' ? [] : [{ of, ...status }],
  );
}

export function* gaugesOf(catalog: Catalog, lanes: Lanes): Iterable<UpstreamGauge> {
  for (const { id, config, upstream } of catalog.upstreams.values()) {
    if (config.kind === 'admin') continue;
    yield { id, isHealthy: upstream.health().state === 'healthy', breaker: lanes.status(id)?.state ?? 'closed' };
  }
}
