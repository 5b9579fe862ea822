/**
 * Brings an upstream's schema into the one form that is compiled: JSON Schema 2020-12 without annotations (but what a pattern means), ids and references that
 * leave it. Older dialects (04 to 2019-09) are rewritten. What cannot be applied is left out and noted; what refers elsewhere makes
 * the schema unusable: nothing is ever fetched, and nothing passes unchecked because its check is somewhere else.
 */

import { isObject, type Json, type JsonObject, longNumber } from '../wire/json.ts';
import { shorten } from './measure-arguments.ts';
import { listKeywords, mapKeywords, partKeywords } from './schema-keywords.ts';
import { findReference, indexReferences, type ReferenceIndex } from './schema-reference.ts';

export interface CleanSchema {
  readonly schema: JsonObject;
  /** Keywords that were left out, as sentences. */
  readonly warnings: readonly string[];
  /** Subschemas and listed values. */
  readonly nodes: number;
  /** Patterns in it, one by one as often as they stand there. */
  readonly patterns: readonly string[];
  readonly hasUniqueItems: boolean;
  /** Lists numbers that are larger than any double, which JSON.stringify writes as null. */
  readonly hasEndless: boolean;
}

const maxDepth = 64;
const maxNodes = 20_000;
const maxCharacters = 1_000_000;

/** Why a schema cannot be used: reads on from "its input schema". */
export class UnusableSchema extends Error {}

interface Walk {
  /** Where references are looked up: the whole schema, or an embedded one with an `$id` of its own. */
  readonly base: JsonObject;
  readonly root: JsonObject;
  readonly index: () => ReferenceIndex;
  /** Names under `$defs` of what is referred to; cleaned one by one. */
  readonly names: Map<JsonObject, string>;
  readonly queue: { readonly target: JsonObject; readonly base: JsonObject }[];
  readonly warnings: string[];
  readonly patterns: string[];
  readonly counts: { nodes: number; characters: number; uniqueItems: number; endless: number };
  /** Siblings of `$ref` count for nothing. */
  readonly isOld: boolean;
}

/** Throws UnusableSchema. */
export function cleanSchema(root: JsonObject): CleanSchema {
  let index: ReferenceIndex | undefined;
  const walk: Walk = {
    base: root,
    root,
    index: () => {
      index ??= indexReferences(root);
      return index;
    },
    names: new Map(),
    queue: [],
    warnings: [],
    patterns: [],
    counts: { nodes: 0, characters: 0, uniqueItems: 0, endless: 0 },
    isOld: /draft-0[3467]/.test(String(root.$schema)),
  };
  const schema = cleanObject(root, walk, 1);
  const definitions: [string, JsonObject][] = [];
  for (const { target, base } of walk.queue) {
    definitions.push([walk.names.get(target) ?? '', cleanObject(target, base === walk.base ? walk : { ...walk, base }, 1)]);
  }
  if (definitions.length > 0) schema.$defs = Object.fromEntries(definitions);
  const { warnings, patterns, counts } = walk;
  const { nodes, uniqueItems, endless } = counts;
  return { schema, warnings, patterns, nodes, hasUniqueItems: uniqueItems > 0, hasEndless: endless > 0 };
}

function clean(schema: Json, walk: Walk, depth: number): Json | undefined {
  if (typeof schema === 'boolean') {
    count(walk, 1, 0);
    return schema;
  }
  return isObject(schema) ? cleanObject(schema, walk, depth) : undefined;
}

function cleanObject(schema: JsonObject, outer: Walk, depth: number): JsonObject {
  if (depth > maxDepth) throw new UnusableSchema(`is nested deeper than ${maxDepth} levels`);
  count(outer, 1, 0);
  const result: JsonObject = {};
  const keys = Object.keys(schema);
  let walk = outer;
  let isOlder = false;
  let hasReference = false;
  for (const key of keys) {
    const what = special.get(key);
    if (what === undefined) continue;
    if (what === 'reference') hasReference = true;
    else if (what === 'older') isOlder = true;
    else if (isEmbedded(schema, outer)) walk = { ...outer, base: schema };
  }
  if (hasReference) {
    takeReference(schema, result, walk);
    if (result.$ref !== undefined && walk.isOld) return result;
  }
  const modern = isOlder ? modernize(schema) : schema;
  for (const key of modern === schema ? keys : Object.keys(modern)) {
    const cleanKeyword = keywords.get(key);
    if (cleanKeyword === undefined) continue;
    const value = modern[key];
    const cleaned = value === undefined ? undefined : cleanKeyword(value, walk, depth, key);
    if (cleaned !== undefined) result[key] = cleaned;
    else warn(walk, `"${key}" has a value that cannot be applied; it is left out.`);
  }
  if (result.pattern !== undefined) keepMeaning(result, own(schema, 'description'), walk);
  return result;
}

const referenceKeywords = ['$ref', '$dynamicRef', '$recursiveRef'];

