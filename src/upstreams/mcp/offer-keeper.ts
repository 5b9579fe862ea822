import { isObject, type JsonObject } from '../../wire/json.ts';
import { LinkError } from '../link-error.ts';
import {
  emptyOffer,
  type Offer,
  type PromptDefinition,
  type ResourceDefinition,
  type ResourceTemplateDefinition,
  type ToolDefinition,
} from '../upstream.ts';
import { emptyListing, failedListing, type Listing, type ListMethod, readList } from './definitions.ts';
import { type Dialect, type ListKind, MisfitError } from './dialect.ts';

const methods: Readonly<Record<ListKind, readonly ListMethod[]>> = {
  tools: ['tools/list'],
  prompts: ['prompts/list'],
  resources: ['resources/list', 'resources/templates/list'],
};
export const allLists: readonly ListKind[] = ['tools', 'prompts', 'resources'];

/** The last good answers to an upstream's lists, and the offer made of them: a new object only when something changed. */
export class OfferKeeper {
  readonly #hop: string | undefined;
  readonly #listings = new Map<ListMethod, Listing>();
  #offer: Offer = emptyOffer;

  /** `hop`: what this gateway is known by to itself. */
  constructor(hop: string | undefined) {
    this.#hop = hop;
  }

  get offer(): Offer {
    return this.#offer;
  }

  /** Definitions of every kind. */
  get size(): number {
    const { tools, prompts, resources, resourceTemplates } = this.#offer;
    return tools.length + prompts.length + resources.length + resourceTemplates.length;
  }

  /** Shortest time any list may be kept, as the upstream says. */
  get ttlMs(): number | undefined {
    return this.#offer.caching?.ttlMs;
  }

  /** Takes definitions of an earlier run. They are stale until a list has confirmed them. */
  restore(offer: Offer): void {
    this.#offer = { ...offer, isStale: true };
    this.#put('tools/list', offer.tools);
    this.#put('prompts/list', offer.prompts);
    this.#put('resources/list', offer.resources);
    this.#put('resources/templates/list', offer.resourceTemplates);
  }

  /** Asks for these lists. Returns whether the offer is another one now. Rejects with LinkError and changes nothing. */
  async read(dialect: Dialect, kinds: readonly ListKind[]): Promise<boolean> {
    const next = new Map(this.#listings);
    const failures: LinkError[] = [];
    const asked = kinds.flatMap((kind) =>
      methods[kind].map((method) => ({ method, isOffered: isObject(dialect.capabilities[kind]) })),
    );
    await Promise.all(
      asked.map(async ({ method, isOffered }) => {
        const before = next.get(method) ?? emptyListing;
        try {
          next.set(method, isOffered ? await readList(dialect, method, before, this.#hop) : emptyListing);
        } catch (error) {
          // One list that hangs must not hide the others; an upstream that cannot be reached must not pass for a bad list.
          if (!(error instanceof LinkError) || error instanceof MisfitError || error.isUnsent) throw error;
          failures.push(error);
          next.set(method, failedListing(before, method, error.detail ?? error.message));
        }
      }),
    );
    const [first] = failures;
    if (first !== undefined && failures.length === asked.filter(({ isOffered }) => isOffered).length) throw first;
    let isSame = !this.#offer.isStale && next.size === this.#listings.size;
    for (const [method, listing] of next) {
      if (this.#listings.get(method) !== listing) isSame = false;
      this.#listings.set(method, listing);
    }
    if (isSame) return false;
    this.#offer = this.#build(dialect);
    return true;
  }

  /** Marks the offer as one that cannot be confirmed right now. Returns whether that is news. */
  markStale(): boolean {
    if (this.#offer.isStale) return false;
    this.#offer = Object.freeze({ ...this.#offer, isStale: true });
    return true;
  }

  #build(dialect: Dialect): Offer {
    const { capabilities, instructions } = dialect;
    const { resources } = capabilities;
    return Object.freeze({
      tools: this.#items('tools/list') as readonly ToolDefinition[],
      prompts: this.#items('prompts/list') as readonly PromptDefinition[],
      resources: this.#items('resources/list') as readonly ResourceDefinition[],
      resourceTemplates: this.#items('resources/templates/list') as readonly ResourceTemplateDefinition[],
      can: {
        complete: isObject(capabilities.completions),
        log: isObject(capabilities.logging),
        subscribe: isObject(resources) && resources.subscribe === true,
      },
      instructions,
      caching: this.#caching(),
      gateways: [...new Set([...this.#listings.values()].flatMap(({ gateways }) => gateways))],
      isStale: false,
      problems: [...this.#listings.values()].flatMap(({ problems }) => problems),
    });
  }

  #caching(): Offer['caching'] {
    let caching: Offer['caching'];
    for (const { ttlMs, cacheScope } of this.#listings.values()) {
      if (ttlMs === undefined) continue;
      const isPrivate = cacheScope === 'private' || caching?.cacheScope === 'private';
      caching = { ttlMs: Math.min(ttlMs, caching?.ttlMs ?? ttlMs), cacheScope: isPrivate ? 'private' : 'public' };
    }
    return caching;
  }

  #items(method: ListMethod): readonly JsonObject[] {
    return this.#listings.get(method)?.items ?? [];
  }

  #put(method: ListMethod, items: readonly JsonObject[]): void {
    this.#listings.set(method, { ...emptyListing, items });
  }
}
