import { generalWords } from './general-words.ts';
import { stem } from './stem.ts';
import { allWordsOf, isFiller } from './words.ts';

/** Something that people say, as the words to look for it by. */
interface Sense {
  /** Stems, as they follow each other in a question. */
  readonly said: readonly string[];
  readonly means: readonly string[];
}

/** Which words mean the same. */
export interface Synonyms {
  /** What begins at this word of a question, the longest first. */
  at(words: readonly string[], place: number): readonly Sense[];
  /** Verbs of two words that begin here, with something between them, and where the second stands. */
  apart(words: readonly string[], place: number): readonly { readonly sense: Sense; readonly at: number }[];
}

/** Whoever says one of these words and phrases means the first ones. */
interface Group {
  readonly means: readonly string[];
  readonly said: readonly string[];
}

/** The general ones, and this company's own: groups of words and phrases that all mean the same. */
export function allSynonyms(own: readonly (readonly string[])[]): Synonyms {
  return readSynonyms([...readGeneral(generalWords), ...own.map((group) => ({ means: group, said: [] }))]);
}

function readGeneral(text: string): readonly Group[] {
  const lines = text.split('\n').filter((line) => line.includes('<'));
  return lines.map((line) => {
    const [means = [], said = []] = line.split('<').map((side) => side.split(','));
    return { means, said };
  });
}

function readSynonyms(groups: readonly Group[]): Synonyms {
  const byFirst = new Map<string, Map<string, { readonly said: readonly string[]; readonly means: Set<string> }>>();
  for (const group of groups) {
    const words = group.means.map(allWordsOf);
    for (const said of [...words, ...group.said.map(allWordsOf)]) {
      const [first] = said;
      if (first === undefined) continue;
      const senses = byFirst.get(first) ?? new Map();
      byFirst.set(first, senses);
      const key = said.join(' ');
      const sense = senses.get(key) ?? { said, means: new Set() };
      senses.set(key, sense);
      for (const word of words.flat()) if (!isFiller(word)) sense.means.add(word);
    }
  }
  const lists = new Map(Array.from(byFirst, ([first, senses]) => [first, [...senses.values()].map(frozen).sort(longestFirst)]));
  return {
    at: (words, place) =>
      (lists.get(words[place] ?? '') ?? none).filter(({ said }) => said.every((word, at) => words[place + at] === word)),
    apart: (words, place) =>
      (lists.get(words[place] ?? '') ?? none).flatMap((sense) => {
        const [, particle = '', ...rest] = sense.said;
        if (rest.length > 0 || !particles.has(particle)) return [];
        const at = words.indexOf(particle, place + 2);
        return at === -1 || at > place + mostBetween ? [] : [{ sense, at }];
      }),
  };
}

// Those that part from their verb in English: throw it away, call the meeting off.
const particles: ReadonlySet<string> = new Set(['away', 'back', 'off', 'on', 'up', 'out', 'down', 'over', 'into'].map(stem));
const mostBetween = 5;

const none: readonly Sense[] = [];

function frozen({ said, means }: { readonly said: readonly string[]; readonly means: ReadonlySet<string> }): Sense {
  return { said, means: [...means] };
}

function longestFirst(a: Sense, b: Sense): number {
  return b.said.length - a.said.length;
}