/** Keywords that are looked at before all others: most schemas have none of them, and to ask each schema for each takes its time. */
const special: ReadonlyMap<string, 'id' | 'reference' | 'older'> = new Map([
  ['$id', 'id'],
  ...referenceKeywords.map((key) => [key, 'reference'] as const),
  ...['items', 'dependencies', 'exclusiveMinimum', 'exclusiveMaximum', 'nullable'].map((key) => [key, 'older'] as const),
]);

function isEmbedded(schema: JsonObject, { root }: Walk): boolean {
  const { $id } = schema;
  return schema !== root && typeof $id === 'string' && !$id.startsWith('#');
}

function takeReference(schema: JsonObject, result: JsonObject, walk: Walk): void {
  for (const key of referenceKeywords) {
    const reference = own(schema, key);
    if (typeof reference !== 'string') continue;
    if (result.$ref !== undefined) throw new UnusableSchema(`has two references in one place, "$ref" and "${key}"`);
    result.$ref = refer(reference, walk);
  }
}

/** For whoever is told that a text does not match. Characters that do not show are no words. */
function keepMeaning(result: JsonObject, description: Json | undefined, walk: Walk): void {
  if (typeof description !== 'string' || !/^[ -~]{1,200}$/.test(description)) return;
  count(walk, 0, description.length);
  result.description = description;
}

function refer(reference: string, walk: Walk): string {
  const found = findReference(reference, walk.base, walk.index);
  if (found === undefined)
    throw new UnusableSchema(
      `refers to ${JSON.stringify(shorten(reference, 200))}, which is not within it; what is elsewhere is never fetched`,
    );
  const { target, base } = found;
  // The whole schema, too: it is cleaned once more under a name of its own.
  let name = walk.names.get(target);
  if (name === undefined) {
    name = `d${walk.names.size}`;
    walk.names.set(target, name);
    walk.queue.push({ target, base });
  }
  return `#/$defs/${name}`;
}

function count({ counts }: Walk, nodes: number, characters: number): void {
  counts.nodes += nodes;
  counts.characters += characters;
  if (counts.nodes > maxNodes) throw new UnusableSchema(`holds more than ${maxNodes} parts`);
  if (counts.characters > maxCharacters) throw new UnusableSchema(`holds more than ${maxCharacters} characters`);
}

const maxWarnings = 50;

function warn({ warnings }: Walk, sentence: string): void {
  if (warnings.length < maxWarnings) warnings.push(sentence);
}

function own(schema: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(schema, key) ? schema[key] : undefined;
}

/** Older words for what 2020-12 says otherwise. */
function modernize(schema: JsonObject): JsonObject {
  const { items, additionalItems, dependencies, exclusiveMinimum, exclusiveMaximum, minimum, maximum, nullable, type } = schema;
  const isOlder =
    Array.isArray(items) ||
    isObject(dependencies) ||
    nullable === true ||
    typeof exclusiveMinimum === 'boolean' ||
    typeof exclusiveMaximum === 'boolean';
  if (!isOlder) return schema;
  const changes: [string, Json | undefined][] = [];
  if (Array.isArray(items)) changes.push(['prefixItems', items], ['items', additionalItems]);
  if (isObject(dependencies)) {
    const entries = Object.entries(dependencies);
    changes.push(['dependentRequired', Object.fromEntries(entries.filter(([, value]) => Array.isArray(value)))]);
    changes.push(['dependentSchemas', Object.fromEntries(entries.filter(([, value]) => !Array.isArray(value)))]);
  }
  // Draft 04: a flag beside the bound.
  if (typeof exclusiveMinimum === 'boolean')
    changes.push(
      ['exclusiveMinimum', exclusiveMinimum ? minimum : undefined],
      ['minimum', exclusiveMinimum ? undefined : minimum],
    );
  if (typeof exclusiveMaximum === 'boolean')
    changes.push(
      ['exclusiveMaximum', exclusiveMaximum ? maximum : undefined],
      ['maximum', exclusiveMaximum ? undefined : maximum],
    );
  // OpenAPI 3.0.
  if (nullable === true && typeof type === 'string') changes.push(['type', [type, 'null']]);
  if (nullable === true && Array.isArray(schema.enum)) changes.push(['enum', [...schema.enum, null]]);
  if (changes.length === 0) return schema;
  const kept = { ...schema };
  for (const [key, value] of changes) {
    if (value === undefined) delete kept[key];
    else kept[key] = value;
  }
  return kept;
}

const types = new Set(['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']);
const isCount = (value: Json) => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isBound = (value: Json) => typeof value === 'number' && Number.isFinite(value);
const isNames = (value: Json): value is string[] => Array.isArray(value) && value.every((name) => typeof name === 'string');

/** Keywords whose value is taken as it is, if it is one. */
const plainKeywords: Readonly<Record<string, (value: Json) => boolean>> = {
  type: (value) => {
    const names = Array.isArray(value) ? value : [value];
    return (
      names.length > 0 &&
      names.every((name) => typeof name === 'string' && types.has(name)) &&
      new Set(names).size === names.length
    );
  },
  minimum: isBound,
  maximum: isBound,
  exclusiveMinimum: isBound,
  exclusiveMaximum: isBound,
  multipleOf: (value) => typeof value === 'number' && value > 0 && Number.isFinite(value),
  minLength: isCount,
  maxLength: isCount,
  minItems: isCount,
  maxItems: isCount,
  minProperties: isCount,
  maxProperties: isCount,
  minContains: isCount,
  maxContains: isCount,
  uniqueItems: (value) => typeof value === 'boolean',
  pattern: (value) => typeof value === 'string',
};

