import type { Wanted } from './query.ts';
import type { Postings } from './segment.ts';
import type { View } from './view.ts';

/** One thing that was found; a higher score fits better. Scores of two searches say nothing of each other. */
export interface Found<Entry> {
  readonly entry: Entry;
  readonly score: number;
}

/** How soon further occurrences of a word stop counting (BM25's k1). */
const saturation = 1.4;
/** How much the rarity of a word counts: by its full measure, one rare word beside the point outweighs all that were meant. */
const rarityPower = 0.6;
/** How much it counts that something has all of what is wanted and not one word of it often. */
const coveragePower = 0.5;

/**
 * What fits the wanted words, best first; what fits alike stays in the order of the view. How rare a word is counts, and it is counted
 * in what this view shows alone: what is hidden moves nothing.
 */
export function rank<Entry>(view: View<Entry>, wanted: readonly Wanted[], limit: number): readonly Found<Entry>[] {
  return byScore(view, scoresOf(view, wanted).scores).slice(0, limit);
}

/** The same without those that lack a wanted word which others have: what people expect of a catalog that they filter. */
export function filter<Entry>(view: View<Entry>, wanted: readonly Wanted[]): readonly Found<Entry>[] {
  const { scores, matched } = scoresOf(view, wanted);
  const most = Math.max(0, ...view.parts.map(({ entries }, part) => mostOf(entries, matched[part])));
  for (const [part, counts] of matched.entries())
    for (const [place, count] of counts.entries()) if (count < most && scores[part] !== undefined) scores[part][place] = 0;
  return byScore(view, scores);
}

function mostOf<Entry>(entries: readonly (Entry | undefined)[], counts: Uint8Array | undefined): number {
  let most = 0;
  for (const [place, entry] of entries.entries()) if (entry !== undefined) most = Math.max(most, counts?.[place] ?? 0);
  return most;
}

interface Scores {
  /** By part and place. */
  readonly scores: readonly Float64Array[];
  /** How many of the wanted each has. */
  readonly matched: readonly Uint8Array[];
}

function scoresOf<Entry>(view: View<Entry>, wanted: readonly Wanted[]): Scores {
  const scores = view.parts.map(({ entries }) => new Float64Array(entries.length));
  const best = view.parts.map(({ entries }) => new Float64Array(entries.length));
  const matched = view.parts.map(({ entries }) => new Uint8Array(entries.length));
  for (const { words, isHint = false } of wanted) {
    for (const scratch of best) scratch.fill(0);
    for (const [word, share] of words) {
      const postings = view.parts.map(({ segment }) => segment.postings.get(word));
      const rarity = share * rarityOf(view, postings);
      for (const [part, list] of postings.entries()) if (list !== undefined) raise(best[part], list, rarity);
    }
    for (const [part, scratch] of best.entries()) {
      add(scores[part], scratch, isHint);
      if (!isHint) count(matched[part], scratch);
    }
  }
  const known = wanted.filter(({ words, isHint }) => isHint !== true && words.some(([word]) => isThere(view, word))).length;
  for (const [part, counts] of matched.entries())
    for (let place = 0; place < counts.length; place++) cover(scores[part], place, (counts[place] ?? 0) / Math.max(1, known));
  return { scores, matched };
}

/** Whether this view shows anything with a word: one that nothing has asks for nothing. */
function isThere<Entry>({ parts }: View<Entry>, word: string): boolean {
  return parts.some(({ segment, entries }) => segment.postings.get(word)?.places.some((place) => entries[place] !== undefined));
}

function cover(scores: Float64Array | undefined, place: number, share: number): void {
  if (scores !== undefined) scores[place] = (scores[place] ?? 0) * share ** coveragePower;
}

function rarityOf<Entry>({ size, parts }: View<Entry>, postings: readonly (Postings | undefined)[]): number {
  let seen = 0;
  for (const [part, list] of postings.entries()) {
    const entries = parts[part]?.entries ?? [];
    for (const place of list?.places ?? []) if (entries[place] !== undefined) seen++;
  }
  return seen === 0 ? 0 : Math.log(1 + (size - seen + 0.5) / (seen + 0.5)) ** rarityPower;
}

// Of a word and those that mean the same, the one that fits best counts: a text that uses all of them fits no better.
function raise(best: Float64Array | undefined, { places, weights }: Postings, rarity: number): void {
  if (best === undefined) return;
  for (let at = 0; at < places.length; at++) {
    const place = places[at] ?? 0;
    const weight = weights[at] ?? 0;
    const score = (rarity * weight * (saturation + 1)) / (weight + saturation);
    if (score > (best[place] ?? 0)) best[place] = score;
  }
}

function add(scores: Float64Array | undefined, scratch: Float64Array, isHint: boolean): void {
  if (scores === undefined) return;
  for (let place = 0; place < scores.length; place++) {
    const score = scores[place] ?? 0;
    if (!isHint || score > 0) scores[place] = score + (scratch[place] ?? 0);
  }
}

function count(matched: Uint8Array | undefined, scratch: Float64Array): void {
  if (matched === undefined) return;
  for (let place = 0; place < scratch.length; place++) if ((scratch[place] ?? 0) > 0) matched[place] = (matched[place] ?? 0) + 1;
}

function byScore<Entry>({ parts }: View<Entry>, scores: readonly Float64Array[]): readonly Found<Entry>[] {
  const found: Found<Entry>[] = [];
  for (const [part, { entries }] of parts.entries()) {
    for (const [place, score] of scores[part]?.entries() ?? []) {
      const entry = entries[place];
      if (score > 0 && entry !== undefined) found.push({ entry, score });
    }
  }
  return found.sort((a, b) => b.score - a.score);
}
