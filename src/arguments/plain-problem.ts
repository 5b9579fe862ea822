import { isObject, type Json, type JsonObject } from '../wire/json.ts';

/** The keyword of one schema that a value alone is against. */
export function plainProblem(part: JsonObject, value: Json): string | undefined {
  if (part.type !== undefined && ![part.type].flat().some((name) => isOfType(value, name))) return 'type';
  if (part.const !== undefined && !mayEqual(part.const, value)) return 'const';
  if (Array.isArray(part.enum) && !part.enum.some((each) => mayEqual(each, value))) return 'enum';
  if (typeof value === 'number') return numberProblem(part, value);
  if (typeof value === 'string') return lengthProblem(part, value);
  return Array.isArray(value) ? sizeProblem(part, value.length, 'minItems', 'maxItems') : undefined;
}

function isOfType(value: Json, name: Json): boolean {
  switch (name) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === name;
  }
}

// Two lists or two objects may be equal: that is Ajv's to tell.
function mayEqual(one: Json, other: Json): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  return Array.isArray(one) === Array.isArray(other);
}

function numberProblem(part: JsonObject, value: number): string | undefined {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = part;
  if (typeof minimum === 'number' && value < minimum) return 'minimum';
  if (typeof maximum === 'number' && value > maximum) return 'maximum';
  if (typeof exclusiveMinimum === 'number' && value <= exclusiveMinimum) return 'exclusiveMinimum';
  if (typeof exclusiveMaximum === 'number' && value >= exclusiveMaximum) return 'exclusiveMaximum';
  if (typeof multipleOf !== 'number') return undefined;
  const times = value / multipleOf;
  return Math.abs(Math.round(times) - times) > 1e-9 ? 'multipleOf' : undefined;
}

function sizeProblem(part: JsonObject, size: number, least: string, most: string): string | undefined {
  const [minimum, maximum] = [part[least], part[most]];
  if (typeof minimum === 'number' && size < minimum) return least;
  return typeof maximum === 'number' && size > maximum ? most : undefined;
}

// A text has at most as many characters as units, and at least half as many.
function lengthProblem({ minLength, maxLength }: JsonObject, text: string): string | undefined {
  const { length } = text;
  if (typeof minLength === 'number' && length < minLength * 2 && codePoints(text) < minLength) return 'minLength';
  if (typeof maxLength === 'number' && length > maxLength && (length > maxLength * 2 || codePoints(text) > maxLength))
    return 'maxLength';
  return undefined;
}

function codePoints(text: string): number {
  let pairs = 0;
  for (let at = 1; at < text.length; at++)
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800) pairs++;
  return text.length - pairs;
}
