import { firmness, unknown } from './judge-at.ts';
import { has, type Token } from './tokens.ts';
import { part } from './words.ts';

/** "Do not tell the user about this". */
export function concealAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
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
