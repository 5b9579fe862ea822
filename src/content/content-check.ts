import { type Look, makeLook } from './look.ts';
import { type Category, gate, type Rule } from './rule.ts';
import { actions, type ContentAction } from './rule-names.ts';
import { rules } from './rules.ts';

/** `in`: arguments on their way to an upstream. `out`: what comes back. */
export type Direction = 'in' | 'out';

export interface ActiveRule {
  readonly rule: Rule;
  readonly action: ContentAction;
}

/** Everything that is looked for in what goes one way to or from one capability. Made when policies are read, never during a call. */
export interface ContentCheck {
  readonly direction: Direction;
  readonly rules: readonly ActiveRule[];
  readonly strictest: ContentAction;
  /** Which rules a text can match at all. */
  readonly look: Look;
  /** Every gate that one of the rules needs. */
  readonly gates: number;
}

/** Makes a check of what is to be done for each rule by its id; undefined when that is nothing. */
export function makeCheck(
  direction: Direction,
  actionOf: ReadonlyMap<string, ContentAction>,
  all: readonly Rule[] = rules,
): ContentCheck | undefined {
  const active = all.flatMap((rule) => {
    const action = actionOf.get(rule.id);
    return action === undefined ? [] : [Object.freeze({ rule, action })];
  });
  if (active.length === 0) return undefined;
  const strictest = active.reduce<ContentAction>((most, { action }) => stricter(most, action), 'flag');
  let gates = active.reduce((all, { rule }) => all | rule.gates, 0);
  if (active.some(({ rule }) => rule.category !== 'hidden-text')) gates |= gate.encoded;
  return Object.freeze({ direction, rules: Object.freeze(active), strictest, look: makeLook(gates), gates });
}

/** A check of whole categories, all to be treated alike. */
export function makeCategoryCheck(
  direction: Direction,
  wanted: readonly Category[],
  action: ContentAction,
  all: readonly Rule[] = rules,
): ContentCheck {
  const ids = all.filter(({ category }) => wanted.includes(category)).map(({ id }) => [id, action] as const);
  const check = makeCheck(direction, new Map(ids), all);
  if (check === undefined) throw new RangeError('a check needs at least one category');
  return check;
}

export function stricter(a: ContentAction, b: ContentAction): ContentAction {
  return actions.indexOf(a) >= actions.indexOf(b) ? a : b;
}
