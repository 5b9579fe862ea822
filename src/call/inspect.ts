/** Refuses answers that are not what the method promises, and maps what they carry back into the client's names and URIs. */
import { GatewayError } from '../errors.ts';
import type { Answer, CallMethod } from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { RawResult } from '../wire/message.ts';
import type { Ask } from './ask.ts';
import type { Permit } from './authorize.ts';

declare const inspected: unique symbol;

/** An answer its client may have. Only this file makes one. */
export type Outcome = Answer & { readonly [inspected]: true };

/** Throws GatewayError `upstream_failed`. */
export function inspect(permit: Permit, ask: Ask, answer: Answer): Outcome {
  if (answer.kind !== 'result') return answer as Outcome;
  const result = withShape(permit, ask.method, answer.result);
  return { kind: 'result', result: withClientUris(permit, ask.method, result) } as Outcome;
}

const promises = {
  'tools/call': { key: 'content', opens: 0x5b },
  'prompts/get': { key: 'messages', opens: 0x5b },
  'resources/read': { key: 'contents', opens: 0x5b },
  'completion/complete': { key: 'completion', opens: 0x7b },
} as const satisfies Record<CallMethod, { key: string; opens: number }>;

function withShape(permit: Permit, method: CallMethod, result: RawResult): RawResult {
  const { key, opens } = promises[method];
  for (const member of result.members) {
    if (member.key === key && result.bytes[member.start] === opens) return result;
  }
  // `content` may be left out where `structuredContent` says it all; older clients insist on it.
  if (method === 'tools/call' && !result.has('content')) return RawResult.from({ ...parsed(permit, result), content: [] });
  throw new GatewayError(
    'upstream_failed',
    `The upstream ${permit.member.id} sent an answer without a usable "${key}"; ask its operator, repeating the call will not help.`,
  );
}

function withClientUris(permit: Permit, method: CallMethod, result: RawResult): RawResult {
  const { uris } = permit.toolbox;
  // Most answers name no URI, and then stay the bytes they were.
  if (uris.isIdentity || method === 'completion/complete' || !result.namesUri) return result;
  const map = (uri: Json | undefined) => (typeof uri === 'string' ? uris.toClient(permit.member, uri) : uri);
  const value = parsed(permit, result);
  if (method === 'resources/read')
    return RawResult.from({ ...value, contents: each(value.contents, (item) => mapUri(item, map)) });
  if (method === 'tools/call') return RawResult.from({ ...value, content: each(value.content, (item) => mapBlock(item, map)) });
  return RawResult.from({
    ...value,
    messages: each(value.messages, (message) => {
      const { content } = message;
      const mapped = Array.isArray(content)
        ? each(content, (block) => mapBlock(block, map))
        : isObject(content)
          ? mapBlock(content, map)
          : content;
      return mapped === undefined ? message : { ...message, content: mapped };
    }),
  });
}

type MapUri = (uri: Json | undefined) => Json | undefined;

function mapBlock(block: JsonObject, map: MapUri): JsonObject {
  if (block.type === 'resource_link') return mapUri(block, map);
  if (block.type === 'resource' && isObject(block.resource)) return { ...block, resource: mapUri(block.resource, map) };
  return block;
}

function mapUri(item: JsonObject, map: MapUri): JsonObject {
  const uri = map(item.uri);
  return uri === undefined ? item : { ...item, uri };
}

function each(items: Json | undefined, map: (item: JsonObject) => JsonObject): Json[] {
  return Array.isArray(items) ? items.map((item) => (isObject(item) ? map(item) : item)) : [];
}

function parsed(permit: Permit, result: RawResult): JsonObject {
  try {
    return result.value;
  } catch (error) {
    throw new GatewayError('upstream_failed', `The upstream ${permit.member.id} sent an answer that is not valid JSON.`, {
      cause: error,
    });
  }
}
