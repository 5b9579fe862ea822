import { isDeepStrictEqual } from 'node:util';
import type { ToolDefinition } from '../upstream.ts';
import type { PreparedApi, PreparedCall } from './prepare.ts';

const parts = ['title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;

/**
 * What another description or entry changes, one line per tool: `+ add_pet`, `~ get_pet: inputSchema, security`, `- old`; and where the
 * API is, if that is elsewhere.
 */
export function compareApis(before: PreparedApi, after: PreparedApi): readonly string[] {
  const old = new Map(before.offer.tools.map((tool) => [tool.name, tool]));
  const next = new Map(after.offer.tools.map((tool) => [tool.name, tool]));
  const moved = before.base.href === after.base.href ? [] : [`~ address: ${before.base.href} -> ${after.base.href}`];
  const added = [...next.keys()].filter((name) => !old.has(name)).map((name) => `+ ${name}`);
  const gone = [...old.keys()].filter((name) => !next.has(name)).map((name) => `- ${name}`);
  const changed = [...next].flatMap(([name, tool]) => {
    const known = old.get(name);
    if (known === undefined) return [];
    const differing = [...differences(known, tool), ...compareCalls(before.calls.get(name), after.calls.get(name))];
    return differing.length === 0 ? [] : [`~ ${name}: ${differing.join(', ')}`];
  });
  return [...moved, ...added, ...changed, ...gone];
}

function differences(a: ToolDefinition, b: ToolDefinition): readonly string[] {
  return parts.filter((part) => !isDeepStrictEqual(a[part], b[part]));
}

/** What callers do not see of it: which request it becomes, and what that is let in with. */
function compareCalls(a: PreparedCall | undefined, b: PreparedCall | undefined): readonly string[] {
  if (a === undefined || b === undefined) return [];
  const [before, after] = [a.operation, b.operation];
  const isSameRequest = before.id === after.id && isDeepStrictEqual(before.request, after.request);
  return [...(isSameRequest ? [] : ['request']), ...(isDeepStrictEqual(before.security, after.security) ? [] : ['security'])];
}
