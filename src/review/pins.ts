import type { Logger } from 'pino';
import type { Catalog, Member } from '../catalog/catalog.ts';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { Approved } from '../catalog/contribution.ts';
import { reviewedPart } from '../catalog/definition.ts';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import { commitChange, gatehouse } from '../registry/commit-change.ts';
import type { Entry, Registry } from '../registry/registry.ts';
import type { DefinitionStore, StoredDefinition } from '../store/ports/definitions.ts';
import { mapInTurns, takeTurns } from '../turns.ts';
import type { Offer, Upstream } from '../upstreams/upstream.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import { buildNeighbourhood, makeNeighbourhood, type Neighbour, type Neighbourhood } from './look-alikes.ts';
import { approvedBy, hasSameVerdicts, type Offered, offeredIn, type Pin, pinId, readPinned, writePinned } from './pin.ts';
import { settlePin } from './settle-pin.ts';

interface PinPorts {
  readonly registry: Registry;
  readonly definitions: DefinitionStore;
  readonly journal: Pick<Journal, 'change' | 'digest'>;
  readonly catalog: () => Catalog;
  /** The entry that a member's upstream was made from: until its successor has answered, that is not the one it runs under. */
  readonly madeFrom: (upstream: Upstream) => UpstreamConfig | undefined;
  /** Has the catalog built again by what is approved now. */
  readonly rebuild: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is known of one upstream's pin here. */
interface Watched {
  readonly id: string;
  readonly offer: Offer;
  /** As the registry has it. */
  readonly document: Entry<'pin'> | undefined;
  readonly config: Member['config'];
  readonly pin: Pin | undefined;
  readonly approved: Approved | undefined;
  /** Whether additions could be screened when this was settled. */
  readonly isScreened: boolean;
}

/** A first start is busy, and twenty upstreams that are seen for the first time are one commit. */
const commitAfterMs = 1_000;
const longestPauseMs = 60_000;
/** Pins of other connections of the same upstream that are kept, for replicas with another version of its file. */
const mostPerUpstream = 4;
/** What is screened while the catalog is built; what is more than that waits for a person. */
const mostScreened = 100;
const screenedCharacters = 200_000;

/**
 * What is approved of every upstream: from the registry, and what was seen here for the first time until it is there. The catalog asks
 * when it is built, never a call.
 */
export class Pins {
  readonly #ports: PinPorts;
  readonly #watched = new Map<string, Watched>();
  readonly #due = new Set<string>();
  /** By upstream and hash: what was approved and is not in the store yet. */
  readonly #unsaved = new Map<string, Map<string, () => StoredDefinition>>();
  readonly #stop: () => void;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = commitAfterMs;
  #committing: Promise<void> | undefined;
  #screener: typeof import('./screen-definition.ts') | undefined;
  #loading: Promise<void> | undefined;
  #isClosed = false;

