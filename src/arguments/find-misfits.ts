/**
 * Everything about arguments that does not fit, for whoever has to mend them in one go. Asked only once Ajv has refused them, and what Ajv
 * says counts: a keyword that is not understood here finds nothing. A walk of its own, since Ajv that reports all it finds makes a second
 * program of each schema and has no bound.
 */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import type { Matcher } from './compile-schema.ts';
import { argumentWords, type CheckWords, describe, expectedBy, meantBy, placeOf, type Wrong } from './describe-error.ts';
import { type Discriminator, findDiscriminator } from './discriminator.ts';
import { pointerPart } from './measure-arguments.ts';
import { plainProblem } from './plain-problem.ts';

/** One thing to change. Nothing in it repeats a value, and names only in part. */
export interface Misfit {
  /** JSON pointer (RFC 6901), fit to be shown; empty for the arguments themselves. */
  readonly path: string;
  /** A whole sentence, with the place. */
  readonly message: string;
  /** What belongs there: "a whole number of at most 100". */
  readonly expected?: string;
  /** The name that is known, where one is not and looks like it. */
  readonly didYouMean?: string;
}

export interface Misfits {
  readonly found: readonly Misfit[];
  /** There may be others: some of the schema is not understood here, or there was too much to look at. */
  readonly isPartial: boolean;
  /** Places where one alternative was meant and something is wrong with it: what is said of them beside is about another one. */
  readonly chosenAt?: readonly string[];
}

/** So many are told at once. */
export const mostMisfits = 20;
/** Parts of the schema that are put beside a value: some milliseconds. */
const mostSteps = 20_000;
const deepest = 200;
const mostMatchedCharacters = 20_000;

/** `patterns`: those of the schema that can be matched. */
export function findMisfits(
  schema: JsonObject,
  value: Json,
  patterns: ReadonlyMap<string, Matcher> = noPatterns,
  words: CheckWords = argumentWords,
): Misfits {
  const walk: Walk = {
    ...{ root: schema, patterns, steps: mostSteps, characters: mostMatchedCharacters, isPartial: false },
    discriminators: new Map(),
    chosenAt: [],
  };
  const wrongs: Wrong[] = [];
  look(walk, wrongs, schema, value, '', 0);
  const told = new Map(wrongs.map((wrong) => [describe(wrong, words), wrong]));
  const found = [...told].slice(0, mostMisfits).map(([message, wrong]) => toMisfit(message, wrong));
  const isPartial = walk.isPartial || told.size > mostMisfits;
  return { found, isPartial, ...(walk.chosenAt.length === 0 ? {} : { chosenAt: walk.chosenAt }) };
}

const noPatterns: ReadonlyMap<string, Matcher> = new Map();

function toMisfit(message: string, wrong: Wrong): Misfit {
  const expected = expectedBy(wrong);
  const didYouMean = meantBy(wrong);
  return {
    path: placeOf(wrong),
    message,
    ...(expected === undefined ? {} : { expected }),
    ...(didYouMean === undefined ? {} : { didYouMean }),
  };
}

/** What one sentence says alone. */
export function misfitOf(sentence: string): Misfit {
  return { path: /^(\/.*?) (?:must|is|has|fits)\b/s.exec(sentence)?.[1] ?? '', message: sentence };
}

/** All of them as one text: a line for each where there are several. */
export function describeMisfits({ found, isPartial }: Misfits): string {
  const [first] = found;
  if (first === undefined) return 'These arguments do not fit.';
  if (found.length === 1) return first.message;
  const lines = found.map(({ message }) => `- ${message}`);
  const more = isPartial ? '\nThere may be more to change.' : '';
  return `These arguments do not fit in ${found.length} places:\n${lines.join('\n')}${more}`;
}

interface Walk {
  readonly root: JsonObject;
  readonly patterns: ReadonlyMap<string, Matcher>;
  steps: number;
  characters: number;
  isPartial: boolean;
  /** By the list of alternatives: what was found once is not looked for again at each item. */
  readonly discriminators: Map<readonly Json[], Discriminator | undefined>;
  readonly chosenAt: string[];
}

/** More than are told, so that it shows that there are more. */
const mostFound = mostMisfits * 2;

