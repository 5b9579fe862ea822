import { isObject, type Json } from '../wire/json.ts';

// Each gateway has an id that means something to itself alone. A gateway that finds its own among those that a request came through,
// or among those whose capabilities an upstream offers, is part of a loop, under whatever names.

/** The gateways that a request came through. */
export const hopHeader = 'x-gatehouse-hop';
/**
 * In `_meta` of a list's request: the gateway that asks. In `_meta` of its answer, which only a gateway is given: every gateway whose
 * capabilities may be among those listed.
 */
export const hopsKey = 'dev.gatehouse/hops';

/** Longer than any chain that somebody builds on purpose. */
const mostHops = 8;
/** Gateways behind one upstream, side by side and one behind the other. */
const mostGateways = 256;
const chain = /^[0-9a-f]{16}(?:, ?[0-9a-f]{16})*$/;

/** The header as its gateways wrote it; undefined where none did, or somebody else. */
export function readHops(header: string | readonly string[] | undefined): readonly string[] {
  return typeof header === 'string' && header.length < 1000 && chain.test(header) ? header.split(/, ?/) : [];
}

export function isTooLong(hops: readonly string[]): boolean {
  return hops.length > mostHops;
}

/** What `_meta` says of gateways, their own text; more than can be followed is told by one that is none. */
export function readGateways(meta: Json | undefined): readonly string[] {
  const named = isObject(meta) ? meta[hopsKey] : undefined;
  if (!Array.isArray(named)) return [];
  const ids = named.filter((id) => typeof id === 'string' && /^[0-9a-f]{16}$/.test(id)) as string[];
  return [...new Set(ids)].slice(0, mostGateways);
}
