/** Refuses what does not exist in this toolbox; what is hidden and what is not there look the same. */
import { type Catalog, type Member, modelsPlace, type Toolbox, toolboxOf } from '../catalog/catalog.ts';
import { isDocumentation } from '../catalog/documentation-uri.ts';
import { callTool, callToolName, hasSearchTools, searchTool, searchToolName } from '../catalog/search-tools.ts';
import { GatewayError } from '../errors.ts';
import type { ToolDefinition } from '../upstreams/upstream.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Ask } from './ask.ts';

declare const found: unique symbol;

/** What a call is for. Only this file makes one. */
export interface Target {
  readonly [found]: true;
  readonly toolbox: Toolbox;
  readonly member: Member;
  readonly namespace: string;
  /** `namespace/name`, or the upstream's id for what has no name of its own (resources). */
  readonly capability: string;
  readonly tool: ToolDefinition | undefined;
  /** Hash of the approved definition, of a tool or a prompt. */
  readonly definition: string | undefined;
  /** The ask's params in the upstream's own names and URIs. */
  readonly params: JsonObject;
}

/** Throws GatewayError `not_found` for a toolbox. */
export function findToolbox(catalog: Catalog, name: string): Toolbox {
  const toolbox = name === modelsPlace ? catalog.models : toolboxOf(catalog, name);
  if (toolbox === undefined) throw noSuchToolbox(name);
  return toolbox;
}

/** The same words for one that is not there and one that is not for this caller. */
export function noSuchToolbox(name: string): GatewayError {
  if (name === modelsPlace)
    return new GatewayError('not_found', 'There are no models here for you: this key or token is for other addresses.');
  if (name === '')
    return new GatewayError(
      'not_found',
      'There is nothing at this address that you may call. Approvers, auditors and admins find their tools at /mcp/admin, and a key for a toolbox works at /mcp/<toolbox>.',
    );
  return new GatewayError('not_found', `There is no toolbox "${shorten(name)}" here; check the name at the end of the address.`);
}

/** As much of an ask as says what it is for. */
export type Asked = Pick<Ask, 'toolbox' | 'method' | 'params'>;

/** Throws GatewayError `unknown_capability`, `invalid_params` or `not_found`. */
export function resolve(catalog: Catalog, ask: Asked): Target {
  const toolbox = findToolbox(catalog, ask.toolbox);
  switch (ask.method) {
    case 'tools/call':
      return resolveTool(toolbox, ask);
    case 'prompts/get':
      return resolvePrompt(toolbox, ask.params);
    case 'resources/read':
      return resolveResource(toolbox, ask.params);
    case 'completion/complete':
      return resolveReference(toolbox, ask.params);
    case 'models/call':
      return resolveModel(catalog, toolbox, ask.params);
  }
}

function resolveModel({ modelNames }: Catalog, toolbox: Toolbox, params: JsonObject): Target {
  const name = text(params, 'name');
  const capability = modelNames.get(name);
  if (capability === undefined || !toolbox.tools.has(capability.outwardName)) throw unknownModel(name);
  // What it takes as a tool says nothing of what it takes in a client's dialect.
  return target(toolbox, capability.member, capability.name, params, capability.hash);
}

function resolveTool(toolbox: Toolbox, ask: Asked): Target {
  const { params } = ask;
  const name = text(params, 'name');
  const capability = toolbox.tools.get(name);
  if (capability === undefined) return resolveSearch(toolbox, ask);
  if (params.arguments !== undefined && !isObject(params.arguments)) {
    throw new GatewayError('invalid_params', '"arguments" must be an object.');
  }
  const { member, definition, hash } = capability;
  return target(toolbox, member, capability.name, asTool(member, params, definition.name), hash, definition);
}

// What a model's door says of a request beside its body, no client of a tool may say.
function asTool({ config }: Member, params: JsonObject, name: string): JsonObject {
  if (config.kind !== 'model') return { ...params, name };
  return params.arguments === undefined ? { name } : { name, arguments: params.arguments };
}