function look(walk: Walk, wrongs: Wrong[], part: Json | undefined, value: Json, path: string, depth: number): void {
  if (part === undefined || part === true) return;
  if (part === false) return void wrongs.push({ keyword: 'false schema', instancePath: path, params: {} });
  if (!isObject(part)) return;
  if (wrongs.length >= mostFound || depth > deepest || --walk.steps < 0) {
    walk.isPartial = true;
    return;
  }
  if (Array.isArray(part.enum)) walk.steps -= part.enum.length >> 3;
  // Whether two lists or two objects are equal is Ajv's to tell.
  if (typeof value === 'object' && value !== null && (part.const ?? part.enum) !== undefined) walk.isPartial = true;
  for (const keyword of notUnderstood) if (part[keyword] !== undefined) walk.isPartial = true;
  const plain = plainProblem(part, value);
  // Nothing else makes sense of a value of another kind.
  if (plain !== undefined) return void wrongs.push({ keyword: plain, instancePath: path, params: {}, parentSchema: part });
  if (typeof part.$ref === 'string') look(walk, wrongs, targetOf(walk, part.$ref), value, path, depth + 1);
  if (Array.isArray(part.allOf)) for (const each of part.allOf) look(walk, wrongs, each, value, path, depth + 1);
  for (const keyword of ['anyOf', 'oneOf'] as const) lookAtAlternatives(walk, wrongs, part, keyword, value, path, depth);
  if (typeof value === 'string') lookAtPattern(walk, wrongs, part, value, path);
  else if (Array.isArray(value)) lookAtItems(walk, wrongs, part, value, path, depth);
  else if (isObject(value)) lookAtMembers(walk, wrongs, part, value, path, depth);
}

/** Not looked at here: what they say is Ajv's to tell. */
const notUnderstood = [
  ...['not', 'if', 'contains', 'uniqueItems', 'unevaluatedProperties', 'unevaluatedItems', 'dependentSchemas', 'propertyNames'],
  ...['minProperties', 'maxProperties'],
];

function targetOf({ root }: Walk, reference: string): Json | undefined {
  const name = reference.slice('#/$defs/'.length);
  return isObject(root.$defs) && Object.hasOwn(root.$defs, name) ? root.$defs[name] : undefined;
}

function lookAtPattern(walk: Walk, wrongs: Wrong[], part: JsonObject, value: string, path: string): void {
  if (typeof part.pattern !== 'string') return;
  const matches = match(walk, part.pattern, value);
  if (matches === false) wrongs.push({ keyword: 'pattern', instancePath: path, params: {}, parentSchema: part });
}

/** Undefined where it cannot be said. */
function match(walk: Walk, pattern: string, text: string): boolean | undefined {
  const matcher = walk.patterns.get(pattern);
  walk.characters -= matcher === undefined ? 0 : text.length;
  if (matcher !== undefined && walk.characters >= 0) return matcher.test(text);
  walk.isPartial = true;
  return undefined;
}

function lookAtItems(walk: Walk, wrongs: Wrong[], part: JsonObject, items: readonly Json[], path: string, depth: number): void {
  const first: readonly Json[] = Array.isArray(part.prefixItems) ? part.prefixItems : [];
  if (first.length === 0 && part.items === undefined) return;
  if (part.items === false && items.length > first.length)
    wrongs.push({ keyword: 'items', instancePath: path, params: { limit: first.length }, parentSchema: part });
  for (const [index, item] of items.entries()) {
    const of = index < first.length ? first[index] : part.items === false ? true : part.items;
    look(walk, wrongs, of, item, `${path}/${index}`, depth + 1);
    if (walk.isPartial && (walk.steps < 0 || wrongs.length >= mostFound)) return;
  }
}

function lookAtMembers(walk: Walk, wrongs: Wrong[], part: JsonObject, object: JsonObject, path: string, depth: number): void {
  const blame = (keyword: string, params: Wrong['params']) =>
    wrongs.push({ keyword, instancePath: path, params, parentSchema: part });
  const { required, dependentRequired } = part;
  if (Array.isArray(required)) walk.steps -= required.length >> 3;
  if (Array.isArray(required))
    for (const name of required) if (!Object.hasOwn(object, String(name))) blame('required', { missingProperty: name });
  for (const [property, names] of isObject(dependentRequired) ? Object.entries(dependentRequired) : []) {
    if (!Object.hasOwn(object, property) || !Array.isArray(names)) continue;
    for (const name of names)
      if (!Object.hasOwn(object, String(name))) blame('dependentRequired', { missingProperty: name, property });
  }
  const properties = isObject(part.properties) ? part.properties : {};
  const byPattern = isObject(part.patternProperties) ? Object.entries(part.patternProperties) : [];
  for (const [name, member] of Object.entries(object)) {
    const at = `${path}/${pointerPart(name)}`;
    walk.steps -= byPattern.length >> 3;
    let isKnown = Object.hasOwn(properties, name);
    if (isKnown) look(walk, wrongs, properties[name], member, at, depth + 1);
    for (const [pattern, each] of byPattern) {
      const matches = match(walk, pattern, name);
      if (matches === true) look(walk, wrongs, each, member, at, depth + 1);
      isKnown ||= matches !== false;
    }
    if (isKnown || part.additionalProperties === undefined) continue;
    if (part.additionalProperties === false) blame('additionalProperties', { additionalProperty: name });
    else look(walk, wrongs, part.additionalProperties, member, at, depth + 1);
    if (wrongs.length >= mostFound || walk.steps < 0) {
      walk.isPartial = true;
      return;
    }
  }
}

