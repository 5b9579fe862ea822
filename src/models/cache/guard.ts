import {
  alike,
  asking,
  directions,
  doable,
  fillers,
  functionWords,
  opposites,
  placing,
  reversing,
  sameAs,
} from './guard-words.ts';
import { type QuestionFacts, readFacts, stem } from './question-facts.ts';

/** Why two questions are not taken for the same. */
type Objection =
  | 'language'
  | 'numbers'
  | 'quotes'
  | 'codes'
  | 'units'
  | 'dates'
  | 'names'
  | 'negation'
  | 'asked for'
  | 'tense'
  | 'opposites'
  | 'order'
  | 'words';

/**
 * What speaks against giving one question's answer to another, however alike an embedding finds them; undefined: nothing. Embeddings
 * hardly see a number, a name, a "not" or which of two things comes first. It knows English, and objects to what it cannot read; it
 * rather objects too often: then the model is asked, as without a cache.
 */
export function objection(first: string, second: string): Objection | undefined {
  const [a, b] = [readFacts(first), readFacts(second)];
  if (!a.isReadable || !b.isReadable) return 'language';
  // Words of one or two letters: what follows takes time by the square of them.
  if (a.words.length > mostWords || b.words.length > mostWords) return 'words';
  if (!agree(a.numbers, b.numbers)) return 'numbers';
  if (!agree(a.quotes, b.quotes)) return 'quotes';
  if (!agree(a.codes, b.codes)) return 'codes';
  if (!agreeUnordered(a.units, b.units)) return 'units';
  if (!agreeUnordered(a.dates, b.dates)) return 'dates';
  if (!namesAgree(a, b) || !agreeUnordered(a.others, b.others)) return 'names';
  if (!agreeUnordered(a.negations, b.negations)) return 'negation';
  if (a.asked !== undefined && b.asked !== undefined && a.asked !== b.asked) return 'asked for';
  if (a.kind !== undefined && b.kind !== undefined && a.kind !== b.kind) return 'asked for';
  if (a.tense !== b.tense) return 'tense';
  if (haveOpposites(a, b) || haveOtherExtremes(a, b)) return 'opposites';
  if (isReordered(a, b) || isTurnedRound(a, b) || isTurnedRound(b, a) || isPassive(a) !== isPassive(b)) return 'order';
  if (areShuffled(a, b)) return 'order';
  if (shareLittle(a.content, b.content) || Math.abs(a.words.length - b.words.length) > mostMoreWords) return 'words';
  if (haveWordsOfOneStem(a, b)) return 'words';
  return differInSomeWords(a, b) || differInFewWords(a.content, b.content) ? 'words' : undefined;
}

/** More than a question of 2,000 characters has. */
const mostWords = 450;
/** Small words alone make sentences, too. */
const mostMoreWords = 8;

function agree(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}

function agreeUnordered(a: readonly string[], b: readonly string[]): boolean {
  return agree([...a].sort(), [...b].sort());
}

/** Every name of one is in the other, however it is written there, and those that both name come in the same order. */
function namesAgree(a: QuestionFacts, b: QuestionFacts): boolean {
  if (!a.names.every((name) => isNamed(name, b)) || !b.names.every((name) => isNamed(name, a))) return false;
  const names = new Set([...a.names, ...b.names]);
  const inOrder = ({ words }: QuestionFacts) => [...new Set(words.filter((word) => names.has(word)))];
  return agree(inOrder(a), inOrder(b));
}

/** "US" and "IT" are no "us" and "it". */
function isNamed(name: string, { names, words }: QuestionFacts): boolean {
  return functionWords.has(name) ? names.includes(name) : words.includes(name);
}

const oppositesOf: ReadonlyMap<string, ReadonlySet<string>> = (() => {
  const found = new Map<string, Set<string>>();
  const add = (word: string, other: string) => found.set(word, (found.get(word) ?? new Set()).add(other));
  for (const pair of opposites) {
    const [a, b] = [stem(pair[0]), stem(pair[1])];
    add(a, b);
    add(b, a);
  }
  return found;
})();

