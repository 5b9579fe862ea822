import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { Usage } from '../reply.ts';

/** Anthropic counts what was written to or read from its cache beside `input_tokens`, not in it. Members that are no counts are left out. */
export function readUsage(usage: Json | undefined): Partial<Usage> {
  if (!isObject(usage)) return {};
  const cacheRead = readCount(usage.cache_read_input_tokens);
  const cacheWrite = readCount(usage.cache_creation_input_tokens);
  const uncached = readCount(usage.input_tokens);
  const output = readCount(usage.output_tokens);
  const details = usage.output_tokens_details;
  const reasoning = isObject(details) ? readCount(details.thinking_tokens) : undefined;
  return {
    ...(uncached !== undefined && { input: uncached + (cacheRead ?? 0) + (cacheWrite ?? 0) }),
    ...(output !== undefined && { output }),
    ...(cacheRead !== undefined && { cacheRead }),
    ...(cacheWrite !== undefined && { cacheWrite }),
    ...(reasoning !== undefined && { reasoning }),
  };
}

/**
 * Usage of a stream comes twice: at the start, and at its end as the whole sums, where members that do not apply are missing. What
 * an earlier one said of the input stands beside what a later one says of it.
 */
export function usageReader(): (usage: Json | undefined) => Partial<Usage> {
  const seen: JsonObject = {};
  return (usage) => {
    if (!isObject(usage)) return {};
    for (const name of ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens']) {
      const count = readCount(usage[name]);
      if (count !== undefined) seen[name] = count;
    }
    return readUsage({
      ...seen,
      output_tokens: usage.output_tokens ?? null,
      output_tokens_details: usage.output_tokens_details ?? null,
    });
  };
}

/** Clients of API version 2026-10-21 count on every member, null where it does not apply; older ones pass over them. */
export function writeUsage(usage: Usage): JsonObject {
  return {
    ...writeDeltaUsage(usage),
    cache_creation: null,
    inference_geo: null,
    service_tier: null,
    speed: null,
  };
}

/** What the end of a stream says of it. */
export function writeDeltaUsage(usage: Usage): JsonObject {
  return {
    input_tokens: Math.max(0, usage.input - usage.cacheRead - usage.cacheWrite),
    cache_creation_input_tokens: usage.cacheWrite,
    cache_read_input_tokens: usage.cacheRead,
    output_tokens: usage.output,
    output_tokens_details: { thinking_tokens: usage.reasoning },
    server_tool_use: null,
  };
}

function readCount(value: Json | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
