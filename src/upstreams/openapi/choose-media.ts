/** Which of several media types a body is sent as. */
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { concreteType, essenceOf, isMediaType, type MediaKind, mediaKind } from './media-types.ts';
import { childOf, type Place, type References } from './references.ts';
import { readTypes } from './schema-keywords.ts';

export interface ChosenMedia {
  readonly kind: MediaKind;
  /** As it is sent. */
  readonly contentType: string;
  readonly place: Place;
  readonly raw: JsonObject;
  readonly schema: Place | undefined;
}

const preference: readonly MediaKind[] = ['json', 'form', 'multipart', 'text', 'binary'];

/** Best first. Types that cannot be one are left out, and told. */
export function rankMedia(
  content: Place,
  references: References,
  report: (pointer: string, message: string) => void,
): ChosenMedia[] {
  if (!isObject(content.value)) return [];
  const media = Object.entries(content.value).flatMap(([name, value]) => {
    const place = childOf(content, name, value);
    // What stands behind it may be wrong and the type still be one: `text/plain; utf-8`.
    const type = isMediaType(name) ? name : essenceOf(name);
    const followed = references.follow(place);
    const raw = followed.kind === 'found' ? followed.place.value : null;
    if (type.trim() !== '' && !isMediaType(type)) {
      report(place.pointer, 'This is no media type; it is left out.');
      return [];
    }
    if (!isObject(raw)) return [];
    const schema =
      raw.schema === undefined ? undefined : { ...childOf(place, 'schema', raw.schema), url: urlOf(followed, place) };
    const kind = kindOf(type, schema, references);
    return [{ kind, contentType: sentAs(type, kind), place, raw, schema }];
  });
  return media.sort((a, b) => rank(a, references) - rank(b, references));
}

function urlOf(followed: ReturnType<References['follow']>, place: Place): string {
  return followed.kind === 'found' ? followed.place.url : place.url;
}

/** `*\/*` and nothing at all are whatever the schema says. */
function kindOf(type: string, schema: Place | undefined, references: References): MediaKind {
  const essence = essenceOf(type);
  if (essence === 'application/form-data') return 'multipart';
  if (essence !== '' && essence !== '*/*' && essence !== 'application/*') return mediaKind(type);
  const followed = schema === undefined ? undefined : references.follow(schema);
  const value = followed?.kind === 'found' ? followed.place.value : undefined;
  if (!isObject(value)) return 'json';
  const { types } = readTypes(value.type);
  if (types.length === 1 && types[0] === 'string') return value.format === 'binary' ? 'binary' : 'text';
  return 'json';
}

function sentAs(type: string, kind: MediaKind): string {
  const essence = essenceOf(type);
  if (essence === 'application/form-data') return 'multipart/form-data';
  return concreteType(essence === '' ? '*/*' : type, kind);
}

function rank(media: ChosenMedia, references: References): number {
  const isPlain = media.contentType === 'application/json' ? 0 : media.contentType.startsWith('application/json') ? 1 : 2;
  // Files cannot be sent as a form.
  const kind = media.kind === 'form' && hasFiles(media.schema, references) ? 'binary' : media.kind;
  return preference.indexOf(kind) * 10 + (media.kind === 'json' ? isPlain : 0);
}

function hasFiles(schema: Place | undefined, references: References): boolean {
  if (schema === undefined) return false;
  return [...collectMembers(schema, references).members.values()].some((member) => isFileSchema(member, references));
}

export interface Members {
  readonly members: ReadonlyMap<string, Place>;
  readonly required: ReadonlySet<string>;
  /** Others may be sent as well. */
  readonly isOpen: boolean;
}

/** Of an object that is described in several places; of alternatives all, none of them required. */
export function collectMembers(schema: Place, references: References): Members {
  const members = new Map<string, Place>();
  const required = new Set<string>();
  const seen = new Set<Json>();
  let isOpen = true;
  const visit = (place: Place, isCertain: boolean, depth: number) => {
    const followed = references.follow(place);
    if (followed.kind === 'missing' || depth > 20 || seen.size > 500) return;
    const at = followed.place;
    if (!isObject(at.value) || seen.has(at.value)) return;
    seen.add(at.value);
    const { properties, allOf, anyOf, oneOf, additionalProperties } = at.value;
    if (additionalProperties === false) isOpen = false;
    const list = childOf(at, 'properties', properties ?? null);
    for (const [name, value] of Object.entries(isObject(properties) ? properties : {}))
      members.set(name, childOf(list, name, value));
    if (isCertain && Array.isArray(at.value.required))
      for (const name of at.value.required) if (typeof name === 'string') required.add(name);
    for (const [key, parts, isAlways] of [
      ['allOf', allOf, true],
      ['anyOf', anyOf, false],
      ['oneOf', oneOf, false],
    ] as const) {
      if (!Array.isArray(parts)) continue;
      const inner = childOf(at, key, parts);
      for (const [index, part] of parts.entries()) visit(childOf(inner, index, part), isCertain && isAlways, depth + 1);
    }
  };
  visit(schema, true, 0);
  return { members, required, isOpen };
}

export function isFileSchema(schema: Place, references: References): boolean {
  const followed = references.follow(schema);
  const value = followed.kind === 'found' ? followed.place.value : undefined;
  if (!isObject(value)) return false;
  if (value.type === 'file') return true;
  if (readTypes(value.type).types.includes('string') && value.format === 'binary') return true;
  // OpenAPI 3.1: bytes have a type and no encoding.
  return (
    typeof value.contentMediaType === 'string' &&
    value.contentEncoding === undefined &&
    mediaKind(value.contentMediaType) === 'binary'
  );
}

export function itemsOf(schema: Place, references: References): Place | undefined {
  const followed = references.follow(schema);
  if (followed.kind === 'missing' || !isObject(followed.place.value)) return undefined;
  const { type, items } = followed.place.value;
  return readTypes(type).types.includes('array') && items !== undefined ? childOf(followed.place, 'items', items) : undefined;
}
