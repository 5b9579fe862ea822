import {
  askedFor,
  auxiliaries,
  caseUnits,
  dates,
  foreignWords,
  functionWords,
  looseUnits,
  lowerCaseNames,
  negations,
  numbers,
  openers,
  others,
  questionWords,
  tenses,
  times,
  units,
  ways,
} from './guard-words.ts';

/** What a question says that another one must say as well to have the same answer. */
export interface QuestionFacts {
  /** English enough to be judged. */
  readonly isReadable: boolean;
  /** Words that carry something, names, numbers and quotes among them, in order; small, without endings. */
  readonly content: readonly string[];
  /** The same with their endings. */
  readonly plain: readonly string[];
  /** All words in order, small. */
  readonly words: readonly string[];
  readonly quotes: readonly string[];
  readonly numbers: readonly string[];
  readonly units: readonly string[];
  readonly dates: readonly string[];
  /** Identifiers, addresses, paths, and whatever else counts as it is written. */
  readonly codes: readonly string[];
  /** Small. */
  readonly names: readonly string[];
  /** Of each "not" what it stands before. */
  readonly negations: readonly string[];
  /** Of its first question word. */
  readonly asked: string | undefined;
  /** `open`: what, how, who. `whether`: to be answered with yes or no. */
  readonly kind: 'open' | 'whether' | undefined;
  readonly tense: 'past' | 'future' | undefined;
  /** Who else it is about: he, she, they. */
  readonly others: readonly string[];
}

interface Gathered {
  readonly content: string[];
  readonly plain: string[];
  readonly words: string[];
  readonly numbers: string[];
  readonly units: string[];
  readonly dates: string[];
  readonly codes: string[];
  readonly names: string[];
  readonly negations: string[];
  readonly others: string[];
  /** "Not" that waits for what it stands before. */
  negated: number;
  asked: string | undefined;
  kind: QuestionFacts['kind'];
  tense: QuestionFacts['tense'];
}

const quoted = /"([^"]*)"|`([^`]*)`|«([^«»]*)»|(?<![\p{L}\p{N}])'([^']+)'(?![\p{L}\p{N}])/gu;

/** Raised and lowered digits and signs, which say something else than plain ones. */
const raised = /[\u00b2\u00b3\u00b9\u2070-\u209c]+/gu;

export function readFacts(question: string): QuestionFacts {
  const text = question
    .replaceAll(raised, (small) => `^${small}`)
    .normalize('NFKC')
    .replaceAll(/[“”„]/g, '"')
    .replaceAll(/[‘’]/g, "'")
    .replaceAll(/[−–—]/g, '-');
  const found: Gathered = {
    ...{ content: [], plain: [], words: [], numbers: [], units: [], dates: [], codes: layoutOf(text), names: [], negations: [] },
    ...{ others: [], negated: 0, asked: undefined, kind: undefined, tense: undefined },
  };
  const quotes: string[] = [];
  // Its words, many times as long as it is where a letter stands for a sentence, say nothing more then.
  if (!isPlain(text)) return { ...found, quotes, isReadable: false };
  const sentence = { isFirst: true, isAfterNumber: false };
  let from = 0;
  for (const match of text.matchAll(quoted)) {
    readWords(text.slice(from, match.index), sentence, found);
    const quote = match[0].slice(1, -1).trim();
    quotes.push(quote);
    found.words.push(`"${quote}"`);
    addContent(`"${quote}"`, `"${quote}"`, found);
    from = match.index + match[0].length;
  }
  readWords(text.slice(from), sentence, found);
  const about = found.content.at(-1) ?? '';
  for (; found.negated > 0; found.negated -= 1) found.negations.push(about);
  return { ...found, quotes, isReadable: isEnglish(found.words) };
}

/** Brackets, and what stands in front of lines: where there are any, they are all of the meaning. */
function layoutOf(text: string): string[] {
  const brackets = text.match(/[[\]{}]/g)?.join('') ?? '';
  const indents = text.match(/\n[ \t]+(?=\S)/g) === null ? '' : text.replaceAll(/\S[^\n]*/g, '.');
  return [brackets, indents].filter((layout) => layout !== '');
}

