import { GatewayError } from '../../errors.ts';
import type { ClientDialectName } from '../../models/dialect.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';

/** Tools that a client runs itself: of these a provider is only told. */
const ownTools: Readonly<Record<ClientDialectName, ReadonlySet<string>>> = {
  chat: new Set(['function', 'custom']),
  completions: new Set(),
  responses: new Set(['function', 'custom', 'local_shell', 'apply_patch']),
  messages: new Set(['custom', 'bash', 'text_editor', 'computer', 'memory']),
};

/** Members of a request that make a provider do what a tool of this name does. */
const otherMembers: Readonly<Record<ClientDialectName, readonly (readonly [member: string, name: string])[]>> = {
  chat: [
    ['web_search_options', 'web_search'],
    ['search_parameters', 'web_search'],
    ['plugins', 'plugins'],
    // Azure OpenAI: searched under the identity of the deployment.
    ['data_sources', 'data_sources'],
  ],
  completions: [],
  // What is stored with the provider under its id may hold any tool, and nobody here can look.
  responses: [['prompt', 'prompt']],
  messages: [['mcp_servers', 'mcp']],
};

/**
 * What a provider runs itself it runs under our credential, with whatever data and addresses the request names, and nothing of it can
 * be authorized, inspected or put on record here. `allowed`: names of such tools that may be asked for. Throws GatewayError
 * `invalid_request` for any other.
 */
export function refuseHosted(body: JsonObject, dialect: ClientDialectName, allowed: readonly string[], model: string): void {
  for (const [member, name] of otherMembers[dialect]) {
    if (isSaid(body[member]) && !allowed.includes(name)) throw refusal(name, member, model);
  }
  if (isSaid(body.tools)) refuseIn(body.tools, 'tools', dialect, allowed, model);
  if (dialect === 'responses' && Array.isArray(body.input)) refuseInItems(body.input, allowed, model);
}

/** Items bring tools of their own (`additional_tools`, `tool_search_output`); what a server of MCP listed is none that is asked for. */
function refuseInItems(items: readonly Json[], allowed: readonly string[], model: string): void {
  for (const [place, item] of items.entries()) {
    if (isObject(item) && item.type !== 'mcp_list_tools' && isSaid(item.tools))
      refuseIn(item.tools, `input[${place}].tools`, 'responses', allowed, model);
  }
}

/** A tool may hold tools. */
function refuseIn(
  tools: Json | undefined,
  at: string,
  dialect: ClientDialectName,
  allowed: readonly string[],
  model: string,
): void {
  if (!Array.isArray(tools)) throw new GatewayError('invalid_request', `"${at}" must be a list of tools.`);
  for (const [place, tool] of tools.entries()) {
    const here = `${at}[${place}]`;
    if (!isObject(tool)) throw new GatewayError('invalid_request', `"${here}" must be a tool: an object.`);
    const name = nameOf(tool.type, dialect);
    if (name === undefined) throw new GatewayError('invalid_request', `"${here}.type" must be text: what kind of tool it is.`);
    if (!ownTools[dialect].has(name) && !allowed.includes(name)) throw refusal(name, `${here}.type`, model);
    if (isSaid(tool.tools)) refuseIn(tool.tools, `${here}.tools`, dialect, allowed, model);
  }
}

/** `web_search` of `web_search_preview_2025_03_11` and of `web_search_20250305`. */
function nameOf(type: Json | undefined, dialect: ClientDialectName): string | undefined {
  if (type === undefined && dialect === 'messages') return 'custom';
  if (typeof type !== 'string') return undefined;
  const name = type.replace(/_(\d{8}|\d{4}_\d{2}_\d{2})$/, '').replace(/_preview$/, '');
  return name === 'mcp_toolset' ? 'mcp' : name;
}

function isSaid(value: Json | undefined): boolean {
  return value !== undefined && value !== null && value !== false && !(Array.isArray(value) && value.length === 0);
}

function refusal(name: string, param: string, model: string): GatewayError {
  if (param === 'prompt')
    return new GatewayError(
      'invalid_request',
      `A prompt that is stored with the model's provider may hold tools that the provider runs under the credential of this gateway, and ${model} does not allow that. Send the prompt itself, or ask whoever administers the model to name "prompt" in "hostedTools".`,
      { data: { param } },
    );
  return new GatewayError(
    'invalid_request',
    `The tool ${name.slice(0, 64)} is run by the model's provider, under the credential of this gateway, and ${model} does not allow that. Leave it out, offer a function of your own instead, or ask whoever administers the model to name it in "hostedTools".`,
    { data: { param } },
  );
}
