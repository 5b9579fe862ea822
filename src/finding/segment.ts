import type { Capability } from '../catalog/catalog.ts';
import { isObject } from '../wire/json.ts';
import { type Field, fields, type Texts, textsOfCapability } from './fields.ts';
import { makeShared, type Profile, profileOf } from './profile.ts';

/** Where one word stands: in which of a segment's capabilities, in their order, and what it counts in each. */
export interface Postings {
  readonly places: Uint32Array;
  readonly weights: Float32Array;
}

/** The index of what one upstream brings. It is made once and serves every toolbox and every caller. */
export interface Segment {
  readonly postings: ReadonlyMap<string, Postings>;
  /** Where each definition stands. */
  readonly places: ReadonlyMap<unknown, number>;
  readonly profiles: readonly Profile[];
  readonly size: number;
}

/** How long an index may be worked on at a stretch: calls come first. */
const sliceMs = 4;

/** Makes a segment in small slices, between which other work is done. */
export async function makeSegment(capabilities: readonly Capability<unknown>[]): Promise<Segment> {
  const growing = new Map<string, { readonly places: number[]; readonly weights: number[] }>();
  const places = new Map<unknown, number>();
  const profiles: Profile[] = [];
  const shared = makeShared();
  let untilMs = performance.now() + sliceMs;
  for (const capability of capabilities) {
    const place = places.size;
    if (places.has(capability.definition)) continue;
    places.set(capability.definition, place);
    const texts = textsOfCapability(capability);
    profiles.push(profileOf(texts, isObject(capability.published) ? capability.published : {}, shared));
    for (const [word, weight] of weightsOf(texts)) {
      let postings = growing.get(word);
      if (postings === undefined) {
        postings = { places: [], weights: [] };
        growing.set(word, postings);
      }
      postings.places.push(place);
      postings.weights.push(weight);
    }
    if (performance.now() < untilMs) continue;
    await new Promise(setImmediate);
    untilMs = performance.now() + sliceMs;
  }
  const postings = new Map(Array.from(growing, ([word, lists]) => [word, pack(lists)]));
  return { postings, places, profiles, size: places.size };
}

function pack({ places, weights }: { readonly places: number[]; readonly weights: number[] }): Postings {
  return { places: Uint32Array.from(places), weights: Float32Array.from(weights) };
}

/**
 * How much each word says of a capability: its occurrences, weighted by field and by the field's length (BM25F: Robertson, Zaragoza and
 * Taylor, Simple BM25 extension to multiple weighted fields, CIKM 2004).
 */
function weightsOf(texts: Texts): Map<string, number> {
  const found = new Map<string, number>();
  for (const [field, words] of Object.entries(texts.words) as [Field, readonly string[]][]) {
    const { weight, usualWords, lengthShare } = fields[field];
    const each = weight / (1 - lengthShare + lengthShare * (words.length / usualWords));
    for (const word of words) found.set(word, (found.get(word) ?? 0) + each);
  }
  return found;
}
