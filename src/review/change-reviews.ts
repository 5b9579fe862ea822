import type { Logger } from 'pino';
import type { Catalog, Member } from '../catalog/catalog.ts';
import type { HeldDefinition } from '../catalog/contribution.ts';
import type { Clock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { Journal } from '../journal/journal.ts';
import type { Notifier } from '../notify/notify.ts';
import { commitChange, gatehouse } from '../registry/commit-change.ts';
import type { SubmissionDocument } from '../registry/documents.ts';
import type { Registry } from '../registry/registry.ts';
import type { DefinitionStore } from '../store/ports/definitions.ts';
import type { Content, SubmittedDefinition } from './content.ts';
import { digestInstructions, emptyPin, type Offered, offeredInTurns, type Pin } from './pin.ts';
import { neighbourhoodInTurns, type Pins, toStoredInTurns } from './pins.ts';
import { renamedFrom } from './settle-pin.ts';
import { isOpen } from './submission.ts';

interface ChangeReviewPorts {
  readonly registry: Registry;
  readonly definitions: DefinitionStore;
  readonly journal: Pick<Journal, 'change' | 'digest'>;
  readonly pins: Pins;
  readonly notifier: Notifier;
  readonly ownUrl: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** An upstream that changes again and again changes its review no more often than this. */
const updateEveryMs = 30_000;
const firstAfterMs = 200;
const retryAfterMs = 10_000;
/** Of one review. */
const mostSeen = 2_000;

/** Opens a review for whatever the catalog holds back, and keeps it in step with what the upstream offers. */
export class ChangeReviews {
  readonly #ports: ChangeReviewPorts;
  /** By upstream: what was last taken care of. */
  readonly #handled = new Map<string, string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #updatedAtMs = new Map<string, number>();
  readonly #working = new Set<Promise<void>>();
  #catalog: Catalog | undefined;
  #isClosed = false;

  constructor(ports: ChangeReviewPorts) {
    this.#ports = ports;
  }

  /** Takes note of a new catalog. Never waits. */
  look(catalog: Catalog): void {
    this.#catalog = catalog;
    for (const id of this.#handled.keys()) if (!catalog.held.has(id)) this.#handled.delete(id);
    for (const [id, held] of catalog.held) {
      const member = catalog.upstreams.get(id);
      if (member === undefined || member.upstream.offer().isStale) continue;
      const key = held.map(({ hash }) => hash).join(' ');
      if (this.#handled.get(id) === key || this.#timers.has(id)) continue;
      const sinceMs = performance.now() - (this.#updatedAtMs.get(id) ?? Number.NEGATIVE_INFINITY);
      this.#schedule(id, Math.max(firstAfterMs, updateEveryMs - sinceMs));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.allSettled(this.#working);
  }

  #schedule(id: string, afterMs: number): void {
    if (this.#isClosed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      const work: Promise<void> = this.#review(id)
        .catch((error: unknown) => this.#failed(id, error))
        .finally(() => this.#working.delete(work));
      this.#working.add(work);
    }, afterMs);
    this.#timers.set(id, timer.unref());
  }

  #failed(id: string, error: unknown): void {
    // Another replica was faster; whether anything is left to do shows at the next look.
    const isConflict = error instanceof GatewayError && error.code === 'conflict';
    if (!isConflict) this.#ports.log.warn({ err: error, upstream: id }, 'a review could not be opened; it is tried again');
    if (!this.#timers.has(id)) this.#schedule(id, isConflict ? firstAfterMs : retryAfterMs);
  }

  async #review(id: string): Promise<void> {
    const member = this.#catalog?.upstreams.get(id);
    const all = this.#catalog?.held.get(id) ?? [];
    if (member === undefined || all.length === 0) return;
    const pin = this.#ports.pins.of(id) ?? emptyPin(id, '');
    const held = all.filter(({ hash }) => !pin.refused.has(hash));
    const key = all.map(({ hash }) => hash).join(' ');
    if (held.length > 0) await this.#openOrUpdate(member, held, pin);
    this.#handled.set(id, key);
  }

  async #openOrUpdate(member: Member, held: readonly HeldDefinition[], pin: Pin): Promise<void> {
    const { registry, definitions, pins } = this.#ports;
    // What is reviewed is compared with what was approved, which has to be kept by then.
    await pins.settled();
    const open = this.#find(member);
    // Before anything is waited for: of two replicas that see the same change one is too late, even where it is decided on meanwhile.
    const id = open?.id ?? this.#nextId(member);
    const { readContent } = await import('./content.ts');
    const before = open === undefined ? undefined : await readContent(definitions, open.body.content);
    const seen = new Set(before?.seen);
    if (before !== undefined && (held.every(({ hash }) => seen.has(hash)) || seen.size >= mostSeen)) return;
    const offer = member.upstream.offer();
    const hashes = new Set(held.map(({ hash }) => hash));
    const offered = (await offeredInTurns(offer)).filter(({ hash }) => hashes.has(hash));
    const content = contentOf(member, held, offered, pin, before);
    const { draftSubmission } = await import('./draft-submission.ts');
    const drafted = await draftSubmission(this.#ports, {
      about: 'change',
      config: member.config,
      entry: undefined,
      content,
      offered,
      stored: await toStoredInTurns(offered, offer.instructions),
      neighbourhood: await neighbourhoodInTurns(this.#catalog!, member, offer),
      unseenBecause: undefined,
      submitter: gatehouse,
      justification:
        before === undefined ? 'Its upstream offers something else than what was approved.' : open!.body.justification,
      before: open?.body,
      pin,
      pinId: this.#ports.pins.idFor(member),
    });
    // Another replica was faster, and may be through with it by now.
    if (open === undefined && registry.get('submission', id) !== undefined) return;
    this.#updatedAtMs.set(member.id, performance.now());
    await commitChange({ ...this.#ports, refreshed: async () => {} }, gatehouse, {
      action: open === undefined ? 'submit_change' : 'update_submission',
      edits: [{ kind: 'submission', id, body: drafted.submission }, ...drafted.edits],
      detail: { upstream: member.id, definitions: held.length, score: drafted.assessment.score },
    });
    drafted.announce(id);
  }

  #find(member: Member) {
    const pin = this.#ports.pins.idFor(member);
    const isIt = (body: SubmissionDocument) => body.about === 'change' && body.pin === pin && isOpen(body);
    return this.#ports.registry.list('submission').find(({ body }) => isIt(body));
  }

  // Two replicas that see the same change make the same id, and one of them is too late.
  #nextId({ config }: Member): string {
    const prefix = `change-${config.namespace}-${config.name}-`;
    const numbers = this.#ports.registry
      .list('submission')
      .filter(({ id }) => id.startsWith(prefix))
      .map(({ id }) => Number(id.slice(prefix.length)))
      .filter(Number.isInteger);
    return `${prefix}${Math.max(0, ...numbers) + 1}`;
  }
}

function contentOf(
  { upstream }: Member,
  held: readonly HeldDefinition[],
  offered: readonly Offered[],
  pin: Pin,
  before: Content | undefined,
): Content {
  const offer = upstream.offer();
  const whyOf = new Map(held.map(({ hash, why }) => [hash, why]));
  const definitions = offered.map((one): SubmittedDefinition => {
    const { kind, hash, shape, definition } = one;
    return {
      ...{ kind, name: definition.name, hash, shape, why: whyOf.get(hash) ?? 'added' },
      approved: pin.definitions[kind].get(definition.name)?.hash,
      renamedFrom: pin.definitions[kind].has(definition.name) ? undefined : renamedFrom(one, pin, offer),
    };
  });
  const { server, protocolVersion } = upstream.health();
  return {
    server,
    protocolVersion,
    instructions: digestInstructions(offer.instructions),
    instructionsText: offer.instructions,
    definitions,
    seen: [...new Set([...(before?.seen ?? []), ...held.map(({ hash }) => hash)])].slice(0, mostSeen),
  };
}
