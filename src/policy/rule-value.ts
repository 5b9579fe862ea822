/** What a rule computes with: JSON, whole numbers, moments, and two values that are none: not known yet, and gone wrong. */
import { type Json, longNumber } from '../wire/json.ts';

export type Value = Plain | Open | Fault;

type Plain = boolean | string | number | bigint | null | Date | readonly Value[] | { readonly [key: string]: Value };

/** What a condition can still become, as bits. */
export const can = { beTrue: 1, beFalse: 2, fail: 4 } as const;

/** A value that depends on arguments that are not there yet. */
export class Open {
  /** Of `can`. For what is no condition: all three. */
  readonly outcomes: number;

  constructor(outcomes: number) {
    this.outcomes = outcomes;
  }
}

/** Why there is no value. Names places in the rule, never what a caller sent. */
export class Fault {
  readonly message: string;
  /** Offset in the rule's text, from 0. */
  readonly at: number;

  constructor(message: string, at: number) {
    this.message = message;
    this.at = at;
  }
}

export function noCondition(at: number): Fault {
  return new Fault('What stands here is neither true nor false', at);
}

/** The rule would take longer than any honest one. Nothing in a rule catches it. */
export class OutOfSteps extends Error {}

/** Nothing is known about it. */
export const open = new Open(can.beTrue | can.beFalse | can.fail);
const openByOutcomes = Array.from({ length: 8 }, (_, outcomes) => (outcomes === 7 ? open : new Open(outcomes)));

export function isKnown(value: Value): value is Plain {
  return !(value instanceof Fault || value instanceof Open);
}

export function outcomesOf(value: Value): number {
  if (value === true) return can.beTrue;
  if (value === false) return can.beFalse;
  return value instanceof Open ? value.outcomes : can.fail;
}

/** The condition that has these outcomes; `fault` says why, where failing is all that is left. */
export function conditionOf(outcomes: number, fault: () => Fault): Value {
  if (outcomes === can.beTrue) return true;
  if (outcomes === can.beFalse) return false;
  return outcomes === can.fail ? fault() : (openByOutcomes[outcomes] ?? open);
}

// As CEL defines them: one side that decides wins over a failure of the other, on whichever side it stands.
export function outcomesOfAnd(a: number, b: number): number {
  return opposite(outcomesOfOr(opposite(a), opposite(b)));
}

export function outcomesOfOr(a: number, b: number): number {
  const { beTrue, beFalse, fail } = can;
  const isTrue = (a | b) & beTrue;
  const isFalse = a & b & beFalse;
  const fails = (a & fail && b & (fail | beFalse)) || (b & fail && a & (fail | beFalse)) ? fail : 0;
  return isTrue | isFalse | fails;
}

export function opposite(outcomes: number): number {
  return (outcomes & can.fail) | (outcomes & can.beTrue ? can.beFalse : 0) | (outcomes & can.beFalse ? can.beTrue : 0);
}

/** One evaluation's allowance. */
export interface Steps {
  steps: number;
}

/** Throws OutOfSteps. */
export function spend(run: Steps, steps: number): void {
  run.steps -= steps;
  if (run.steps < 0) throw new OutOfSteps();
}

/** So much of a text is looked at in one step. */
const charactersPerStep = 256;

export function spendText(run: Steps, length: number): void {
  spend(run, 1 + Math.floor(length / charactersPerStep));
}

/** A JSON value as rules see it. Numbers of many digits stay exact or fault: what is judged is what is sent. */
export function fromJson(value: Value | Json, at: number): Value {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !isMap(value)) return value;
  const digits = longNumber(value);
  if (digits === undefined) return value;
  const isWhole = /^-?[0-9]{1,19}$/.test(digits);
  return isWhole && isInt(BigInt(digits)) ? BigInt(digits) : new Fault('A number has more digits than a rule can judge', at);
}

export function isMap(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date) && isKnown(value);
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** Whether CEL's int can hold it: 64 bits. */
export function isInt(value: bigint): boolean {
  return BigInt.asIntN(64, value) === value;
}

/** Equal as CEL has it: numbers by value whatever their kind, lists and maps by what they hold, other kinds never. Throws OutOfSteps. */
export function isEqual(run: Steps, a: Value, b: Value): boolean {
  run.steps--;
  if (run.steps < 0) throw new OutOfSteps();
  if (a === b) return true;
  if (typeof a === 'string' && typeof b === 'string') {
    if (a.length === b.length) spendText(run, a.length);
    return false;
  }
  if (isNumber(a) && isNumber(b)) return !(a < b) && !(a > b) && a >= b;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  if (isList(a) && isList(b)) {
    return a.length === b.length && a.every((item, index) => isEqual(run, fromJson(item, 0), fromJson(b[index] ?? null, 0)));
  }
  if (!isMap(a) || !isMap(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isEqual(run, fromJson(a[key] ?? null, 0), fromJson(b[key] ?? null, 0)))
  );
}

export function isNumber(value: Value): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}
