import { type Json, type JsonObject, longNumber } from './json.ts';

/**
 * The one way to write a JSON value down (RFC 8785): no white space, keys in the order of their UTF-16 units, numbers as
 * ECMAScript writes them, those that a double cannot keep as they came. Equal values give equal texts whatever order or spacing they came in. For what json-scan.ts let pass:
 * it is nested no deeper than `maxDepth`.
 */
export function canonicalJson(value: Json): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null';
    case 'object':
      return value === null ? 'null' : Array.isArray(value) ? listText(value) : objectText(value);
    default:
      return JSON.stringify(value);
  }
}

// Text that grows costs less than a list of texts to be joined, where there are a hundred thousand.
function listText(items: readonly Json[]): string {
  let text = '[';
  for (let at = 0; at < items.length; at++) text += at === 0 ? canonicalJson(items[at]!) : `,${canonicalJson(items[at]!)}`;
  return `${text}]`;
}

function objectText(value: JsonObject): string {
  const digits = longNumber(value);
  if (digits !== undefined) return digits;
  const keys = Object.keys(value);
  if (!areSorted(keys)) keys.sort();
  let text = '{';
  for (const key of keys) text += `${text === '{' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(value[key]!)}`;
  return `${text}}`;
}

function areSorted(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at++) if (keys[at - 1]! > keys[at]!) return false;
  return true;
}