/** The keyword's value in its clean form; undefined for what cannot be applied. */
type CleanKeyword = (value: Json, walk: Walk, depth: number, key: string) => Json | undefined;

const keywords: ReadonlyMap<string, CleanKeyword> = new Map<string, CleanKeyword>([
  ...Object.entries(plainKeywords).map(([key, isUsable]): [string, CleanKeyword] => [
    key,
    (value, walk) => (isUsable(value) ? cleanPlain(key, value, walk) : undefined),
  ]),
  ...[...partKeywords].map((key): [string, CleanKeyword] => [key, (value, walk, depth) => clean(value, walk, depth + 1)]),
  ...[...listKeywords].map((key): [string, CleanKeyword] => [key, cleanList]),
  ...[...mapKeywords].map((key): [string, CleanKeyword] => [
    key,
    (value, walk, depth) => (isObject(value) ? cleanMap(key, value, walk, depth) : undefined),
  ]),
  ['enum', (value, walk) => (Array.isArray(value) && value.length > 0 ? copy(value, walk) : undefined)],
  ['const', (value, walk) => copy(value, walk)],
  ['required', (value, walk) => (isNames(value) ? copy([...new Set(value)], walk) : undefined)],
  [
    'dependentRequired',
    (value, walk) => (isObject(value) && Object.values(value).every(isNames) ? copy(value, walk) : undefined),
  ],
]);

// An empty list checks nothing in allOf and forbids everything in anyOf: nobody means that.
function cleanList(parts: Json, walk: Walk, depth: number): Json | undefined {
  if (!Array.isArray(parts) || parts.length === 0) return undefined;
  const all: Json[] = [];
  for (const part of parts) {
    const cleaned = clean(part, walk, depth + 1);
    if (cleaned !== undefined) all.push(cleaned);
  }
  return all.length === parts.length ? all : undefined;
}

function cleanPlain(key: string, value: Json, walk: Walk): Json {
  if (key === 'pattern' && typeof value === 'string') notePattern(value, walk);
  if (key === 'uniqueItems' && value === true) walk.counts.uniqueItems++;
  return value;
}

function notePattern(pattern: string, walk: Walk): void {
  count(walk, 0, pattern.length);
  walk.patterns.push(pattern);
}

function cleanMap(key: string, map: JsonObject, walk: Walk, depth: number): JsonObject {
  const all: JsonObject = {};
  for (const name of Object.keys(map)) {
    count(walk, 0, name.length);
    if (key === 'patternProperties') notePattern(name, walk);
    const cleaned = clean(map[name]!, walk, depth + 1);
    if (cleaned === undefined)
      warn(walk, `"${key}" says nothing usable about "${shorten(name, 60)}"; anything is allowed there.`);
    setOwn(all, name, cleaned ?? true);
  }
  return all;
}

/** Own members whatever they are called. */
function setOwn(object: JsonObject, name: string, value: Json): void {
  if (name !== '__proto__') object[name] = value;
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

/** Values that a schema lists, counted like parts of it. */
function copy(value: Json, walk: Walk, depth = 1): Json {
  if (depth > maxDepth) throw new UnusableSchema(`lists a value that is nested deeper than ${maxDepth} levels`);
  count(walk, 1, typeof value === 'string' ? value.length : 0);
  if (typeof value === 'number') return copyNumber(value, walk);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const item of value) items.push(copy(item, walk, depth + 1));
    return items;
  }
  const digits = longNumber(value);
  if (digits !== undefined) return copyNumber(Number(digits), walk);
  const members: JsonObject = {};
  for (const key of Object.keys(value)) {
    count(walk, 0, key.length);
    setOwn(members, key, copy(value[key]!, walk, depth + 1));
  }
  return members;
}

function copyNumber(value: number, walk: Walk): number {
  if (!Number.isFinite(value)) walk.counts.endless++;
  return value;
}

/** A clean schema as JSON. A number that is larger than any double stays one: `JSON.parse` makes of it what it was. */
export function writeClean({ schema, hasEndless }: CleanSchema): string {
  if (!hasEndless) return JSON.stringify(schema);
  const { rawJSON } = JSON as unknown as { rawJSON(source: string): object };
  return JSON.stringify(schema, (_key, value: unknown) => {
    if (value === Number.POSITIVE_INFINITY) return rawJSON('1e999');
    return value === Number.NEGATIVE_INFINITY ? rawJSON('-1e999') : value;
  });
}

/** The schemas within a clean one, references not followed. */
export function partsOf(schema: JsonObject): Json[] {
  return Object.entries(schema).flatMap(([key, value]) => {
    if (partKeywords.has(key)) return [value];
    if (listKeywords.has(key) && Array.isArray(value)) return value;
    return (mapKeywords.has(key) || key === '$defs') && isObject(value) ? Object.values(value) : [];
  });
}
