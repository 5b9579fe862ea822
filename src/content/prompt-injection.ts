import { makeAnchorScan } from './anchors.ts';
import { isAscii, type View } from './fold.ts';
import { foreignAnchors, injectionAnchors, part, parts } from './injection-words.ts';
import { type AddSpan, gate, patternRule, type Rule } from './rule.ts';

const category = 'prompt-injection';
const gates = gate.injectionWords;

/**
 * Text that gives orders to the model which reads it. Sentences are scored word by word, so that "ignore the previous commit" is no
 * order and "we told them to ignore previous instructions" is a report of one.
 */
export const promptInjectionRules: readonly Rule[] = [
  {
    id: 'prompt-injection/instruction-override',
    title: 'Tells the model to give up its instructions',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(overrideAt),
  },
  patternRule({
    id: 'prompt-injection/instruction-override-cjk',
    title: 'Tells the model to give up its instructions, in Chinese, Japanese, Korean, Arabic or Hindi',
    category,
    severity: 'high',
    gates: gate.foreign,
    pattern:
      /(?:忽略|无视|無視|忘记|忘記|不要理会)[^\n。!?！？]{0,16}(?:指令|指示|提示|规则|規則|设定|命令|要求)|(?:以前|前|上記|これまで|今まで|すべて|全て)[^\n。!?！？]{0,12}(?:指示|命令|指令|プロンプト|フロンフト)[^\n。!?！？]{0,6}(?:無視|忘れ)|(?:이전|위의|모든)[^\n.!?]{0,16}(?:지시|명령|프롬프트)[^\n.!?]{0,12}(?:무시|잊)|تجاهل[^\n.!؟]{0,20}(?:التعليمات|تعليمات|الأوامر|الاوامر)|(?:पिछले|सभी)[^\n.!?।]{0,20}निर्देश[^\n.!?।]{0,16}(?:अनदेखा|भूल)/gu,
  }),
  {
    id: 'prompt-injection/role-play',
    title: 'Gives the model a role without rules',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(roleAt),
  },
  {
    id: 'prompt-injection/exfiltration',
    title: 'Asks the model to hand out its prompt, secrets or history',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(handOutAt),
  },
  {
    id: 'prompt-injection/concealment',
    title: 'Asks the model to keep something from the person it works for',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(concealAt),
  },
  {
    id: 'prompt-injection/tool-order',
    title: 'Orders a tool to be used unasked',
    category,
    severity: 'high',
    gates,
    reads: 'folded',
    find: sentenceRule(toolOrderAt),
  },
  patternRule({
    id: 'prompt-injection/role-markup',
    title: 'Markup by which a conversation or a tool call is told from its content',
    category,
    severity: 'high',
    gates: gate.roleMarks,
    pattern:
      /<\|(?:im_start|start_header_id)\|>\s{0,4}(?:system|user|assistant|tool)|<\|(?:im_end|eot_id|endoftext)\|>\s{0,4}(?:<\||\S)|<\|(?:system|assistant)\|>|\[\/?INST\]\s{0,4}\S|<<\/?SYS>>|<\/?(?:antml:)?(?:tool_calls?|tool_use|tool_results?|function_calls?|function_results?)>\s{0,8}[<{[]|<(?:antml:)?invoke name=|"method"\s{0,4}:\s{0,4}"tools\/call"/gi,
  }),
  patternRule({
    id: 'prompt-injection/image-exfiltration',
    title: 'An image whose address carries data away when it is shown',
    category,
    severity: 'high',
    gates: gate.image,
    pattern:
      /!\[[^[\]\n]{0,200}\]\(\s{0,4}<?(https?:\/\/[^\s)>]{4,2000})|<img[^<>]{0,200}?\ssrc\s{0,4}=\s{0,4}["']?(https?:\/\/[^\s"'>]{4,2000})/gi,
    accepts: (_, [, markdown, html]) => carriesData(markdown ?? html ?? ''),
  }),
];

// A place to be filled in, or a parameter that is named for what it takes away and holds something.
function carriesData(url: string): boolean {
  const query = url.slice(url.search(/[?#]/) + 1);
  if (/[{<[]|%7b|%3c|\$\(|(?:DATA|SECRET|HISTORY|BASE64|PROMPT|CONTENT|SUMMARY|CONVERSATION|PASSWORD)(?:_|\b)/.test(url))
    return true;
  return (
    query.length < url.length &&
    /(?:^|[&;])(?:data|secret|leak|payload|history|prompt|conversation|chat|exfil|stolen|context|pw|password|token|key|memory)=[^&]{6}/i.test(
      query,
    )
  );
}

/** One word, or one mark that ends a sentence, with what it can be in a sentence. */
interface Token {
  readonly text: string;
  /** Bits of `part` and `role`. */
  readonly parts: number;
  readonly start: number;
  readonly end: number;
  readonly isBreak: boolean;
}

/**
 * The index of the token behind the finding, or 0 where nothing is found at `at`; `unknown` where more tokens may follow (`isOpen`) and
 * could change that.
 */
type JudgeAt = (tokens: readonly Token[], at: number, isOpen: boolean) => number;

const unknown = -1;

/** Words behind a trigger that still belong to it. */
const reach = 9;

function sentenceRule(judgeAt: JudgeAt): Rule['find'] {
  return (view: View, add: AddSpan, from = 0, isOpen = false) => {
    if (isOpen) return findOpen(judgeAt, view, add, from);
    for (const tokens of passagesOf(view)) {
      for (let at = 0; at < tokens.length; at++) {
        if (tokens[at]!.start < from) continue;
        const end = judgeAt(tokens, at, false);
        if (end === 0) continue;
        add(tokens[at]!.start, tokens[end - 1]!.end);
        at = end - 1;
      }
    }
    return view.text.length;
  };
}

/** In a text that goes on: only what sentences with one of the words at which they can begin say is read. */
function findOpen(judgeAt: JudgeAt, view: View, add: AddSpan, from: number): number {
  const { text } = view;
  const start = firstTrigger(view, from);
  if (start === text.length) return start;
  const tokens = openTokens(view, start);
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    if (token.start < start) continue;
    const end = judgeAt(tokens, at, true);
    // One token more says that what was found last is all of its word, or of its sentence.
    if (end === unknown || (end > 0 && end >= tokens.length)) return token.start;
    if (end === 0) continue;
    add(token.start, tokens[end - 1]!.end);
    at = end - 1;
  }
  const read = tokens.at(-1)?.end ?? start;
  return firstTrigger(view, Math.max(read, start));
}

/** The last words of a view that were read, and from where. */
const openKnown = new WeakMap<View, { readonly start: number; readonly tokens: readonly Token[] }>();

function openTokens(view: View, start: number): readonly Token[] {
  const known = openKnown.get(view);
  if (known !== undefined && known.start <= start) return known.tokens;
  const first = Math.max(0, start - before);
  const all = readTokens(view.text.slice(first), first);
  const last = all.at(-1);
  const tokens = last !== undefined && isUnfinished(view.text, last.end) ? all.slice(0, -1) : all;
  openKnown.set(view, { start, tokens });
  return tokens;
}

/** Whether the word, or the mark, that ends here may go on. */
function isUnfinished(text: string, end: number): boolean {
  return text.length - end < (/['’]/.test(text.charAt(end)) ? 4 : 1);
}

let lastTrigger: { readonly view: View; readonly from: number; readonly at: number } | undefined;

/** Where the first word stands at which a sentence can begin that some rule finds, or what may become one; else the length of the text. */
function firstTrigger(view: View, from: number): number {
  // Five rules ask the same.
  if (lastTrigger?.view === view && lastTrigger.from === from) return lastTrigger.at;
  const at = findTrigger(view.text, from);
  lastTrigger = { view, from, at };
  return at;
}

function findTrigger(text: string, from: number): number {
  firstWord.lastIndex = from;
  for (let match = firstWord.exec(text); match !== null; match = firstWord.exec(text)) {
    const lower = match[0].toLowerCase().replace(/['’]/, '');
    const isTail = isUnfinished(text, firstWord.lastIndex);
    if (isTail ? triggerBeginnings.has(lower) : triggers.has(lower)) return match.index;
  }
  return text.length;
}

const before = 240;
const behind = 320;
const scanAnchors = makeAnchorScan(injectionAnchors);
/** Five rules read the same passages. */
const known = new WeakMap<View, readonly (readonly Token[])[]>();

/** The words around every anchor; most of a long text is not read at all. */
function passagesOf(view: View): readonly (readonly Token[])[] {
  let passages = known.get(view);
  if (passages === undefined) {
    passages = windowsOf(view.text).map(([start, end]) => readTokens(view.text.slice(start, end), start));
    known.set(view, passages);
  }
  return passages;
}

function windowsOf(text: string): (readonly [start: number, end: number])[] {
  const places: number[] = [];
  // One byte for each code unit, so that places in the bytes are places in the text.
  const bytes = Buffer.from(text, 'latin1');
  scanAnchors(bytes, (_, at) => {
    places.push(at);
    return false;
  });
  if (!isAscii(text)) {
    for (const { index } of text.matchAll(foreignWords)) places.push(index);
    places.sort((a, b) => a - b);
  }
  const windows: [start: number, end: number][] = [];
  for (const at of places) {
    const last = windows.at(-1);
    if (last !== undefined && at - before <= last[1]) last[1] = at + behind;
    else windows.push([Math.max(0, at - before), at + behind]);
  }
  return windows;
}

const foreignWords = new RegExp(foreignAnchors.source, 'gi');

const word = /[\p{L}\p{N}_]{1,40}(?:['’][a-z]{1,2}(?![a-z]))?|[.!?;:\n。]|https?:\/\/|@/giu;

const firstWord = new RegExp(`(?<![\\p{L}\\p{N}_])(?:${word.source.slice(0, word.source.indexOf('|'))})`, 'giu');

const inWord = 1;
const inMark = 2;
const inOther = 3;
/** Kinds of ASCII characters: what is no part of a word or of a mark is 0. */
const asciiKinds = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  if (/[A-Za-z0-9_]/.test(character)) return inWord;
  return /[.!?;:\n]/.test(character) ? inMark : character === '@' || character === "'" ? inOther : 0;
});

let wordKinds: ReadonlyMap<string, number> | undefined;
const longestWord = 40;

// Plain words and marks, which nearly all are, are cut out here; at anything else the pattern is asked.
function readTokens(text: string, offset: number): Token[] {
  wordKinds ??= withRoles();
  const tokens: Token[] = [];
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at);
    const kind = code < 128 ? asciiKinds[code]! : inOther;
    if (kind === 0 || (kind === inMark && !endsSentence(text, at))) {
      at++;
      continue;
    }
    const end = endOfPlain(text, at, kind);
    if (end > at) {
      const lower = text.slice(at, end).toLowerCase();
      const isBreak = kind === inMark;
      tokens.push({ text: lower, parts: wordKinds.get(lower) ?? 0, start: offset + at, end: offset + end, isBreak });
      at = end;
      continue;
    }
    word.lastIndex = at;
    const match = word.exec(text);
    if (match === null) break;
    const token = tokenOf(match, offset, wordKinds);
    if (token !== undefined) tokens.push(token);
    at = word.lastIndex;
  }
  return tokens;
}

// A file's name or a number keeps its dot, and a paragraph may wrap anywhere.
function endsSentence(text: string, at: number): boolean {
  return text.charCodeAt(at) !== 0x0a && /^\s|^$/.test(text.slice(at + 1, at + 2));
}

/** The end of a mark, or of a word of ASCII that ends there for certain; else `at`. */
function endOfPlain(text: string, at: number, kind: number): number {
  if (kind === inMark) return at + 1;
  let end = at;
  while (end - at <= longestWord && isInWord(text.charCodeAt(end))) end++;
  if (end - at > longestWord) return at;
  const next = text.charCodeAt(end);
  // What is beyond ASCII may belong to the word, and behind an apostrophe as well.
  return next >= 128 || next === 0x27 ? at : end;
}

function isInWord(code: number): boolean {
  return code < 128 && asciiKinds[code] === inWord;
}

function tokenOf(match: RegExpExecArray, offset: number, kinds: ReadonlyMap<string, number>): Token | undefined {
  const [found] = match;
  const start = offset + match.index;
  const lower = found.toLowerCase().replace(/['’]/, '');
  const isBreak = /^[.!?;:。]$/.test(found);
  if (isBreak && !endsSentence(match.input, match.index)) return undefined;
  if (found === '\n') return undefined;
  return { text: lower, parts: kinds.get(lower) ?? 0, start, end: start + found.length, isBreak };
}

/** What else a word can be, above the bits of `part`: a look at a number costs less than a pattern for every word. */
const role = {
  /** Makes what follows a question or a report. */
  asks: 1 << 20,
  /** Opens one of `openings`. */
  opens: 1 << 21,
  /** Opens one of `dropPhrases`. */
  drops: 1 << 22,
  /** Can be what a thief wants, together with the words in front. */
  wanted: 1 << 23,
  /** Names a mode without rules. */
  mode: 1 << 24,
  /** Takes the rules away. */
  frees: 1 << 25,
  /** Where what was taken is sent. */
  target: 1 << 26,
} as const;

const roleWords: readonly (readonly [bits: number, words: string])[] = [
  [
    role.asks,
    'how why when whether what wie warum comment pourquoi como if said says told called titled phrase phrases example attack attacks like such',
  ],
  [
    role.wanted,
    'prompt prompts systemprompt instructions anweisungen consignes instrucciones istruzioni key keys token tokens variable variables history',
  ],
  [role.mode, 'developer god debug dan admin jailbreak unsafe'],
  [role.frees, 'without no free zero ignore ignores'],
  [role.target, '@ webhook attacker sidenote'],
];

function withRoles(): ReadonlyMap<string, number> {
  const all = new Map(parts);
  const addTo = (word: string, bits: number) => all.set(word, (all.get(word) ?? 0) | bits);
  for (const [bits, words] of roleWords) for (const word of words.split(' ')) addTo(word, bits);
  for (const [first = ''] of openings) addTo(first, role.opens);
  for (const first of dropPhrases.keys()) addTo(first, role.drops);
  return all;
}

function has(token: Token | undefined, bits: number): boolean {
  return token !== undefined && (token.parts & bits) !== 0;
}

/** How much the words in front make of a verb an order: from -3 for a report or a question to 1 for a bare imperative. */
function firmness(tokens: readonly Token[], at: number): number {
  const previous = tokens[at - 1];
  if (previous === undefined || previous.isBreak) return 1;
  if (has(previous, part.never)) return -3;
  for (let back = at - 1; back >= Math.max(0, at - 5); back--) {
    const token = tokens[back]!;
    if (token.isBreak) break;
    if (has(token, role.asks)) return -2;
  }
  if (has(previous, part.firm)) return 1;
  if (has(previous, part.soft)) return -2;
  return 0;
}

function overrideAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (!has(tokens[at], part.drop | role.drops)) return 0;
  if (isOpen && at + 1 === tokens.length && has(tokens[at], role.drops)) return unknown;
  if (!has(tokens[at], part.drop) && !isDropPhrase(tokens, at)) return 0;
  let score = 1 + firmness(tokens, at);
  let order = 0;
  let seen = 0;
  const last = sentenceEnd(tokens, at);
  for (let next = at + 1; next < last; next++) {
    const token = tokens[next]!;
    if (order === 0 && (has(token, part.order | part.modelOrder) || isAllAbove(tokens, next))) order = next;
    if (order === 0 || next <= order + 3) seen |= token.parts;
  }
  const isCut = isOpen && last === tokens.length && last <= at + reach;
  if (order === 0) return isCut ? unknown : 0;
  const name = tokens[order]!;
  score += 1;
  if ((seen & part.before) !== 0) score += 2;
  if ((seen & part.yours) !== 0) score += 2;
  else if ((seen & part.whole) !== 0) score += 1;
  if (has(name, part.modelOrder) || /^(?:instruc|anweis|consign|istruz|инструк|інструк|instruk)/.test(name.text)) score += 1;
  if (score >= 5) return order + 1;
  return isCut ? unknown : 0;
}

const dropPhrases: ReadonlyMap<string, RegExp> = new Map([
  ['stop', /^(?:following|obeying)$/],
  ['set', /^aside$/],
  ['throw', /^away$/],
]);

function isDropPhrase(tokens: readonly Token[], at: number): boolean {
  return dropPhrases.get(tokens[at]!.text)?.test(tokens[at + 1]?.text ?? '') === true;
}

// "Ignore the above.", but not "ignore the above warning".
function isAllAbove(tokens: readonly Token[], at: number): boolean {
  const next = tokens[at + 1];
  return tokens[at]!.text === 'above' && (next === undefined || next.isBreak || /^(?:and|or)$/.test(next.text));
}

function sentenceEnd(tokens: readonly Token[], at: number): number {
  let end = at + 1;
  while (end < tokens.length && end <= at + reach && !tokens[end]!.isBreak) end++;
  return end;
}

const openings: readonly (readonly string[])[] = [
  ['you', 'are', 'now'],
  ['youre', 'now'],
  ['now', 'you', 'are'],
  ['now', 'on', 'you', 'are'],
  ['now', 'on', 'you', 'will'],
  ['act', 'as'],
  ['pretend', 'to', 'be'],
  ['pretend', 'you', 'are'],
  ['pretend', 'that', 'you'],
  ['pretend', 'you', 'have'],
  ['imagine', 'you', 'are'],
  ['imagine', 'being'],
  ['behave', 'as'],
  ['respond', 'as'],
  ['roleplay', 'as'],
  ['role', 'play', 'as'],
  ['simulate'],
  ['enter'],
  ['enable'],
  ['switch', 'to'],
  ['du', 'bist', 'jetzt'],
  ['tu', 'es', 'maintenant'],
  ['ahora', 'eres'],
];

function roleAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (!has(tokens[at], role.opens)) return 0;
  const opening = openings.find((words) => words.every((text, index) => tokens[at + index]?.text === text));
  if (opening === undefined) return isOpen && isOpeningCut(tokens, at) ? unknown : 0;
  if (firmness(tokens, at) < 0) return 0;
  const end = at + opening.length + 12;
  const last = Math.min(tokens.length, end);
  let isFree = false;
  for (let next = at + opening.length; next < last; next++) {
    const token = tokens[next]!;
    if (token.isBreak && next > at + opening.length + 1) return 0;
    // What a word or a mode is may be said by the words behind it.
    if (isOpen && next + 1 === tokens.length) return unknown;
    if (has(token, part.freed)) return isEvilWord(tokens, next) ? next + 1 : 0;
    if (has(token, role.frees)) isFree = true;
    else if (isFree && has(token, part.bonds)) return next + 1;
    if (has(token, role.mode) && tokens[next + 1]?.text === 'mode') {
      if (isAboutModel(tokens, at, last)) return next + 2;
      if (isOpen && last < end) return unknown;
    }
  }
  return isOpen && last < end ? unknown : 0;
}

function isOpeningCut(tokens: readonly Token[], at: number): boolean {
  const left = tokens.length - at;
  return (
    left < 4 &&
    openings.some((words) => words.length > left && tokens.slice(at).every(({ text }, index) => text === words[index]))
  );
}

// "Dan" is also a name, and stands alone where it is one.
function isEvilWord(tokens: readonly Token[], at: number): boolean {
  return (
    tokens[at]!.text !== 'dan' ||
    /^(?:do|mode|who|which|an|and|a)$/.test(tokens[at + 1]?.text ?? '') ||
    tokens[at + 1]?.isBreak === true
  );
}

function isAboutModel(tokens: readonly Token[], at: number, last: number): boolean {
  return tokens.slice(at, last).some((token) => /^(?:you|your|youre|unrestricted|dan|god|jailbreak|unsafe)$/.test(token.text));
}

function handOutAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (!has(tokens[at], part.hand)) return 0;
  const firm = firmness(tokens, at);
  if (firm < 0) return 0;
  const last = Math.min(tokens.length, at + 16);
  let treasure = 0;
  let score = 0;
  const worthOf = () => (treasure > 0 && score + firm >= 5 ? treasure + 1 : 0);
  for (let next = at + 1; next < last; next++) {
    const token = tokens[next]!;
    if (treasure === 0 && next > at + reach) return 0;
    const value = treasureAt(tokens, next);
    if (value > score && next <= at + reach) [treasure, score] = [next, value];
    if (treasure > 0 && (has(token, role.target) || token.text.startsWith('http')))
      return score + firm + 2 >= 5 ? Math.max(treasure, next) + 1 : 0;
    if (token.isBreak && next > at + 3 && token.text !== ':') return worthOf();
  }
  if (isOpen && last < at + 16) return unknown;
  return worthOf();
}

/** What a word is worth to a thief, from 0 to 4; a prompt asked for by itself is enough. */
function treasureAt(tokens: readonly Token[], at: number): number {
  if (!has(tokens[at], part.treasure | role.wanted)) return 0;
  const { text } = tokens[at]!;
  const previous = tokens[at - 1]?.text ?? '';
  const beforePrevious = tokens[at - 2]?.text ?? '';
  const isYours = has(tokens[at - 1], part.yours) || has(tokens[at - 2], part.yours) || has(tokens[at - 3], part.yours);
  if (/^(?:prompts?|systemprompt|instructions|anweisungen|consignes|instrucciones|istruzioni)$/.test(text)) {
    const isSystem =
      /^(?:system|hidden|initial|secret|original|internal)$/.test(previous) ||
      /^(?:sistema|systeme)$/.test(tokens[at + 1]?.text ?? '') ||
      text === 'systemprompt';
    return isSystem && (isYours || beforePrevious === 'the' || beforePrevious === 'full') ? 4 : 0;
  }
  const isNamed =
    (/^keys?$/.test(text) && /^(?:api|private|ssh|access|secret)$/.test(previous)) ||
    (/^(?:tokens?)$/.test(text) && /^(?:access|auth|session|bearer)$/.test(previous)) ||
    (/^variables?$/.test(text) && /^(?:environment|env)$/.test(previous)) ||
    (text === 'history' && /^(?:conversation|chat|message)$/.test(previous));
  if (isNamed || has(tokens[at], part.treasure)) return isYours ? 1 : 3;
  return 0;
}

function concealAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (tokens[at]!.text === 'keep') return keepFrom(tokens, at, isOpen);
  if (!has(tokens[at], part.never)) return 0;
  const last = Math.min(tokens.length, at + 11);
  let say = 0;
  let hasThis = false;
  for (let next = at + 1; next < last; next++) {
    const token = tokens[next]!;
    if (token.isBreak || (say === 0 && next > at + 3)) return 0;
    if (has(token, part.say) && next <= at + 3) say = next;
    if (has(token, part.this)) hasThis = true;
    if (say === 0 || !has(token, part.person)) continue;
    const behindIt = tokens.slice(next + 1, next + 4);
    if (hasThis || /ing$/.test(tokens[say]!.text) || behindIt.some((other) => has(other, part.this))) return next + 1;
  }
  // Up to three words behind the person can say what it is about.
  return isOpen && tokens.length < at + 14 ? unknown : 0;
}

/** "Keep this secret from the user". */
function keepFrom(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (isOpen && at + 1 === tokens.length) return unknown;
  if (!has(tokens[at + 1], part.this) || firmness(tokens, at) < 0) return 0;
  for (let next = at + 2; next < Math.min(tokens.length, at + 8); next++)
    if (has(tokens[next], part.person) && tokens.slice(at + 2, next).some(({ text }) => text === 'from')) return next + 1;
  return isOpen && tokens.length < at + 8 ? unknown : 0;
}

function toolOrderAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
  if (!has(tokens[at], part.use) || firmness(tokens, at) < 0) return 0;
  const last = Math.min(tokens.length, at + 18);
  const isCovert = has(tokens[at - 1], part.covert);
  let tool = 0;
  for (let next = at + 1; next < last; next++) {
    const token = tokens[next]!;
    if (token.isBreak || (tool === 0 && next > at + 6)) return 0;
    if (has(token, part.tool) && next <= at + 6) tool = next;
    if (tool === 0) continue;
    if (isCovert || has(token, part.covert)) return next + 1;
    if (
      token.text === 'without' &&
      /^(?:asking|telling|confirmation|confirming|approval|informing|notifying|permission)$/.test(tokens[next + 1]?.text ?? '')
    )
      return next + 2;
  }
  return isOpen && tokens.length < at + 19 ? unknown : 0;
}

/** Words at which a sentence can begin that a rule finds. */
const triggers: ReadonlySet<string> = new Set([
  ...[...parts].flatMap(([text, bits]) => ((bits & (part.drop | part.hand | part.never | part.use)) === 0 ? [] : [text])),
  ...dropPhrases.keys(),
  ...openings.map(([text = '']) => text),
  'keep',
]);
const triggerBeginnings: ReadonlySet<string> = new Set(
  [...triggers].flatMap((text) => Array.from(text, (_, at) => text.slice(0, at + 1))),
);
