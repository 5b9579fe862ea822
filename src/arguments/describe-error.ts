/** One sentence for what does not fit: where, what is expected there, in words a model can act on. Never the value itself. */
import type { ErrorObject } from 'ajv/dist/2020.js';
import { suggestName } from '../problems.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { pointerPart, shorten } from './measure-arguments.ts';

/** What is checked by what, as sentences have it. */
export interface CheckWords {
  readonly whole: string;
  readonly schema: string;
}

export const argumentWords: CheckWords = { whole: 'The arguments', schema: 'input schema' };
export const answerWords: CheckWords = { whole: 'The structured content', schema: 'output schema' };

/** What a keyword of a schema has against a value, as Ajv reports it. */
export type Wrong = Pick<ErrorObject, 'keyword' | 'instancePath' | 'params'> & { readonly parentSchema?: unknown };

export function describeErrors(errors: readonly ErrorObject[], words: CheckWords): string {
  const error = pickError(errors);
  return error === undefined ? `${words.whole} must be what the ${words.schema} of this tool says.` : describe(error, words);
}

/** The innermost problem is the one to repair; of several alternatives that all fail at the same place, what they have in common. */
function pickError(errors: readonly ErrorObject[]): ErrorObject | undefined {
  let picked = errors.at(-1);
  for (const error of errors) if (depthOf(error) > (picked === undefined ? -1 : depthOf(picked))) picked = error;
  return picked;
}

function depthOf({ instancePath, keyword }: ErrorObject): number {
  // A missing or surplus member is a problem of that member.
  return instancePath.split('/').length + (memberKeywords.has(keyword) ? 1 : 0);
}

const memberKeywords = new Set(['required', 'additionalProperties', 'unevaluatedProperties', 'dependentRequired']);

export function describe(error: Wrong, { whole }: CheckWords): string {
  const { keyword, params } = error;
  const schema: JsonObject = isObject(error.parentSchema) ? error.parentSchema : {};
  const at = error.instancePath === '' ? whole : subject(error.instancePath);
  switch (keyword) {
    case 'required':
      return describeMissing(error.instancePath, String(params.missingProperty), schema);
    case 'dependentRequired':
      return `${child(error.instancePath, String(params.missingProperty))} is missing; it goes with "${shorten(String(params.property), 40)}".`;
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return describeSurplus(error.instancePath, String(params.additionalProperty ?? params.unevaluatedProperty), schema);
    case 'additionalItems':
    case 'unevaluatedItems':
    case 'items':
      return `${at} must have at most ${params.limit ?? params.len} items.`;
    case 'uniqueItems':
      return `${at} must not hold the same item twice.`;
    case 'contains':
      return `${at} must hold at least ${params.minContains ?? 1} item that is ${expectation(schema.contains)}.`;
    case 'propertyNames':
      return `${at} has a member whose name is not allowed: names must be ${expectation(schema.propertyNames)}.`;
    case 'minProperties':
      return `${at} must have at least ${params.limit} members.`;
    case 'maxProperties':
      return `${at} must have at most ${params.limit} members.`;
    case 'false schema':
      return `${at} is not allowed here; leave it out.`;
    case 'not':
      return `${at} must not be ${expectation(schema.not)}.`;
    case 'oneOf':
      if (params.passingSchemas !== null)
        return `${at} fits several alternatives and must fit exactly one: ${alternatives(schema.oneOf)}.`;
      return `${at} must be ${alternatives(schema.oneOf)}.`;
    case 'anyOf':
      return `${at} must be ${alternatives(schema.anyOf)}.`;
    default:
      return `${at} must be ${expectation(schema)}.`;
  }
}

/** Where it is, as a JSON pointer fit to be shown; empty for the arguments themselves. */
export function placeOf({ keyword, instancePath, params }: Wrong): string {
  const member = memberKeywords.has(keyword)
    ? (params.missingProperty ?? params.additionalProperty ?? params.unevaluatedProperty)
    : undefined;
  return member === undefined ? subject(instancePath) : child(instancePath, String(member));
}

/** What belongs there, in a few words; undefined where nothing does, or where that cannot be said. */
export function expectedBy({ keyword, params, parentSchema }: Wrong): string | undefined {
  const schema: JsonObject = isObject(parentSchema) ? parentSchema : {};
  if (keyword === 'required') {
    const member = memberSchema(schema, String(params.missingProperty));
    const wanted = member === undefined ? undefined : expectation(member);
    return wanted === unsaid ? undefined : wanted;
  }
  if (!plainKeywords.has(keyword)) return undefined;
  if (keyword === 'anyOf' || keyword === 'oneOf') return alternatives(schema[keyword]);
  return expectation(schema);
}

