import type { AnswerRules } from '../../catalog/config.ts';
import { compileGlob } from '../../catalog/glob.ts';
import { isObject, type Json, type JsonObject, longNumber } from '../../wire/json.ts';

/** An answer by the rules of its import, and what was cut, one sentence each. */
export interface Trimmed {
  readonly value: Json;
  readonly notes: readonly string[];
}

type Test = (key: string) => boolean;
type Path = readonly Test[];

/** Undefined where the rules leave every answer as it is. */
export function compileTrim({ select, trim, maxItems }: AnswerRules): ((value: Json) => Trimmed) | undefined {
  if (select === undefined && trim.length === 0 && maxItems === undefined) return undefined;
  const [selected, trimmed] = [select?.map(compilePath), trim.map(compilePath)];
  return (value) => {
    const chosen = selected === undefined ? value : (pick(value, selected) ?? emptyLike(value));
    const kept = trimmed.length === 0 ? chosen : drop(chosen, trimmed);
    if (maxItems === undefined) return { value: kept, notes: [] };
    const cuts: string[] = [];
    const shortened = shorten(kept, maxItems, '', cuts);
    return { value: shortened, notes: cuts };
  };
}

function compilePath(text: string): Path {
  return text.split('.').map(compileGlob);
}

function emptyLike(value: Json): Json {
  return Array.isArray(value) ? [] : isObject(value) ? {} : value;
}

/** Only what one of the paths leads to; lists are looked into. Undefined: nothing of it. */
function pick(value: Json, paths: readonly Path[]): Json | undefined {
  if (paths.some((path) => path.length === 0)) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => pick(item, paths));
    return items.every((item) => item === undefined) && value.length > 0 ? undefined : items.map((item) => item ?? {});
  }
  if (!isMap(value)) return undefined;
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const further = paths.flatMap(([first, ...rest]) => (first?.(key) ? [rest] : []));
    const part = further.length === 0 ? undefined : pick(member, further);
    if (part !== undefined) define(kept, key, part);
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}

/** All but what one of the paths leads to. */
function drop(value: Json, paths: readonly Path[]): Json {
  if (Array.isArray(value)) return value.map((item) => drop(item, paths));
  if (!isMap(value)) return value;
  const kept: JsonObject = {};
  for (const [key, member] of Object.entries(value)) {
    const further = paths.flatMap(([first, ...rest]) => (first?.(key) ? [rest] : []));
    if (further.some((path) => path.length === 0)) continue;
    define(kept, key, further.length === 0 ? member : drop(member, further));
  }
  return kept;
}

function shorten(value: Json, maxItems: number, at: string, cuts: string[]): Json {
  if (Array.isArray(value)) {
    if (value.length > maxItems && cuts.length < 20)
      cuts.push(`${at === '' ? 'The list' : `The list ${at}`} is cut: the first ${maxItems} of ${value.length} items are shown.`);
    return value.slice(0, maxItems).map((item) => shorten(item, maxItems, at === '' ? '[]' : `${at}[]`, cuts));
  }
  if (!isMap(value)) return value;
  const copy: JsonObject = {};
  for (const [key, member] of Object.entries(value))
    define(copy, key, shorten(member, maxItems, at === '' ? key : `${at}.${key}`, cuts));
  return copy;
}

/**
 * The same with its longest list cut so that its JSON has at most `limitBytes`; undefined where no list is long enough to help. Costs
 * one look at each item of that list.
 */
export function fitList(value: Json, limitBytes: number): Trimmed | undefined {
  const holder = isMap(value) ? longestList(value) : undefined;
  const list = Array.isArray(value) ? value : holder?.list;
  if (list === undefined) return undefined;
  const frame = holder === undefined ? 2 : size({ ...(value as JsonObject), [holder.key]: [] });
  let bytes = frame;
  let count = 0;
  for (const item of list) {
    bytes += size(item) + 1;
    if (bytes > limitBytes) break;
    count++;
  }
  if (count === 0) return undefined;
  const kept = list.slice(0, count);
  const name = holder === undefined ? 'The list' : `The list ${holder.key}`;
  return {
    value: holder === undefined ? kept : { ...(value as JsonObject), [holder.key]: kept },
    notes: [`${name} is cut to fit into ${limitBytes} bytes: the first ${count} of ${list.length} items are shown.`],
  };
}

function longestList(value: JsonObject): { readonly key: string; readonly list: Json[] } | undefined {
  const lists = Object.entries(value).flatMap(([key, list]) => (Array.isArray(list) ? [{ key, list }] : []));
  return lists.sort((a, b) => b.list.length - a.list.length)[0];
}

function size(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function isMap(value: Json): value is JsonObject {
  return isObject(value) && longNumber(value) === undefined;
}

// Defined and not assigned: `__proto__` is a member like any other in a stranger's answer.
function define(object: JsonObject, key: string, value: Json): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  else object[key] = value;
}
