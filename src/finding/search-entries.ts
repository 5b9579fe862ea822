import { readQuery, type Wanted } from './query.ts';
import { filter } from './rank.ts';
import { allSynonyms, type Synonyms } from './synonyms.ts';
import { type Findable, type View, viewOf } from './view.ts';

const made = new WeakMap<readonly (readonly string[])[], Synonyms>();

/**
 * Those of some entries that hold the words of a text, or what means the same, best first; where none holds all, those with the
 * most. `whole` stands for the entries from one search to the next, where they stay the same.
 */
type EntrySearch<Entry> = (
  entries: readonly Entry[],
  text: string,
  own: readonly (readonly string[])[],
  whole?: object,
) => Promise<readonly Entry[]>;

export function makeEntrySearch<Entry extends Findable>(): EntrySearch<Entry> {
  const views = new WeakMap<object, View<Entry>>();
  return async (entries, text, own, whole) => {
    let view = whole === undefined ? undefined : views.get(whole);
    view ??= await viewOf(entries);
    if (whole !== undefined) views.set(whole, view);
    const found = view;
    const { wanted, actions } = readQuery(text, synonymsOf(own));
    return filter(found, { wanted: wanted.map((one) => completed(found, one)), actions });
  };
}

function synonymsOf(own: readonly (readonly string[])[]): Synonyms {
  let synonyms = made.get(own);
  if (synonyms === undefined) {
    synonyms = allSynonyms(own);
    made.set(own, synonyms);
  }
  return synonyms;
}

const mostEndings = 50;

/** Somebody who is still typing means every word that begins so. */
function completed(view: View<unknown>, wanted: Wanted): Wanted {
  const [first] = wanted.words;
  const isKnown = wanted.words.some(([word]) => view.parts.some(({ segment }) => segment.postings.has(word)));
  if (first === undefined || isKnown || first[0].length < 2) return wanted;
  const endings = new Set<string>();
  for (const { segment } of view.parts) {
    for (const word of segment.postings.keys()) if (word.startsWith(first[0]) && endings.size < mostEndings) endings.add(word);
  }
  return { words: Array.from(endings, (word) => [word, first[1]] as const) };
}
