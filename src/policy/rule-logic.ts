/** `&&`, `||`, `!` and `? :` over conditions that are known, have failed, or are still open. */
import type { Step } from './rule-run.ts';
import {
  can,
  conditionOf,
  Fault,
  isKnown,
  noCondition,
  Open,
  open,
  opposite,
  outcomesOf,
  outcomesOfAnd,
  outcomesOfOr,
  type Value,
} from './rule-value.ts';

export function makeChoice([condition, left, right]: readonly [Step, Step, Step], at: number): Step {
  return (run) => {
    const value = condition(run);
    if (value === true) return left(run);
    if (value === false) return right(run);
    if (!(value instanceof Open)) return value instanceof Fault ? value : noCondition(at);
    const outcomes =
      (value.outcomes & can.beTrue ? outcomesOfAny(left(run)) : 0) |
      (value.outcomes & can.beFalse ? outcomesOfAny(right(run)) : 0) |
      (value.outcomes & can.fail);
    return conditionOf(outcomes, () => noCondition(at));
  };
}

// What is no condition may be used for anything by what stands around the choice.
function outcomesOfAny(value: Value): number {
  return isKnown(value) && typeof value !== 'boolean' ? open.outcomes : outcomesOf(value);
}

/** `||` where true decides, `&&` where false does: then the other side does not matter. */
export function makeLogic([left, right]: readonly [Step, Step], at: number, decides: boolean): Step {
  const combine = decides ? outcomesOfOr : outcomesOfAnd;
  return (run) => {
    const a = left(run);
    if (a === decides) return a;
    const b = right(run);
    if (b === decides || (typeof a === 'boolean' && typeof b === 'boolean')) return b;
    const fault = a instanceof Fault ? a : b;
    return conditionOf(combine(outcomesOf(a), outcomesOf(b)), () => (fault instanceof Fault ? fault : noCondition(at)));
  };
}

export function makeNot(part: Step, at: number): Step {
  return (run) => {
    const value = part(run);
    if (typeof value === 'boolean') return !value;
    return conditionOf(opposite(outcomesOf(value)), () => (value instanceof Fault ? value : noCondition(at)));
  };
}
