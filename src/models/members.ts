import { GatewayError } from '../errors.ts';
import { isObject, type Json, type JsonObject, longNumber } from '../wire/json.ts';

// Members of a body that anybody may have written. One that is null counts as not there. `at` is where the object stands in the
// body (`messages[0]`), empty for the body itself.

/** Throws `invalid_request` that names the member; its data is `{ param }`. */
export function refuse(at: string, sentence: string): never {
  throw new GatewayError('invalid_request', `\`${at}\` ${sentence}.`, { data: { param: at } });
}

export function pathOf(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`;
}

export function readText(object: JsonObject, key: string, at = ''): string | undefined {
  const value = object[key];
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return undefined;
  refuse(pathOf(at, key), 'must be a string');
}

export function needText(object: JsonObject, key: string, at = ''): string {
  return readText(object, key, at) ?? refuse(pathOf(at, key), 'is required and must be a string');
}

export function readNumber(object: JsonObject, key: string, at = ''): number | undefined {
  const value = object[key];
  if (value === undefined || value === null) return undefined;
  const number = numberOf(value);
  return Number.isFinite(number) ? number : refuse(pathOf(at, key), 'must be a number');
}

export function readInteger(object: JsonObject, key: string, least: number, at = ''): number | undefined {
  const number = readNumber(object, key, at);
  if (number === undefined || (Number.isInteger(number) && number >= least)) return number;
  refuse(pathOf(at, key), Number.isFinite(least) ? `must be an integer of at least ${least}` : 'must be an integer');
}

function numberOf(value: Json): number {
  if (typeof value === 'number') return value;
  const digits = isObject(value) ? longNumber(value) : undefined;
  return digits === undefined ? Number.NaN : Number(digits);
}

export function readBoolean(object: JsonObject, key: string, at = ''): boolean | undefined {
  const value = object[key];
  if (typeof value === 'boolean') return value;
  if (value === undefined || value === null) return undefined;
  refuse(pathOf(at, key), 'must be true or false');
}

export function readObject(object: JsonObject, key: string, at = ''): JsonObject | undefined {
  const value = object[key];
  if (isObject(value)) return value;
  if (value === undefined || value === null) return undefined;
  refuse(pathOf(at, key), 'must be an object');
}

export function needObject(object: JsonObject, key: string, at = ''): JsonObject {
  return readObject(object, key, at) ?? refuse(pathOf(at, key), 'is required and must be an object');
}

export function readList(object: JsonObject, key: string, at = ''): readonly Json[] | undefined {
  const value = object[key];
  if (Array.isArray(value)) return value;
  if (value === undefined || value === null) return undefined;
  refuse(pathOf(at, key), 'must be an array');
}

/** An item of a list that must be an object. */
export function objectAt(value: Json, at: string): JsonObject {
  return isObject(value) ? value : refuse(at, 'must be an object');
}

/** One of a few words. */
export function readChoice<Word extends string>(
  object: JsonObject,
  key: string,
  words: readonly Word[],
  at = '',
): Word | undefined {
  const value = readText(object, key, at);
  if (value === undefined) return undefined;
  return words.find((word) => word === value) ?? refuse(pathOf(at, key), `must be one of ${words.join(', ')}`);
}
