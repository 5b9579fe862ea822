/** Which arguments of a tool are filled in where a caller leaves them out, and what of that may be shown. */
import { isSecretName } from '../content/secrets.ts';
import type { Offer, ToolDefinition } from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';

/** An argument that is filled in where a caller leaves it out. */
export interface FilledIn {
  readonly argument: string;
  /** Undefined where it is not for everybody to see, or too long to be listed. */
  readonly value: Json | undefined;
}

/** Arguments of a tool that are filled in, among those that it takes. */
export function filledInFor(
  { inputSchema: { properties } }: ToolDefinition,
  filledIn: Offer['filledIn'] = {},
): readonly FilledIn[] {
  if (!isObject(properties)) return [];
  const hidden = hiddenIn(filledIn);
  return Object.entries(filledIn).flatMap(([argument, value]) => {
    if (!Object.hasOwn(properties, argument)) return [];
    const isShown = !hidden.has(argument) && !isMarked(properties[argument], value);
    return [{ argument, value: isShown ? value : undefined }];
  });
}

const longestDefault = 1_000;
// Of one entry for all of its tools.
const hiddenOf = new WeakMap<JsonObject, ReadonlySet<string>>();

/** Names of those that nobody is shown, whatever a schema says of them. */
function hiddenIn(filledIn: JsonObject): ReadonlySet<string> {
  let hidden = hiddenOf.get(filledIn);
  if (hidden === undefined) {
    hidden = new Set(Object.keys(filledIn).filter((argument) => isHidden(argument, filledIn[argument] ?? null)));
    hiddenOf.set(filledIn, hidden);
  }
  return hidden;
}

// What looks like a credential may have been put there because no caller was to know it.
function isHidden(argument: string, value: Json): boolean {
  const text = JSON.stringify(value);
  if (text.length > longestDefault || text.includes('${') || namesSecret(argument, value)) return true;
  return text.includes('BEGIN ') || (text.match(unbroken) ?? []).some((run) => run.length >= 20 || /\d/.test(run));
}

/** Words of a language are shorter, or have no digits: what is left is a key, an id or an address. */
const unbroken = /[A-Za-z0-9_+/=.~-]{16,}/g;

function namesSecret(name: string, value: Json): boolean {
  if (isSecretName(name) || wordsOf(name).some((word) => secretWords.has(word))) return true;
  if (Array.isArray(value)) return value.some((item) => namesSecret('', item));
  return isObject(value) && Object.entries(value).some(([member, each]) => namesSecret(member, each ?? null));
}

const secretWords: ReadonlySet<string> = new Set([
  ...['key', 'keys', 'apikey', 'token', 'tokens', 'secret', 'secrets', 'password', 'passwd', 'passphrase', 'pwd', 'pass'],
  ...['credential', 'credentials', 'authorization', 'auth', 'bearer', 'cookie', 'signature', 'sig', 'pin', 'otp'],
]);

/** `X-Api-Key2`: x, api, key. */
function wordsOf(name: string): readonly string[] {
  const parted = name.replaceAll(/([a-z])([A-Z])/g, '$1 $2');
  return parted.toLowerCase().match(/[a-z]+/g) ?? [];
}

/** Whether the schema says of it, or of a member that is filled in with it, that it is not to be shown. */
function isMarked(schema: Json | undefined, value: Json): boolean {
  if (!isObject(schema)) return false;
  if (schema.writeOnly === true || schema.format === 'password') return true;
  const { properties, items } = schema;
  if (Array.isArray(value)) return value.some((item) => isMarked(items, item));
  if (!isObject(value) || !isObject(properties)) return false;
  return Object.entries(value).some(
    ([name, each]) => Object.hasOwn(properties, name) && isMarked(properties[name], each ?? null),
  );
}
