/** all(), exists(), exists_one(), map() and filter(): the only way for a rule to take long, so each turn costs what its body holds. */
import type { Run, Step } from './rule-run.ts';
import {
  can,
  conditionOf,
  Fault,
  fromJson,
  isKnown,
  isList,
  isMap,
  noCondition,
  Open,
  open,
  opposite,
  outcomesOf,
  outcomesOfOr,
  spend,
  type Value,
} from './rule-value.ts';

export interface LoopParts {
  readonly group: Step;
  /** The place of the loop's variable in `locals`. */
  readonly slot: number;
  /** Undefined for a map() of two. */
  readonly condition: Step | undefined;
  /** Of a map() only. */
  readonly transform: Step | undefined;
  /** Steps per turn. */
  readonly weight: number;
  readonly at: number;
}

/** Makes the loop of this name; undefined when there is none. */
export function makeLoop(name: string, parts: LoopParts): Step | undefined {
  const { condition, transform } = parts;
  if (name === 'map' && transform !== undefined) return collect(parts, transform);
  if (condition === undefined || transform !== undefined) return undefined;
  if (name === 'exists') return someTurn(parts, condition, true);
  if (name === 'all') return someTurn(parts, condition, false);
  if (name === 'exists_one') return oneTurn(parts, condition);
  return name === 'filter' ? collect(parts, undefined) : undefined;
}

/** `exists` looks for a turn that is true; `all` for one that is false, and is then false itself. A turn that fails decides nothing. */
function someTurn(parts: LoopParts, condition: Step, sought: boolean): Step {
  const turned = (outcomes: number) => (sought ? outcomes : opposite(outcomes));
  return (run) => {
    const items = itemsOf(parts, run);
    if (items instanceof Fault) return items;
    let outcomes: number = can.beFalse;
    let fault: Value | undefined;
    if (items instanceof Open) {
      run.locals[parts.slot] = open;
      // How many turns there will be, if any, is open as well.
      outcomes = can.beFalse | can.fail | (turned(outcomesOf(condition(run))) & can.beTrue);
      return conditionOf(turned(outcomes), () => noCondition(parts.at));
    }
    for (const item of items) {
      const value = turn(parts, run, item, condition);
      if (value === sought) return value;
      if (value === !sought) continue;
      fault ??= value;
      outcomes = outcomesOfOr(outcomes, turned(outcomesOf(value)));
    }
    return conditionOf(turned(outcomes), () => (fault instanceof Fault ? fault : noCondition(parts.at)));
  };
}

function oneTurn(parts: LoopParts, condition: Step): Step {
  return (run) => {
    const items = itemsOf(parts, run);
    if (items instanceof Fault) return items;
    let count = 0;
    let isOpen = items instanceof Open;
    for (const item of items instanceof Open ? [] : items) {
      const value = turn(parts, run, item, condition);
      if (value === true) count++;
      else if (value instanceof Open) isOpen = true;
      else if (value !== false) return value instanceof Fault ? value : noCondition(parts.at);
    }
    if (!isOpen) return count === 1;
    return conditionOf(count > 1 ? can.beFalse | can.fail : open.outcomes, () => noCondition(parts.at));
  };
}

/** A list of the items, or of what they are transformed to, where the condition is true. */
function collect(parts: LoopParts, transform: Step | undefined): Step {
  const { condition } = parts;
  return (run) => {
    const items = itemsOf(parts, run);
    if (!isKnown(items)) return items;
    const collected: Value[] = [];
    let isOpen = false;
    for (const item of items) {
      const wanted = condition === undefined || turn(parts, run, item, condition);
      if (wanted === false) continue;
      if (wanted instanceof Open) isOpen = true;
      else if (wanted !== true) return wanted instanceof Fault ? wanted : noCondition(parts.at);
      const value = transform === undefined ? fromJson(item, parts.at) : turn(parts, run, item, transform);
      if (value instanceof Fault && wanted === true) return value;
      if (!isKnown(value)) isOpen = true;
      collected.push(value);
    }
    return isOpen ? open : collected;
  };
}

function turn(parts: LoopParts, run: Run, item: Value, step: Step): Value {
  spend(run, parts.weight);
  run.locals[parts.slot] = fromJson(item, parts.at);
  return step(run);
}

/** The items of a list or the keys of a map. */
function itemsOf(parts: LoopParts, run: Run): readonly Value[] | Open | Fault {
  const group = parts.group(run);
  if (!isKnown(group)) return group;
  if (isList(group)) return group;
  return isMap(group) ? Object.keys(group) : new Fault('Only lists and maps can be gone through', parts.at);
}
