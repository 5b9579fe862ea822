import type { JsonObject } from '../wire/json.ts';
import { parseObject } from './read-members.ts';

/**
 * The arguments of a call in a conversation, as the object that some providers want. What a model writes need not be one; then it
 * stands in it as text, so that the conversation can go on and the model sees what went wrong.
 */
export function argumentsOf(text: string): JsonObject {
  return text.trim() === '' ? {} : (parseObject(text) ?? { unreadable: text });
}
