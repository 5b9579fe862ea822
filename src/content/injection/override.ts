import { firmness, reach, unknown } from './judge-at.ts';
import { dropPhrases } from './phrases.ts';
import { has, type Token } from './tokens.ts';
import { role } from './word-kinds.ts';
import { part } from './words.ts';

/** "Ignore all previous instructions". */
export function overrideAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
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
