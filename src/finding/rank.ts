import type { Wanted } from './query.ts';
import type { Postings } from './segment.ts';
import type { View } from './view.ts';

/** How soon further occurrences of a word stop counting (BM25's k1). */
const saturation = 1.4;
/** How much the rarity of a word counts: by its full measure, one rare word beside the point outweighs all that were meant. */
const rarityPower = 0.6;

/** The scores of one part of a view while a question is answered. What no word reaches is not touched. */
interface Sheet<Entry> {
  readonly entries: readonly (Entry | undefined)[];
  readonly postings: ReadonlyMap<string, Postings>;
  readonly scores: Float64Array;
  /** How many of the wanted each has. */
  readonly matched: Uint8Array;
  /** Of the one wanted that is looked at. */
  readonly best: Float64Array;
  touched: number[];
}

/**
 * What fits the wanted words, best first; what fits alike stays in the order of the view. How rare a word is counts, and it is counted
 * in what this view shows alone: what is hidden moves nothing.
 */
export function rank<Entry>(view: View<Entry>, wanted: readonly Wanted[], limit: number): readonly Entry[] {
  return best(score(view, wanted), 1, limit);
}

/** The same without those that lack a wanted word which others have: what people expect of a catalog that they filter. */
export function filter<Entry>(view: View<Entry>, wanted: readonly Wanted[]): readonly Entry[] {
  const sheets = score(view, wanted);
  let most = 1;
  for (const { matched } of sheets) for (const count of matched) if (count > most) most = count;
  return best(sheets, most, Number.POSITIVE_INFINITY);
}

function score<Entry>({ size, parts }: View<Entry>, wanted: readonly Wanted[]): readonly Sheet<Entry>[] {
  const sheets = parts.map(({ entries, segment }): Sheet<Entry> => {
    const [scores, best] = [new Float64Array(entries.length), new Float64Array(entries.length)];
    return { entries, postings: segment.postings, scores, matched: new Uint8Array(entries.length), best, touched: [] };
  });
  let known = 0;
  for (const { words, isHint = false } of wanted) {
    for (const [word, share] of words) {
      const rarity = share * rarityOf(sheets, size, word);
      if (rarity > 0) for (const sheet of sheets) raise(sheet, word, rarity);
    }
    if (!isHint && sheets.some(({ touched }) => touched.length > 0)) known++;
    for (const sheet of sheets) settle(sheet, isHint);
  }
  for (const sheet of sheets) cover(sheet, known);
  return sheets;
}

/** 0 for a word that this view shows nowhere. */
function rarityOf<Entry>(sheets: readonly Sheet<Entry>[], size: number, word: string): number {
  let seen = 0;
  for (const { postings, entries } of sheets) {
    const places = postings.get(word)?.places;
    if (places === undefined) continue;
    for (let at = 0; at < places.length; at++) if (entries[places[at] ?? 0] !== undefined) seen++;
  }
  return seen === 0 ? 0 : Math.log(1 + (size - seen + 0.5) / (seen + 0.5)) ** rarityPower;
}

// Of a word and those that mean the same, the one that fits best counts: a text that uses all of them fits no better.
function raise<Entry>({ postings, entries, best, touched }: Sheet<Entry>, word: string, rarity: number): void {
  const list = postings.get(word);
  if (list === undefined) return;
  const { places, weights } = list;
  for (let at = 0; at < places.length; at++) {
    const place = places[at] ?? 0;
    if (entries[place] === undefined) continue;
    const weight = weights[at] ?? 0;
    const score = (rarity * weight * (saturation + 1)) / (weight + saturation);
    const before = best[place] ?? 0;
    if (score <= before) continue;
    if (before === 0) touched.push(place);
    best[place] = score;
  }
}

function settle<Entry>(sheet: Sheet<Entry>, isHint: boolean): void {
  const { scores, matched, best, touched } = sheet;
  for (const place of touched) {
    const score = scores[place] ?? 0;
    if (!isHint) matched[place] = (matched[place] ?? 0) + 1;
    if (!isHint || score > 0) scores[place] = score + (best[place] ?? 0);
    best[place] = 0;
  }
  sheet.touched = [];
}

// Whatever has something of all that is wanted fits better than what has one word of it often. A word that nothing has asks for nothing.
function cover<Entry>({ scores, matched }: Sheet<Entry>, known: number): void {
  for (let place = 0; place < scores.length; place++) {
    const count = matched[place] ?? 0;
    if (count > 0) scores[place] = (scores[place] ?? 0) * Math.sqrt(count / known);
  }
}

function best<Entry>(sheets: readonly Sheet<Entry>[], leastMatched: number, limit: number): readonly Entry[] {
  const found: { readonly entry: Entry; readonly score: number }[] = [];
  let least = 0;
  const shorten = () => {
    found.sort((a, b) => b.score - a.score);
    found.length = Math.min(found.length, limit);
    least = found.at(-1)?.score ?? 0;
  };
  for (const { entries, scores, matched } of sheets) {
    for (let place = 0; place < scores.length; place++) {
      const score = scores[place] ?? 0;
      const entry = entries[place];
      if (entry === undefined || (matched[place] ?? 0) < leastMatched || score <= least) continue;
      found.push({ entry, score });
      // Only the best are wanted: what cannot be among them is not even kept.
      if (found.length >= limit * 4) shorten();
    }
  }
  shorten();
  return found.map(({ entry }) => entry);
}
