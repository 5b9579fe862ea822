import type { View } from '../fold.ts';
import { type AddSpan, everything, type Rule, type Stretch } from '../rule.ts';
import { furthest, type JudgeAt } from './judge-at.ts';
import { findOpen } from './open-sentences.ts';
import { passagesOf } from './passages.ts';
import type { Token } from './tokens.ts';

/** `find` of a rule that looks at the words of a sentence, one after the other. */
export function sentenceRule(judgeAt: JudgeAt): Rule['find'] {
  return (view: View, add: AddSpan, stretch = everything) =>
    stretch.isOpen ? findOpen(judgeAt, view, add, stretch.from) : findInPassages(judgeAt, view, add, stretch);
}

function findInPassages(judgeAt: JudgeAt, view: View, add: AddSpan, { from, until }: Stretch): number {
  const reader = passagesOf(view);
  let done = from;
  for (let index = reader.indexFrom(from); ; index++) {
    const passage = reader.passage(index, until);
    if (passage === undefined) return Math.max(done, Math.min(until, view.text.length));
    const { tokens } = passage;
    for (let at = firstFrom(tokens, done); ; at++) {
      if (tokens.length <= at + furthest) reader.readUpTo(passage, at + furthest);
      const token = tokens[at];
      if (token === undefined) break;
      if (token.start >= until) return Math.max(done, until);
      if (token.start < done) continue;
      const end = judgeAt(tokens, at, false);
      if (end === 0) continue;
      done = tokens[end - 1]!.end;
      if (add(token.start, done)) return view.text.length;
      at = end - 1;
    }
  }
}

/** The index of the first token that begins at an offset or behind it. */
function firstFrom(tokens: readonly Token[], from: number): number {
  let low = 0;
  let high = tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (tokens[middle]!.start < from) low = middle + 1;
    else high = middle;
  }
  return low;
}
