import { findReference, indexReferences, type ReferenceIndex } from '../arguments/schema-reference.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

/** One property of a schema, for a table: `address.street`, `items[].id`. */
interface SchemaRow {
  readonly path: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly description: string;
  /** Sentences: at most 20 characters, one of "a", "b". */
  readonly rules: readonly string[];
}

export interface SchemaRows {
  readonly rows: readonly SchemaRow[];
  /** There is more than a table can show. */
  readonly isCut: boolean;
}

const mostRows = 200;
const mostDeep = 6;
const mostValues = 30;
const longestValue = 100;
const mostAlternatives = 8;
const mostHops = 20;
/** Schemas that are looked at for one table. */
const mostParts = 3_000;

interface Reader {
  readonly base: JsonObject;
  readonly index: () => ReferenceIndex;
  readonly rows: SchemaRow[];
  isCut: boolean;
  parts: number;
}

/** The properties of a schema, nested ones behind their owner. Finite, whatever refers to what. */
export function rowsOf(schema: JsonObject): SchemaRows {
  let index: ReferenceIndex | undefined;
  const indexed = () => {
    index ??= indexReferences(schema);
    return index;
  };
  const reader: Reader = { base: schema, index: indexed, rows: [], isCut: false, parts: mostParts };
  addProperties(reader, schema, '', []);
  return { rows: reader.rows, isCut: reader.isCut };
}

/** `within`: the schemas that this one stands in; one that stands in itself is not opened again. */
function addProperties(reader: Reader, schema: JsonObject, prefix: string, within: readonly JsonObject[]): void {
  const resolved = resolve(reader, schema);
  if (within.includes(resolved) || within.length > mostDeep || reader.parts-- <= 0) {
    if (isObject(resolved.properties) || isObject(resolved.items)) reader.isCut = true;
    return;
  }
  const inside = [...within, resolved];
  const required = new Set(Array.isArray(resolved.required) ? resolved.required : []);
  for (const [name, property] of Object.entries(isObject(resolved.properties) ? resolved.properties : {})) {
    if (reader.rows.length >= mostRows) {
      reader.isCut = true;
      return;
    }
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const shown = isObject(property) ? resolve(reader, property) : {};
    reader.rows.push(rowOf(reader, path, shown, required.has(name)));
    addNested(reader, shown, path, inside);
  }
  for (const part of alternativesOf(resolved)) addProperties(reader, part, prefix, inside);
}

function addNested(reader: Reader, schema: JsonObject, path: string, within: readonly JsonObject[]): void {
  addProperties(reader, schema, path, within);
  if (isObject(schema.items)) addProperties(reader, schema.items, `${path}[]`, within);
  if (isObject(schema.additionalProperties)) addProperties(reader, schema.additionalProperties, `${path}.*`, within);
}

function alternativesOf({ allOf, anyOf, oneOf }: JsonObject): readonly JsonObject[] {
  return [allOf, anyOf, oneOf].flatMap((list) => (Array.isArray(list) ? list.slice(0, mostAlternatives).filter(isObject) : []));
}

function resolve(reader: Reader, schema: JsonObject): JsonObject {
  let at = schema;
  for (let hops = 0; typeof at.$ref === 'string' && hops < mostHops; hops++) {
    const { $ref, ...own } = at;
    const found = findReference($ref, reader.base, reader.index)?.target;
    if (found === undefined) return own;
    at = Object.keys(own).length === 0 ? found : { ...found, ...own };
  }
  return at;
}

function rowOf(reader: Reader, path: string, schema: JsonObject, isRequired: boolean): SchemaRow {
  const description =
    typeof schema.description === 'string' ? schema.description : typeof schema.title === 'string' ? schema.title : '';
  return { path, type: typeName(reader, schema, 0), isRequired, description, rules: rulesOf(schema) };
}

function typeName(reader: Reader, schema: JsonObject, depth: number): string {
  if (depth > 3) return 'any';
  const { type, items, format } = schema;
  if (Array.isArray(type)) return type.map(String).join(' or ');
  if (type === 'array' || (type === undefined && isObject(items))) {
    const item = isObject(items) ? typeName(reader, resolve(reader, items), depth + 1) : 'any';
    return `array of ${item}`;
  }
  if (typeof type === 'string') return typeof format === 'string' ? `${type} (${format})` : type;
  const names = alternativesOf(schema).map((part) => typeName(reader, resolve(reader, part), depth + 1));
  if (names.length > 0) return [...new Set(names)].join(' or ');
  if (isObject(schema.properties)) return 'object';
  return 'any';
}

function rulesOf(schema: JsonObject): string[] {
  const rules: string[] = [];
  const say = (key: string, words: (value: string) => string) => {
    const value = schema[key];
    if (typeof value === 'number' || typeof value === 'string') rules.push(words(short(value)));
  };
  if (schema.const !== undefined) rules.push(`always ${short(schema.const)}`);
  if (Array.isArray(schema.enum)) {
    const values = schema.enum.slice(0, mostValues).map(short).join(', ');
    rules.push(`one of ${values}${schema.enum.length > mostValues ? ', ...' : ''}`);
  }
  say('minLength', (least) => `at least ${least} characters`);
  say('maxLength', (most) => `at most ${most} characters`);
  say('pattern', (pattern) => `matches ${pattern}`);
  say('minimum', (least) => `at least ${least}`);
  say('exclusiveMinimum', (least) => `more than ${least}`);
  say('maximum', (most) => `at most ${most}`);
  say('exclusiveMaximum', (most) => `less than ${most}`);
  say('multipleOf', (step) => `a multiple of ${step}`);
  say('minItems', (least) => `at least ${least} items`);
  say('maxItems', (most) => `at most ${most} items`);
  if (schema.uniqueItems === true) rules.push('no item twice');
  if (schema.default !== undefined) rules.push(`default ${short(schema.default)}`);
  if (schema.deprecated === true) rules.push('deprecated');
  return rules;
}

function short(value: Json): string {
  const text = JSON.stringify(value);
  return text.length <= longestValue ? text : `${text.slice(0, longestValue)}...`;
}
