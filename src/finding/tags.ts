import { examplesKey } from '../catalog/publish.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

const mostTags = 50;
const longestTag = 64;

/**
 * The tags of a definition. MCP has no place of its own for them, so they stand in `_meta`: under our key, where a converted API has
 * its operation's tags, or where widely used server frameworks put theirs.
 */
export function tagsOf(definition: JsonObject): readonly string[] {
  const meta = Object.hasOwn(definition, '_meta') && isObject(definition._meta) ? definition._meta : undefined;
  if (meta === undefined) return [];
  const found = [meta['dev.gatehouse/tags'], meta.tags, inside(meta.fastmcp), inside(meta._fastmcp)].flatMap((tags) =>
    Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
  );
  return [...new Set(found.map((tag) => tag.slice(0, longestTag)))].slice(0, mostTags);
}

function inside(value: Json | undefined): Json | undefined {
  return isObject(value) ? value.tags : undefined;
}

const mostExamples = 5;

/** The examples that a definition brings: under our key, or as examples of its whole input schema. */
export function examplesOf({
  _meta,
  inputSchema,
}: ToolDefinition): readonly { readonly title: string; readonly arguments: JsonObject }[] {
  const own = isObject(_meta) ? listOf(_meta[examplesKey]) : [];
  const worked = own.flatMap(({ summary, arguments: args }) =>
    isObject(args) ? [{ title: typeof summary === 'string' && summary !== '' ? summary : 'Example', arguments: args }] : [],
  );
  const ofSchema = listOf(inputSchema.examples).map((args) => ({ title: 'Example', arguments: args }));
  return [...worked, ...ofSchema].slice(0, mostExamples);
}

function listOf(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
