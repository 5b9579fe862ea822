import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { ReasoningPart } from '../prompt.ts';

// OpenAI's own Chat Completions says nothing of thoughts. Servers that show them use `reasoning_content` (DeepSeek, vLLM) or
// `reasoning` (vLLM, Groq, OpenRouter); what has to come back with the next request stands in `reasoning_details` (OpenRouter),
// and for calls of tools in `extra_content.google.thought_signature` (Gemini's OpenAI-compatible API).

export const textMembers = ['reasoning_content', 'reasoning'] as const;

/** Thoughts of a whole message, of either side. Never throws: what cannot be read is left out. */
export function readReasoning(message: JsonObject): readonly ReasoningPart[] {
  const details = Array.isArray(message.reasoning_details) ? message.reasoning_details.flatMap(readDetail) : [];
  if (details.some((part) => part.text !== '' || part.redacted !== undefined)) return details;
  const text = reasoningText(message);
  if (text === '') return [];
  const signature = details[0]?.signature;
  return [{ kind: 'reasoning', text, ...(signature === undefined ? {} : { signature }) }];
}

/** Of a message or a delta; empty where there is none. */
export function reasoningText(message: JsonObject): string {
  for (const member of textMembers) {
    const text = message[member];
    if (typeof text === 'string' && text !== '') return text;
  }
  return '';
}

/** One of `reasoning_details`. */
export function readDetail(value: Json): readonly ReasoningPart[] {
  if (!isObject(value)) return [];
  if (value.type === 'reasoning.encrypted') {
    return typeof value.data === 'string' ? [{ kind: 'reasoning', text: '', redacted: value.data }] : [];
  }
  const text = value.type === 'reasoning.summary' ? value.summary : value.text;
  const signature = typeof value.signature === 'string' && value.signature !== '' ? { signature: value.signature } : {};
  return [{ kind: 'reasoning', text: typeof text === 'string' ? text : '', ...signature }];
}

/** Undefined where `reasoning_content` says it all. */
export function writeDetails(parts: readonly ReasoningPart[]): JsonObject[] | undefined {
  if (parts.every((part) => part.signature === undefined && part.redacted === undefined) && parts.length < 2) return undefined;
  return parts.map((part, index) => writeDetail(part, index));
}

export function writeDetail(part: ReasoningPart, index: number): JsonObject {
  if (part.redacted !== undefined) return { type: 'reasoning.encrypted', data: part.redacted, index };
  const signature = part.signature === undefined ? {} : { signature: part.signature };
  return { type: 'reasoning.text', text: part.text, ...signature, index };
}

export function signatureOfCall(call: JsonObject): string | undefined {
  const google = isObject(call.extra_content) ? call.extra_content.google : undefined;
  const signature = isObject(google) ? google.thought_signature : undefined;
  return typeof signature === 'string' && signature !== '' ? signature : undefined;
}

export function extraContent(signature: string): JsonObject {
  return { google: { thought_signature: signature } };
}
