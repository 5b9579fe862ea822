/**
 * Turns the schemas of a description, of whatever format, into JSON Schema 2020-12. Each schema that is referred to is converted once
 * and stays a definition of its own, so that what contains itself stays finite.
 *
 * Schemas of arguments keep all that restricts them, but for members that only the API sets. Those of answers lose it: an API that
 * answers more, less or `null` where its description says otherwise still answered.
 */
import { mapKeywords, partKeywords } from '../../arguments/schema-keywords.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { DocumentFormat } from './document-format.ts';
import { hiddenMembers, isHidden, nothingHidden } from './hidden-members.ts';
import type { ProblemList } from './problem-list.ts';
import { childOf, keyOf, type Place, quoteReference, type References } from './references.ts';
import { addAlternatives, markAlternatives } from './schema-alternatives.ts';
import { plainKeywords, readBounds, readPattern, readSchemaExamples } from './schema-keywords.ts';
import { referencesToSameValue, type SchemaLoops } from './schema-loops.ts';
import { definitionName, longDefinitionName } from './schema-names.ts';
import { addTypes } from './schema-types.ts';

export type Direction = 'input' | 'output';

/** A schema, and the names of the definitions that it refers to as `#/$defs/<name>`. */
export interface SchemaPart {
  readonly schema: Json;
  readonly references: ReadonlySet<string>;
}

interface Definition {
  readonly schema: JsonObject;
  readonly references: ReadonlySet<string>;
}

export interface Schemas {
  convert(place: Place): SchemaPart;
  /** One that a converted schema refers to. */
  definition(name: string): Definition;
}

export interface SchemaContext {
  readonly references: References;
  readonly loops: SchemaLoops;
  readonly problems: ProblemList;
  readonly family: DocumentFormat['family'];
}

interface Converter extends SchemaContext {
  readonly isOutput: boolean;
  readonly places: Map<string, Place>;
}

interface Walk {
  /** The definition that is converted; undefined for a schema that nothing refers to. */
  readonly owner: Place | undefined;
  readonly references: Set<string>;
  /** Still the value that the owner describes, not a member of it. */
  readonly isSameValue: boolean;
  readonly depth: number;
  /** Members that are not to be seen, though they may be required. */
  readonly hidden: ReadonlySet<string>;
}

export function convertSchemas(context: SchemaContext, direction: Direction): Schemas {
  const converter: Converter = { ...context, isOutput: direction === 'output', places: new Map() };
  const definitions = new Map<string, Definition>();
  const convertPlace = (place: Place, owner: Place | undefined): SchemaPart => {
    const references = new Set<string>();
    return {
      schema: convert(converter, place, { owner, references, isSameValue: true, depth: 0, hidden: nothingHidden }),
      references,
    };
  };
  return {
    convert: (place) => convertPlace(place, undefined),
    definition: (name) => {
      const known = definitions.get(name);
      if (known !== undefined) return known;
      const place = converter.places.get(name);
      if (place === undefined) throw new Error(`There is no definition ${JSON.stringify(name)}.`);
      const { schema, references } = convertPlace(place, place);
      const made = { schema: isObject(schema) ? schema : schema === false ? { not: {} } : {}, references };
      definitions.set(name, made);
      return made;
    },
  };
}

const inlineDepthLimit = 40;

function convert(converter: Converter, place: Place, walk: Walk): Json {
  const { value } = place;
  if (typeof value === 'boolean') return converter.isOutput ? true : value;
  if (!isObject(value)) {
    report(converter, place, 'What stands here is no schema; any value is taken.');
    return {};
  }
  if (walk.depth > inlineDepthLimit) {
    report(converter, place, `Schemas are nested deeper than ${inlineDepthLimit} levels here; any value is taken.`);
    return {};
  }
  return convertObject(converter, place, value, walk);
}

function report({ problems }: Converter, { pointer }: Place, message: string): void {
  problems.add('changed', '', pointer, message);
}

const referenceKeywords = ['$ref', '$dynamicRef', '$recursiveRef'];

