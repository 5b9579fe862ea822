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
