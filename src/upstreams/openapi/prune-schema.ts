/** Makes a converted schema smaller: texts first, then examples and long lists, then what is nested deeply. */

import { listKeywords, mapKeywords, partKeywords } from '../../arguments/schema-keywords.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { cutText } from './text.ts';

/**
 * How much is taken away: nothing; long descriptions; all of them, and titles; examples, and long lists of values. Each level takes what
 * the one before does, too.
 */
export type PruneLevel = 0 | 1 | 2 | 3;

const shortText = 120;
const longestEnum = 30;
const longestDefault = 100;

/** `keepMembers`: the members' own descriptions are cut, not dropped. Those of arguments are what a caller needs most. */
export function pruneSchema(schema: Json, level: PruneLevel, keepMembers = false): Json {
  if (level === 0 || !isObject(schema)) return schema;
  const kept: JsonObject = {};
  for (const [key, value] of Object.entries(schema)) {
    const left = pruneKeyword(key, value, level, keepMembers);
    if (left !== undefined) kept[key] = left;
  }
  return kept;
}

function pruneKeyword(key: string, value: Json, level: PruneLevel, keepMembers: boolean): Json | undefined {
  if (key === 'description' && typeof value === 'string') return level >= 2 ? undefined : cutText(value, shortText);
  if (key === 'title') return level >= 2 ? undefined : value;
  if (key === 'examples') return level >= 3 ? undefined : value;
  if (key === 'default') return level >= 3 && JSON.stringify(value).length > longestDefault ? undefined : value;
  if (key === 'enum') return level >= 3 && Array.isArray(value) && value.length > longestEnum ? undefined : value;
  if (key === 'properties' && isObject(value)) return pruneMembers(value, level, keepMembers);
  return mapParts(key, value, (part) => pruneSchema(part, level));
}

function pruneMembers(members: JsonObject, level: PruneLevel, keepTexts: boolean): JsonObject {
  const entries = Object.entries(members).map(([name, member]) => {
    const pruned = pruneSchema(member, level);
    const text = isObject(member) && keepTexts && level === 2 ? member.description : undefined;
    return [name, isObject(pruned) && typeof text === 'string' ? { ...pruned, description: cutText(text, shortText) } : pruned];
  });
  return Object.fromEntries(entries);
}

/** The value of a keyword with each schema in it replaced; other keywords' values as they are. */
function mapParts(key: string, value: Json, change: (part: Json) => Json): Json {
  if (partKeywords.has(key)) return change(value);
  if (listKeywords.has(key) && Array.isArray(value)) return value.map(change);
  if (mapKeywords.has(key) && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, change(part)]));
  return value;
}

const outlineKeywords = ['type', 'format', 'description'];

/** Schemas nested deeper than this keep their type only. References count as what they stand for. */
export function cutDepth(schema: Json, depth: number): Json {
  if (!isObject(schema)) return schema;
  if (depth <= 0) return outlineOf(schema);
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, mapParts(key, value, (part) => cutDepth(part, depth - 1))]),
  );
}

function outlineOf(schema: JsonObject): JsonObject {
  return Object.fromEntries(outlineKeywords.flatMap((key) => (schema[key] === undefined ? [] : [[key, schema[key]]])));
}

/** The definitions that a schema refers to. */
export function namesReferredTo(schema: Json, names = new Set<string>()): Set<string> {
  if (!isObject(schema)) return names;
  for (const key of Object.keys(schema)) {
    const value = schema[key] ?? null;
    if (key === '$ref' && typeof value === 'string') names.add(value.slice('#/$defs/'.length));
    else if (partKeywords.has(key)) namesReferredTo(value, names);
    else if (listKeywords.has(key) || mapKeywords.has(key)) {
      for (const part of typeof value === 'object' && value !== null ? Object.values(value) : []) namesReferredTo(part, names);
    }
  }
  return names;
}
