/** Refuses answers that are not what the method promises and content that must not come back, and maps what they carry back into the client's names and URIs. */
import type { ContentHit } from '../content/screen.ts';
import { GatewayError } from '../errors.ts';
import type { Answer, AnswerStream, CallMethod } from '../upstreams/upstream.ts';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { RawResult } from '../wire/message.ts';
import type { ApprovedRound, Ask } from './ask.ts';
import type { Permit } from './authorize.ts';
import { ContentRefusal } from './screen.ts';

declare const inspected: unique symbol;

/** An answer its client may have. Only this file makes one. */
export type Outcome = Answer & {
  readonly [inspected]: true;
  /** Content rules that matched on the way out. */
  readonly hits: readonly ContentHit[];
  /** What people had agreed to; a further round of the call goes on from there. */
  readonly approval?: ApprovedRound | undefined;
};

declare const watched: unique symbol;

/** A client's stream into which only what its client may have gets. Only this file makes one. */
export type InspectedStream = AnswerStream & { readonly [watched]: true };

/** For the answer of a call that its client wants in parts; undefined where it does not. */
export function inspectStream(_permit: Permit, { stream }: Ask): InspectedStream | undefined {
  return stream as InspectedStream | undefined;
}

/** Throws GatewayError `upstream_failed` and `content_blocked`. */
export function inspect(permit: Permit, ask: Ask, answer: Answer): Outcome {
  if (answer.kind !== 'result') return { ...answer, hits: none } as unknown as Outcome;
  const shaped = withShape(permit, ask.method, answer.result);
  const { result, hits } = withoutContent(permit, shaped);
  return { kind: 'result', result: withClientUris(permit, ask.method, result), hits } as unknown as Outcome;
}

const none: readonly ContentHit[] = Object.freeze([]);

function withoutContent(permit: Permit, result: RawResult): { readonly result: RawResult; readonly hits: readonly ContentHit[] } {
  const { contentOut } = permit.policy;
  if (contentOut === undefined) return { result, hits: none };
  const verdict = contentOut.inspectBytes(result.bytes.subarray(result.start, result.end));
  switch (verdict.kind) {
    case 'clean':
      return { result, hits: none };
    case 'flagged':
      return { result, hits: verdict.hits };
    case 'redacted':
      return { result: RawResult.from(isObject(verdict.value) ? verdict.value : {}), hits: verdict.hits };
    case 'blocked':
      throw new ContentRefusal(
        `The answer of ${permit.capability} holds what must not be passed on (${verdict.rules.join(', ')}). Ask for something else, or ask whoever administers the namespace ${permit.namespace}.`,
        verdict.hits,
      );
  }
}

const promises = {
  'tools/call': { key: 'content', opens: 0x5b },
  'prompts/get': { key: 'messages', opens: 0x5b },
  'resources/read': { key: 'contents', opens: 0x5b },
  'completion/complete': { key: 'completion', opens: 0x7b },
} as const satisfies Record<Exclude<CallMethod, 'models/call'>, { key: string; opens: number }>;

function withShape(permit: Permit, method: CallMethod, result: RawResult): RawResult {
  if (method === 'models/call') return result;
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
  if (uris.isIdentity || permit.member === permit.toolbox.finder || method === 'completion/complete' || !result.namesUri)
    return result;
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
