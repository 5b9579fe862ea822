import { createHash } from 'node:crypto';
import { ExcessError, parseInTurns } from '../../wire/gradual-json.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { RawResult } from '../../wire/message.ts';
import { paramHeaders } from '../../wire/param-headers.ts';
import { hopsKey, readGateways } from '../hop.ts';
import { LinkError } from '../link-error.ts';
import type { OfferProblem } from '../upstream.ts';
import type { Dialect } from './dialect.ts';

export type ListMethod = 'tools/list' | 'prompts/list' | 'resources/list' | 'resources/templates/list';

/** One of an upstream's four lists, checked. */
export interface Listing {
  readonly items: readonly JsonObject[];
  readonly problems: readonly OfferProblem[];
  /** Of the bytes the items came in: equal digests need no second look. */
  readonly digest: string;
  readonly ttlMs: number | undefined;
  readonly cacheScope: 'public' | 'private' | undefined;
  /** See `Offer`. */
  readonly gateways: readonly string[];
}

export const emptyListing: Listing = {
  items: [],
  problems: [],
  digest: '',
  ttlMs: undefined,
  cacheScope: undefined,
  gateways: [],
};

const members: Readonly<Record<ListMethod, string>> = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
};
const maxPages = 200;
const maxItems = 10_000;
const maxBytes = 32 * 1024 * 1024;
const maxTtlMs = 24 * 60 * 60_000;

/**
 * Asks for a list to its last page. Returns `before` itself where nothing has changed. An error of the far end becomes a
 * problem and leaves the items as they were; rejects with LinkError when there was no answer, and where `hop`, this gateway, is among
 * those that the list comes from.
 */
export async function readList(dialect: Dialect, method: ListMethod, before: Listing, hop: string | undefined): Promise<Listing> {
  const asked: JsonObject = hop !== undefined && isGateway(dialect) ? { _meta: { [hopsKey]: [hop] } } : {};
  const gateways = new Set<string>();
  // Of a page only its entries are kept: what else is in it may be most of it.
  const entries: Json[] = [];
  const cursors = new Set<string>();
  const hash = createHash('sha256');
  let trouble: string | undefined;
  let cursor: string | undefined;
  let caching: Caching = {};
  let hasPageWithoutList = false;
  let pages = 0;
  let bytes = 0;
  do {
    const answer = await dialect.ask(method, cursor === undefined ? asked : { ...asked, cursor });
    if (answer.kind === 'error') {
      // A server may have the capability and not every list of it.
      if (answer.error.code === -32601) return emptyListing;
      return failedListing(
        before,
        method,
        `the upstream answered with error ${answer.error.code}: ${answer.error.message.slice(0, 300)}`,
      );
    }
    const { result } = answer;
    pages++;
    bytes += result.bytes.length;
    if (bytes > maxBytes) {
      trouble = `the list is larger than ${maxBytes} bytes; the rest is left out`;
      break;
    }
    caching = readCaching(result);
    for (const id of asked._meta === undefined ? [] : readGateways(read(result, '_meta'))) gateways.add(id);
    if (hop !== undefined && gateways.has(hop)) throw leadsBack();
    const list = await readLong(result, members[method]);
    if (list instanceof ExcessError) trouble = `the list ${list.message}; the rest is left out`;
    else if (!Array.isArray(list)) hasPageWithoutList = true;
    else for (const entry of list.slice(0, maxItems + 1 - entries.length)) entries.push(entry);
    const member = result.members.find(({ key }) => key === members[method]);
    if (member !== undefined) hash.update(result.bytes.subarray(member.start, member.end));
    const next = read(result, 'nextCursor');
    cursor = typeof next === 'string' && next !== '' ? next : undefined;
    if (entries.length > maxItems || (entries.length === maxItems && cursor !== undefined)) {
      entries.length = maxItems;
      trouble = `the list has more than ${maxItems} entries; the rest is left out`;
      break;
    }
    if (cursor === undefined) break;
    if (cursors.has(cursor)) trouble = 'the upstream repeats a cursor; the list ends there';
    else if (pages >= maxPages) trouble = `the list has more than ${maxPages} pages; the rest is left out`;
    cursors.add(cursor);
  } while (trouble === undefined);
  const digest = `${hash.digest('hex')}${[...gateways].join(',')}${trouble ?? ''}`;
  const { ttlMs, cacheScope } = caching;
  if (digest === before.digest) {
    return ttlMs === before.ttlMs && cacheScope === before.cacheScope ? before : { ...before, ttlMs, cacheScope };
  }
  const { items, problems } = checkItems(method, entries);
  if (hasPageWithoutList) problems.push({ subject: method, message: `the answer has no list "${members[method]}"` });
  if (trouble !== undefined) problems.push({ subject: method, message: trouble });
  return { items, problems, digest, ttlMs, cacheScope, gateways: [...gateways] };
}

