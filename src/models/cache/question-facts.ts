import {
  askedFor,
  dates,
  functionWords,
  looseUnits,
  lowerCaseNames,
  negations,
  numbers,
  openers,
  times,
  units,
} from './guard-words.ts';

/** What a question says that another one must say as well to have the same answer. */
export interface QuestionFacts {
  /** English enough to be judged. */
  readonly isReadable: boolean;
  /** Words that carry something, names and numbers among them, in order; small, without endings. */
  readonly content: readonly string[];
  /** All words in order, small. */
  readonly words: readonly string[];
  readonly quotes: readonly string[];
  readonly numbers: readonly string[];
  readonly units: readonly string[];
  readonly dates: readonly string[];
  /** Identifiers, addresses, paths, as they are written. */
  readonly codes: readonly string[];
  /** Small. */
  readonly names: readonly string[];
  readonly negations: number;
  /** Of its first question word. */
  readonly asked: string | undefined;
}

interface Gathered {
  readonly content: string[];
  readonly words: string[];
  readonly numbers: string[];
  readonly units: string[];
  readonly dates: string[];
  readonly codes: string[];
  readonly names: string[];
  negations: number;
  asked: string | undefined;
}

const quoted = /"([^"]*)"|`([^`]*)`|«([^»]*)»|(?<![\p{L}\p{N}])'([^']+)'(?![\p{L}\p{N}])/gu;

export function readFacts(question: string): QuestionFacts {
  const text = question.normalize('NFKC').replaceAll(/[“”„]/g, '"').replaceAll(/[‘’]/g, "'").replaceAll(/[−–—]/g, '-');
  const quotes = Array.from(text.matchAll(quoted), ([whole]) => whole.slice(1, -1).trim());
  const found: Gathered = {
    content: [],
    words: [],
    numbers: [],
    units: [],
    dates: [],
    codes: [],
    names: [],
    negations: 0,
    asked: undefined,
  };
  let isFirst = true;
  let isAfterNumber = false;
  for (const token of text.replaceAll(quoted, ' ').split(/\s+/)) {
    const word = token.replace(/^[([{"',;:!?]+/, '').replace(/[)\]}"',;:!?.]+$/, '');
    if (word !== '') isAfterNumber = readToken(word, isFirst, isAfterNumber, found);
    if (word !== '' || /[.!?:]$/.test(token)) isFirst = /[.!?:]["')]*$/.test(token);
  }
  return { ...found, quotes, isReadable: isEnglish(text, found.words) };
}

/** Returns whether it was a number. */
function readToken(token: string, isFirst: boolean, isAfterNumber: boolean, found: Gathered): boolean {
  const amount = /^([-+]?)([$€£¥])?([-+]?)(\d[\d,]*(?:\.\d+)?|\.\d+)([a-z%°]*)$/i.exec(token);
  if (amount !== null && addAmount(amount, found)) return true;
  if (/[\d_/\\@#+=<>{}|~^*$&%]/.test(token) || /\p{L}[.:]\p{L}/u.test(token)) {
    found.codes.push(token);
    found.content.push(token);
    found.words.push(token.toLowerCase());
    return false;
  }
  const isNegated = /n't$/i.test(token);
  const bare = token.replace(/('s|'re|'ve|'ll|'d|'m|n't)$/i, '').replace(/'$/, '');
  // "can't" loses its n twice.
  const small = isNegated && bare.toLowerCase() === 'ca' ? 'can' : bare.toLowerCase();
  if (isNegated || negations.has(small)) found.negations += 1;
  if (small === 'cannot') return readWord('can', 'can', isFirst, isAfterNumber, found);
  return readWord(bare, small, isFirst, isAfterNumber, found);
}

function readWord(bare: string, small: string, isFirst: boolean, isAfterNumber: boolean, found: Gathered): boolean {
  const previous = found.words.at(-1);
  const number = numbers.get(small);
  if (number !== undefined) found.numbers.push(number);
  const named = units.get(small);
  const unit = named !== undefined && (isAfterNumber || !looseUnits.has(named)) ? named : undefined;
  if (unit !== undefined) found.units.push(unit);
  found.words.push(unit ?? small);
  const date = dates.get(small) ?? (times.has(small) && (isAfterNumber || !/^(am|ad|bc)$/.test(small)) ? small : undefined);
  if (date !== undefined) found.dates.push(date);
  if (found.asked === undefined) found.asked = askedFor.get(small) ?? (previous === 'how' ? howKind(small) : undefined);
  if (isName(bare, small, isFirst)) found.names.push(small);
  if (!functionWords.has(small)) found.content.push(number ?? unit ?? stem(small));
  return number !== undefined;
}

function howKind(word: string): string | undefined {
  return /^(many|much|long|often|old|far|tall|big|fast|high|deep|heavy|hot|cold|late|early)$/.test(word)
    ? `how ${word}`
    : undefined;
}

function isName(bare: string, small: string, isFirst: boolean): boolean {
  if (lowerCaseNames.has(small) || /.\p{Lu}/u.test(bare)) return true;
  if (!/^\p{Lu}/u.test(bare) || small === 'i') return false;
  return !isFirst || !(openers.has(small) || functionWords.has(small) || askedFor.has(small) || numbers.has(small));
}

/** `10`, `-5`, `$50`, `1,000.50`, `10km`, `20%`, `1st`. */
function addAmount([, sign, currency, innerSign, digits, ending]: RegExpExecArray, found: Gathered): boolean {
  const unit = ending === '' ? undefined : units.get(ending!.toLowerCase().replace('°', ''));
  const isOrdinal = /^(st|nd|rd|th)$/i.test(ending!);
  if (ending !== '' && ending !== '°' && unit === undefined && !isOrdinal) return false;
  const number = `${sign === '-' || innerSign === '-' ? '-' : ''}${Number(digits!.replaceAll(',', ''))}${isOrdinal ? ending!.toLowerCase() : ''}`;
  found.numbers.push(number);
  found.content.push(number);
  found.words.push(number);
  for (const named of [currency === undefined ? undefined : units.get(currency), unit])
    if (named !== undefined) found.units.push(named);
  return true;
}

/** Some word of every sentence's grammar, and next to nothing in other letters. */
function isEnglish(text: string, words: readonly string[]): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const plain = text.match(/[a-z]/gi)?.length ?? 0;
  return plain >= letters * 0.95 && words.some((word) => grammar.has(word));
}

const grammar: ReadonlySet<string> = new Set(
  `the of and is are was were what which who when where why how do does did can could would should my your me to for with from that this
  tell explain give please list write convert translate summarize define into an a in it have has there if`.split(/\s+/),
);

/** Endings that change no meaning here. Rough, the same for both questions. */
export function stem(word: string): string {
  if (word.length > 5 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  if (word.length > 5 && word.endsWith('ing')) return undouble(word.slice(0, -3));
  if (word.length > 4 && word.endsWith('ed')) return undouble(word.slice(0, -2));
  if (word.length > 4 && /(s|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  if (word.length > 3 && /[^su]s$/.test(word)) return undouble(word.slice(0, -1));
  return undouble(word);
}

function undouble(word: string): string {
  if (word.length > 3 && word.endsWith('e')) return word.slice(0, -1);
  return word.length > 4 && /([bdgmnprt])\1$/.test(word) ? word.slice(0, -1) : word;
}
