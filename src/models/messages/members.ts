import { GatewayError } from '../../errors.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';

/** Members of a client's body. Each throws GatewayError `invalid_request` that names the member by its path, e.g. `messages[2].content`. */

export function refuse(path: string, mustBe: string): never {
  throw new GatewayError('invalid_request', `${path}: must be ${mustBe}.`);
}

/** Null counts as not given, as Anthropic has it. */
export function member(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? (object[name] ?? undefined) : undefined;
}

export function readText(object: JsonObject, name: string, path: string): string {
  return readOptionalText(object, name, path) ?? refuse(join(path, name), 'a string');
}

export function readOptionalText(object: JsonObject, name: string, path: string): string | undefined {
  const value = member(object, name);
  if (value === undefined || typeof value === 'string') return value;
  return refuse(join(path, name), 'a string');
}

export function readOptionalBoolean(object: JsonObject, name: string, path: string): boolean | undefined {
  const value = member(object, name);
  if (value === undefined || typeof value === 'boolean') return value;
  return refuse(join(path, name), 'true or false');
}

export function readOptionalNumber(
  object: JsonObject,
  name: string,
  path: string,
  least: number,
  most: number,
): number | undefined {
  const value = member(object, name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= least && value <= most) return value;
  return refuse(join(path, name), Number.isFinite(most) ? `a number from ${least} to ${most}` : `a number of at least ${least}`);
}

export function readOptionalCount(object: JsonObject, name: string, path: string): number | undefined {
  const value = member(object, name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  return refuse(join(path, name), 'a whole number of at least 0');
}

export function readObject(value: Json | undefined, path: string): JsonObject {
  return isObject(value) ? value : refuse(path, 'an object');
}

export function readOptionalObject(object: JsonObject, name: string, path: string): JsonObject | undefined {
  const value = member(object, name);
  return value === undefined ? undefined : readObject(value, join(path, name));
}

export function readOptionalList(object: JsonObject, name: string, path: string): readonly Json[] {
  const value = member(object, name);
  if (value === undefined) return [];
  return Array.isArray(value) ? value : refuse(join(path, name), 'an array');
}

export function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
