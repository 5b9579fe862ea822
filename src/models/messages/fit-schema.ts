import { GatewayError } from '../../errors.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';

const deepest = 200;
const schemaMaps = ['properties', '$defs', 'definitions'];
const schemaLists = ['anyOf', 'allOf'];
const kept = new Set([
  '$ref',
  'type',
  'enum',
  'const',
  'default',
  'format',
  'title',
  'description',
  'required',
  'additionalProperties',
]);
const formats = new Set(['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid']);

/**
 * A JSON Schema as Anthropic takes it for structured output: objects are closed, and bounds (`minimum`, `maxLength`, `pattern`, ...)
 * that it refuses are said in the description instead, where the model reads them. Source: the page on structured outputs.
 * Undefined where an object may have members of any name: closed, it could have none.
 */
export function fitSchema(schema: JsonObject): JsonObject | undefined {
  return hasFreeNames(schema, 0) ? undefined : fitAt(schema, 0);
}

const descriptions = ['anyOf', 'allOf', 'oneOf', 'items', 'properties', '$defs', 'definitions'];

function hasFreeNames(schema: Json, depth: number): boolean {
  checkDepth(depth);
  if (Array.isArray(schema)) return schema.some((one) => hasFreeNames(one, depth + 1));
  if (!isObject(schema)) return false;
  const hasMembers = isObject(schema.properties) && Object.keys(schema.properties).length > 0;
  const isFree = isObject(schema.additionalProperties) || schema.additionalProperties === true || 'patternProperties' in schema;
  if (isFree && !hasMembers) return true;
  return descriptions.some((name) => {
    const value = schema[name];
    if (!isObject(value) || name === 'items') return value !== undefined && hasFreeNames(value, depth + 1);
    return Object.values(value).some((one) => hasFreeNames(one, depth + 1));
  });
}

function checkDepth(depth: number): void {
  if (depth > deepest)
    throw new GatewayError('invalid_request', `The schema of the answer is nested more than ${deepest} deep; make it flatter.`);
}

function fitAt(schema: JsonObject, depth: number): JsonObject {
  checkDepth(depth);
  const fitted: [string, Json][] = [];
  const bounds: [string, Json][] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (schemaMaps.includes(name) && isObject(value)) fitted.push([name, fitMembers(value, depth)]);
    else if (schemaLists.includes(name) && Array.isArray(value)) fitted.push([name, value.map((one) => fitAny(one, depth))]);
    else if (name === 'oneOf' && Array.isArray(value)) fitted.push(['anyOf', value.map((one) => fitAny(one, depth))]);
    else if (name === 'items') fitted.push([name, fitAny(value, depth)]);
    else if (isKept(name, value)) fitted.push([name, value]);
    else if (!name.startsWith('$')) bounds.push([name, value]);
  }
  const isOpen = isObject(schema.properties) || schema.type === 'object';
  return { ...Object.fromEntries(fitted), ...(isOpen && { additionalProperties: false }), ...describe(schema, bounds) };
}

function fitMembers(members: JsonObject, depth: number): JsonObject {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, fitAny(value, depth)]));
}

function fitAny(schema: Json, depth: number): Json {
  return isObject(schema) ? fitAt(schema, depth + 1) : schema;
}

function isKept(name: string, value: Json): boolean {
  if (name === 'format') return typeof value === 'string' && formats.has(value);
  if (name === 'minItems') return value === 0 || value === 1;
  return kept.has(name);
}

function describe(schema: JsonObject, bounds: readonly [string, Json][]): { readonly description?: string } {
  if (bounds.length === 0) return {};
  const text = bounds.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(', ');
  return { description: typeof schema.description === 'string' ? `${schema.description} (${text})` : `(${text})` };
}
