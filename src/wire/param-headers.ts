import { isObject, type Json, type JsonObject } from './json.ts';

/** An argument that travels in a header as well (MCP 2026-07-28 basic/transports, SEP-2243). */
export interface ParamHeader {
  /** `Mcp-Param-Region`. */
  readonly name: string;
  /** Where the argument is: keys from `arguments` downwards. */
  readonly path: readonly string[];
}

type ParamHeaders = { readonly headers: readonly ParamHeader[] } | { readonly problem: string };

const annotation = 'x-mcp-header';
/** Headers one call may need; servers take a hundred or so in all. */
const maxHeaders = 64;
const headerToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// Where a schema may stand inside a schema: as itself, in a list, or as the values of an object.
const schemaKeywords = [
  'items',
  'prefixItems',
  'contains',
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'propertyNames',
  'oneOf',
  'anyOf',
  'allOf',
  'not',
  'if',
  'then',
  'else',
];
const schemaMapKeywords = ['patternProperties', 'dependentSchemas', '$defs', 'definitions'];

/**
 * Reads the `x-mcp-header` annotations of a tool's inputSchema. A tool with an illegal one must not be listed; `problem` says
 * what is wrong with it. Legal are unique header tokens on string, integer and boolean properties reached by `properties` alone.
 */
export function paramHeaders(inputSchema: JsonObject): ParamHeaders {
  const headers: ParamHeader[] = [];
  const problem = readReachable(inputSchema, [], headers);
  return problem === undefined ? { headers } : { problem };
}

function readReachable(schema: Json, path: readonly string[], found: ParamHeader[]): string | undefined {
  if (!isObject(schema)) return undefined;
  if (Object.hasOwn(schema, annotation)) {
    const problem = path.length === 0 ? 'it stands on the schema itself' : refuseAnnotation(schema, found);
    if (problem !== undefined) return sentence(path, problem);
    if (found.length >= maxHeaders) return sentence(path, `a tool may have at most ${maxHeaders} of them`);
    found.push({ name: `Mcp-Param-${schema[annotation]}`, path });
  }
  const { properties } = schema;
  if (isObject(properties)) {
    for (const key of Object.keys(properties)) {
      const problem = readReachable(properties[key] ?? null, [...path, key], found);
      if (problem !== undefined) return problem;
    }
  }
  for (const child of hiddenSchemas(schema)) {
    if (holdsAnnotation(child)) return sentence(path, 'it stands where "properties" alone does not lead');
  }
  return undefined;
}

function refuseAnnotation(schema: JsonObject, found: readonly ParamHeader[]): string | undefined {
  const name = schema[annotation];
  if (typeof name !== 'string' || !headerToken.test(name)) return 'its value is not a header name';
  if (schema.type !== 'string' && schema.type !== 'integer' && schema.type !== 'boolean') {
    return 'only string, integer and boolean properties may have one';
  }
  const lower = `mcp-param-${name.toLowerCase()}`;
  return found.some((header) => header.name.toLowerCase() === lower) ? `the header ${name} is named twice` : undefined;
}

function holdsAnnotation(schema: Json): boolean {
  if (!isObject(schema)) return false;
  if (Object.hasOwn(schema, annotation)) return true;
  const { properties } = schema;
  if (isObject(properties) && Object.values(properties).some(holdsAnnotation)) return true;
  return hiddenSchemas(schema).some(holdsAnnotation);
}

function hiddenSchemas(schema: JsonObject): Json[] {
  const found: Json[] = [];
  for (const keyword of schemaKeywords) {
    const child = schema[keyword];
    if (Array.isArray(child)) found.push(...child);
    else if (child !== undefined) found.push(child);
  }
  for (const keyword of schemaMapKeywords) {
    const children = schema[keyword];
    if (isObject(children)) found.push(...Object.values(children));
  }
  return found;
}

function sentence(path: readonly string[], problem: string): string {
  const where = path.length === 0 ? 'inputSchema' : `the property ${path.join('.')}`;
  return `${where} has an illegal ${annotation} annotation: ${problem}`;
}

/**
 * The text of the argument a header mirrors, not yet encoded. Undefined where no header is sent: the argument is absent, null,
 * not a primitive, or an integer that a double cannot keep.
 */
export function paramHeaderText(args: Json | undefined, header: ParamHeader): string | undefined {
  let value = args;
  for (const key of header.path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}

const plainValue = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const sentinel = /^=\?base64\?(.*)\?=$/s;

/** A value as a header may carry it: what is not plain ASCII, or looks encoded already, travels as `=?base64?...?=`. */
export function encodeHeaderValue(value: string): string {
  if (plainValue.test(value) && !sentinel.test(value)) return value;
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}

/** The value behind a header. Undefined when it claims to be encoded and is not. */
export function decodeHeaderValue(value: string): string | undefined {
  const encoded = sentinel.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, 'base64');
  // Buffer skips what is not base64: only the canonical spelling may pass, or two texts would mean one value.
  if (bytes.toString('base64') !== encoded) return undefined;
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}