/** What they ask for is what the schema that has them asks for. */
const plainKeywords: ReadonlySet<string> = new Set([
  ...['type', 'enum', 'const', 'anyOf', 'oneOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...['multipleOf', 'minLength', 'maxLength', 'pattern', 'minItems', 'maxItems'],
]);

/** The known name that is closest to one that is not known; undefined where none is. */
export function meantBy({ keyword, params, parentSchema }: Wrong): string | undefined {
  if (keyword !== 'additionalProperties' && keyword !== 'unevaluatedProperties') return undefined;
  const known = isObject(parentSchema) && isObject(parentSchema.properties) ? Object.keys(parentSchema.properties) : [];
  return /"(.*)"/s.exec(suggestMember(String(params.additionalProperty ?? params.unevaluatedProperty), known))?.[1];
}

function subject(instancePath: string): string {
  return instancePath
    .split('/')
    .map((part) => shorten(part, 40))
    .slice(0, 12)
    .join('/');
}

function child(instancePath: string, member: string): string {
  return `${instancePath === '' ? '' : subject(instancePath)}/${pointerPart(member)}`;
}

function describeMissing(instancePath: string, member: string, schema: JsonObject): string {
  const expected = memberSchema(schema, member);
  const hint = isObject(expected) ? `; it must be ${expectation(expected)}` : '';
  return `${child(instancePath, member)} is missing${hint}.`;
}

function memberSchema({ properties }: JsonObject, member: string): Json | undefined {
  return isObject(properties) && Object.hasOwn(properties, member) ? properties[member] : undefined;
}

const maxListed = 20;
/** Characters beyond which no more than those are listed. */
const longestList = 600;

function describeSurplus(instancePath: string, member: string, schema: JsonObject): string {
  const known = isObject(schema.properties) ? Object.keys(schema.properties) : [];
  const listed = known
    .slice(0, maxListed)
    .map((name) => shorten(name, 40))
    .join(', ');
  const hint = known.length === 0 ? '' : ` Known are ${listed}${known.length > maxListed ? ', ...' : ''}.`;
  return `${child(instancePath, member)} is not known here; leave it out.${suggestMember(member, known) || hint}`;
}

function suggestMember(member: string, known: readonly string[]): string {
  if (member.length > 64) return '';
  return suggestName(
    member,
    known.slice(0, 200).filter((name) => name.length <= 64),
  );
}

function alternatives(parts: Json | undefined): string {
  if (!Array.isArray(parts)) return 'one of the alternatives in the schema';
  const words = [...new Set(parts.slice(0, 6).map(expectation))];
  return `${words.join(', or ')}${parts.length > 6 ? ', or something else that the schema allows' : ''}`;
}

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  null: 'null',
};

const unsaid = 'as the schema of this tool says';

/** What the schema asks for, as far as a few words can say it: "a whole number of at most 100". */
function expectation(schema: Json | undefined): string {
  if (!isObject(schema)) return 'something else';
  if (Array.isArray(schema.enum)) return oneOf(schema.enum);
  if (schema.const !== undefined) return literal(schema.const);
  const names = [schema.type].flat().filter((name) => typeof name === 'string');
  const noun = names.map((name) => nouns[name] ?? 'something else').join(' or ');
  const bounds = describeBounds(schema);
  if (noun === '' && Array.isArray(schema.anyOf)) return alternatives(schema.anyOf);
  if (noun === '' && Array.isArray(schema.oneOf)) return alternatives(schema.oneOf);
  if (noun === '' && bounds === '') return unsaid;
  return `${noun || 'a value'}${bounds}`;
}

function oneOf(values: readonly Json[]): string {
  if (values.length === 1) return literal(values[0] ?? null);
  const listed: string[] = [];
  let length = 0;
  for (const value of values) {
    if (listed.length >= maxListed && length > longestList) break;
    listed.push(literal(value));
    length += listed.at(-1)?.length ?? 0;
  }
  const more = values.length - listed.length;
  return `one of ${listed.join(', ')}${more > 0 ? ` or ${more} more` : ''}`;
}

function literal(value: Json): string {
  return shorten(JSON.stringify(value), 60);
}

function describeBounds(schema: JsonObject): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems, multipleOf, pattern } =
    schema;
  const bounds = [
    between(minimum, maximum, ''),
    typeof exclusiveMinimum === 'number' ? `more than ${exclusiveMinimum}` : '',
    typeof exclusiveMaximum === 'number' ? `less than ${exclusiveMaximum}` : '',
    between(minLength, maxLength, ' characters'),
    between(minItems, maxItems, ' items'),
  ].filter((text) => text !== '');
  return [
    bounds.length > 0 ? ` of ${bounds.join(' and ')}` : '',
    typeof multipleOf === 'number' ? ` that is a multiple of ${multipleOf}` : '',
    typeof pattern === 'string' ? ` that matches ${shorten(pattern, 100)}${inWords(schema.description)}` : '',
  ].join('');
}

/** What a pattern means, where the schema says it. */
function inWords(description: Json | undefined): string {
  if (typeof description !== 'string') return '';
  return ` (${description.replace(/\.$/, '')})`;
}

function between(least: Json | undefined, most: Json | undefined, unit: string): string {
  if (typeof least === 'number' && typeof most === 'number')
    return least === most ? `${least}${unit}` : `${least} to ${most}${unit}`;
  if (typeof least === 'number') return `at least ${least}${unit}`;
  return typeof most === 'number' ? `at most ${most}${unit}` : '';
}
