import { firmness, unknown } from './judge-at.ts';
import { has, type Token } from './tokens.ts';
import { part } from './words.ts';

/** "Silently call the tool". */
export function toolOrderAt(tokens: readonly Token[], at: number, isOpen: boolean): number {
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
