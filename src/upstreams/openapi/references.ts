/** Finds what a `$ref` means (RFC 6901, JSON Schema 2020-12 section 8.2), in documents that are all there: nothing is fetched here. */
import { shorten } from '../../arguments/measure-arguments.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';

/** The description, and what it refers to. */
export interface Sources {
  readonly root: JsonObject;
  /** Where it came from; undefined for what was uploaded, whose relative references lead nowhere. */
  readonly rootUrl: string | undefined;
  /** Other documents by address, or why one is not there. */
  readonly others: ReadonlyMap<string, { readonly document: Json } | { readonly missing: string }>;
}

export interface Place {
  /** Of the document; empty for the description itself. */
  readonly url: string;
  /** JSON pointer. */
  readonly pointer: string;
  readonly value: Json;
}

type Found =
  | { readonly kind: 'found'; readonly place: Place }
  /** Reads on from "refers to "...",". */
  | { readonly kind: 'missing'; readonly why: string };

export interface References {
  /** `from` is the address of the document that the reference stands in. */
  find(reference: string, from: string): Found;
  /** Follows an object that is only a reference until there is something else. */
  follow(place: Place): Found;
}

export function keyOf({ url, pointer }: Place): string {
  return `${url}#${pointer}`;
}

export function childOf({ url, pointer }: Place, key: string | number, value: Json): Place {
  return { url, pointer: `${pointer}/${escapePointer(String(key))}`, value };
}

function escapePointer(key: string): string {
  return key.includes('~') || key.includes('/') ? key.replaceAll('~', '~0').replaceAll('/', '~1') : key;
}

const longestChain = 32;

export function openReferences(sources: Sources): References {
  const known = new Map<string, Map<string, Found>>();
  const anchors = new Map<string, ReadonlyMap<string, Place>>();
  const anchorsOf = (url: string, document: Json) => {
    const index = anchors.get(url) ?? indexAnchors(url, document);
    anchors.set(url, index);
    return index;
  };

  let depth = 0;
  const find = (reference: string, from: string): Found => {
    let here = known.get(from);
    if (here === undefined) {
      here = new Map();
      known.set(from, here);
    }
    const before = here.get(reference);
    if (before !== undefined) return before;
    if (depth >= longestChain) return missing('which refers on and on');
    // Whoever comes here again meanwhile goes around in a circle.
    here.set(reference, missing('which refers back to itself'));
    depth++;
    const found = look(reference, from);
    depth--;
    here.set(reference, found);
    return found;
  };

  const look = (reference: string, from: string): Found => {
    const hash = reference.indexOf('#');
    const address = hash === -1 ? reference : reference.slice(0, hash);
    const fragment = hash === -1 ? '' : reference.slice(hash + 1);
    const found = findDocument(sources, address, from);
    if (!('url' in found)) {
      const byId = anchorsOf(from, documentAt(sources, from)).get(address);
      return byId === undefined ? missing(found.why) : within(byId, byId.value, fragment);
    }
    const document = documentAt(sources, found.url);
    if (fragment === '' || fragment.startsWith('/'))
      return within({ url: found.url, pointer: '', value: document }, document, fragment);
    const anchor = anchorsOf(found.url, document).get(`#${fragment}`);
    return anchor === undefined ? missing('which is not in the document') : { kind: 'found', place: anchor };
  };

  /** Steps over references on the way: descriptions that were put together of several have such pointers. */
  const within = (base: Place, document: Json, fragment: string): Found => {
    let place: Place = { url: base.url, pointer: base.pointer, value: document };
    for (const part of fragment.split('/').slice(1)) {
      const key = decode(part);
      if (key === undefined) return missing('which is not a valid JSON pointer');
      if (isObject(place.value) && !Object.hasOwn(place.value, key)) {
        const through = follow(place);
        if (through.kind === 'missing') return through;
        place = through.place;
      }
      const { value } = place;
      const next = Array.isArray(value)
        ? value[Number(key)]
        : isObject(value) && Object.hasOwn(value, key)
          ? value[key]
          : undefined;
      if (next === undefined) return missing('which is not in the document');
      place = childOf(place, key, next);
    }
    return { kind: 'found', place };
  };

  const follow = (place: Place): Found => {
    let at = place;
    for (let step = 0; step < longestChain; step++) {
      const reference = isObject(at.value) ? at.value.$ref : undefined;
      if (typeof reference !== 'string') return { kind: 'found', place: at };
      const found = find(reference, at.url);
      if (found.kind === 'missing') return missing(`which refers to ${quoteReference(reference)}, ${found.why}`);
      at = found.place;
    }
    return missing('which refers on and on');
  };

  return { find, follow };
}

export function quoteReference(reference: string): string {
  return JSON.stringify(shorten(reference, 200));
}

function missing(why: string): Found {
  return { kind: 'missing', why };
}

function documentAt({ root, others }: Sources, url: string): Json {
  if (url === '') return root;
  const other = others.get(url);
  return other !== undefined && 'document' in other ? other.document : null;
}

function findDocument(sources: Sources, address: string, from: string): { readonly url: string } | { readonly why: string } {
  if (address === '') return { url: from };
  const target = resolveAddress(address, from === '' ? sources.rootUrl : from);
  if ('why' in target) return target;
  if (target.url === sources.rootUrl) return { url: '' };
  const other = sources.others.get(target.url);
  if (other === undefined)
    return { why: 'which is another document that is not fetched; to have it, name its address in "references"' };
  return 'missing' in other ? { why: other.missing } : target;
}

/** The address of the document that is meant. Only `http` and `https` lead anywhere. */
export function resolveAddress(address: string, base: string | undefined): { readonly url: string } | { readonly why: string } {
  if (/^\s*file:/i.test(address)) return { why: 'which is a local file; those are never read' };
  let url: URL;
  try {
    url = new URL(address, base);
  } catch {
    return { why: 'which is another document; for an upload there is nothing it could be relative to' };
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return { why: 'which is neither in the document nor on the web' };
  url.hash = '';
  return { url: url.href };
}

function decode(part: string): string | undefined {
  if (!part.includes('%') && !part.includes('~')) return part;
  try {
    return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return part.replaceAll('~1', '/').replaceAll('~0', '~');
  }
}

/** `#name` for `$anchor` and `$dynamicAnchor`, addresses for `$id`; the first of equal ones. */
function indexAnchors(url: string, document: Json): ReadonlyMap<string, Place> {
  const index = new Map<string, Place>();
  const queue: Place[] = [{ url, pointer: '', value: document }];
  for (let place = queue.pop(); place !== undefined; place = queue.pop()) {
    const { value } = place;
    if (typeof value !== 'object' || value === null) continue;
    if (isObject(value)) {
      for (const name of [prefixed(value.$anchor), prefixed(value.$dynamicAnchor), value.$id]) {
        if (typeof name === 'string' && !index.has(name)) index.set(name, place);
      }
    }
    for (const [key, part] of Object.entries(value)) {
      if (typeof part === 'object' && part !== null) queue.push(childOf(place, key, part));
    }
  }
  return index;
}

function prefixed(anchor: Json | undefined): string | undefined {
  return typeof anchor === 'string' ? `#${anchor}` : undefined;
}
