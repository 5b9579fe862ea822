import { isObject, type Json, longNumber } from './json.ts';

/**
 * The one way to write a JSON value down (RFC 8785): no white space, keys in the order of their UTF-16 units, numbers as
 * ECMAScript writes them, those that a double cannot keep as they came. Equal values give equal texts whatever order or spacing they came in. For what json-scan.ts let pass:
 * it is nested no deeper than `maxDepth`.
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const digits = longNumber(value);
  if (digits !== undefined) return digits;
  const keys = Object.keys(value).sort();
  let text = '{';
  for (const key of keys) text += `${text === '{' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(value[key]!)}`;
  return `${text}}`;
}
