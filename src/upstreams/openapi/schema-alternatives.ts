/** `anyOf`, `oneOf` and what tells their parts apart. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { childOf, type Place, type References } from './references.ts';

/** Adds the alternatives; one list of the kind may be there already, as `oneOf` of an answer becomes `anyOf`. */
export function addAlternatives(schema: JsonObject, key: 'anyOf' | 'oneOf', parts: readonly Json[]): void {
  if (schema[key] === undefined) schema[key] = [...parts];
  else schema.allOf = [...(Array.isArray(schema.allOf) ? schema.allOf : []), { [key]: [...parts] }];
}

/**
 * Each alternative with the names that the discriminator (OpenAPI 3.0 section 4.7.25) maps to it, as a member that it must have.
 * Undefined where one has none: then a value may well fit several.
 */
export function markAlternatives(
  discriminator: JsonObject,
  list: Place,
  parts: readonly Json[],
  references: References,
): Json[] | undefined {
  const { propertyName, mapping } = discriminator;
  if (typeof propertyName !== 'string' || !isObject(mapping) || !Array.isArray(list.value)) return undefined;
  const names = namesByTarget(mapping, list.url, references);
  const marked = list.value.map((raw, index) => {
    const part = parts[index];
    const target = targetOf(raw, list, references);
    const own = target === undefined ? undefined : names.get(target);
    if (own === undefined || !isObject(part)) return undefined;
    return { ...part, properties: { [propertyName]: { enum: own } }, required: [propertyName] };
  });
  return marked.every((part) => part !== undefined) ? marked : undefined;
}

function targetOf(raw: Json, list: Place, references: References): Json | undefined {
  if (!isObject(raw) || typeof raw.$ref !== 'string') return undefined;
  const found = references.find(raw.$ref, list.url);
  return found.kind === 'found' ? found.place.value : undefined;
}

function namesByTarget(mapping: JsonObject, url: string, references: References): Map<Json, string[]> {
  const names = new Map<Json, string[]>();
  for (const [name, reference] of Object.entries(mapping)) {
    if (typeof reference !== 'string') continue;
    // The name of a schema, or a reference to it.
    const byName = references.find(childOf({ url, pointer: '#/components/schemas', value: null }, reference, null).pointer, url);
    const found = byName.kind === 'found' ? byName : references.find(reference, url);
    if (found.kind === 'found') names.set(found.place.value, [...(names.get(found.place.value) ?? []), name]);
  }
  return names;
}
