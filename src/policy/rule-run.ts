import type { Facts } from './rule-facts.ts';
import type { Steps, Value } from './rule-value.ts';

/** One evaluation of one rule. */
export interface Run extends Steps {
  readonly facts: Facts;
  /** `open` for a list, where nobody has said yet what the arguments will be. */
  readonly args: Value;
  /** What the variables of all(), exists() and their like stand for right now, outermost first. */
  readonly locals: Value[];
}

/** Evaluates a part of a rule. Throws OutOfSteps and nothing else. */
export type Step = (run: Run) => Value;
