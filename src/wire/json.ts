/** JSON as it comes from a client or an upstream: nothing about it is known yet. */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The digits of a number that a double cannot keep, where `parseExact` put one; undefined for every other object. What a client
 * sent as `{"rawJSON": "5"}` is an object like any other: only the real one has no prototype.
 */
export function longNumber(value: object): string | undefined {
  if (Object.getPrototypeOf(value) !== null || !('rawJSON' in value)) return undefined;
  return typeof value.rawJSON === 'string' ? value.rawJSON : undefined;
}
