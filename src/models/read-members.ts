import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { parseExact } from '../wire/parse-exact.ts';

/** Members of what a provider sent: nothing about it is sure, and what is not as expected is as if it were not there. */
export function textAt(object: JsonObject | undefined, name: string): string | undefined {
  const value = object?.[name];
  return typeof value === 'string' ? value : undefined;
}

export function objectAt(object: JsonObject | undefined, name: string): JsonObject | undefined {
  const value = object?.[name];
  return isObject(value) ? value : undefined;
}

export function listAt(object: JsonObject | undefined, name: string): readonly Json[] {
  const value = object?.[name];
  return Array.isArray(value) ? value : [];
}

/** The members of a list that are objects. */
export function objectsAt(object: JsonObject | undefined, name: string): readonly JsonObject[] {
  return listAt(object, name).filter(isObject);
}

/** A number of tokens; undefined for everything that cannot be one. */
export function countAt(object: JsonObject | undefined, name: string): number | undefined {
  const value = object?.[name];
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** What is written as JSON text, where it is an object. Numbers that a double cannot keep come out as they went in. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = longDigits.test(text) ? parseExact(text) : JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Parsing exactly takes several times as long. */
const longDigits = /\d{16}/;