function readWords(text: string, sentence: { isFirst: boolean; isAfterNumber: boolean }, found: Gathered): void {
  for (const token of text.split(/\s+/)) {
    const word = bareOf(token);
    if (word !== '') sentence.isAfterNumber = readToken(word, sentence.isFirst, sentence.isAfterNumber, found);
    if (word !== '' || /[.!?:]$/.test(token)) sentence.isFirst = /[.!?:]["')]*$/.test(token);
  }
}

/** Without the punctuation of the sentence. Behind a digit it may be a unit, or a factorial; before a letter "!" is a "not". */
function bareOf(token: string): string {
  const begun = token.replace(/^(?:[([{"',;:?]|!+(?![\p{L}(]))+/u, '');
  if (/\d[!'"]+$/.test(begun)) return begun;
  let end = begun.length;
  while (end > 0 && punctuation.has(begun[end - 1]!)) end -= 1;
  return begun.slice(0, end);
}

const punctuation: ReadonlySet<string> = new Set(')]}"\',;:!?.');

function addContent(word: string, plain: string, found: Gathered): void {
  if (!negations.has(plain)) for (; found.negated > 0; found.negated -= 1) found.negations.push(word);
  found.content.push(word);
  found.plain.push(plain);
}

/** Returns whether it was a number. */
function readToken(token: string, isFirst: boolean, isAfterNumber: boolean, found: Gathered): boolean {
  const amount = /^([-+]?)([$€£¥])?([-+]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)([a-z%°]*)$/i.exec(token);
  if (amount !== null && addAmount(amount, found)) return true;
  if (isCode(token)) {
    found.codes.push(token);
    addContent(token, token, found);
    found.words.push(token.toLowerCase());
    return false;
  }
  if (isAfterNumber && caseUnits.has(token.toLowerCase())) found.codes.push(token);
  if (/'ll$/i.test(token)) found.tense ??= 'future';
  const isNegated = /n't$/i.test(token);
  const bare = token.replace(/('s|'re|'ve|'ll|'d|'m|n't)$/i, '').replace(/'$/, '');
  // "can't" loses its n twice.
  const small = isNegated && bare.toLowerCase() === 'ca' ? 'can' : bare.toLowerCase();
  if (isNegated || negations.has(small)) found.negated += 1;
  if (small === 'cannot') return readWord('can', 'can', isFirst, isAfterNumber, found);
  return readWord(bare, small, isFirst, isAfterNumber, found);
}

/** What is no word of a language: it counts as it is written. */
function isCode(token: string): boolean {
  return /[\d_/\\@#+=<>{}|~^*$&%]|^!|^--?\p{L}|\p{L}[.:]\p{L}/u.test(token);
}

function readWord(bare: string, small: string, isFirst: boolean, isAfterNumber: boolean, found: Gathered): boolean {
  const previous = found.words.at(-1);
  const number = numbers.get(small);
  if (number !== undefined) found.numbers.push(number);
  const named = units.get(small);
  const unit = named !== undefined && (isAfterNumber || !looseUnits.has(named)) ? named : undefined;
  if (unit !== undefined) found.units.push(unit);
  found.words.push(number ?? unit ?? small);
  const date = dates.get(small) ?? (times.has(small) && (isAfterNumber || !/^(am|ad|bc)$/.test(small)) ? small : undefined);
  if (date !== undefined) found.dates.push(date);
  if (found.asked === undefined) found.asked = askedFor.get(small) ?? (previous === 'how' ? howKind(small) : undefined);
  readGrammar(small, previous, isFirst, found);
  if (isName(bare, small, isFirst)) found.names.push(small);
  if (!functionWords.has(small)) addContent(number ?? unit ?? stem(small), small, found);
  return number !== undefined;
}

function readGrammar(small: string, previous: string | undefined, isFirst: boolean, found: Gathered): void {
  if (questionWords.has(small)) found.kind = 'open';
  else if (isFirst && auxiliaries.has(small)) found.kind ??= 'whether';
  // "Can you tell me ..." asks for no yes.
  else if (small === 'you' && found.kind === 'whether' && auxiliaries.has(previous ?? '')) found.kind = undefined;
  found.tense ??= tenses.get(small);
  const other = others.get(small);
  if (other !== undefined && !found.others.includes(other)) found.others.push(other);
  // "Do I have to" is no "do I".
  const isObliged = small === 'must' || (small === 'to' && /^(have|has|need)$/.test(previous ?? ''));
  if (isObliged && found.kind === 'whether') addContent('must', 'must', found);
  if (previous === 'best' && !ways.has(small)) addContent('best', 'best', found);
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
  // As it is written: 3.10 is another version than 3.1, and long ones are numbers of something.
  const plain = digits!.replaceAll(',', '').replace(/^\./, '0.');
  const number = `${sign === '-' || innerSign === '-' ? '-' : ''}${plain}${isOrdinal ? ending!.toLowerCase() : ''}`;
  found.numbers.push(number);
  addContent(number, number, found);
  found.words.push(number);
  if (caseUnits.has(ending!.toLowerCase())) found.codes.push(ending!);
  for (const named of [currency === undefined ? undefined : units.get(currency), unit])
    if (named !== undefined) found.units.push(named);
  return true;
}

/** Next to nothing in other letters than those of English. */
function isPlain(text: string): boolean {
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const plain = text.match(/[a-z]/gi)?.length ?? 0;
  return plain >= letters * 0.95;
}

/** Words of its grammar, and none of that of another language. */
function isEnglish(words: readonly string[]): boolean {
  return words.some((word) => grammar.has(word)) && !words.some((word) => foreignWords.has(word));
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
