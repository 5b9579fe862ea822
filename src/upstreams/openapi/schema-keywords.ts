/** What each keyword of a schema may hold in JSON Schema 2020-12, and what older formats mean by theirs. */
import type { Json, JsonObject } from '../../wire/json.ts';
import { cutText, textOf } from './text.ts';

/** Of the keywords that hold schemas, the parts of these look at the same value as the schema itself. */
export const sameValueKeywords: ReadonlySet<string> = new Set([
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
  'dependentSchemas',
]);

const descriptionLimit = 2_000;
const isCount = (value: Json) => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isBound = (value: Json) => typeof value === 'number' && Number.isFinite(value);

function onlyIf(holds: (value: Json) => boolean): (value: Json) => Json | undefined {
  return (value) => (holds(value) ? value : undefined);
}

function text(limit: number): (value: Json) => Json | undefined {
  return (value) => {
    const found = textOf(value);
    return found === undefined ? undefined : cutText(found, limit);
  };
}

const annotations: Readonly<Record<string, (value: Json) => Json | undefined>> = {
  title: text(200),
  description: text(descriptionLimit),
  deprecated: onlyIf((value) => value === true),
};

/** Keywords that hold no schema: their value as it is passed on, or undefined for what cannot be applied. */
export const plainKeywords: Readonly<Record<'input' | 'output', Readonly<Record<string, (value: Json) => Json | undefined>>>> = {
  input: {
    ...annotations,
    format: text(100),
    const: (value) => value,
    default: (value) => value,
    enum: (value) => (Array.isArray(value) && value.length > 0 ? distinct(value) : undefined),
    minimum: onlyIf(isBound),
    maximum: onlyIf(isBound),
    exclusiveMinimum: onlyIf(isBound),
    exclusiveMaximum: onlyIf(isBound),
    multipleOf: onlyIf((value) => isBound(value) && Number(value) > 0),
    minLength: onlyIf(isCount),
    maxLength: onlyIf(isCount),
    minItems: onlyIf(isCount),
    maxItems: onlyIf(isCount),
    minContains: onlyIf(isCount),
    maxContains: onlyIf(isCount),
    minProperties: onlyIf(isCount),
    maxProperties: onlyIf(isCount),
    uniqueItems: onlyIf((value) => value === true),
    pattern: (value) => (typeof value === 'string' ? readPattern(value) : undefined),
    contentEncoding: text(100),
    contentMediaType: text(200),
  },
  // What an API answers differs from what it describes in bounds and missing members first of all.
  output: annotations,
};

function distinct(values: readonly Json[]): Json[] {
  const seen = new Set<string>();
  return values.filter((value) => {
    const key = JSON.stringify(value);
    return !seen.has(key) && seen.add(key);
  });
}

const patternLimit = 1_000;

/** The pattern in the form that compiles with the `u` flag, as validators do it; undefined for what no rewriting helps. */
export function readPattern(pattern: string): string | undefined {
  if (pattern.length > patternLimit) return undefined;
  if (compiles(pattern)) return pattern;
  // Escapes of characters that need none.
  const plain = pattern.replaceAll(/\\([\s\S])/g, (whole, character: string) => {
    if (character === '-') return '\\x2d';
    return /[\s_@:"'!#%&,;<=>`~]/.test(character) ? character : whole;
  });
  return compiles(plain) ? plain : undefined;
}

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u');
    return true;
  } catch {
    return false;
  }
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ...['null', 'boolean', 'object', 'array', 'number', 'integer', 'string'].map((name) => [name, name] as const),
  ...['bool', 'Boolean'].map((name) => [name, 'boolean'] as const),
  ...['int', 'long', 'int32', 'int64', 'Integer'].map((name) => [name, 'integer'] as const),
  ...['float', 'double', 'decimal', 'Number'].map((name) => [name, 'number'] as const),
  ...['file', 'binary', 'date', 'datetime', 'date-time', 'uuid', 'uri', 'url', 'text', 'String', 'enum', 'byte', 'password'].map(
    (name) => [name, 'string'] as const,
  ),
  ...['map', 'dict', 'hash', 'json', 'Object'].map((name) => [name, 'object'] as const),
  ...['list', 'Array'].map((name) => [name, 'array'] as const),
]);

interface ReadTypes {
  readonly types: readonly string[];
  readonly unknown: readonly Json[];
}

const noTypes: ReadTypes = { types: [], unknown: [] };
const plainTypes: ReadonlyMap<string, ReadTypes> = new Map(
  [...typeNames].map(([name, type]) => [name, { types: [type], unknown: [] }]),
);

/** The types that are meant; `unknown` for names that mean nothing here. */
export function readTypes(value: Json | undefined): ReadTypes {
  if (value === undefined) return noTypes;
  const plain = typeof value === 'string' ? plainTypes.get(value) : undefined;
  if (plain !== undefined) return plain;
  const names = Array.isArray(value) ? value : [value];
  const types = new Set<string>();
  const unknown: Json[] = [];
  for (const name of names) {
    const type = typeof name === 'string' ? typeNames.get(name) : name === null ? 'null' : undefined;
    if (type === undefined) unknown.push(name);
    else types.add(type);
  }
  // Of a list with a name that means anything, nothing is left to check.
  return unknown.length > 0 ? { types: [], unknown } : { types: [...types], unknown };
}

/** `example` and `examples` of every format as a list of values, the short ones. */
export function readSchemaExamples({ example, examples }: JsonObject): Json[] {
  if (example === undefined && examples === undefined) return [];
  const all = example === undefined ? [] : [example];
  if (Array.isArray(examples)) all.push(...examples);
  return distinct(all.slice(0, 10).filter((value) => JSON.stringify(value).length <= 500)).slice(0, 3);
}

/** Bounds as 2020-12 has them: before, `exclusiveMinimum` was a flag beside `minimum`. */
export function readBounds(raw: JsonObject): JsonObject {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = raw;
  if (typeof exclusiveMinimum !== 'boolean' && typeof exclusiveMaximum !== 'boolean') return raw;
  const bounds = { ...raw };
  const replace = (bound: 'minimum' | 'maximum', exclusive: 'exclusiveMinimum' | 'exclusiveMaximum', limit: Json | undefined) => {
    delete bounds[exclusive];
    if (raw[exclusive] !== true || limit === undefined) return;
    delete bounds[bound];
    bounds[exclusive] = limit;
  };
  if (typeof exclusiveMinimum === 'boolean') replace('minimum', 'exclusiveMinimum', minimum);
  if (typeof exclusiveMaximum === 'boolean') replace('maximum', 'exclusiveMaximum', maximum);
  return bounds;
}
