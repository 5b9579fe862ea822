import { type Action, type Actions, actionsOf, reading } from './actions.ts';
import { stem } from './stem.ts';
import type { Synonyms } from './synonyms.ts';
import { allWordsOf, isFiller } from './words.ts';

/** One thing that a question asks for: words of which the one that fits best counts, each by its share. */
export interface Wanted {
  readonly words: readonly (readonly [word: string, share: number])[];
}

export interface Question {
  /** In the order of the question. Empty where it holds no word that could tell one thing from another. */
  readonly wanted: readonly Wanted[];
  /** What is to be done. */
  readonly actions: Actions;
}

const asking = new Set(
  'what which who whose when where why how is are do does did has have was were am will can could'.split(' ').map(stem),
);

/** Words of a question that count; a longer one is a text and no question. */
const mostWords = 64;
/** What a word counts that was not said but means the same. */
const synonymShare = 0.7;
/** What the words of a phrase count that means something else than they do. */
const idiomShare = 0.25;

export function readQuery(text: string, synonyms: Synonyms): Question {
  const words = allWordsOf(text).slice(0, mostWords);
  const wanted = new Map<string, Wanted>();
  const asks = asking.has(words[0] ?? '');
  let actions: Actions = new Map(asks ? reading.map((action) => [action, 1]) : []);
  let place = 0;
  const want = (said: string, shares: ReadonlyMap<string, number>) => {
    if (shares.size === 0) return;
    wanted.set(said, { words: [...shares] });
    // The first verb is what is to be done.
    if (actions.size === 0) actions = actionsIn(shares);
  };
  while (place < words.length) {
    const [parted] = synonyms.apart(words, place);
    if (parted !== undefined) {
      want(parted.sense.said.join(' '), new Map(parted.sense.means.map((word) => [word, synonymShare])));
      words.splice(parted.at, 1);
      place += 1;
      continue;
    }
    const senses = synonyms.at(words, place);
    const length = Math.max(1, ...senses.map(({ said }) => said.length));
    const said = words.slice(place, place + length);
    const own = said.filter((word) => !isFiller(word));
    const means = senses.filter((sense) => sense.said.length === length).flatMap((sense) => sense.means);
    const shares = new Map(means.map((word) => [word, synonymShare]));
    // A phrase may be more than its words: "get rid of" gets nothing, but a "pull request" is about both.
    const isIdiom = means.some((word) => actionsOf(word).length > 0);
    if (own.length > 1 && !isIdiom) for (const word of own) wanted.set(word, { words: [[word, 1]] });
    else for (const word of own) shares.set(word, length === 1 ? 1 : (shares.get(word) ?? idiomShare));
    want(said.join(' '), shares);
    place += length;
  }
  return { wanted: [...wanted.values()], actions };
}

function actionsIn(shares: ReadonlyMap<string, number>): Actions {
  const found = new Map<Action, number>();
  for (const [word, share] of shares)
    for (const action of actionsOf(word)) found.set(action, Math.max(found.get(action) ?? 0, share));
  return found;
}