// What it calls itself is enough to be asked: nobody learns more than an id that means nothing to others.
function isGateway({ server }: Dialect): boolean {
  return server?.startsWith('gatehouse') === true;
}

function leadsBack(): LinkError {
  const detail = 'it leads back here: what it offers includes what this gateway offers';
  return new LinkError(
    'upstream_unavailable',
    `The upstream is not used: ${detail}. One of the two has to leave the other out of what it offers.`,
    { isUnsent: true, detail },
  );
}

export function failedListing(before: Listing, method: ListMethod, message: string): Listing {
  const [only] = before.problems.filter(({ subject }) => subject === method);
  if (only?.message === message) return before;
  const others = before.problems.filter(({ subject }) => subject !== method);
  return { ...before, digest: '', problems: [...others, { subject: method, message }] };
}

function checkItems(method: ListMethod, entries: readonly Json[]): { items: JsonObject[]; problems: OfferProblem[] } {
  const items: JsonObject[] = [];
  const problems: OfferProblem[] = [];
  const seen = new Set<string>();
  for (const entry of entries) {
    const { subject, message } = checkItem(method, entry);
    if (message !== undefined) problems.push({ subject, message });
    else if (seen.has(subject)) problems.push({ subject, message: 'the upstream lists it twice; the first one counts' });
    else {
      seen.add(subject);
      items.push(method === 'tools/list' ? withoutTaskSupport(entry as JsonObject) : (entry as JsonObject));
    }
  }
  return { items, problems };
}

const keys: Readonly<Record<ListMethod, string>> = {
  'tools/list': 'name',
  'prompts/list': 'name',
  'resources/list': 'uri',
  'resources/templates/list': 'uriTemplate',
};
const maxKeyLength = 2_048;

function checkItem(method: ListMethod, item: Json): { subject: string; message?: string } {
  if (!isObject(item)) return { subject: method, message: 'an entry is not an object' };
  const key = keys[method];
  const subject = item[key];
  if (typeof subject !== 'string' || subject === '') return { subject: method, message: `an entry has no "${key}"` };
  if (subject.length > maxKeyLength)
    return { subject: subject.slice(0, 100), message: `its "${key}" is longer than ${maxKeyLength} characters` };
  if (typeof item.name !== 'string') return { subject, message: 'it has no "name"' };
  if (method === 'tools/list') {
    const { inputSchema } = item;
    if (!isObject(inputSchema) || inputSchema.type !== 'object') {
      return { subject, message: 'its "inputSchema" is not a JSON schema of type "object"' };
    }
    const headers = paramHeaders(inputSchema);
    if ('problem' in headers) return { subject, message: headers.problem };
  }
  return { subject };
}

// Tasks of 2025-11-25 are not passed through: a definition must not promise them.
function withoutTaskSupport(tool: JsonObject): JsonObject {
  const { execution } = tool;
  if (!isObject(execution) || !Object.hasOwn(execution, 'taskSupport')) return tool;
  const { taskSupport: _, ...kept } = execution;
  const { execution: _execution, ...rest } = tool;
  return Object.keys(kept).length === 0 ? rest : { ...rest, execution: kept };
}

type Caching = Partial<Pick<Listing, 'ttlMs' | 'cacheScope'>>;

function readCaching(result: RawResult): Caching {
  const ttlMs = read(result, 'ttlMs');
  const scope = read(result, 'cacheScope');
  if (typeof ttlMs !== 'number' || !(ttlMs >= 0)) return {};
  return { ttlMs: Math.min(ttlMs, maxTtlMs), cacheScope: scope === 'public' ? 'public' : 'private' };
}

const longCharacters = 256 * 1024;

/** In turns where it is long: ten thousand tools on one page hold up nobody. */
async function readLong(result: RawResult, key: string): Promise<Json | ExcessError | undefined> {
  const source = result.source(key);
  if (source === undefined || source.length < longCharacters) return read(result, key);
  try {
    return (await parseInTurns(source)).value;
  } catch (error) {
    return error instanceof ExcessError ? error : undefined;
  }
}

function read(result: RawResult, key: string): Json | undefined {
  try {
    return result.get(key);
  } catch {
    return undefined;
  }
}
