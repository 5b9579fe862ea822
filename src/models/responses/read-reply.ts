import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { argumentText, newCallId, wordOf } from '../chat/read-reply.ts';
import { ReplyError } from '../dialect.ts';
import type { ToolCallPart } from '../prompt.ts';
import { type Finish, noUsage, type Reply, type ReplyPart } from '../reply.ts';
import { readReasoningItem } from './reasoning.ts';
import { readResponseUsage } from './usage.ts';

export function readResponsesReply(body: JsonObject): Reply {
  if (!Array.isArray(body.output)) throw new ReplyError('a response without output');
  if (body.status === 'failed')
    throw new ReplyError(`a response that failed: ${isObject(body.error) ? wordOf(body.error.code) : ''}`);
  const parts = body.output.flatMap(readItem);
  return {
    id: wordOf(body.id),
    model: wordOf(body.model),
    parts,
    finish: readStatus(body, {
      hasCalls: parts.some(({ kind }) => kind === 'tool-call'),
      hasRefusal: parts.some(({ kind }) => kind === 'refusal'),
    }),
    usage: readResponseUsage(body.usage) ?? noUsage,
  };
}

/** Why a response ended; it says so itself only where it is incomplete. */
export function readStatus(
  response: JsonObject,
  { hasCalls, hasRefusal }: { readonly hasCalls: boolean; readonly hasRefusal: boolean },
): Finish {
  if (response.status === 'incomplete') {
    const reason = isObject(response.incomplete_details) ? response.incomplete_details.reason : undefined;
    if (reason === 'max_output_tokens') return 'length';
    return reason === 'content_filter' ? 'content-filter' : 'other';
  }
  if (hasCalls) return 'tool-calls';
  return hasRefusal ? 'refusal' : 'stop';
}

/** Items of tools that ran at the provider are left out: what came of them stands in the text. */
function readItem(item: Json): ReplyPart[] {
  if (!isObject(item)) throw new ReplyError('an output item that is no object');
  if (item.type === 'message') return Array.isArray(item.content) ? item.content.flatMap(readPart) : [];
  if (item.type === 'function_call') return [readCall(item)];
  const thought = item.type === 'reasoning' ? readReasoningItem(item) : undefined;
  return thought === undefined ? [] : [thought];
}

function readPart(part: Json): ReplyPart[] {
  if (!isObject(part)) return [];
  if (part.type === 'output_text' && typeof part.text === 'string' && part.text !== '')
    return [{ kind: 'text', text: part.text }];
  if (part.type === 'refusal' && typeof part.refusal === 'string') return [{ kind: 'refusal', text: part.refusal }];
  return [];
}

function readCall(item: JsonObject): ToolCallPart {
  if (typeof item.name !== 'string') throw new ReplyError('a function_call without name');
  return { kind: 'tool-call', id: callIdOf(item), name: item.name, arguments: argumentText(item.arguments) };
}

export function callIdOf(item: JsonObject): string {
  return wordOf(item.call_id) || wordOf(item.id) || newCallId();
}