// A call inside a call_tool was taken out of it at the door; what comes here is none, and will be refused for its arguments.
function resolveSearch(toolbox: Toolbox, ask: Asked): Target {
  const { finder } = toolbox;
  const tool = ask.params.name === searchToolName ? searchTool : ask.params.name === callToolName ? callTool : undefined;
  if (tool === undefined || finder === undefined || !hasSearchTools(toolbox)) throw unknownTarget(ask);
  return target(
    toolbox,
    finder,
    `${finder.config.namespace}/${tool.name}`,
    { ...ask.params, toolbox: toolbox.name },
    undefined,
    tool,
  );
}

function resolvePrompt(toolbox: Toolbox, params: JsonObject): Target {
  const name = text(params, 'name');
  const capability = toolbox.prompts.get(name);
  if (capability === undefined) throw new GatewayError('unknown_capability', `Unknown prompt: ${shorten(name)}`);
  const { member, definition, hash } = capability;
  return target(toolbox, member, capability.name, { ...params, name: definition.name }, hash);
}

/** Also for subscriptions, which are to a resource what a call is to a tool. */
export function resolveResource(toolbox: Toolbox, params: JsonObject): Target {
  const uri = text(params, 'uri');
  const { finder } = toolbox;
  if (finder !== undefined && isDocumentation(toolbox, uri))
    return target(toolbox, finder, `${finder.config.namespace}/documentation`, { ...params, toolbox: toolbox.name });
  const owner = toolbox.uris.toUpstream(uri);
  if (owner === undefined) {
    throw unknownResource(uri);
  }
  return target(toolbox, owner.member, owner.member.id, { ...params, uri: owner.uri });
}

function resolveReference(toolbox: Toolbox, params: JsonObject): Target {
  const { ref } = params;
  if (!isObject(ref)) throw new GatewayError('invalid_params', '"ref" must be an object.');
  if (ref.type === 'ref/prompt') {
    const prompt = resolvePrompt(toolbox, ref);
    return target(toolbox, prompt.member, prompt.capability, { ...params, ref: prompt.params }, prompt.definition);
  }
  if (ref.type === 'ref/resource') {
    const resource = resolveResource(toolbox, ref);
    return target(toolbox, resource.member, resource.capability, { ...params, ref: resource.params });
  }
  throw new GatewayError('invalid_params', '"ref.type" must be "ref/prompt" or "ref/resource".');
}

function target(
  toolbox: Toolbox,
  member: Member,
  capability: string,
  params: JsonObject,
  definition?: string,
  tool?: ToolDefinition,
): Target {
  return { toolbox, member, namespace: member.config.namespace, capability, params, definition, tool } as Target;
}

function text(params: JsonObject, key: string): string {
  const value = params[key];
  if (typeof value !== 'string') throw new GatewayError('invalid_params', `"${key}" must be a string.`);
  return value;
}

/** The same words for what is not there and what is not for this caller (MCP server/tools, server/prompts, server/resources). */
export function unknownTarget({ method, params }: Pick<Ask, 'method' | 'params'>): GatewayError {
  const name = String(params.name);
  if (method === 'tools/call') return new GatewayError('unknown_capability', `Unknown tool: ${shorten(name)}`);
  if (method === 'prompts/get') return new GatewayError('unknown_capability', `Unknown prompt: ${shorten(name)}`);
  if (method === 'resources/read') return unknownResource(String(params.uri));
  if (method === 'models/call') return unknownModel(name);
  const ref = isObject(params.ref) ? params.ref : {};
  if (ref.type === 'ref/prompt') return new GatewayError('unknown_capability', `Unknown prompt: ${shorten(String(ref.name))}`);
  return unknownResource(String(ref.uri));
}

function unknownResource(uri: string): GatewayError {
  return new GatewayError('unknown_capability', `Resource not found: ${shorten(uri)}`, { data: { uri } });
}

function unknownModel(name: string): GatewayError {
  return new GatewayError(
    'unknown_model',
    `There is no model "${shorten(name)}" here for you. GET /v1/models lists those that you may use.`,
  );
}

// A name in a message is a client's own text; a megabyte of it is not repeated.
function shorten(name: string): string {
  return name.length <= 200 ? name : `${name.slice(0, 200)}...`;
}
