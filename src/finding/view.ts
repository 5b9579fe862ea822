import type { Capability, Member } from '../catalog/catalog.ts';
import { contribute } from '../catalog/contribution.ts';
import { makeSegment, type Segment } from './segment.ts';

/** What somebody may see, as it is searched: of each upstream's segment the capabilities that are theirs. */
export interface View<Entry> {
  readonly size: number;
  readonly parts: readonly Part<Entry>[];
  /** How much each word tells that was asked about before. */
  readonly rarities: Map<string, number>;
}

interface Part<Entry> {
  readonly segment: Segment;
  /** By their place in the segment; undefined where one is not for them. */
  readonly entries: readonly (Entry | undefined)[];
  /** How many are theirs. */
  readonly size: number;
}

/** Something that can be found by what its capability says of itself. */
export interface Findable {
  readonly capability: Capability<unknown>;
}

/** One index per upstream, for the definitions it offered last. */
const segments = new WeakMap<Member, Segment>();
const making = new WeakMap<Member, Promise<Segment>>();

/** Indexes what is not indexed yet, in small slices. The same definitions are indexed once, whoever sees them. */
export async function viewOf<Entry extends Findable>(entries: Iterable<Entry>): Promise<View<Entry>> {
  const parts: Part<Entry>[] = [];
  let size = 0;
  for (const [member, own] of Map.groupBy(entries, ({ capability }) => capability.member)) {
    const segment = await segmentFor(member, own);
    const placed = new Array<Entry | undefined>(segment.size).fill(undefined);
    for (const entry of own) placed[segment.places.get(entry.capability.definition) ?? 0] = entry;
    size += own.length;
    parts.push({ segment, entries: placed, size: own.length });
  }
  return { size, parts, rarities: new Map() };
}

async function segmentFor(member: Member, entries: readonly Findable[]): Promise<Segment> {
  // Of two searches at once the second takes what the first makes; an offer that changed meanwhile is indexed in the next round.
  for (;;) {
    const known = segments.get(member);
    if (known !== undefined && entries.every(({ capability }) => known.places.has(capability.definition))) return known;
    const made = making.get(member) ?? make(member, entries);
    await made;
  }
}

function make(member: Member, entries: readonly Findable[]): Promise<Segment> {
  const { tools, prompts, resources, resourceTemplates } = contribute(member);
  // What is looked for may be of an offer before this one.
  const wanted = entries.map(({ capability }) => capability);
  const made = makeSegment([...tools, ...prompts, ...resources, ...resourceTemplates, ...wanted])
    .then((segment) => {
      segments.set(member, segment);
      return segment;
    })
    .finally(() => making.delete(member));
  making.set(member, made);
  return made;
}
