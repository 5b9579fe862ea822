/** Finds what a `$ref` means within its schema (JSON Schema 2020-12 section 8.2; RFC 6901). */
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

interface Found {
  readonly target: JsonObject;
  /** Where references in the target are looked up. */
  readonly base: JsonObject;
}

/** What can be referred to by name, by `$id` or `#anchor`; `ambiguous` for what is there twice. */
export type ReferenceIndex = ReadonlyMap<string, JsonObject | 'ambiguous'>;

const maxLooked = 50_000;

/** Looks at everything once, whether it is a schema or only looks like one. Empty for what is too large to be looked at. */
export function indexReferences(root: JsonObject): ReferenceIndex {
  const index = new Map<string, JsonObject | 'ambiguous'>();
  const queue: Json[] = [root];
  for (const value of queue) {
    if (queue.length > maxLooked) return new Map();
    if (isObject(value)) for (const name of namesOf(value)) index.set(name, index.has(name) ? 'ambiguous' : value);
    if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) queue.push(part);
  }
  return index;
}

function namesOf({ $id, id, $anchor, $dynamicAnchor }: JsonObject): Set<string> {
  const names = [$id, id, prefixed($anchor), prefixed($dynamicAnchor)];
  return new Set(names.filter((name) => typeof name === 'string'));
}

function prefixed(anchor: Json | undefined): string | undefined {
  return typeof anchor === 'string' ? `#${anchor}` : undefined;
}

/** Undefined for what is elsewhere, or nowhere, or in two places. */
export function findReference(reference: string, base: JsonObject, index: () => ReferenceIndex): Found | undefined {
  const [address = '', fragment = ''] = reference.split('#', 2);
  const resource = address === '' || address === base.$id ? base : index().get(address);
  if (!isObject(resource)) return undefined;
  if (fragment === '') return { target: resource, base: resource };
  const target = fragment.startsWith('/') ? followPointer(resource, fragment) : index().get(`#${fragment}`);
  if (target === true) return { target: {}, base: resource };
  if (target === false) return { target: { not: {} }, base: resource };
  return isObject(target) ? { target, base: typeof target.$id === 'string' ? target : resource } : undefined;
}

function followPointer(resource: JsonObject, fragment: string): Json | undefined {
  let at: Json | undefined = resource;
  for (const part of fragment.slice(1).split('/')) {
    const key = decode(part);
    if (key === undefined || (!isObject(at) && !Array.isArray(at)) || !Object.hasOwn(at, key)) return undefined;
    at = Array.isArray(at) ? at[Number(key)] : at[key];
  }
  return at;
}

function decode(part: string): string | undefined {
  if (!part.includes('%') && !part.includes('~')) return part;
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return undefined;
  }
}
