/** Fetches the other documents that a description refers to, and those that they refer to, as far as somebody lets it. */
import { isObject, type Json } from '../../wire/json.ts';
import type { ConversionLimits } from './conversion-limits.ts';
import { readDescription } from './read-description.ts';
import { resolveAddress, type Sources } from './references.ts';

/** Gets one document, or says why not in words that read on from "which": `cannot be fetched: ...`. */
export type FetchReference = (url: string) => Promise<Uint8Array | { readonly missing: string }>;

export async function loadReferences(
  root: Sources['root'],
  rootUrl: string | undefined,
  rootBytes: number,
  fetch: FetchReference,
  limits: ConversionLimits,
): Promise<Sources['others']> {
  const others = new Map<string, { readonly document: Json } | { readonly missing: string }>();
  let room = limits.documentBytes - rootBytes;
  const load = async (url: string) => {
    if (others.size >= limits.references)
      return { missing: `which is one more document than the ${limits.references} that are fetched` };
    const bytes = await fetch(url);
    if (!(bytes instanceof Uint8Array)) return bytes;
    room -= bytes.byteLength;
    if (room < 0) return { missing: 'which makes the documents too large together' };
    try {
      return { document: readDescription(bytes, limits) };
    } catch (error) {
      return { missing: `which cannot be read: ${error instanceof Error ? error.message : 'it is not valid'}` };
    }
  };
  const queue = addressesIn(root, rootUrl);
  for (const url of queue) {
    if (others.has(url) || url === rootUrl) continue;
    const loaded = await load(url);
    others.set(url, loaded);
    if ('document' in loaded) for (const next of addressesIn(loaded.document, url)) queue.add(next);
  }
  return others;
}

/** Of everything that looks like a reference to another document, as examples may. */
function addressesIn(document: Json, base: string | undefined): Set<string> {
  const found = new Set<string>();
  const queue: Json[] = [document];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const reference = isObject(value) ? value.$ref : undefined;
    if (typeof reference === 'string' && !reference.startsWith('#')) {
      const target = resolveAddress(reference.split('#', 1)[0] ?? '', base);
      if ('url' in target) found.add(target.url);
    }
    for (const part of Object.values(value)) queue.push(part);
  }
  return found;
}
