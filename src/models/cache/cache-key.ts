import { type HmacKey, hmac } from '../../hmac.ts';
import { canonicalJson } from '../../wire/canonical-json.ts';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ClientDialectName } from '../dialect.ts';

export type CachedDialect = ClientDialectName | 'embeddings';

/** Whose answers may be given to whom. */
export interface CachePlace {
  /** `namespace/name`, whatever the client called it. */
  readonly model: string;
  /** Another one when anything of the model changes that decides what it answers. */
  readonly version: string;
  /** Undefined: everybody's. */
  readonly consumer: string | undefined;
}

/** Members that change how an answer comes, who asked for it or what it costs, and not what it says. */
const withoutEffect: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'stream_options',
  'user',
  'metadata',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'store',
]);

/** A request without what does not decide its answer, and in one way where there are several to say the same. */
export function normalize(body: JsonObject): JsonObject {
  const kept: JsonObject = {};
  for (const name of Object.keys(body)) {
    const value = body[name];
    if (value === undefined || value === null || withoutEffect.has(name)) continue;
    // An own member, whatever its name: `__proto__` as well.
    Object.defineProperty(kept, name, { value: normalMember(name, value), enumerable: true, writable: true, configurable: true });
  }
  return kept;
}

function normalMember(name: string, value: Json): Json {
  if (name === 'system' || name === 'tools') return normalParts(value);
  if ((name !== 'messages' && name !== 'input') || !Array.isArray(value)) return value;
  return value.map((message) => {
    if (!isObject(message) || message.content === undefined) return message;
    const { cache_control: _, ...rest } = message;
    return { ...rest, content: normalParts(message.content) };
  });
}

/** One text as a text; parts without the marks by which providers keep them. */
function normalParts(parts: Json): Json {
  if (!Array.isArray(parts)) return parts;
  const plain = parts.map((part) => {
    if (!isObject(part) || !Object.hasOwn(part, 'cache_control')) return part;
    const { cache_control: _, ...rest } = part;
    return rest;
  });
  const [only] = plain;
  const isText = plain.length === 1 && isObject(only) && Object.keys(only).length === 2 && textTypes.has(only.type ?? null);
  return isText && typeof only.text === 'string' ? only.text : plain;
}

const textTypes: ReadonlySet<Json> = new Set(['text', 'input_text']);

/**
 * Names the answer to a request in its place. Keyed: whoever sees names cannot tell what was asked by trying. `kind` keeps names of
 * different things apart.
 */
export function nameOf(key: HmacKey, kind: string, { model, version, consumer }: CachePlace, facts: readonly Json[]): string {
  return hmac(key, canonicalJson([kind, model, version, consumer ?? null, [...facts]]), 'base64url');
}