  constructor(ports: PinPorts) {
    this.#ports = ports;
    let last: readonly Entry<'pin'>[] = ports.registry.list('pin');
    this.#stop = ports.registry.onChange(() => {
      const now = ports.registry.list('pin');
      const isSame = now.length === last.length && now.every((entry, at) => entry === last[at]);
      last = now;
      if (!isSame) ports.rebuild();
    });
  }

  /** What is approved of a member's offer; undefined where everything is. */
  approvedOf(member: Member, offer: Offer): Approved | undefined {
    const { config } = member;
    // Made here, of an entry that somebody wrote: nothing of it comes from the far end.
    if (config.kind === 'admin' || config.kind === 'model') return undefined;
    const id = this.idFor(member);
    const document = this.#ports.registry.get('pin', id);
    const before = this.#watched.get(member.id);
    const isSamePin = before?.id === id && before.document === document;
    const isScreened = this.#screener !== undefined;
    const isSettled = before?.isScreened === true || !isScreened;
    if (isSamePin && isSettled && before.offer === offer && before.config === config) return before.approved;
    const known = isSamePin ? before.pin : document && readPinned(document.body);
    const pin = this.#settle(member, known, offer);
    // The catalog and its clients take another object for news.
    const isNews = before?.id !== id || !hasSameVerdicts(before.pin, pin);
    const approved = isNews ? pin && approvedBy(pin) : before.approved;
    this.#watched.set(member.id, { id, offer, document, config, pin, approved, isScreened });
    if (pin !== undefined && pin !== known) this.#commitSoon(member.id, pin, offer);
    return approved;
  }

  /** The id of the pin that holds what a member offers now. */
  idFor({ upstream, config }: Pick<Member, 'upstream' | 'config'>): string {
    return pinId(this.#ports.madeFrom(upstream) ?? config);
  }

  /** The pin of an upstream as it counts here; undefined where nothing of it was seen yet. */
  of(upstream: string): Pin | undefined {
    return this.#watched.get(upstream)?.pin;
  }

  /** Who approved a capability, why and when. */
  decisionOn(upstream: string, kind: 'tool' | 'prompt', name: string) {
    return this.of(upstream)?.definitions[kind].get(name)?.decision;
  }

  /** Resolves when everything that is pinned here is in the registry, or could not be brought there. */
  async settled(): Promise<void> {
    clearTimeout(this.#timer);
    await (this.#committing ?? this.#commit());
    if (this.#due.size > 0) await this.#commit();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    await this.settled();
  }

  #settle(member: Member, pin: Pin | undefined, offer: Offer): Pin | undefined {
    return settlePin({
      upstream: member.id,
      pin,
      offer,
      review: member.config.review,
      nowMs: this.#ports.clock.nowMs(),
      screen: (additions) => this.#screen(member, additions, offer),
    });
  }

  #screen(member: Member, additions: readonly Offered[], offer: Offer): readonly Offered[] {
    if (additions.length === 0 || additions.length > mostScreened) return [];
    if (this.#screener === undefined) {
      this.#loadScreener();
      return [];
    }
    const { isClean, screenDefinition } = this.#screener;
    const sizes = additions.map(({ definition }) => JSON.stringify(definition).length);
    if (sizes.reduce((sum, size) => sum + size, 0) > screenedCharacters) return [];
    const neighbourhood = neighbourhoodOf(this.#ports.catalog(), member, offer);
    const { id: upstream, config } = member;
    return additions.filter(({ kind, definition }) => {
      const screened = {
        ...{ upstream, namespace: config.namespace, kind, definition, instructions: offer.instructions },
        shownName: shownName(config, definition.name),
      };
      return isClean(screenDefinition(screened, neighbourhood));
    });
  }

  // What it looks for is large, and most upstreams never add anything.
  #loadScreener(): void {
    this.#loading ??= import('./screen-definition.ts')
      .then((screener) => {
        this.#screener = screener;
        if (!this.#isClosed) this.#ports.rebuild();
      })
      .catch((error: unknown) => {
        this.#loading = undefined;
        this.#ports.log.error({ err: error }, 'additions cannot be screened, and are held back');
      });
  }

  #commitSoon(upstream: string, pin: Pin, offer: Offer): void {
    this.#due.add(upstream);
    // As they were seen: by the time they are written, the upstream may offer something else.
    const unsaved = this.#unsaved.get(upstream) ?? new Map<string, () => StoredDefinition>();
    this.#unsaved.set(upstream, unsaved);
    for (const offered of offeredIn(offer))
      if (pin.definitions[offered.kind].get(offered.definition.name)?.hash === offered.hash)
        unsaved.set(offered.hash, () => toStored(offered, offer.instructions));
    if (this.#isClosed || this.#committing !== undefined) return;
    this.#timer ??= setTimeout(() => void this.#commit(), this.#pauseMs).unref();
  }

  #commit(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#committing ??= this.#write().finally(() => {
      this.#committing = undefined;
      if (this.#due.size > 0 && !this.#isClosed) this.#timer ??= setTimeout(() => void this.#commit(), this.#pauseMs).unref();
    });
    return this.#committing;
  }

  async #write(): Promise<void> {
    const due = [...this.#due];
    this.#due.clear();
    const { log } = this.#ports;
    for (const upstream of due) {
      try {
        await this.#writeOne(upstream);
        this.#pauseMs = commitAfterMs;
      } catch (error) {
        // Another replica saw it first: what it pinned counts, and is on its way here.
        if (error instanceof GatewayError && error.code === 'conflict') continue;
        this.#due.add(upstream);
        this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
        log.warn({ err: error, upstream }, 'what an upstream offers could not be pinned; it is tried again');
      }
    }
  }

  async #writeOne(upstream: string): Promise<void> {
    const { registry, definitions, journal, clock } = this.#ports;
    const watched = this.#watched.get(upstream);
    if (watched?.pin === undefined || registry.get('pin', watched.id) !== watched.document) return;
    const { id, pin } = watched;
    const unsaved = [...(this.#unsaved.get(upstream) ?? [])];
    const stored = await mapInTurns(unsaved, ([, store]) => store());
    await definitions.keep(stored, clock.nowMs());
    for (const [hash] of unsaved) this.#unsaved.get(upstream)?.delete(hash);
    const body = writePinned(pin);
    const why = [...new Set(body.decisions.map((decision) => decision.why))].slice(-3);
    const detail = { upstream, tools: body.tools.length, prompts: body.prompts.length, why };
    const edits = [{ kind: 'pin' as const, id, body }, ...this.#outdated(upstream, id)];
    const refreshed = async () => {};
    const change = { action: 'pin_definitions', edits, detail, door: 'none' };
    await commitChange({ registry, journal, refreshed }, gatehouse, change);
  }

  #outdated(upstream: string, keep: string) {
    const others = this.#ports.registry
      .list('pin')
      .filter(({ id, body }) => body.upstream === upstream && id !== keep)
      .sort((a, b) => b.revision - a.revision);
    return others.slice(mostPerUpstream - 1).map(({ id }) => ({ kind: 'pin' as const, id, body: undefined }));
  }
}

/** A definition as the store keeps it. */
function toStored({ hash, definition }: Offered, instructions: string | undefined): StoredDefinition {
  return { hash, body: canonicalJson(reviewedPart(definition, instructions)) };
}

/** The same for as many as there are: others have their turn meanwhile. */
export function toStoredInTurns(offered: readonly Offered[], instructions: string | undefined): Promise<StoredDefinition[]> {
  return mapInTurns(offered, (one) => toStored(one, instructions));
}

/** What a definition is called here. */
export function shownName({ rename }: Pick<UpstreamConfig, 'rename'>, name: string): string {
  return Object.hasOwn(rename, name) ? (rename[name] ?? name) : name;
}

/** What is there besides, and what the upstream itself offers now. */
function neighbourhoodOf(
  catalog: Catalog,
  { id, config }: Pick<Member, 'id' | 'config'>,
  offer: Pick<Offer, 'tools' | 'prompts'>,
): Neighbourhood {
  return makeNeighbourhood(neighboursOf(catalog, { id, config }, offer));
}

/** The same for a catalog of any size: others have their turn meanwhile. */
export async function neighbourhoodInTurns(...given: Parameters<typeof neighbourhoodOf>): Promise<Neighbourhood> {
  const turn = takeTurns();
  const builder = buildNeighbourhood();
  for (const neighbour of neighboursOf(...given)) {
    await turn();
    builder.add(neighbour);
  }
  return builder;
}

function neighboursOf(
  catalog: Catalog,
  { id, config }: Pick<Member, 'id' | 'config'>,
  offer: Pick<Offer, 'tools' | 'prompts'>,
): readonly Neighbour[] {
  const neighbours: Neighbour[] = [];
  for (const { member, definition } of [...catalog.everything.tools.values(), ...catalog.everything.prompts.values()])
    if (member.id !== id) neighbours.push({ upstream: member.id, namespace: member.config.namespace, name: definition.name });
  for (const { name } of [...offer.tools, ...offer.prompts]) neighbours.push({ upstream: id, namespace: config.namespace, name });
  return neighbours;
}
