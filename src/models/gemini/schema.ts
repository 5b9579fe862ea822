import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { objectAt } from '../read-members.ts';

/**
 * A JSON Schema as Gemini takes it: the keywords that its reference names for `responseJsonSchema` and `parametersJsonSchema`
 * (ai.google.dev/api/generate-content). What it would refuse is said in the description, so that the model still reads of it.
 */
export function cleanSchema(schema: JsonObject): JsonObject {
  const definitions = { ...objectAt(schema, 'definitions'), ...objectAt(schema, '$defs') };
  const cleaner: Cleaner = { definitions, nodesLeft: mostNodes, mergesLeft: mostMerges };
  const cleaned = cleanNode(cleaner, schema, 0);
  const names = Object.keys(definitions);
  if (names.length === 0) return cleaned;
  return { ...cleaned, $defs: Object.fromEntries(names.map((name) => [name, cleanNode(cleaner, definitions[name], 1)])) };
}

const mostNodes = 20_000;
const mostMerges = 500;
const deepest = 64;

interface Cleaner {
  readonly definitions: JsonObject;
  nodesLeft: number;
  /** References in `allOf` are written out, and could be made to double with every step. */
  mergesLeft: number;
}

function cleanNode(cleaner: Cleaner, given: Json | undefined, depth: number): JsonObject {
  cleaner.nodesLeft -= 1;
  if (!isObject(given) || depth > deepest || cleaner.nodesLeft < 0) return {};
  const reference = readReference(given);
  if (reference !== undefined)
    return Object.hasOwn(cleaner.definitions, reference) ? { $ref: `#/$defs/${escapePointer(reference)}` } : {};
  const schema = mergeAll(cleaner, given, depth);
  const kept: JsonObject = {};
  for (const name of plainKeywords) if (schema[name] !== undefined) kept[name] = schema[name];
  keepNested(cleaner, schema, kept, depth);
  keepValues(schema, kept);
  describeRest(schema, kept);
  return kept;
}

const plainKeywords = ['type', 'title', 'description', 'minItems', 'maxItems', 'minimum', 'maximum', 'propertyOrdering'] as const;

/** The name of the definition that a node stands for; empty for one that is not among ours. */
function readReference(schema: JsonObject): string | undefined {
  const { $ref } = schema;
  if (typeof $ref !== 'string') return undefined;
  const name = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec($ref)?.[1] ?? '';
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Gemini knows no `allOf`: its members become one schema. */
function mergeAll(cleaner: Cleaner, schema: JsonObject, depth: number): JsonObject {
  const { allOf, ...own } = schema;
  if (!Array.isArray(allOf)) return schema;
  let merged: JsonObject = own;
  for (const member of allOf) {
    cleaner.mergesLeft -= 1;
    if (!isObject(member) || depth > deepest || cleaner.mergesLeft < 0) continue;
    const reference = readReference(member);
    const resolved = reference === undefined ? member : objectAt(cleaner.definitions, reference);
    if (resolved === undefined || (reference !== undefined && !Object.hasOwn(cleaner.definitions, reference))) continue;
    merged = mergeTwo(merged, mergeAll(cleaner, resolved, depth + 1));
  }
  return merged;
}

function mergeTwo(first: JsonObject, second: JsonObject): JsonObject {
  const merged = { ...second, ...first };
  const properties = { ...objectAt(second, 'properties'), ...objectAt(first, 'properties') };
  if (Object.keys(properties).length > 0) merged.properties = properties;
  const required = [first.required, second.required].flatMap((names) => (Array.isArray(names) ? names : []));
  if (required.length > 0) merged.required = Array.from(new Set(required));
  return merged;
}

function keepNested(cleaner: Cleaner, schema: JsonObject, kept: JsonObject, depth: number): void {
  const clean = (node: Json | undefined): JsonObject => cleanNode(cleaner, node, depth + 1);
  const properties = objectAt(schema, 'properties');
  if (properties !== undefined) {
    kept.properties = Object.fromEntries(Object.entries(properties).map(([name, node]) => [name, clean(node)]));
    // A name that is required but not described is refused.
    const { required } = schema;
    const known = Array.isArray(required)
      ? required.filter((name) => typeof name === 'string' && Object.hasOwn(properties, name))
      : [];
    if (known.length > 0) kept.required = known;
  }
  for (const name of ['anyOf', 'oneOf', 'prefixItems'] as const) {
    const nodes = schema[name];
    // It reads oneOf as anyOf.
    if (Array.isArray(nodes) && nodes.length > 0)
      kept[name === 'oneOf' && kept.anyOf === undefined ? 'anyOf' : name] = nodes.map(clean);
  }
  if (isObject(schema.items)) kept.items = clean(schema.items);
  const { additionalProperties: more } = schema;
  if (typeof more === 'boolean') kept.additionalProperties = more;
  else if (isObject(more)) kept.additionalProperties = clean(more);
}

const formats = new Set(['date-time', 'date', 'time', 'duration', 'int32', 'int64', 'float', 'double', 'enum']);

/** Choices may be strings and numbers only, and no string may be empty. */
function keepValues(schema: JsonObject, kept: JsonObject): void {
  const { format } = schema;
  if (typeof format === 'string' && formats.has(format)) kept.format = format;
  const choices = choicesOf(schema);
  if (choices?.every(isChoice)) kept.enum = [...choices];
}

function choicesOf(schema: JsonObject): readonly Json[] | undefined {
  if (schema.const !== undefined) return [schema.const];
  return Array.isArray(schema.enum) && schema.enum.length > 0 ? schema.enum : undefined;
}

function isChoice(value: Json): boolean {
  return typeof value === 'number' || (typeof value === 'string' && value !== '');
}

const told = [
  'format',
  'pattern',
  'minLength',
  'maxLength',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'uniqueItems',
  'default',
] as const;
const longestTold = 200;

function describeRest(schema: JsonObject, kept: JsonObject): void {
  const rest: string[] = [];
  for (const name of told) {
    const value = schema[name];
    if (value !== undefined && kept[name] === undefined) tell(rest, name, value);
  }
  const choices = choicesOf(schema);
  if (choices !== undefined && kept.enum === undefined) tell(rest, 'one of', choices as Json);
  if (rest.length === 0) return;
  const { description } = kept;
  const hint = `(${rest.join('; ')})`;
  kept.description = typeof description === 'string' && description !== '' ? `${description} ${hint}` : hint;
}

function tell(rest: string[], name: string, value: Json): void {
  const text = JSON.stringify(value);
  if (text.length <= longestTold) rest.push(`${name}: ${text}`);
}

/** Whether a tool with this schema takes no arguments: its parameters are then left unsaid. */
export function takesNothing(schema: JsonObject): boolean {
  const { properties, additionalProperties: more, $ref, anyOf, oneOf, allOf } = schema;
  const isOpen =
    more === true || isObject(more) || $ref !== undefined || anyOf !== undefined || oneOf !== undefined || allOf !== undefined;
  return !isOpen && (!isObject(properties) || Object.keys(properties).length === 0);
}
