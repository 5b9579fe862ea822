import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';

/** In `_meta` of a request, for clients that set no headers. */
const metaKey = 'dev.gatehouse/idempotency-key';
const longestKey = 255;

/**
 * The key that a client gave its call, so that it is made once however often it is sent (draft-ietf-httpapi-idempotency-key-header: a
 * string in quotes; clients mostly leave them out). Undefined where it gave none. Throws GatewayError `invalid_request`.
 */
export function readIdempotencyKey(header: string | readonly string[] | undefined, meta?: JsonObject): string | undefined {
  const named = meta?.[metaKey];
  if (header === undefined && named === undefined) return undefined;
  const keys = [header, named].filter((given) => given !== undefined).map(checked);
  if (new Set(keys).size > 1) throw refusal('the header and _meta say different things');
  return keys[0];
}

/** `_meta` without it: it is for this gateway alone. */
export function withoutIdempotencyKey(meta: JsonObject | undefined): JsonObject | undefined {
  if (meta === undefined || !Object.hasOwn(meta, metaKey)) return meta;
  const { [metaKey]: _, ...rest } = meta;
  return Object.keys(rest).length === 0 ? undefined : rest;
}

function checked(given: unknown): string {
  if (typeof given !== 'string') throw refusal('it must be one text');
  const key = /^".*"$/.test(given) ? given.slice(1, -1) : given;
  if (key === '' || key.length > longestKey || !/^[\x21-\x7e]+$/.test(key))
    throw refusal(`it must have 1 to ${longestKey} visible ASCII characters, without blanks`);
  return key;
}

function refusal(why: string): GatewayError {
  return new GatewayError(
    'invalid_request',
    `The idempotency key cannot be used: ${why}. Take another one for each call, e.g. a UUID, and the same when you repeat it.`,
  );
}