/** Of several alternatives that all fail, what is wrong with the one that was meant, where that shows; else what they ask for. */
function lookAtAlternatives(
  walk: Walk,
  wrongs: Wrong[],
  part: JsonObject,
  keyword: 'anyOf' | 'oneOf',
  value: Json,
  path: string,
  depth: number,
): void {
  const parts = part[keyword];
  if (!Array.isArray(parts)) return;
  if (isObject(value) && lookAtChosen(walk, wrongs, parts, value, path, depth)) return;
  const tried: Wrong[][] = [];
  const before = walk.isPartial;
  let fitting = 0;
  for (const each of parts) {
    const own: Wrong[] = [];
    walk.isPartial = false;
    look(walk, own, each, value, path, depth + 1);
    if (own.length > 0) {
      tried.push(own);
      continue;
    }
    fitting += 1;
    // One that fits, as far as can be seen here: the rest, and whether too many fit, is Ajv's to tell.
    if (walk.isPartial || fitting > 1) {
      walk.isPartial = true;
      return;
    }
    if (keyword === 'anyOf') break;
  }
  walk.isPartial = before;
  if (fitting > 0) return;
  const inside = tried.filter((own) => own.every(({ instancePath, keyword: what }) => instancePath !== path || isOfMember(what)));
  const [meant, second] = inside.toSorted((a, b) => distance(a) - distance(b));
  const isClear = meant !== undefined && (second === undefined || distance(meant) < distance(second));
  if (isClear) wrongs.push(...meant);
  else wrongs.push({ keyword, instancePath: path, params: { passingSchemas: null }, parentSchema: part });
}

/**
 * Where one member says which alternative is meant: what is wrong with that one, or with that member; the others fail for that alone.
 * False where no member does.
 */
function lookAtChosen(
  walk: Walk,
  wrongs: Wrong[],
  parts: readonly Json[],
  value: JsonObject,
  path: string,
  depth: number,
): boolean {
  const discriminator = discriminatorOf(walk, parts);
  if (discriminator === undefined) return false;
  const { name, places, isRequired } = discriminator;
  const allowed = { enum: [...places.keys()] };
  if (!Object.hasOwn(value, name)) {
    if (!isRequired) return false;
    const parentSchema = { properties: { [name]: allowed } };
    wrongs.push({ keyword: 'required', instancePath: path, params: { missingProperty: name }, parentSchema });
    walk.chosenAt.push(placeOf({ keyword: '', instancePath: path, params: {} }));
    return true;
  }
  const chosen = places.get(value[name] ?? null);
  const before = wrongs.length;
  if (chosen !== undefined) look(walk, wrongs, parts[chosen], value, path, depth + 1);
  else wrongs.push({ keyword: 'enum', instancePath: `${path}/${pointerPart(name)}`, params: {}, parentSchema: allowed });
  if (wrongs.length > before && walk.chosenAt.length < mostFound)
    walk.chosenAt.push(placeOf({ keyword: '', instancePath: path, params: {} }));
  return true;
}

function discriminatorOf(walk: Walk, parts: readonly Json[]): Discriminator | undefined {
  if (!walk.discriminators.has(parts)) {
    const spend = (steps: number) => {
      walk.steps -= steps;
      return walk.steps >= 0;
    };
    walk.discriminators.set(parts, findDiscriminator(parts, { targetOf: (reference) => targetOf(walk, reference), spend }));
  }
  return walk.discriminators.get(parts);
}

function isOfMember(keyword: string): boolean {
  return keyword === 'required' || keyword === 'additionalProperties' || keyword === 'dependentRequired';
}

/** A member that must have one value says which alternative is meant: with another value it is not this one. */
function distance(own: readonly Wrong[]): number {
  return own.reduce((sum, { keyword }) => sum + (keyword === 'const' || keyword === 'enum' ? 100 : 1), 0);
}
