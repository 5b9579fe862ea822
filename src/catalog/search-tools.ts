import type { ToolDefinition } from '../upstreams/upstream.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Toolbox } from './catalog.ts';

// A model reads every definition that a list shows it. Of a large toolbox it is shown what is pinned, a tool that finds the others
// and one that calls them. Both are Gatehouse's own and no part of any upstream.

export const searchToolName = 'search_tools';
export const callToolName = 'call_tool';

/** Characters of definitions, about 20,000 tokens, above which a toolbox with `search: auto` shows a search in place of its list. */
const mostListedCharacters = 80_000;
const mostNamespacesNamed = 30;

export const searchTool: ToolDefinition = Object.freeze({
  name: searchToolName,
  title: 'Search tools',
  description:
    'Finds tools by what they do. This server has more tools than it lists: say in a few words what you want to do, such as "refund a payment". Answers with the name, description and input schema of the tools that fit best. Call one of them with call_tool.',
  inputSchema: {
    type: 'object',
    properties: {
      query: { type: 'string', minLength: 1, maxLength: 1000, description: 'What you want to do, in a few words.' },
      limit: { type: 'integer', minimum: 1, maximum: 25, description: 'Most tools in the answer. Default: 5.' },
    },
    required: ['query'],
    additionalProperties: false,
  },
  outputSchema: {
    type: 'object',
    properties: {
      tools: {
        type: 'array',
        items: {
          type: 'object',
          properties: {
            name: { type: 'string' },
            title: { type: 'string' },
            description: { type: 'string' },
            inputSchema: { type: 'object' },
          },
          required: ['name', 'inputSchema'],
        },
      },
    },
    required: ['tools'],
  },
  annotations: { title: 'Search tools', readOnlyHint: true, openWorldHint: false },
});

export const callTool: ToolDefinition = Object.freeze({
  name: callToolName,
  title: 'Call a tool',
  description:
    'Calls a tool that search_tools found, by its name, with arguments that fit its input schema. It is the same call as one of the tool itself: the same rights, limits and approvals hold it.',
  inputSchema: {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 128, not: { const: callToolName }, description: 'The name of the tool.' },
      arguments: { type: 'object', description: "What the tool's input schema asks for." },
    },
    required: ['name'],
    additionalProperties: false,
  },
});

/** Whether somebody who sees this much of a toolbox is shown a search in place of the whole list. */
export function offersSearch(toolbox: Toolbox): boolean {
  const { search, tools } = toolbox;
  if (search === 'off' || toolbox.finder === undefined || tools.size === 0) return false;
  return search === 'on' || isLarge(toolbox);
}

/** The definitions that a list shows, in its order. */
export function listedTools(toolbox: Toolbox): readonly ToolDefinition[] {
  if (!offersSearch(toolbox)) return Array.from(toolbox.tools.values(), ({ published }) => published);
  const pinned = [...toolbox.tools.values()].filter(({ outwardName }) => toolbox.pinned.has(outwardName));
  return [...pinned.map(({ published }) => published), searchTool, callTool];
}

/**
 * What a `tools/call` is for: of `call_tool` the params of the call inside it, which is judged, limited and recorded as what it is. What
 * is no call inside it stays as it is, and is refused for its arguments like any other.
 */
export function innerParams(toolbox: Toolbox | undefined, params: JsonObject): JsonObject {
  if (params.name !== callToolName || toolbox === undefined || !hasSearchTools(toolbox)) return params;
  const { arguments: given, ...outer } = params;
  if (!isObject(given) || typeof given.name !== 'string' || given.name === callToolName) return params;
  const { name, arguments: inner, ...rest } = given;
  if (Object.keys(rest).length > 0 || (inner !== undefined && !isObject(inner))) return params;
  return inner === undefined ? { ...outer, name } : { ...outer, name, arguments: inner };
}

/** Whether calls of the two are answered here. Those of a small toolbox too: what a list showed a moment ago still works. */
export function hasSearchTools({ search, finder }: Toolbox): boolean {
  return search !== 'off' && finder !== undefined;
}

/** What a model is told of the toolbox, by its upstreams and by us. */
export function instructionsOf(toolbox: Toolbox): string | undefined {
  if (!offersSearch(toolbox)) return toolbox.instructions;
  const namespaces = [...new Set(toolbox.members.map(({ config }) => config.namespace))].slice(0, mostNamespacesNamed);
  const own = `This server has more tools than it lists, for: ${namespaces.join(', ')}. When no listed tool does what is asked for, find one with ${searchToolName}, then call it with ${callToolName}.`;
  return toolbox.instructions === undefined ? own : `${own}\n\n${toolbox.instructions}`;
}

const lengths = new WeakMap<ToolDefinition, number>();

function isLarge({ tools }: Toolbox): boolean {
  let characters = 0;
  for (const { published } of tools.values()) {
    let length = lengths.get(published);
    if (length === undefined) {
      length = JSON.stringify(published).length;
      lengths.set(published, length);
    }
    characters += length;
    if (characters > mostListedCharacters) return true;
  }
  return false;
}