function convertObject(converter: Converter, place: Place, value: JsonObject, outer: Walk): JsonObject {
  const reference = referenceKeywords.map((key) => value[key]).find((found) => typeof found === 'string');
  const isOnlyReference = reference !== undefined && converter.family !== '3.1';
  const raw = readBounds(isOnlyReference ? annotationsOf(value) : value);
  const hasHidden = Object.hasOwn(raw, 'allOf') || Object.hasOwn(raw, 'required');
  const walk = hasHidden
    ? { ...outer, hidden: hiddenMembers(place, outer.hidden, flagOf(converter), converter.references) }
    : outer;
  const schema: JsonObject = typeof reference === 'string' ? refer(converter, place, reference, walk) : {};
  for (const key of Object.keys(raw)) convertKeyword(converter, schema, key, place, raw, walk);
  const examples = converter.isOutput ? [] : readSchemaExamples(raw);
  if (examples.length > 0) schema.examples = examples;
  return addTypes(schema, raw, converter.isOutput, (message) => report(converter, place, message));
}

function flagOf({ isOutput }: Converter): 'readOnly' | 'writeOnly' {
  return isOutput ? 'writeOnly' : 'readOnly';
}

/** What may stand beside a reference before 3.1, going by what people mean with it. */
function annotationsOf({ title, description, deprecated, nullable, default: fallback }: JsonObject): JsonObject {
  const kept = { title, description, deprecated, nullable, default: fallback };
  return Object.fromEntries(Object.entries(kept).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
}

function refer(converter: Converter, place: Place, reference: string, walk: Walk): JsonObject {
  const found = converter.references.find(reference, place.url);
  if (found.kind === 'missing') {
    report(converter, place, `This refers to ${quoteReference(reference)}, ${found.why}; any value is taken.`);
    return {};
  }
  if (walk.owner !== undefined && walk.isSameValue && converter.loops.isLoop(walk.owner, found.place)) {
    report(converter, place, 'The schema refers to itself without going into the value; that part is left out.');
    return {};
  }
  const name = nameOf(converter, found.place);
  walk.references.add(name);
  return { $ref: `#/$defs/${name}` };
}

function nameOf({ places }: Converter, place: Place): string {
  const short = definitionName(place);
  const known = places.get(short);
  const name = known === undefined || keyOf(known) === keyOf(place) ? short : longDefinitionName(place);
  places.set(name, place);
  return name;
}

/** Adds what a keyword comes to. */
function convertKeyword(converter: Converter, schema: JsonObject, key: string, place: Place, raw: JsonObject, walk: Walk): void {
  const value = raw[key] ?? null;
  const plain = plainKeywords[converter.isOutput ? 'output' : 'input'];
  const read = Object.hasOwn(plain, key) ? plain[key] : undefined;
  if (read !== undefined) {
    const kept = read(value);
    if (kept !== undefined) schema[key] = kept;
    else if (key === 'pattern')
      report(converter, childOf(place, key, value), 'The pattern is no regular expression that validators read; it is left out.');
    return;
  }
  // Most keywords say nothing more, and have no schema in them.
  if (typeof value === 'object' || typeof value === 'boolean')
    convertParts(converter, schema, key, childOf(place, key, value), raw, walk);
}

function convertParts(converter: Converter, schema: JsonObject, key: string, at: Place, raw: JsonObject, walk: Walk): void {
  const { value } = at;
  switch (key) {
    case 'properties':
      if (isObject(value)) schema.properties = convertProperties(converter, at, value, walk);
      return;
    case 'items':
      convertItems(converter, schema, at, raw, walk);
      return;
    case 'prefixItems':
    case 'allOf':
      if (Array.isArray(value) && value.length > 0)
        schema[key] = convertList(converter, at, value, key === 'allOf' ? beside(walk) : inside(walk));
      return;
    case 'anyOf':
    case 'oneOf':
      if (Array.isArray(value) && value.length > 0) convertAlternatives(converter, schema, key, at, value, raw, beside(walk));
      return;
    case 'additionalProperties':
      convertAdditional(converter, schema, at, raw, walk);
      return;
    default:
      if (!converter.isOutput) convertRestriction(converter, schema, key, at, walk);
  }
}

function inside(walk: Walk): Walk {
  return { ...walk, isSameValue: false, depth: walk.depth + 1, hidden: nothingHidden };
}

function beside(walk: Walk): Walk {
  return { ...walk, depth: walk.depth + 1 };
}

function convertList(converter: Converter, at: Place, parts: readonly Json[], walk: Walk): Json[] {
  return parts.map((part, index) => convert(converter, childOf(at, index, part), walk));
}

function convertProperties(converter: Converter, at: Place, members: JsonObject, walk: Walk): JsonObject {
  const within = inside(walk);
  return Object.fromEntries(
    Object.entries(members)
      .filter(([, part]) => !isHidden(part, at.url, flagOf(converter), converter.references))
      .map(([name, part]) => [name, convert(converter, childOf(at, name, part), within)]),
  );
}

function convertItems(converter: Converter, schema: JsonObject, at: Place, raw: JsonObject, walk: Walk): void {
  const { value } = at;
  if (!Array.isArray(value)) {
    schema.items = convert(converter, at, inside(walk));
    return;
  }
  // Before 2020-12: a schema per item, and another word for the rest.
  if (value.length > 0) schema.prefixItems = convertList(converter, at, value, inside(walk));
  const rest = raw.additionalItems;
  if (isObject(rest)) schema.items = convert(converter, { ...at, value: rest }, inside(walk));
  else if (rest === false && !converter.isOutput) schema.items = false;
}

function convertAdditional(converter: Converter, schema: JsonObject, at: Place, raw: JsonObject, walk: Walk): void {
  const { value } = at;
  if (value === false && !converter.isOutput) schema.additionalProperties = false;
  // Beside named members, what a description says of all others is often wrong.
  if (!isObject(value) || Object.keys(value).length === 0 || (converter.isOutput && isObject(raw.properties))) return;
  schema.additionalProperties = convert(converter, at, inside(walk));
}

function convertAlternatives(
  converter: Converter,
  schema: JsonObject,
  key: 'anyOf' | 'oneOf',
  at: Place,
  value: readonly Json[],
  raw: JsonObject,
  walk: Walk,
): void {
  if (leadsBack(converter, at, value, walk)) {
    // The base of a family of schemas: its own members still say what all have.
    report(converter, at, `The alternatives ("${key}") include the schema that they belong to; they are left out.`);
    return;
  }
  const parts = convertList(converter, at, value, walk);
  const { discriminator } = raw;
  const isMarked = !converter.isOutput && isObject(discriminator);
  const marked = isMarked ? markAlternatives(discriminator, at, parts, converter.references) : undefined;
  const isLenient = converter.isOutput || (isMarked && marked === undefined);
  addAlternatives(schema, isLenient ? 'anyOf' : key, marked ?? parts);
}

function leadsBack({ references, loops }: Converter, at: Place, value: readonly Json[], { owner, isSameValue }: Walk): boolean {
  if (owner === undefined || !isSameValue) return false;
  return value
    .flatMap((part) => [...referencesToSameValue({ ...at, value: part }, references, true)])
    .some((target) => loops.isAlternativeLoop(owner, target));
}

const besideKeywords: ReadonlySet<string> = new Set(['not', 'if', 'then', 'else', 'dependentSchemas']);

/** Keywords that only ever restrict. */
function convertRestriction(converter: Converter, schema: JsonObject, key: string, at: Place, walk: Walk): void {
  const { value } = at;
  const within = besideKeywords.has(key) ? beside(walk) : inside(walk);
  if (key === 'required') {
    const names = namesIn(value).filter((name) => !walk.hidden.has(name));
    if (names.length > 0) schema.required = names;
  } else if (partKeywords.has(key)) {
    if (!isObject(value) && typeof value !== 'boolean') return;
    const part = convert(converter, at, within);
    // What became anything must not become nothing.
    if (key !== 'not' || !isEmpty(part) || isEmpty(value)) schema[key] = part;
  } else if (mapKeywords.has(key) && isObject(value)) {
    const entries = Object.entries(value).flatMap(([name, part]) => {
      const kept = key === 'patternProperties' ? readPattern(name) : name;
      return kept === undefined ? [] : [[kept, convert(converter, childOf(at, name, part), within)]];
    });
    schema[key] = Object.fromEntries(entries);
  } else if (key === 'dependentRequired' && isObject(value)) {
    schema[key] = Object.fromEntries(Object.entries(value).map(([name, names]) => [name, namesIn(names)]));
  }
}

function isEmpty(part: Json): boolean {
  return isObject(part) && Object.keys(part).length === 0;
}

function namesIn(value: Json): string[] {
  return Array.isArray(value) ? [...new Set(value.filter((name) => typeof name === 'string'))] : [];
}
