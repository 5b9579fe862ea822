import { isObject, type Json, type JsonObject } from '../wire/json.ts';

/** What a schema says in words. */
interface SchemaTexts {
  readonly names: readonly string[];
  readonly details: readonly string[];
}

/** Properties that are read: more than any person would. */
const mostProperties = 200;
const mostSchemas = 1_000;
const mostDeep = 4;

interface Step {
  readonly schema: JsonObject;
  readonly depth: number;
}

/** Names and descriptions of the properties of a schema and of what it refers to, those that are nearest to its top first. */
export function textsOf(root: JsonObject): SchemaTexts {
  const [names, details]: [string[], string[]] = [[], []];
  const seen = new Set<JsonObject>();
  const steps: Step[] = [{ schema: root, depth: 0 }];
  for (const { schema, depth } of steps) {
    if (seen.has(schema) || depth > mostDeep) continue;
    seen.add(schema);
    const add = (value: Json | undefined, at: number) => {
      if (isObject(value) && steps.length < mostSchemas) steps.push({ schema: value, depth: at });
    };
    for (const part of partsOf(schema, root)) add(part, depth);
    if (!isObject(schema.properties)) continue;
    for (const [name, property] of Object.entries(schema.properties)) {
      if (names.length >= mostProperties) break;
      const isBody = depth === 0 && isWholeBody(name, property);
      if (!isBody) {
        names.push(name);
        if (isObject(property)) details.push(text(property.title), text(property.description));
      }
      add(property, isBody ? 0 : depth + 1);
    }
  }
  return { names, details };
}

/** Schemas that speak of the same value. */
function partsOf(schema: JsonObject, root: JsonObject): readonly (Json | undefined)[] {
  const alternatives = [schema.allOf, schema.anyOf, schema.oneOf].flatMap((list) => (Array.isArray(list) ? list : []));
  return [definition(schema.$ref, root), ...alternatives, schema.items];
}

function definition(reference: Json | undefined, { $defs }: JsonObject): Json | undefined {
  if (typeof reference !== 'string' || !reference.startsWith('#/$defs/') || !isObject($defs)) return undefined;
  const name = reference.slice('#/$defs/'.length).replaceAll('~1', '/').replaceAll('~0', '~');
  return Object.hasOwn($defs, name) ? $defs[name] : undefined;
}

/** A converted API has the body of a request under one argument: its name says nothing, and what is in it is as good as an argument. */
function isWholeBody(name: string, property: Json): boolean {
  return name === 'body' && isObject(property) && (isObject(property.properties) || typeof property.$ref === 'string');
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
