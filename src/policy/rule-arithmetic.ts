/** Operators on numbers, texts, lists and times, as CEL defines them: kinds are never mixed but in comparisons of numbers. */
import { Fault, isInt, isList, isNumber, type Steps, spendText, type Value } from './rule-value.ts';

export type Comparison = '<' | '<=' | '>' | '>=';
export type Arithmetic = '+' | '-' | '*' | '/' | '%';

export function applyComparison(run: Steps, operator: Comparison, a: Value, b: Value, at: number): Value {
  if (typeof a === 'string' && typeof b === 'string') {
    spendText(run, Math.min(a.length, b.length));
    return compare(operator, a, b);
  }
  if (isNumber(a) && isNumber(b)) return compare(operator, a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return compare(operator, Number(a), Number(b));
  if (a instanceof Date && b instanceof Date) return compare(operator, a.getTime(), b.getTime());
  return new Fault(`"${operator}" compares two numbers, two texts or two times`, at);
}

function compare<Kind extends string | number | bigint>(operator: Comparison, a: Kind, b: Kind): boolean {
  switch (operator) {
    case '<':
      return a < b;
    case '<=':
      return a <= b;
    case '>':
      return a > b;
    case '>=':
      return a >= b;
  }
}

const maxLength = 1_000_000;

export function applyArithmetic(operator: Arithmetic, a: Value, b: Value, at: number): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint') return applyInt(operator, a, b, at);
  if (typeof a === 'number' && typeof b === 'number' && operator !== '%') return applyDouble(operator, a, b);
  if (operator === '+') {
    if (typeof a === 'string' && typeof b === 'string' && a.length + b.length <= maxLength) return a + b;
    if (isList(a) && isList(b) && a.length + b.length <= maxLength) return a.concat(b);
  }
  const hint = isNumber(a) && isNumber(b) ? '; numbers in arguments are fractions: write 1.0 instead of 1, or int(...)' : '';
  return new Fault(`"${operator}" does not fit what stands beside it${hint}`, at);
}

function applyInt(operator: Arithmetic, a: bigint, b: bigint, at: number): Value {
  if (b === 0n && (operator === '/' || operator === '%')) return new Fault('Division by zero', at);
  const result = calculate(operator, a, b);
  return isInt(result) ? result : new Fault('A whole number became too large', at);
}

function calculate(operator: Arithmetic, a: bigint, b: bigint): bigint {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}

function applyDouble(operator: Exclude<Arithmetic, '%'>, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
  }
}

export function negate(value: Value, at: number): Value {
  return typeof value === 'number' ? -value : applyArithmetic('-', typeof value === 'bigint' ? 0n : null, value, at);
}
