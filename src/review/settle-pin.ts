import type { DefinitionReview } from '../catalog/config.ts';
import type { PinDecision } from '../registry/pin-document.ts';
import type { Offer } from '../upstreams/upstream.ts';
import { approve, digestInstructions, emptyPin, type Offered, offeredIn, type Pin } from './pin.ts';

/** What is applied where an entry says nothing. */
const defaultReview: DefinitionReview = { changes: 'hold', additions: 'screen' };

interface Settling {
  readonly upstream: string;
  /** What is approved so far; undefined where nobody has seen anything of this upstream yet. */
  readonly pin: Pin | undefined;
  readonly offer: Offer;
  readonly review: DefinitionReview | undefined;
  readonly nowMs: number;
  /** Which of these additions nobody needs to look at. */
  readonly screen: (additions: readonly Offered[]) => readonly Offered[];
}

/**
 * The pin after an offer was seen: what is offered first is approved as seen, and later whatever the upstream's entry lets through. The
 * same pin where nothing was added; undefined while nothing was offered.
 */
export function settlePin({ upstream, pin, offer, review = defaultReview, nowMs, screen }: Settling): Pin | undefined {
  // What is remembered from before was settled when it was seen.
  if (offer.isStale) return pin;
  const decide = (why: string): PinDecision => ({ by: 'gatehouse', why, atMs: nowMs });
  const instructions = digestInstructions(offer.instructions);
  if (pin === undefined) {
    const offered = offeredIn(offer);
    // An upstream that has nothing to offer yet has not been seen.
    if (offered.length === 0) return undefined;
    return approve(emptyPin(upstream, instructions), named(offered), decide('first seen'));
  }
  const open = offeredIn(offer).filter(({ kind, definition, hash }) => pin.definitions[kind].get(definition.name)?.hash !== hash);
  if (open.length === 0) return pin;
  const isAdded = ({ kind, definition }: Offered) => !pin.definitions[kind].has(definition.name);
  let settled = pin;
  if (review.changes === 'take') {
    const changed = open.filter((offered) => !isAdded(offered));
    if (changed.length > 0) settled = approve(settled, named(changed), decide('taken'), instructions);
  }
  // Under other instructions an addition is no better than what it comes with.
  if (instructions !== settled.instructions && review.additions !== 'take') return settled;
  const added = open.filter((offered) => isAdded(offered) && !pin.refused.has(offered.hash));
  const taken =
    review.additions === 'hold' ? [] : review.additions === 'take' ? added : screen(withoutRenamed(added, pin, offer));
  if (taken.length === 0) return settled;
  return approve(settled, named(taken), decide(review.additions === 'take' ? 'taken' : 'screened'));
}

// Rules, gates and scopes go by names: a tool that comes back under another one would slip out of them.
function withoutRenamed(added: readonly Offered[], pin: Pin, offer: Offer): readonly Offered[] {
  return added.filter((offered) => renamedFrom(offered, pin, offer) === undefined);
}

/** The approved name that is no longer offered and that this was offered under before; undefined where there is none. */
export function renamedFrom({ kind, shape }: Pick<Offered, 'kind' | 'shape'>, pin: Pin, offer: Offer): string | undefined {
  const present = new Set((kind === 'tool' ? offer.tools : offer.prompts).map(({ name }) => name));
  for (const [name, pinned] of pin.definitions[kind]) if (pinned.shape === shape && !present.has(name)) return name;
  return undefined;
}

function named(offered: readonly Offered[]) {
  return offered.map(({ kind, hash, shape, definition }) => ({ kind, hash, shape, name: definition.name }));
}
