import { findReference, indexReferences, type ReferenceIndex } from '../arguments/schema-reference.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

const mostDeep = 6;
const mostProperties = 40;
const mostItems = 5;
/** Parts of a schema that are looked at for one sample. */
const mostParts = 2_000;
const longestText = 200;

interface Sampler {
  readonly base: JsonObject;
  readonly index: () => ReferenceIndex;
  parts: number;
}

/** Arguments that a schema's required properties could look like, for an example to start from. Never fails; may not be valid. */
export function sampleArguments(schema: JsonObject): JsonObject {
  let index: ReferenceIndex | undefined;
  const indexed = () => {
    index ??= indexReferences(schema);
    return index;
  };
  const sample = sampleOf({ base: schema, index: indexed, parts: mostParts }, schema, 0);
  return isObject(sample) ? sample : {};
}

function sampleOf(sampler: Sampler, given: Json | undefined, depth: number): Json {
  if (!isObject(given) || depth > mostDeep || sampler.parts-- <= 0) return null;
  const schema = whole(sampler, given, depth);
  for (const value of [schema.const, firstOf(schema.examples), schema.default, firstOf(schema.enum)])
    if (value !== undefined) return value;
  const choice = firstOf(schema.oneOf) ?? firstOf(schema.anyOf);
  if (isObject(choice)) {
    const { oneOf: _one, anyOf: _any, ...rest } = schema;
    return sampleOf(sampler, merge(rest, choice), depth + 1);
  }
  switch (typeOf(schema)) {
    case 'object':
      return sampleObject(sampler, schema, depth);
    case 'array':
      return sampleArray(sampler, schema, depth);
    case 'integer':
    case 'number':
      return sampleNumber(schema);
    case 'boolean':
      return true;
    case 'string':
      return sampleText(schema);
    default:
      return null;
  }
}

/** The schema with what it refers to and all of `allOf` put together. */
function whole(sampler: Sampler, schema: JsonObject, depth: number): JsonObject {
  if (depth > mostDeep || sampler.parts-- <= 0) return {};
  const { $ref, allOf, ...own } = schema;
  const found = typeof $ref === 'string' ? findReference($ref, sampler.base, sampler.index)?.target : undefined;
  let merged = found === undefined ? own : merge(whole(sampler, found, depth + 1), own);
  for (const part of Array.isArray(allOf) ? allOf : [])
    if (isObject(part)) merged = merge(merged, whole(sampler, part, depth + 1));
  return merged;
}

function merge(a: JsonObject, b: JsonObject): JsonObject {
  const merged: JsonObject = { ...a, ...b };
  if (isObject(a.properties) && isObject(b.properties)) merged.properties = { ...a.properties, ...b.properties };
  if (Array.isArray(a.required) && Array.isArray(b.required)) merged.required = [...new Set([...a.required, ...b.required])];
  return merged;
}

function typeOf({ type, properties, items }: JsonObject): Json | undefined {
  const named = Array.isArray(type) ? (type.find((one) => one !== 'null') ?? type[0]) : type;
  return named ?? (isObject(properties) ? 'object' : isObject(items) ? 'array' : undefined);
}

function sampleObject(sampler: Sampler, { properties, required }: JsonObject, depth: number): JsonObject {
  const names = Array.isArray(required) ? required.filter((name) => typeof name === 'string').slice(0, mostProperties) : [];
  const known = isObject(properties) ? properties : {};
  return Object.fromEntries(
    names.map((name) => [name, sampleOf(sampler, Object.hasOwn(known, name) ? known[name] : undefined, depth + 1)]),
  );
}

function sampleArray(sampler: Sampler, { items, prefixItems, minItems }: JsonObject, depth: number): Json {
  const least = Math.min(typeof minItems === 'number' ? minItems : 0, mostItems);
  const places = Array.isArray(prefixItems) ? prefixItems.slice(0, mostItems) : [];
  return Array.from({ length: Math.max(least, places.length) }, (_, at) => sampleOf(sampler, places[at] ?? items, depth + 1));
}

function sampleNumber({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf, type }: JsonObject): number {
  const step = typeof multipleOf === 'number' && multipleOf > 0 ? multipleOf : type === 'integer' ? 1 : undefined;
  const above = typeof exclusiveMinimum === 'number' ? exclusiveMinimum + (step ?? 0.5) : undefined;
  const below = typeof exclusiveMaximum === 'number' ? exclusiveMaximum - (step ?? 0.5) : undefined;
  const least = above ?? (typeof minimum === 'number' ? minimum : undefined);
  const most = below ?? (typeof maximum === 'number' ? maximum : undefined);
  const number = least ?? (most !== undefined && most < 1 ? most : 1);
  return step === undefined ? number : Math.ceil(number / step) * step;
}

const byFormat: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  duration: 'PT1H',
  email: 'ada@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  url: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

function sampleText({ format, minLength, maxLength }: JsonObject): string {
  const known = typeof format === 'string' && Object.hasOwn(byFormat, format) ? byFormat[format] : undefined;
  if (known !== undefined) return known;
  const least = Math.min(typeof minLength === 'number' ? minLength : 0, longestText);
  const text = 'text'.padEnd(least, '.');
  return typeof maxLength === 'number' && maxLength >= 0 ? text.slice(0, Math.max(maxLength, least)) : text;
}

function firstOf(value: Json | undefined): Json | undefined {
  return Array.isArray(value) ? value[0] : undefined;
}
