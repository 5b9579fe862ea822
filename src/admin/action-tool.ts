import { z } from 'zod';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import type { JsonObject } from '../wire/json.ts';
import type { Action } from './action.ts';

/** An action as clients of MCP see it. */
export function toTool({ name, title, description, isReadOnly, input, output }: Action): ToolDefinition {
  return {
    name,
    title,
    description,
    inputSchema: z.toJSONSchema(input, { io: 'input' }) as JsonObject,
    outputSchema: z.toJSONSchema(output, { io: 'output' }) as JsonObject,
    annotations: { title, readOnlyHint: isReadOnly, openWorldHint: false },
  };
}

/** Every problem of an input, one sentence each, with the place. */
export function describeProblems(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length === 0 ? message : `/${path.map(String).join('/')}: ${message}`))
    .join(' ');
}
