import { hash } from 'node:crypto';
import type { UpstreamConfig } from '../catalog/config.ts';
import type { Approved } from '../catalog/contribution.ts';
import { type Definition, type DefinitionKind, hashDefinition, prepareInTurns } from '../catalog/definition.ts';
import type { PinDecision, PinDocument, PinnedDefinition } from '../registry/pin-document.ts';
import type { Offer } from '../upstreams/upstream.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import type { Json } from '../wire/json.ts';

/** What is approved of one upstream; never changed, only replaced. */
export interface Pin {
  readonly upstream: string;
  readonly instructions: string;
  readonly decisions: readonly PinDecision[];
  readonly definitions: Readonly<Record<DefinitionKind, ReadonlyMap<string, Pinned>>>;
  readonly refused: ReadonlySet<string>;
}

interface Pinned {
  readonly hash: string;
  readonly shape: string;
  /** Undefined where the document does not say. */
  readonly decision: PinDecision | undefined;
}

/** One definition that an upstream offers, with its hashes. */
export interface Offered {
  readonly kind: DefinitionKind;
  readonly definition: Definition;
  readonly hash: string;
  readonly shape: string;
}

const connections = new WeakMap<UpstreamConfig, string>();

/**
 * The id of an upstream's pin. It holds what is connected to, as written: whoever may change that decides anew what is behind it, and
 * replicas that run two versions of a file while it is rolled out each keep to their own.
 */
export function pinId(config: UpstreamConfig): string {
  let id = connections.get(config);
  if (id === undefined) {
    const what = canonicalJson(JSON.parse(JSON.stringify([config.kind, writtenOf(config)])) as Json);
    id = `${config.id}@${hash('sha256', what, 'base64url').slice(0, 22)}`;
    connections.set(config, id);
  }
  return id;
}

// What the description of an API says is what is pinned; another one of the same name is a change, as another offer of a server is.
function writtenOf({ transport }: UpstreamConfig): object {
  if (transport.type !== 'openapi') return transport;
  const { sha256: _, ...source } = transport.description;
  return { ...transport, description: source };
}

export function digestInstructions(instructions: string | undefined): string {
  return instructions === undefined || instructions === '' ? '' : hash('sha256', instructions, 'base64url');
}

/** Everything of an offer that can be pinned. The tool by which callers sign in is Gatehouse's own. */
export function offeredIn(offer: Offer): readonly Offered[] {
  const read = (kind: DefinitionKind, definitions: readonly Definition[]) =>
    definitions
      .filter((definition) => definition !== offer.signIn)
      .map((definition) => {
        const { hash, shape } = hashDefinition(definition, offer.instructions);
        return { kind, definition, hash, shape };
      });
  return [...read('tool', offer.tools), ...read('prompt', offer.prompts)];
}

/** The same for offers of any size: others have their turn meanwhile. */
export async function offeredInTurns(offer: Offer): Promise<readonly Offered[]> {
  await prepareInTurns(offer);
  return offeredIn(offer);
}

/** What was registered and is still there may be anything; whoever pins it says so. */
export function emptyPin(upstream: string, instructions: string): Pin {
  return { upstream, instructions, decisions: [], definitions: { tool: new Map(), prompt: new Map() }, refused: new Set() };
}

/** The pin with these definitions approved, in place of others of the same names. */
export function approve(
  pin: Pin,
  definitions: readonly (Pick<Offered, 'kind' | 'hash' | 'shape'> & { readonly name: string })[],
  decision: PinDecision,
  instructions = pin.instructions,
): Pin {
  const next = { tool: new Map(pin.definitions.tool), prompt: new Map(pin.definitions.prompt) };
  const refused = new Set(pin.refused);
  for (const { kind, name, hash, shape } of definitions) {
    next[kind].set(name, { hash, shape, decision });
    refused.delete(hash);
  }
  return { ...pin, instructions, definitions: next, refused };
}

/** Remembers at most this many. */
const mostRefused = 1_000;

/** The pin that remembers these as refused: they are held back without asking anybody again. */
export function refuse(pin: Pin, hashes: readonly string[]): Pin {
  return { ...pin, refused: new Set([...pin.refused, ...hashes].slice(-mostRefused)) };
}

export function readPinned({ upstream, instructions, decisions, tools, prompts, refused }: PinDocument): Pin {
  const read = (list: readonly PinnedDefinition[]) =>
    new Map(list.map(([name, hash, shape, at]) => [name, { hash, shape, decision: decisions[at] }]));
  return {
    upstream,
    instructions,
    decisions,
    definitions: { tool: read(tools), prompt: read(prompts) },
    refused: new Set(refused),
  };
}

export function writePinned({ upstream, instructions, definitions, refused }: Pin): PinDocument {
  const decisions: PinDecision[] = [];
  const places = new Map<string, number>();
  const write = (map: ReadonlyMap<string, Pinned>) =>
    Array.from(map, ([name, { hash, shape, decision }]): PinnedDefinition => {
      if (decision === undefined) return [name, hash, shape, -1];
      const key = `${decision.atMs} ${decision.why} ${decision.by}`;
      let place = places.get(key);
      if (place === undefined) {
        place = decisions.push(decision) - 1;
        places.set(key, place);
      }
      return [name, hash, shape, place];
    });
  const [tools, prompts] = [write(definitions.tool), write(definitions.prompt)];
  return { upstream, instructions, decisions, tools, prompts, refused: [...refused] };
}

/** What the catalog asks of a pin. */
export function approvedBy({ definitions, instructions }: Pin): Approved {
  return {
    verdict(kind, name, hash) {
      const pinned = definitions[kind].get(name);
      if (pinned === undefined) return 'added';
      return pinned.hash === hash ? 'approved' : 'changed';
    },
    takesInstructions: (text) => digestInstructions(text) === instructions,
  };
}

/** Whether two pins let the same definitions through. */
export function hasSameVerdicts(a: Pin | undefined, b: Pin | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.instructions !== b.instructions) return false;
  return (['tool', 'prompt'] as const).every((kind) => {
    const [one, other] = [a.definitions[kind], b.definitions[kind]];
    return one.size === other.size && [...one].every(([name, { hash }]) => other.get(name)?.hash === hash);
  });
}