/** One says a word, the other says its opposite in its place. */
function haveOpposites(a: QuestionFacts, b: QuestionFacts): boolean {
  const [all, others] = [stems(a), stems(b)];
  const only = (mine: ReadonlySet<string>, theirs: ReadonlySet<string>) =>
    [...mine].filter((word) => !theirs.has(word)).flatMap(degrees);
  const onlyA = only(all, others);
  const onlyB = new Set(only(others, all));
  return onlyA.some((word) => {
    for (const opposite of oppositesOf.get(word) ?? []) if (onlyB.has(opposite)) return true;
    for (const other of onlyB) if (reverses(word, other) || reverses(other, word)) return true;
    return false;
  });
}

/** Each asks for an extreme, and for another one: "cheapest", "most expensive". */
function haveOtherExtremes(a: QuestionFacts, b: QuestionFacts): boolean {
  const [mine, theirs] = [extremes(a), extremes(b)];
  return mine.length > 0 && theirs.length > 0 && !mine.some((word) => theirs.some((other) => isSame(word, other)));
}

function extremes({ words }: QuestionFacts): readonly string[] {
  return words.filter((word, at) => isSuperlative(word) || /^(most|least)$/.test(words[at - 1] ?? '')).map(stem);
}

function stems({ words }: QuestionFacts): ReadonlySet<string> {
  return new Set(words.map(stem));
}

/** "cheaper", and "cheap". */
function degrees(word: string): readonly string[] {
  const plain = /^(.{3,}?)(er|est)$/.exec(word)?.[1];
  return plain === undefined ? [word] : [word, stem(plain)];
}

function reverses(word: string, other: string): boolean {
  if (word.length > 3 && other.length > word.length && other.endsWith(word))
    return reversing.includes(other.slice(0, -word.length));
  return word.endsWith('ful') && other === `${word.slice(0, -3)}less`;
}

/** What both say comes in another order: only all of it may, where a phrase moved from one end to the other. */
function isReordered(a: QuestionFacts, b: QuestionFacts): boolean {
  const common = (mine: QuestionFacts, theirs: QuestionFacts) => mine.content.filter((word) => theirs.content.includes(word));
  const [mine, theirs] = [common(a, b), common(b, a)];
  if (agree(mine, theirs) || mine.length < 2) return false;
  if (!agreeUnordered(a.content, b.content)) return true;
  return !a.content.some((_, at) => at > 0 && isMoved(a, b, at));
}

/** The content of `a`, cut at this place and put together the other way round, is that of `b`, and one part may stand at either end. */
function isMoved(a: QuestionFacts, b: QuestionFacts, at: number): boolean {
  const [head, tail] = [a.content.slice(0, at), a.content.slice(at)];
  if (!agree([...tail, ...head], b.content)) return false;
  return [head, tail].some(
    (part) => (isPlaced(part[0]!, a) && isPlaced(part[0]!, b)) || (part.length === 1 && isSuperlative(part[0]!)),
  );
}

function isPlaced(word: string, { words }: QuestionFacts): boolean {
  const at = words.findIndex((candidate) => stem(candidate) === word);
  return (
    placing.has(words[at - 1] ?? '') || (placing.has(words[at - 2] ?? '') && /^(the|a|an|my|our)$/.test(words[at - 1] ?? ''))
  );
}

function isSuperlative(word: string): boolean {
  return (word.length > 5 && word.endsWith('est')) || word === 'worst' || word === 'best';
}

/** What stands before and after "to", "from", "than" in one question stands the other way round in the other. */
function isTurnedRound(a: QuestionFacts, b: QuestionFacts): boolean {
  const content = new Set(a.content);
  const wordsOf = ({ words }: QuestionFacts) => words.map(stem);
  const [mine, theirs] = [wordsOf(a), wordsOf(b)];
  return a.words.some((word, at) => {
    if (!directions.has(word)) return false;
    const before = mine.slice(0, at).findLast((candidate) => content.has(candidate));
    const after = mine.slice(at + 1).find((candidate) => content.has(candidate));
    if (before === undefined || after === undefined || before === after) return false;
    const [left, right] = [theirs.indexOf(before), theirs.indexOf(after)];
    return left >= 0 && right >= 0 && right < left && b.words.some((other) => directions.has(other));
  });
}

