import type { Toolbox } from '../../catalog/catalog.ts';
import { documentationTemplate } from '../../catalog/documentation-uri.ts';
import { listedTools, offersSearch } from '../../catalog/search-tools.ts';
import { GatewayError } from '../../errors.ts';
import { hopsKey } from '../../upstreams/hop.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { ownModernResult } from './messages.ts';
import { tasksExtension } from './tasks-extension.ts';

/** The four lists, as method -> member of its result. */
const listKeys = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
} as const;

export type ListMethod = keyof typeof listKeys;

export function isListMethod(method: string): method is ListMethod {
  return Object.hasOwn(listKeys, method);
}

/** Many clients read the first page only, so there is one unless it would be huge. */
const pageSize = 5000;

/** Bytes of each list, made once per snapshot: a list of a thousand tools costs one write. */
const made = new WeakMap<Toolbox, Map<string, readonly Buffer[]>>();

/** One page of a list as the bytes of its result. Throws GatewayError `invalid_params` for a cursor that we did not give out. */
export function listResult(
  toolbox: Toolbox,
  method: ListMethod,
  era: 'modern' | 'legacy',
  { cursor, _meta: meta }: JsonObject,
  hop: string,
): readonly Buffer[] {
  const from = readCursor(cursor);
  const isForGateway = isObject(meta) && meta[hopsKey] !== undefined;
  const key = `${era} ${method} ${from}${isForGateway ? ' gateway' : ''}`;
  let lists = made.get(toolbox);
  if (lists === undefined) {
    lists = new Map();
    made.set(toolbox, lists);
  }
  let bytes = lists.get(key);
  if (bytes === undefined) {
    bytes = makeList(toolbox, method, era, from, isForGateway ? { [hopsKey]: gatewaysOf(toolbox, hop) } : undefined);
    lists.set(key, bytes);
  }
  return bytes;
}

/** Every gateway whose capabilities may be in this toolbox. */
function gatewaysOf({ members }: Toolbox, own: string): string[] {
  return [...new Set([own, ...members.flatMap(({ upstream }) => upstream.offer().gateways ?? [])])];
}

function makeList(
  toolbox: Toolbox,
  method: ListMethod,
  era: 'modern' | 'legacy',
  from: number,
  meta: JsonObject | undefined,
): readonly Buffer[] {
  const key = listKeys[method];
  const all = published(toolbox, key);
  if (from > 0 && from >= all.length) throw badCursor();
  const list: JsonObject = { [key]: all.slice(from, from + pageSize) };
  if (from + pageSize < all.length) list.nextCursor = Buffer.from(`${from + pageSize}`).toString('base64url');
  if (era === 'legacy') return [Buffer.from(JSON.stringify(meta === undefined ? list : { ...list, _meta: meta }))];
  return ownModernResult({ ...list, ...toolbox.caching }, meta);
}

/** The definitions that clients of this toolbox see, in list order. */
function published(toolbox: Toolbox, key: (typeof listKeys)[ListMethod]): readonly JsonObject[] {
  if (key === 'tools') return listedTools(toolbox);
  if (key === 'resourceTemplates' && offersSearch(toolbox) && !toolbox.uris.isIdentity)
    return [...all(toolbox, key), documentationTemplate];
  return all(toolbox, key);
}

function all(toolbox: Toolbox, key: (typeof listKeys)[ListMethod]): readonly JsonObject[] {
  return Array.from(toolbox[key].values(), (capability) => capability.published as JsonObject);
}

function readCursor(cursor: Json | undefined): number {
  if (cursor === undefined || cursor === null) return 0;
  if (typeof cursor !== 'string' || cursor.length > 32) throw badCursor();
  const from = Number(Buffer.from(cursor, 'base64url').toString('latin1'));
  if (!Number.isSafeInteger(from) || from <= 0 || from % pageSize !== 0) throw badCursor();
  return from;
}

function badCursor(): GatewayError {
  return new GatewayError('invalid_params', 'This cursor was not given out by this list; start again without one.');
}

/** What the specification lets a server say of itself, made of what the toolbox really holds (MCP basic/lifecycle, server/discover). */
export function capabilitiesOf(toolbox: Toolbox, era: 'modern' | 'legacy'): JsonObject {
  // A member that was never heard of may still bring anything; a legacy client is told its capabilities only once.
  const isUnknown = era === 'legacy' && toolbox.members.some((member) => member.upstream.offer().isStale);
  const capabilities: JsonObject = {};
  if (isUnknown || toolbox.tools.size > 0) capabilities.tools = { listChanged: true };
  if (isUnknown || toolbox.prompts.size > 0) capabilities.prompts = { listChanged: true };
  if (
    isUnknown ||
    toolbox.resources.size + toolbox.resourceTemplates.size > 0 ||
    (offersSearch(toolbox) && !toolbox.uris.isIdentity)
  ) {
    capabilities.resources = isUnknown || toolbox.can.subscribe ? { subscribe: true, listChanged: true } : { listChanged: true };
  }
  if (isUnknown || toolbox.can.complete) capabilities.completions = {};
  if (isUnknown || toolbox.can.log) capabilities.logging = {};
  if (era === 'modern' && toolbox.tools.size > 0) capabilities.extensions = { [tasksExtension]: {} };
  return capabilities;
}

/** Which lists differ between two snapshots of one toolbox, by the notification that says so. */
export function changedLists(before: Toolbox | undefined, after: Toolbox | undefined): readonly string[] {
  const changed: string[] = [];
  const differs = (method: ListMethod) => !sameList(before, after, method);
  if (differs('tools/list')) changed.push('notifications/tools/list_changed');
  if (differs('prompts/list')) changed.push('notifications/prompts/list_changed');
  if (differs('resources/list') || differs('resources/templates/list')) changed.push('notifications/resources/list_changed');
  return changed;
}

function sameList(before: Toolbox | undefined, after: Toolbox | undefined, method: ListMethod): boolean {
  if (before === undefined || after === undefined) return before === after;
  const key = listKeys[method];
  const [a, b] = [compared(before, key), compared(after, key)];
  // Unchanged definitions are the same objects from one snapshot to the next.
  return (
    a.length === b.length &&
    a.every((definition, index) => definition === b[index] || JSON.stringify(definition) === JSON.stringify(b[index]))
  );
}

// Where a toolbox shows its search for what it holds depends on who sees how much of it: then every change is told, to be sure.
function compared(toolbox: Toolbox, key: (typeof listKeys)[ListMethod]): readonly JsonObject[] {
  return toolbox.search === 'on' ? published(toolbox, key) : all(toolbox, key);
}
