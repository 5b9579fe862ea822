import type { JsonObject } from '../../wire/json.ts';
import { isObject } from '../../wire/json.ts';

/** FNV-1a over UTF-16 units, 32 bits: spreads calls over targets, and guards nothing. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** From 0 to below 1, the same for the same two: highest-random-weight hashing, by which a target that goes moves its own calls only. */
export function byKey(key: number, target: number): number {
  let mixed = Math.imul(key ^ Math.imul(target, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
}

const mostCharacters = 2_000;

/**
 * What stays the same through a conversation: the id that its client gives it, else how it began, up to the first words of a person.
 * Undefined where it begins with nothing.
 */
export function conversationOf(body: JsonObject): string | undefined {
  return givenId(body) ?? beginning(body);
}

function givenId({ conversation, prompt_cache_key: cacheKey, metadata }: JsonObject): string | undefined {
  const of = isObject(metadata) ? metadata : {};
  const ids = [conversation, isObject(conversation) ? conversation.id : undefined, of.conversation_id, of.session_id, cacheKey];
  return ids.find((id) => typeof id === 'string' && id !== '' && id.length <= 512) as string | undefined;
}

function beginning({ system, instructions, messages, input, prompt }: JsonObject): string | undefined {
  const said = Array.isArray(messages) ? messages : Array.isArray(input) ? input : undefined;
  if (said === undefined) {
    const whole = input ?? prompt;
    return whole === undefined ? undefined : written([instructions ?? null, whole]);
  }
  const first = said.findIndex((message) => isObject(message) && message.role === 'user');
  return said.length === 0 ? undefined : written([system ?? instructions ?? null, ...said.slice(0, first < 0 ? 1 : first + 1)]);
}

function written(parts: JsonObject[string]): string {
  return textsOf(parts, mostCharacters);
}

// A picture in the first message is not written out again: its beginning is enough.
function textsOf(value: JsonObject[string], most: number): string {
  if (most <= 0) return '';
  if (typeof value === 'string') return value.slice(0, most);
  if (Array.isArray(value)) return joined(value, most);
  if (isObject(value)) return joined(Object.values(value), most);
  return String(value);
}

function joined(values: readonly JsonObject[string][], most: number): string {
  let text = '';
  for (const value of values) {
    if (text.length >= most) break;
    // One less for each level: what is nested deeper than there are characters is not looked into.
    text += `\0${textsOf(value, most - text.length - 1)}`;
  }
  return text;
}
