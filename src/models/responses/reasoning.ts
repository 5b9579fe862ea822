import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ReasoningPart } from '../prompt.ts';

/** Between two paragraphs of a summary. */
export const paragraphBreak = '\n\n';

/**
 * A reasoning item. What it says is its summary, or its content with models that show their thoughts themselves. `encrypted_content`
 * signs what is said; with nothing said, not even an empty paragraph, it is the whole thought. Undefined where it holds nothing.
 */
export function readReasoningItem(item: JsonObject): ReasoningPart | undefined {
  const paragraphs = textsIn(item.summary);
  const texts = paragraphs.length === 0 ? textsIn(item.content) : paragraphs;
  const text = texts.join(paragraphs.length === 0 ? '' : paragraphBreak);
  const sealed = typeof item.encrypted_content === 'string' && item.encrypted_content !== '' ? item.encrypted_content : undefined;
  if (sealed === undefined) return text === '' ? undefined : { kind: 'reasoning', text };
  return texts.length === 0 ? { kind: 'reasoning', text: '', redacted: sealed } : { kind: 'reasoning', text, signature: sealed };
}

function textsIn(list: Json | undefined): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((piece) => (isObject(piece) && typeof piece.text === 'string' ? [piece.text] : []));
}

/** Without an id: what we make up no provider knows. */
export function writeReasoningItem({ text, signature, redacted }: ReasoningPart): JsonObject {
  const summary = text === '' && signature === undefined ? [] : [{ type: 'summary_text', text }];
  const sealed = redacted ?? signature;
  return { type: 'reasoning', summary, ...(sealed === undefined ? {} : { encrypted_content: sealed }) };
}
