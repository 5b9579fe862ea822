import { fitness, type Heard, type HeardWanted, type HeardWord, type Look } from './fitness.ts';
import type { Question } from './query.ts';
import type { Postings, Segment } from './segment.ts';
import type { View } from './view.ts';

/** How soon further occurrences of a word stop counting (BM25's k1). */
const saturation = 2;
/** How much the rarity of a word counts: by its full measure, one rare word beside the point outweighs all that were meant. */
const rarityPower = 0.5;
/** How many of those whose words fit best are looked at a second time. */
const mostLookedAt = 80;

/** The scores of one part of a view while a question is answered. What no word reaches is not touched. */
interface Sheet<Entry> {
  readonly entries: readonly (Entry | undefined)[];
  readonly segment: Segment;
  /** How many entries there are. */
  readonly size: number;
  readonly scores: Float64Array;
  /** How many of the wanted each has, and how much they tell. */
  readonly matched: Uint8Array;
  readonly covered: Float64Array;
  /** Of the one wanted that is looked at. */
  readonly best: Float64Array;
  touched: number[];
  /** How much of the wanted this part as a whole speaks of. */
  spoken: number;
}

interface Found<Entry> {
  readonly sheet: Sheet<Entry>;
  readonly place: number;
  readonly entry: Entry;
  readonly score: number;
}

/**
 * What fits a question, best first; what fits alike stays in the order of the view. How rare a word is counts, and it is counted in
 * what this view shows alone: what is hidden moves nothing.
 */
export function rank<Entry>(view: View<Entry>, question: Question, limit: number): readonly Entry[] {
  const { sheets, heard } = score(view, question);
  return inOrder(best(sheets, heard, 1, Math.max(limit, mostLookedAt)), heard, limit);
}

/** The same without those that lack a wanted word which others have: what people expect of a catalog that they filter. */
export function filter<Entry>(view: View<Entry>, question: Question): readonly Entry[] {
  const { sheets, heard } = score(view, question);
  let most = 1;
  for (const { matched } of sheets) for (const count of matched) if (count > most) most = count;
  return inOrder(best(sheets, heard, most, Number.POSITIVE_INFINITY), heard, Number.POSITIVE_INFINITY);
}

function score<Entry>(view: View<Entry>, { wanted, actions }: Question): { sheets: readonly Sheet<Entry>[]; heard: Heard } {
  const sheets = view.parts.map(openSheet);
  const rarity = (word: string) => view.rarities.get(word) ?? rarityOf(view, word);
  const shares = new Map<string, number>();
  const known: HeardWanted[] = [];
  for (const { words } of wanted) {
    let most = 0;
    const heard: HeardWord[] = [];
    for (const [word, share] of words) {
      shares.set(word, Math.max(shares.get(word) ?? 0, share));
      const tells = share * rarity(word);
      if (tells <= 0) continue;
      heard.push({ word, share, tells });
      most = Math.max(most, tells);
      for (const sheet of sheets) raise(sheet, word, tells);
    }
    // What nothing has asks for nothing.
    if (most === 0) continue;
    known.push({ words: heard, most });
    for (const sheet of sheets) settle(sheet, most);
  }
  return { sheets, heard: { wanted: known, shares, rarity, actions, total: known.reduce((sum, { most }) => sum + most, 0) } };
}

function openSheet<Entry>({ entries, segment, size }: View<Entry>['parts'][number]): Sheet<Entry> {
  const numbers = () => new Float64Array(entries.length);
  const [scores, covered, best] = [numbers(), numbers(), numbers()];
  return { entries, segment, size, scores, matched: new Uint8Array(entries.length), covered, best, touched: [], spoken: 0 };
}

