/** What type a value has, and whether it may be null, in the words of 2020-12. */
import { isObject, type JsonObject } from '../../wire/json.ts';
import { readTypes } from './schema-keywords.ts';

/**
 * The converted schema with its types. `nullable` (3.0) and `x-nullable` become a type of their own; answers may always be null.
 * `report` hears of types that mean nothing.
 */
export function addTypes(schema: JsonObject, raw: JsonObject, isOutput: boolean, report: (message: string) => void): JsonObject {
  const { types, unknown } = readTypes(raw.type);
  if (unknown.length > 0) report(`The type ${JSON.stringify(unknown).slice(0, 100)} is unknown; any type is taken.`);
  // Members are only ever listed for objects.
  const isMeantAsObject = types.length === 0 && unknown.length === 0 && !isOutput && isObject(raw.properties);
  const meant = isMeantAsObject ? ['object'] : types;
  const isNullable = raw.nullable === true || raw['x-nullable'] === true;
  if (isOutput) return meant.length === 0 ? schema : withTypes(schema, orNullTypes(meant));
  if (!isNullable) return meant.length === 0 ? schema : withTypes(schema, meant);
  if (meant.length === 0 || isRestrictedOtherwise(schema)) {
    return orNull(meant.length === 0 ? schema : withTypes(schema, meant));
  }
  const values = Array.isArray(schema.enum) && !schema.enum.includes(null) ? { enum: [...schema.enum, null] } : {};
  return { ...withTypes(schema, orNullTypes(meant)), ...values };
}

/** First, where people look for it. */
function withTypes(schema: JsonObject, types: readonly string[]): JsonObject {
  const [first] = types;
  return { type: types.length === 1 && first !== undefined ? first : [...types], ...schema };
}

function orNullTypes(types: readonly string[]): readonly string[] {
  return types.includes('null') ? types : [...types, 'null'];
}

const restrictive = ['$ref', 'const', 'allOf', 'anyOf', 'oneOf', 'not', 'if'];

function isRestrictedOtherwise(schema: JsonObject): boolean {
  return restrictive.some((key) => schema[key] !== undefined);
}

const annotations = ['default', 'examples', 'deprecated', 'format'];

function orNull(schema: JsonObject): JsonObject {
  const { title, description, ...rest } = schema;
  if (Object.keys(rest).every((key) => annotations.includes(key))) return schema;
  return {
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    anyOf: [rest, { type: 'null' }],
  };
}
