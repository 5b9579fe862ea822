import { isDeepStrictEqual } from 'node:util';
import type { Offer, ToolDefinition } from '../upstream.ts';

const parts = ['title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;

/** What another description changes for callers, one line per tool: `+ add_pet`, `~ get_pet: inputSchema`, `- old`. */
export function compareOffers(before: Offer, after: Offer): readonly string[] {
  const old = new Map(before.tools.map((tool) => [tool.name, tool]));
  const next = new Map(after.tools.map((tool) => [tool.name, tool]));
  const added = [...next.keys()].filter((name) => !old.has(name)).map((name) => `+ ${name}`);
  const gone = [...old.keys()].filter((name) => !next.has(name)).map((name) => `- ${name}`);
  const changed = [...next].flatMap(([name, tool]) => {
    const known = old.get(name);
    const differing = known === undefined ? [] : differences(known, tool);
    return differing.length === 0 ? [] : [`~ ${name}: ${differing.join(', ')}`];
  });
  return [...added, ...changed, ...gone];
}

function differences(a: ToolDefinition, b: ToolDefinition): readonly string[] {
  return parts.filter((part) => !isDeepStrictEqual(a[part], b[part]));
}
