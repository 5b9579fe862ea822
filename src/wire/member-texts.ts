import type { Json, JsonObject } from './json.ts';

const written = new WeakMap<JsonObject, MemberTexts>();

/** The members of an object, each as JSON. */
type MemberTexts = ReadonlyMap<string, string>;

/** Writes each member once, however often an object is asked for: a prompt can be large. For objects that nobody changes. */
export function memberTexts(object: JsonObject): MemberTexts {
  let texts = written.get(object);
  if (texts === undefined) {
    texts = new Map(Object.keys(object).map((name) => [name, JSON.stringify(object[name])]));
    written.set(object, texts);
  }
  return texts;
}

/** The object as JSON without white space, with other values for some members; new ones come last. */
export function writeMembers(texts: MemberTexts, changes: Readonly<Record<string, Json>> = {}): string {
  let text = '';
  for (const [name, value] of texts)
    text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${Object.hasOwn(changes, name) ? JSON.stringify(changes[name]) : value}`;
  for (const [name, value] of Object.entries(changes))
    if (!texts.has(name)) text += `${text === '' ? '{' : ','}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  return text === '' ? '{}' : `${text}}`;
}
