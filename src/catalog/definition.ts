import { hash } from 'node:crypto';
import { takeTurns } from '../turns.ts';
import type { Offer, PromptDefinition, ToolDefinition } from '../upstreams/upstream.ts';
import { canonicalJson } from '../wire/canonical-json.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { interfaceUris, withoutHidden } from './publish.ts';

/** What is reviewed and pinned: what a model is told that it can use. Resources are contents, and are listed as their upstream lists them. */
export type DefinitionKind = 'tool' | 'prompt';
export type Definition = ToolDefinition | PromptDefinition;

/** What tells two definitions apart; each SHA-256, base64url. */
interface DefinitionHashes {
  /** Of all that a model or a person goes by, the upstream's instructions included. */
  readonly hash: string;
  /** The same without name and title: what keeps this has been renamed. */
  readonly shape: string;
}

const known = new WeakMap<Definition, DefinitionHashes & { readonly instructions: string | undefined }>();

/**
 * Of a definition as its upstream sent it, together with the instructions it came with: a model reads both as one. Computed once per
 * definition and offer, over the canonical form (RFC 8785).
 */
export function hashDefinition(definition: Definition, instructions: string | undefined): DefinitionHashes {
  const before = known.get(definition);
  if (before !== undefined && before.instructions === instructions) return before;
  const { name, title, ...rest } = reviewedPart(definition, instructions);
  const shape = digest(rest);
  const hashes = Object.freeze({ hash: digest({ name: name ?? null, title: title ?? null, shape }), shape, instructions });
  known.set(definition, hashes);
  return hashes;
}

/** Has every definition of an offer hashed and cleaned: who asks for that afterwards is told at once. Others have their turn meanwhile. */
export async function prepareInTurns({ tools, prompts, instructions }: Offer): Promise<void> {
  const turn = takeTurns();
  for (const definition of [...tools, ...prompts]) {
    await turn();
    hashDefinition(definition, instructions);
    withoutHidden(definition);
  }
}

/**
 * All of a definition but `_meta`, which hosts keep to themselves and servers put times into; of that only which pages show the result
 * (MCP Apps). Unknown members belong to it: no host must be told something through one that nobody has looked at.
 */
export function reviewedPart(definition: Definition, instructions: string | undefined): JsonObject {
  const { _meta: _, ...rest } = definition;
  const pages = interfaceUris(definition as ToolDefinition);
  return {
    ...rest,
    ...(pages.length === 0 ? {} : { 'interface pages': pages }),
    ...(instructions === undefined || instructions === '' ? {} : { 'instructions of the upstream': instructions }),
  };
}

/** How one place of a definition differs. */
interface DefinitionChange {
  /** JSON pointer (RFC 6901). */
  readonly path: string;
  /** Canonical JSON, cut off where it is long; undefined where there is nothing. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

const mostChanges = 200;
const longestValue = 2_000;

/** Where two reviewed parts differ, place by place, the first 200; objects are looked into, lists by position. */
export function compareDefinitions(before: Json | undefined, after: Json | undefined): readonly DefinitionChange[] {
  const changes: DefinitionChange[] = [];
  compare('', before, after, changes);
  return changes;
}

function compare(path: string, before: Json | undefined, after: Json | undefined, changes: DefinitionChange[]): void {
  if (changes.length >= mostChanges) return;
  if (isObject(before) && isObject(after)) {
    for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort())
      compare(`${path}/${pointerPart(key)}`, own(before, key), own(after, key), changes);
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let at = 0; at < Math.max(before.length, after.length); at++) compare(`${path}/${at}`, before[at], after[at], changes);
  } else {
    const [old, now] = [show(before), show(after)];
    if (old !== now) changes.push({ path, before: cut(old), after: cut(now) });
  }
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function show(value: Json | undefined): string | undefined {
  return value === undefined ? undefined : canonicalJson(value);
}

function cut(text: string | undefined): string | undefined {
  return text === undefined || text.length <= longestValue
    ? text
    : `${text.slice(0, longestValue)}... (${text.length} characters)`;
}

function pointerPart(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function digest(value: JsonObject): string {
  return hash('sha256', canonicalJson(value), 'base64url');
}
