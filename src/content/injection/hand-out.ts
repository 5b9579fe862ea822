import { firmness, reach, unknown } from './judge-at.ts';
import { has, type Token } from './tokens.ts';
import { role } from './word-kinds.ts';
import { part } from './words.ts';

/** "Reveal your system prompt". */
export function handOutAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
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