/** "By" turns round who does it. */
function isPassive({ words }: QuestionFacts): boolean {
  return words.includes('by');
}

/** Less than half of what the shorter one says is in the longer one. */
function shareLittle(a: readonly string[], b: readonly string[]): boolean {
  const shorter = Math.min(a.length, b.length);
  return a.length - without(a, b).length < shorter / 2;
}

/** Word for word the same but for some, be they the smallest: "on", "she", "need". */
function differInSomeWords(a: QuestionFacts, b: QuestionFacts): boolean {
  const [mine, theirs] = [plainOf(a), plainOf(b)];
  if (mine.length !== theirs.length) return false;
  const apart = mine.filter((_, at) => !standsFor(mine, theirs, at));
  // Where words have only moved on, the places say nothing.
  const isAligned = apart.length === without(mine.map(stem), theirs.map(stem)).length;
  return apart.length === 1 || (apart.length > 0 && isAligned && apart.length <= mine.length / 2);
}

/** The same words in another order, but for a phrase that moved from one end to the other. */
function areShuffled(a: QuestionFacts, b: QuestionFacts): boolean {
  const [mine, theirs] = [plainOf(a), plainOf(b)];
  if (!agreeUnordered(mine, theirs)) return false;
  return !mine.some((_, at) => agree([...mine.slice(at), ...mine.slice(0, at)], theirs));
}

function plainOf({ words }: QuestionFacts): readonly string[] {
  return words.filter((word) => !fillers.has(word));
}

function standsFor(mine: readonly string[], theirs: readonly string[], at: number): boolean {
  const [word, other] = [mine[at]!, theirs[at]!];
  if (word === other || areAlike(word, other)) return true;
  if (isSame(stem(word), stem(other)) && !areOtherWords(word, other)) return true;
  if (mine[at - 1] === 'how' && theirs[at - 1] === 'how') return doable.has(word) && doable.has(other);
  // "Tell me" and "what is", "I need" and "give me".
  return at < 2 && asking.has(word) && asking.has(other) && asking.has(mine[1 - at]!) && asking.has(theirs[1 - at]!);
}

/** "Car" and "care", "plan" and "planes" have one stem. */
function areOtherWords(word: string, other: string): boolean {
  const [one, two] = [word.replace(/s$/, ''), other.replace(/s$/, '')];
  return one === `${two}e` || two === `${one}e`;
}

function haveWordsOfOneStem(a: QuestionFacts, b: QuestionFacts): boolean {
  return a.content.some((word, at) => {
    const theirs = b.plain.filter((_, place) => b.content[place] === word);
    return theirs.length > 0 && theirs.every((other) => areOtherWords(a.plain[at]!, other));
  });
}

function areAlike(word: string, other: string): boolean {
  return alike.some((group) => group.has(word) && group.has(other));
}

/** Word for word the same but for a few; or one says what the other says, and more. */
function differInFewWords(a: readonly string[], b: readonly string[]): boolean {
  const onlyA = without(a, b);
  const onlyB = without(b, a);
  if (onlyA.length === 0 && onlyB.length === 0) return false;
  if (onlyA.length === 0 || onlyB.length === 0) return true;
  if (a.length !== b.length) return false;
  return onlyA.length <= Math.max(1, a.length / 3);
}

function without(words: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others];
  return words.filter((word) => {
    const at = left.findIndex((other) => isSame(word, other));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const sameStems: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  [...sameAs].map(([word, others]) => [stem(word), new Set([...others].map(stem))]),
);

function isSame(a: string, b: string): boolean {
  return a === b || sameStems.get(a)?.has(b) === true;
}
