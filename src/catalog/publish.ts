import { isAscii } from '../content/fold.ts';
import { stripHiddenText } from '../content/hidden-text.ts';
import type {
  Offer,
  PromptDefinition,
  ResourceDefinition,
  ResourceTemplateDefinition,
  ToolDefinition,
} from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { filledInFor } from './filled-in.ts';

// Definitions are strangers' JSON. Object spread copies own members only and defines instead of assigning, so a member named
// `__proto__` stays a harmless member; order is kept, so that a list's bytes change only where it was changed.

/**
 * A tool as clients see it. Its name and the addresses of its user interface (MCP Apps 2026-01-26) are exchanged, and what is filled in for
 * its arguments is shown.
 */
export function publishTool(
  definition: ToolDefinition,
  outwardName: string,
  toClient: (uri: string) => string,
  filledIn: Offer['filledIn'] = {},
): ToolDefinition {
  const named = withoutExamples({ ...withoutHidden(definition), name: outwardName });
  const published: ToolDefinition = { ...named, inputSchema: withDefaults(named.inputSchema, filledIn) };
  const uris = interfaceUris(definition);
  if (uris.length === 0 || !isObject(definition._meta)) return published;
  const meta: JsonObject = { ...(isObject(published._meta) ? published._meta : {}) };
  if (typeof meta[flatKey] === 'string') meta[flatKey] = toClient(meta[flatKey]);
  if (isObject(meta.ui) && typeof meta.ui.resourceUri === 'string') {
    meta.ui = { ...meta.ui, resourceUri: toClient(meta.ui.resourceUri) };
  }
  published._meta = meta;
  return published;
}

/** The same object where there is nothing to show. */
function withDefaults(schema: JsonObject, filledIn: NonNullable<Offer['filledIn']>): JsonObject {
  const { properties } = schema;
  const shown = filledInFor({ name: '', inputSchema: schema }, filledIn).filter(({ value }) => value !== undefined);
  if (shown.length === 0 || !isObject(properties)) return schema;
  const added = shown.flatMap(({ argument, value = null }) => {
    const { [argument]: given } = properties;
    return given === false ? [] : [[argument, { ...(isObject(given) ? given : {}), default: value }] as const];
  });
  return { ...schema, properties: { ...properties, ...Object.fromEntries(added) } };
}

/** Our key in `_meta` for worked examples, `{ summary?, arguments }` each: they are for the documentation, and would cost every list. */
export const examplesKey = 'dev.gatehouse/examples';

function withoutExamples(definition: ToolDefinition): ToolDefinition {
  const meta = Object.hasOwn(definition, '_meta') ? definition._meta : undefined;
  if (!isObject(meta) || !Object.hasOwn(meta, examplesKey)) return definition;
  const { [examplesKey]: _, ...rest } = meta;
  return { ...definition, _meta: rest };
}

/** Hosts that know the extension's drafts still look here. */
const flatKey = 'ui/resourceUri';

/** The resources a host fetches to show this tool. */
export function interfaceUris(definition: ToolDefinition): string[] {
  const meta = Object.hasOwn(definition, '_meta') ? definition._meta : undefined;
  if (!isObject(meta)) return [];
  const uris = [Object.hasOwn(meta, flatKey) ? meta[flatKey] : undefined];
  if (Object.hasOwn(meta, 'ui') && isObject(meta.ui)) uris.push(meta.ui.resourceUri);
  return uris.filter((uri) => typeof uri === 'string');
}

export function publishPrompt(definition: PromptDefinition, outwardName: string): PromptDefinition {
  return { ...withoutHidden(definition), name: outwardName };
}

export function publishResource(definition: ResourceDefinition, outwardUri: string): ResourceDefinition {
  return { ...withoutHidden(definition), uri: outwardUri };
}

export function publishTemplate(definition: ResourceTemplateDefinition, outwardUri: string): ResourceTemplateDefinition {
  return { ...withoutHidden(definition), uriTemplate: outwardUri };
}

const readByPeople: ReadonlySet<string> = new Set(['description', 'title', '$comment']);

/**
 * A definition without what its texts say to a model and show to nobody. Only what is there to be read: what a name or an allowed value
 * hides is part of what has to be sent. The same object where there is nothing.
 */
export function withoutHidden<Definition extends JsonObject>(definition: Definition): Definition {
  const known = cleaned.get(definition);
  if (known !== undefined) return known as Definition;
  const clean = cleanValue(definition) as Definition;
  cleaned.set(definition, clean);
  return clean;
}

const cleaned = new WeakMap<JsonObject, JsonObject>();

/** As `withoutHidden`, of one text. */
export function withoutHiding(text: string): string {
  return isAscii(text) ? text : stripHiddenText(text);
}

function cleanValue(value: Json): Json {
  if (Array.isArray(value)) {
    const cleaned = value.map(cleanValue);
    return cleaned.some((part, at) => part !== value[at]) ? cleaned : value;
  }
  if (!isObject(value)) return value;
  let copy: JsonObject | undefined;
  for (const [key, part] of Object.entries(value)) {
    const cleaned = typeof part === 'string' && readByPeople.has(key) ? withoutHiding(part) : cleanValue(part);
    if (cleaned === part) continue;
    copy ??= { ...value };
    copy[key] = cleaned;
  }
  return copy ?? value;
}
