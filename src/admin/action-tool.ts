import { z } from 'zod';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Action } from './action.ts';

/** An action as clients of MCP see it. */
export function toTool({ name, title, description, isReadOnly, reachesOut = false, input, output }: Action): ToolDefinition {
  return {
    name,
    title,
    description,
    inputSchema: z.toJSONSchema(input, { io: 'input', override: explainPatterns }) as JsonObject,
    outputSchema: z.toJSONSchema(output, { io: 'output' }) as JsonObject,
    annotations: { title, readOnlyHint: isReadOnly, openWorldHint: reachesOut },
  };
}

/** What a pattern means, as zod would say it: a pattern alone tells few what to write. */
function explainPatterns({ zodSchema, jsonSchema }: Parameters<Override>[0]): void {
  for (const check of zodSchema._zod.def.checks ?? []) {
    const { format, error } = check._zod.def as z.core.$ZodCheckStringFormatDef;
    const message = format === 'regex' ? error?.({} as never) : undefined;
    if (typeof message === 'string') jsonSchema.description ??= message;
  }
}

type Override = NonNullable<z.core.ToJSONSchemaParams['override']>;
