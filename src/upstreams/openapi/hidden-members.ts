/** Members that only one side may set: `readOnly` ones are no arguments, `writeOnly` ones are never answered. */
import { isObject, type Json } from '../../wire/json.ts';
import type { Place, References } from './references.ts';

export type HiddenFlag = 'readOnly' | 'writeOnly';

export const nothingHidden: ReadonlySet<string> = new Set();

export function isHidden(part: Json, url: string, flag: HiddenFlag, references: References): boolean {
  if (!isObject(part)) return false;
  if (part[flag] !== undefined) return part[flag] === true;
  const found = typeof part.$ref === 'string' ? references.find(part.$ref, url) : undefined;
  return found?.kind === 'found' && isObject(found.place.value) && found.place.value[flag] === true;
}

const depthLimit = 8;
const schemaLimit = 100;

/** Of the schema and of all that it includes: a list of what is required may stand beside the members or somewhere else. */
export function hiddenMembers(
  place: Place,
  outer: ReadonlySet<string>,
  flag: HiddenFlag,
  references: References,
): ReadonlySet<string> {
  const names = new Set(outer);
  const seen = new Set<Json>();
  const visit = (at: Place, depth: number) => {
    const { value, url } = at;
    if (!isObject(value) || seen.has(value) || depth > depthLimit || seen.size > schemaLimit) return;
    seen.add(value);
    if (isObject(value.properties)) {
      for (const [name, part] of Object.entries(value.properties)) if (isHidden(part, url, flag, references)) names.add(name);
    }
    const found = typeof value.$ref === 'string' ? references.find(value.$ref, url) : undefined;
    if (found?.kind === 'found') visit(found.place, depth + 1);
    if (Array.isArray(value.allOf)) for (const part of value.allOf) visit({ ...at, value: part }, depth + 1);
  };
  visit(place, 0);
  return names.size === 0 ? nothingHidden : names;
}
