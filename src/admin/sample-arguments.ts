import { isObject, type Json, type JsonObject } from '../wire/json.ts';

const mostDeep = 6;
const mostProperties = 40;

/** Arguments that a schema's required properties could look like, for an example to start from. Follows no reference; never fails. */
export function sampleArguments(schema: JsonObject): JsonObject {
  const sample = sampleOf(schema, 0);
  return isObject(sample) ? sample : {};
}

function sampleOf(schema: Json | undefined, depth: number): Json {
  if (!isObject(schema) || depth > mostDeep) return null;
  for (const given of [schema.default, schema.const, firstOf(schema.examples), firstOf(schema.enum)])
    if (given !== undefined) return given;
  const choice = firstOf(schema.anyOf) ?? firstOf(schema.oneOf);
  if (choice !== undefined && schema.type === undefined) return sampleOf(choice, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type ?? (isObject(schema.properties) ? 'object' : undefined)) {
    case 'object':
      return sampleObject(schema, depth);
    case 'array':
      return Number(schema.minItems ?? 0) > 0 ? [sampleOf(schema.items, depth + 1)] : [];
    case 'integer':
    case 'number':
      return typeof schema.minimum === 'number' ? schema.minimum : 1;
    case 'boolean':
      return true;
    case 'string':
      return sampleText(schema);
    default:
      return null;
  }
}

function sampleObject({ properties, required }: JsonObject, depth: number): JsonObject {
  const names = Array.isArray(required) ? required.filter((name) => typeof name === 'string').slice(0, mostProperties) : [];
  const known = isObject(properties) ? properties : {};
  return Object.fromEntries(
    names.map((name) => [name, sampleOf(Object.hasOwn(known, name) ? known[name] : undefined, depth + 1)]),
  );
}

const byFormat: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  email: 'ada@example.com',
  uri: 'https://example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

function sampleText({ format, minLength }: JsonObject): string {
  if (typeof format === 'string' && Object.hasOwn(byFormat, format)) return byFormat[format] ?? '';
  return 'text'.padEnd(Math.min(typeof minLength === 'number' ? minLength : 0, 100), '.');
}

function firstOf(value: Json | undefined): Json | undefined {
  return Array.isArray(value) ? value[0] : undefined;
}
