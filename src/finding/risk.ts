import { isObject, type JsonObject } from '../wire/json.ts';

export const risks = ['read-only', 'changes', 'destructive'] as const;
export type Risk = (typeof risks)[number];

/** What a tool says it may do. One that says nothing may do anything: that is what the hints' defaults mean (MCP server/tools). */
export function riskOf({ annotations }: JsonObject): Risk {
  const { readOnlyHint, destructiveHint } = isObject(annotations) ? annotations : {};
  if (readOnlyHint === true) return 'read-only';
  return destructiveHint === false ? 'changes' : 'destructive';
}
