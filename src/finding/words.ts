import { longestText } from './plain-text.ts';
import { stem } from './stem.ts';

const longestWord = 40;

/**
 * The words of a text, in its order, each as its stem: names such as `listOpenIssues`, `repos/create-fork` and `chat_postMessage` are
 * taken apart, accents are dropped, and words that stand in every text are left out.
 */
export function wordsOf(text: string): string[] {
  return allWordsOf(text).filter((word) => !isFiller(word));
}

/** The same with the words that stand in every text. */
export function allWordsOf(text: string): string[] {
  const found: string[] = [];
  const plain = text
    .slice(0, longestText)
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .replaceAll(/['’]/g, '');
  for (const [run] of plain.matchAll(/[\p{L}\p{N}]+/gu)) {
    for (const part of split(run)) {
      const word = part.toLowerCase();
      if (word.length <= longestWord) found.push(stemOf(word));
    }
  }
  return found;
}

function split(run: string): readonly string[] {
  if (!/[a-z][A-Z]|[A-Z]{2}[a-z]|\p{L}\p{N}|\p{N}\p{L}/u.test(run)) return [run];
  return run.match(/\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{Lo}\p{Lm}]+|\p{N}+/gu) ?? [run];
}

// Texts of tools use few thousand words again and again.
const stems = new Map<string, string>();
const mostStems = 50_000;

function stemOf(word: string): string {
  let known = stems.get(word);
  if (known === undefined) {
    known = stem(word);
    if (stems.size >= mostStems) stems.clear();
    stems.set(word, known);
  }
  return known;
}

/** Whether a stem says nothing of what a text is about. */
export function isFiller(word: string): boolean {
  return fillers.has(word);
}

const fillers = new Set(
  `a about after again all already also am an and any anybody anyone anything are as at automatically be because been before being below
  best both but by can cannot could did do does doing done dont each either else ever every everyone everything few for from
  further given gonna had has have having he her here hers him his how i id if ill im in into is isnt it its ive just kind know lets
  like little lot many may me might mine more most much must my need needs no nor not nothing now of off on once one ones only onto or
  other our ours out over own per please really same shall she should so some somebody someone something still such than that thats
  the their them then there these they thing things this those through to too until up us very via want wants was way we well were
  what whats when where whether which while who whom whose why will with within without would yet you your yours`
    .split(/\s+/)
    .map(stem),
);
