/** The functions that rules may call. What is not here does not exist: neither time without bound nor a way out of the data. */
import { RE2JS } from 're2js';
import { Fault, isInt, isList, isMap, type Steps, spend, spendText, type Value } from './rule-value.ts';

/** Takes known values only; `at` is where the call stands, for faults. */
export type Apply = (run: Steps, values: readonly Value[], at: number) => Value;

interface RuleFunction {
  /** Values it takes, a method's receiver counted. */
  readonly count: number;
  readonly apply: Apply;
}

const textTests: Readonly<Record<string, (text: string, other: string) => boolean>> = {
  contains: (text, other) => text.includes(other),
  startsWith: (text, other) => text.startsWith(other),
  endsWith: (text, other) => text.endsWith(other),
};

const textChanges: Readonly<Record<string, (text: string) => string>> = {
  lowerAscii: (text) => text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase()),
  upperAscii: (text) => text.replaceAll(/[a-z]+/g, (letters) => letters.toUpperCase()),
  trim: (text) => text.trim(),
};

// Months and weekdays count from 0, days of the month from 1 (getDate) or 0 (getDayOfMonth), as CEL has it.
const momentParts: Readonly<Record<string, (moment: Date) => number>> = {
  getFullYear: (moment) => moment.getUTCFullYear(),
  getMonth: (moment) => moment.getUTCMonth(),
  getDate: (moment) => moment.getUTCDate(),
  getDayOfMonth: (moment) => moment.getUTCDate() - 1,
  getDayOfWeek: (moment) => moment.getUTCDay(),
  getHours: (moment) => moment.getUTCHours(),
  getMinutes: (moment) => moment.getUTCMinutes(),
};

const conversions: Readonly<Record<string, Apply>> = {
  size: (run, [value = null], at) => {
    if (typeof value === 'string') return BigInt(countCharacters(run, value));
    if (isList(value)) return BigInt(value.length);
    if (isMap(value)) return BigInt(Object.keys(value).length);
    return new Fault('size() is for texts, lists and maps', at);
  },
  int: (_, [value = null], at) => {
    if (typeof value === 'bigint') return value;
    const whole = typeof value === 'number' && Number.isFinite(value) ? BigInt(Math.trunc(value)) : undefined;
    const read = typeof value === 'string' && /^[+-]?[0-9]{1,19}$/.test(value) ? BigInt(value.replace('+', '')) : whole;
    return read !== undefined && isInt(read) ? read : new Fault('int() got what is no whole number', at);
  },
  double: (_, [value = null], at) => {
    if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
    const isWritten =
      typeof value === 'string' && /^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?$/.test(value);
    return isWritten ? Number(value) : new Fault('double() got what is no number', at);
  },
  string: (_, [value = null], at) => {
    if (typeof value === 'string') return value;
    if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
    if (typeof value === 'number')
      return Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
    return new Fault('string() is for numbers, texts, true and false', at);
  },
  timestamp: (_, [value = null], at) => {
    const isWritten = typeof value === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(value);
    const moment = new Date(isWritten ? value : Number.NaN);
    return Number.isNaN(moment.getTime()) ? new Fault('timestamp() needs a time such as "2026-07-28T00:00:00Z"', at) : moment;
  },
  dyn: (_, [value = null]) => value,
};

const methods = new Map<string, RuleFunction>([
  ...Object.entries(textTests).map(([name, test]): [string, RuleFunction] => [name, { count: 2, apply: applyTest(name, test) }]),
  ...Object.entries(textChanges).map(([name, change]): [string, RuleFunction] => [
    name,
    { count: 1, apply: applyChange(name, change) },
  ]),
  ...Object.entries(momentParts).map(([name, read]): [string, RuleFunction] => [
    name,
    { count: 1, apply: applyPart(name, read) },
  ]),
  ['size', { count: 1, apply: conversions.size! }],
]);
const functions = new Map<string, RuleFunction>(
  Object.entries(conversions).map(([name, apply]): [string, RuleFunction] => [name, { count: 1, apply }]),
);

/** The function of this name and number of values (a method's receiver counted); undefined when rules have none. */
export function findFunction(name: string, count: number, isMethod: boolean): Apply | undefined {
  const found = (isMethod ? methods : functions).get(name);
  return found?.count === count ? found.apply : undefined;
}

/** Names for a message. */
export function functionNames(): string {
  return [
    ...functions.keys(),
    'has',
    ...[...methods.keys(), 'matches', 'all', 'exists', 'exists_one', 'map', 'filter'].map((name) => `.${name}`),
  ].join(', ');
}

const maxPatternLength = 500;
/** Instructions of the compiled pattern: each may cost time for each character. */
const maxPatternSize = 300;

/** `matches` with this pattern, in linear time (RE2); a sentence where the pattern cannot be one. */
export function compileMatches(pattern: string): Apply | string {
  if (pattern.length > maxPatternLength) return `The pattern is longer than ${maxPatternLength} characters.`;
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
  } catch {
    return 'The pattern cannot be read. Look-around and back-references do not exist here.';
  }
  const size = compiled.programSize();
  if (size > maxPatternSize) return 'The pattern repeats too much; use smaller counts in { }.';
  return (run, [text = null], at) => {
    if (typeof text !== 'string') return new Fault('matches() is for texts', at);
    spend(run, 1 + Math.ceil((text.length * size) / 64));
    return compiled.test(text);
  };
}

function applyTest(name: string, test: (text: string, other: string) => boolean): Apply {
  return (run, [text = null, other = null], at) => {
    if (typeof text !== 'string' || typeof other !== 'string') return new Fault(`${name}() is for texts`, at);
    spendText(run, text.length + other.length);
    return test(text, other);
  };
}

function applyChange(name: string, change: (text: string) => string): Apply {
  return (run, [text = null], at) => {
    if (typeof text !== 'string') return new Fault(`${name}() is for texts`, at);
    // Makes a new text: several times the work of looking at one.
    spendText(run, 8 * text.length);
    return change(text);
  };
}

function applyPart(name: string, read: (moment: Date) => number): Apply {
  return (_, [moment = null], at) => (moment instanceof Date ? BigInt(read(moment)) : new Fault(`${name}() is for times`, at));
}

export function isMomentPart(name: string): boolean {
  return Object.hasOwn(momentParts, name);
}

/** A part of a moment as clocks in this zone (IANA name) show it; a sentence where there is no such zone or part. */
export function compilePart(name: string, zone: string): Apply | string {
  const read = momentParts[name];
  if (read === undefined) return `${name}() takes no time zone.`;
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', { ...shownParts, timeZone: zone });
  } catch {
    return 'The time zone is not known; write e.g. "Europe/Berlin".';
  }
  return (run, [moment = null], at) => {
    if (!(moment instanceof Date)) return new Fault(`${name}() is for times`, at);
    // A look into the calendar of another zone takes as long as a hundred other steps.
    spend(run, 100);
    const shown = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = shown;
    return BigInt(read(new Date(Date.UTC(year, month - 1, day, hour, minute))));
  };
}

const shownParts = {
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  hourCycle: 'h23',
  calendar: 'gregory',
} as const;

// Code points, as CEL has it: the two halves that JavaScript stores of some characters count as one.
function countCharacters(run: Steps, text: string): number {
  spendText(run, 8 * text.length);
  let count = text.length;
  for (let index = 1; index < text.length; index++) if (isPair(text, index)) count--;
  return count;
}

function isPair(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00 && (text.charCodeAt(index - 1) & 0xfc00) === 0xd800;
}
