import { has, type Token } from './tokens.ts';
import { role } from './word-kinds.ts';
import { part } from './words.ts';

/**
 * The index of the token behind the finding, or 0 where nothing is found at `at`; `unknown` where more tokens may follow (`isOpen`) and
 * could change that.
 */
export type JudgeAt = (tokens: readonly Token[], at: number, isOpen: boolean) => number;

export const unknown = -1;

/** Words behind a trigger that still belong to it. */
export const reach = 9;
/** No judge looks at more tokens behind the one it is asked about. */
export const furthest = 24;

/** How much the words in front make of a verb an order: from -3 for a report or a question to 1 for a bare imperative. */
export function firmness(tokens: readonly Token[], at: number): number {
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
