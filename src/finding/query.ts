import { stem } from './stem.ts';
import type { Synonyms } from './synonyms.ts';
import { allWordsOf, isFiller } from './words.ts';

/** One thing that a question asks for: words of which the one that fits best counts, each by its share. */
export interface Wanted {
  readonly words: readonly (readonly [word: string, share: number])[];
  /** Tells what fits otherwise apart and finds nothing by itself. Comes last. */
  readonly isHint?: boolean;
}

/** Stand in the index for what annotations say. */
export const readsWord = '=reads';
export const changesWord = '=changes';
const questions = new Set(
  'what which who when where why how is are do does did has have was were show list get find read see search look view check'
    .split(' ')
    .map(stem),
);

/** Words of a question that count; a longer one is a text and no question. */
const mostWords = 64;
/** What a word counts that was not said but means the same. */
const synonymShare = 0.7;
/** What the only telling word of a phrase counts. */
const idiomShare = 0.3;
/** What it counts that a question is put to what answers, and a wish to what acts. */
const hintShare = 1;

/** What a question asks for. Empty where it holds no word that could tell one thing from another. */
export function readQuery(text: string, synonyms: Synonyms): readonly Wanted[] {
  const words = allWordsOf(text).slice(0, mostWords);
  const wanted = new Map<string, Wanted>();
  let place = 0;
  while (place < words.length) {
    const [parted] = synonyms.apart(words, place);
    if (parted !== undefined) {
      wanted.set(parted.sense.said.join(' '), { words: parted.sense.means.map((word) => [word, synonymShare] as const) });
      words.splice(parted.at, 1);
      place += 1;
      continue;
    }
    const senses = synonyms.at(words, place);
    const length = Math.max(1, ...senses.map(({ said }) => said.length));
    const said = words.slice(place, place + length);
    const own = said.filter((word) => !isFiller(word));
    const shares = new Map<string, number>();
    for (const { said, means } of senses) if (said.length === length) for (const word of means) shares.set(word, synonymShare);
    // A phrase may be more than its words: "call off" is about no call, but a "pull request" is about both.
    if (own.length > 1) for (const word of own) wanted.set(word, { words: [[word, 1]] });
    else for (const word of own) shares.set(word, length === 1 ? 1 : (shares.get(word) ?? idiomShare));
    if (shares.size > 0) wanted.set(said.join(' '), { words: [...shares] });
    place += length;
  }
  const asks = words.length > 0 && questions.has(words[0] ?? '');
  return [...wanted.values(), { words: [[asks ? readsWord : changesWord, hintShare]], isHint: true }];
}
