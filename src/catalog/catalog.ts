import type {
  PromptDefinition,
  ResourceDefinition,
  ResourceTemplateDefinition,
  ToolDefinition,
  Upstream,
} from '../upstreams/upstream.ts';
import type { UpstreamConfig } from './config.ts';
import type { HeldDefinition } from './contribution.ts';

/**
 * The frozen snapshot of all that can be called right now. It is built beside the running one and swapped by one assignment;
 * a call holds the one it started with to its end.
 */
export interface Catalog {
  /** Grows with every swap. */
  readonly version: number;
  /** Everything there is; served at `/mcp`. */
  readonly everything: Toolbox;
  /** By the name in `/mcp/<toolbox>`. */
  readonly toolboxes: ReadonlyMap<string, Toolbox>;
  /** Every model; served at `/v1`. */
  readonly models: Toolbox;
  /** By what clients call them: `namespace/name`, the name of the tool, and aliases. */
  readonly modelNames: ReadonlyMap<string, Capability<ToolDefinition>>;
  readonly upstreams: ReadonlyMap<string, Member>;
  /** What waits for somebody to approve it, by upstream. */
  readonly held: ReadonlyMap<string, readonly HeldDefinition[]>;
  /** Capabilities that are not listed, and why. */
  readonly problems: readonly CatalogProblem[];
}

/** Where models are called in their clients' own dialects, beside the toolboxes: no toolbox can be named so. */
export const modelsPlace = '/v1';

/** By the name in `/mcp/<name>`, empty for everything; undefined where there is no such toolbox. */
export function toolboxOf({ everything, toolboxes }: Catalog, name: string): Toolbox | undefined {
  return name === '' ? everything : toolboxes.get(name);
}

/** An upstream as the catalog knows it: its configuration and its running port. */
export interface Member {
  /** `namespace/name`. */
  readonly id: string;
  readonly config: UpstreamConfig;
  readonly upstream: Upstream;
}

export interface CatalogProblem {
  /** Whose it is: an upstream's `namespace/name`, or `toolbox <name>`. */
  readonly upstream: string;
  /** The definition's own name or URI, or the toolbox's pattern. */
  readonly subject: string;
  readonly message: string;
  /** Upstreams that have never said what they offer, where it is only for that reason: one that is just starting may say it in a moment. */
  readonly awaits?: readonly Member[];
}

/** A named selection of capabilities. Maps are in list order: namespace, then upstream, then the upstream's own order. */
export interface Toolbox {
  /** Empty for everything. */
  readonly name: string;
  readonly title: string | undefined;
  readonly description: string | undefined;
  readonly members: readonly Member[];
  /** By outward name. */
  readonly tools: ReadonlyMap<string, Capability<ToolDefinition>>;
  readonly prompts: ReadonlyMap<string, Capability<PromptDefinition>>;
  /** By outward URI. */
  readonly resources: ReadonlyMap<string, Capability<ResourceDefinition>>;
  /** By outward URI template. */
  readonly resourceTemplates: ReadonlyMap<string, Capability<ResourceTemplateDefinition>>;
  readonly can: { readonly complete: boolean; readonly log: boolean; readonly subscribe: boolean };
  readonly instructions: string | undefined;
  /** The shortest of its members', 0 when any of them says nothing. Private: what somebody sees of a toolbox depends on who asks. */
  readonly caching: { readonly ttlMs: number; readonly cacheScope: 'private' };
  readonly uris: UriMap;
  /** Whether clients are shown a search and what is pinned in place of all its tools; `auto`: where it is large. */
  readonly search: 'on' | 'off' | 'auto';
  /** Outward names of tools that are listed in any case. */
  readonly pinned: ReadonlySet<string>;
  /** Searches and describes what is in it. It belongs to no upstream, and is undefined where nobody does. */
  readonly finder: Member | undefined;
}

export interface Capability<Definition> {
  /** What a client calls it. */
  readonly outwardName: string;
  /** `namespace/name`: what people, rules and records call it. For resources, which have no name to go by, the upstream's id. */
  readonly name: string;
  readonly member: Member;
  /** As the upstream sent it. */
  readonly definition: Definition;
  /** As clients see it: outward names and URIs, and no hidden text. */
  readonly published: Definition;
  /** Of the definition, as definition.ts makes it; undefined for resources. */
  readonly hash: string | undefined;
}

/** URIs of one toolbox, both ways. */
export interface UriMap {
  /** The member that owns an outward URI, and its own form of it; undefined when nobody in this toolbox does. */
  toUpstream(outwardUri: string): { readonly member: Member; readonly uri: string } | undefined;
  /** An upstream's URI as clients of this toolbox see it. */
  toClient(member: Member, uri: string): string;
  /** Nothing is rewritten (one-to-one toolbox). */
  readonly isIdentity: boolean;
}