/** 0 for a word that this view shows nowhere. Only those of its own texts are remembered, and there are only so many. */
function rarityOf<Entry>({ size, parts, rarities }: View<Entry>, word: string): number {
  let seen = 0;
  for (const { segment, entries } of parts) {
    const places = segment.postings.get(word)?.places;
    if (places === undefined) continue;
    for (let at = 0; at < places.length; at++) if (entries[places[at] ?? 0] !== undefined) seen++;
  }
  if (seen === 0) return 0;
  const rarity = Math.log(1 + (size - seen + 0.5) / (seen + 0.5)) ** rarityPower;
  rarities.set(word, rarity);
  return rarity;
}

// Of a word and those that mean the same, the one that fits best counts: a text that uses all of them fits no better.
function raise<Entry>({ segment, entries, best, touched }: Sheet<Entry>, word: string, tells: number): void {
  const list: Postings | undefined = segment.postings.get(word);
  if (list === undefined) return;
  const { places, weights } = list;
  for (let at = 0; at < places.length; at++) {
    const place = places[at] ?? 0;
    if (entries[place] === undefined) continue;
    const weight = weights[at] ?? 0;
    const score = (tells * weight * (saturation + 1)) / (weight + saturation);
    const before = best[place] ?? 0;
    if (score <= before) continue;
    if (before === 0) touched.push(place);
    best[place] = score;
  }
}

/** A part of a view speaks of something where more than about this share of its entries do. */
const usualShare = 1 / 6;
/** Of a small part, a few entries say less about all of it. */
const extraSize = 10;

function settle<Entry>(sheet: Sheet<Entry>, most: number): void {
  const { scores, matched, covered, best, touched } = sheet;
  let speaking = 0;
  for (const place of touched) {
    const score = best[place] ?? 0;
    speaking += Math.min(1, score / most / 1.2);
    matched[place] = (matched[place] ?? 0) + 1;
    covered[place] = (covered[place] ?? 0) + most;
    scores[place] = (scores[place] ?? 0) + score;
    best[place] = 0;
  }
  const share = speaking / (sheet.size + extraSize);
  sheet.spoken += (most * share) / (share + usualShare);
  sheet.touched = [];
}

function best<Entry>(sheets: readonly Sheet<Entry>[], heard: Heard, leastMatched: number, limit: number): Found<Entry>[] {
  const found: Found<Entry>[] = [];
  let least = 0;
  const shorten = () => {
    found.sort(byScore);
    found.length = Math.min(found.length, limit);
    least = found.length < limit ? 0 : (found.at(-1)?.score ?? 0);
  };
  for (const sheet of sheets) {
    const { entries, scores, matched, covered } = sheet;
    for (let place = 0; place < scores.length; place++) {
      const words = scores[place] ?? 0;
      if (words <= least || (matched[place] ?? 0) < leastMatched) continue;
      // Whatever has something of all that is wanted fits better than what has one word of it often.
      const score = words * Math.sqrt((covered[place] ?? 0) / heard.total);
      const entry = entries[place];
      if (entry === undefined || score <= least) continue;
      found.push({ sheet, place, entry, score });
      // Only the best are wanted: what cannot be among them is not even kept.
      if (found.length >= limit * 4) shorten();
    }
  }
  shorten();
  return found;
}

function inOrder<Entry>(found: readonly Found<Entry>[], heard: Heard, limit: number): readonly Entry[] {
  const looked = found.slice(0, mostLookedAt).map((one) => ({ entry: one.entry, score: fitness(lookAt(one, heard), heard) }));
  const rest = found.slice(mostLookedAt);
  return [...looked.sort(byScore), ...rest].slice(0, limit).map(({ entry }) => entry);
}

function lookAt<Entry>({ sheet, place }: Found<Entry>, { total }: Heard): Look {
  const { segment, scores, covered, spoken } = sheet;
  return {
    profile: segment.profiles[place],
    score: scores[place] ?? 0,
    covered: (covered[place] ?? 0) / total,
    spoken: spoken / total,
  };
}

function byScore(a: { readonly score: number }, b: { readonly score: number }): number {
  return b.score - a.score;
}
