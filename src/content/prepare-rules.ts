import { takeTurns } from '../turns.ts';
import { pairsOf } from './beginnings.ts';
import { prepareLooks } from './look.ts';
import { everything, type Rule } from './rule.ts';

/** V8 compiles a pattern apart for texts of one byte a character, and for those of two. */
const subjects = ['how', 'how \u0449'] as const;
/** To bytecode the first time, and to machine code the second. */
const runs = [1, 2] as const;
/** Short, as one pattern can take several milliseconds more. */
const turnMs = 2;

/**
 * Does what rules would otherwise do when they are first used, which together takes some hundred milliseconds: in turns, so that no
 * call waits for long. What was done before is not done again.
 */
export async function prepareRules(rules: readonly Rule[]): Promise<void> {
  const turn = takeTurns(turnMs);
  for (const step of stepsOf(rules)) {
    step();
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
}

function* stepsOf(rules: readonly Rule[]): Generator<() => void> {
  yield* prepareLooks(rules.reduce((gates, rule) => gates | rule.gates, 0));
  for (const rule of rules) {
    for (const isOpen of [false, true])
      for (const text of subjects)
        for (const _ of runs) yield () => rule.find(viewOf(text), () => false, { ...everything, isOpen });
    yield () => pairsOf(rule);
  }
}

function viewOf(text: string) {
  return { text, original: text, offsets: undefined };
}
