/** Refuses arguments that no schema should have to look at, and measures the rest in one walk. */
import { isObject, type Json, type JsonObject, longNumber } from '../wire/json.ts';

export interface ArgumentSize {
  /** Values of every kind, members and items counted. */
  readonly values: number;
  /** Of all texts, names of members included. */
  readonly characters: number;
  /** Some numbers have more digits than a double keeps. */
  readonly hasLongNumbers: boolean;
}

const maxDepth = 64;
/** That a tool is passed in one call. */
export const maxValues = 100_000;

// One walk at a time and no promise within: counters of the module cost less than an object that is passed along.
let values = 0;
let characters = 0;
let hasLongNumbers = false;

/** The size, or a sentence that says what to change. */
export function measureArguments(args: JsonObject): ArgumentSize | string {
  values = 0;
  characters = 0;
  hasLongNumbers = false;
  const problem = measureObject(args, 1);
  return problem === undefined ? { values, characters, hasLongNumbers } : `${problem.path || 'The arguments'} ${problem.what}`;
}

/** The same for any value, such as a part of an answer. */
export function measureValue(value: Json): ArgumentSize | string {
  if (isObject(value)) return measureArguments(value);
  values = 0;
  characters = 0;
  hasLongNumbers = false;
  const problem = measure(value, 0);
  return problem === undefined ? { values, characters, hasLongNumbers } : `${problem.path || 'It'} ${problem.what}`;
}

interface Trouble {
  /** JSON pointer (RFC 6901); empty for the arguments themselves. */
  path: string;
  readonly what: string;
}

function measure(value: Json, depth: number): Trouble | undefined {
  values++;
  if (typeof value === 'string') characters += value.length;
  // What overflowed to infinity while it was parsed would be passed on as null.
  else if (typeof value === 'number')
    return Number.isFinite(value) ? undefined : trouble('is a number too large to be passed on; use a smaller one.');
  else if (Array.isArray(value)) return measureArray(value, depth + 1);
  else if (isObject(value)) return measureObject(value, depth + 1);
  return undefined;
}

function measureArray(items: readonly Json[], depth: number): Trouble | undefined {
  if (depth > maxDepth || values + items.length > maxValues) return tooMuch(depth);
  for (let index = 0; index < items.length; index++) {
    const found = measure(items[index] ?? null, depth);
    if (found !== undefined) return within(found, String(index));
  }
  return undefined;
}

function measureObject(object: JsonObject, depth: number): Trouble | undefined {
  if (depth > maxDepth || values > maxValues) return tooMuch(depth);
  const digits = longNumber(object);
  if (digits !== undefined) return measureLongNumber(digits);
  for (const key in object) {
    // No tool has an argument of this name; whoever copies the object further on would change its prototype.
    if (key === '__proto__') return trouble('has a member "__proto__", which no tool may be sent; remove it.');
    characters += key.length;
    const found = measure(object[key] ?? null, depth);
    if (found !== undefined) return within(found, key);
    if (values > maxValues) return tooMuch(depth);
  }
  return undefined;
}

function measureLongNumber(digits: string): Trouble | undefined {
  hasLongNumbers = true;
  characters += digits.length;
  return Number.isFinite(Number(digits)) ? undefined : trouble('is a number too large to be passed on; use a smaller one.');
}

function tooMuch(depth: number): Trouble {
  if (depth > maxDepth) return trouble(`is nested deeper than ${maxDepth} levels; send less nested arguments.`);
  return { path: '', what: `hold more than ${maxValues} values; send fewer.` };
}

function trouble(what: string): Trouble {
  return { path: '', what };
}

const maxPathLength = 200;

function within(found: Trouble, key: string): Trouble {
  if (found.what.startsWith('hold ')) return found;
  const path = `/${pointerPart(key)}${found.path}`;
  // What is innermost says least about where; a path of 64 names of any length must not fill the answer.
  found.path = path.length > maxPathLength ? `${path.slice(0, maxPathLength)}...` : path;
  return found;
}

/** A name as part of a JSON pointer, fit to be shown: short, in one line, nothing that hides. */
export function pointerPart(key: string): string {
  return shorten(key.replaceAll('~', '~0').replaceAll('/', '~1'), 40);
}

/** Text from outside, fit to be shown in a sentence. */
export function shorten(text: string, length: number): string {
  const visible = text.slice(0, length + 1).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
  return visible.length > length ? `${visible.slice(0, length)}...` : visible;
}

/** The same arguments with numbers of many digits as the nearest double: what a schema says about size still holds. */
export function withPlainNumbers(args: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(args).map(([key, member]) => [key, plain(member)]));
}

function plain(value: Json): Json {
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  const digits = longNumber(value);
  return digits === undefined ? withPlainNumbers(value) : Number(digits);
}
