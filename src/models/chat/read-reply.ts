import { randomUUID } from 'node:crypto';
import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { ReplyError } from '../dialect.ts';
import type { ToolCallPart } from '../prompt.ts';
import { noUsage, type Reply, type ReplyPart } from '../reply.ts';
import { readFinish } from './finish.ts';
import { readReasoning, signatureOfCall } from './reasoning.ts';
import { readChatUsage } from './usage.ts';

/** A whole answer of Chat Completions: its first choice, since one is asked for. */
export function readChatReply(body: JsonObject): Reply {
  const choice = Array.isArray(body.choices) ? body.choices[0] : undefined;
  if (!isObject(choice) || !isObject(choice.message)) throw new ReplyError('a chat completion without choices[0].message');
  const parts = readParts(choice.message);
  const facts = {
    hasCalls: parts.some(({ kind }) => kind === 'tool-call'),
    hasRefusal: parts.some(({ kind }) => kind === 'refusal'),
  };
  return {
    id: wordOf(body.id),
    model: wordOf(body.model),
    parts,
    finish: readFinish(choice.finish_reason, facts),
    usage: readChatUsage(body.usage) ?? noUsage,
  };
}

export function wordOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function readParts(message: JsonObject): ReplyPart[] {
  const parts: ReplyPart[] = [...readReasoning(message)];
  for (const piece of contentPieces(message.content)) {
    if (piece.text !== '') parts.push(piece);
  }
  if (typeof message.refusal === 'string' && message.refusal !== '') parts.push({ kind: 'refusal', text: message.refusal });
  if (Array.isArray(message.tool_calls)) parts.push(...message.tool_calls.map(readCall));
  return parts;
}

interface ContentPiece {
  readonly kind: 'text' | 'reasoning';
  readonly text: string;
}

/** `content` of a message or a delta: a text; with Mistral's models that reason, a list of texts and thoughts. */
export function contentPieces(content: Json | undefined): readonly ContentPiece[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) return [];
  return content.flatMap((piece): ContentPiece[] => {
    if (!isObject(piece)) return [];
    if (piece.type === 'thinking') return [{ kind: 'reasoning', text: joinTexts(piece.thinking) }];
    return typeof piece.text === 'string' ? [{ kind: 'text', text: piece.text }] : [];
  });
}

function joinTexts(value: Json | undefined): string {
  if (!Array.isArray(value)) return wordOf(value);
  return value.map((piece) => (isObject(piece) ? wordOf(piece.text) : '')).join('');
}

function readCall(value: Json): ToolCallPart {
  if (!isObject(value)) throw new ReplyError('a tool call that is no object');
  const { name, input } = readNamed(value);
  if (typeof name !== 'string') throw new ReplyError('a tool call without a name');
  const signature = signatureOfCall(value);
  return {
    kind: 'tool-call',
    id: wordOf(value.id) || newCallId(),
    name,
    arguments: argumentText(input),
    ...(signature === undefined ? {} : { signature }),
  };
}

/** What is called, and with what. Custom tools are offered only by requests that are passed on as they are. */
export function readNamed(call: JsonObject): { readonly name: Json | undefined; readonly input: Json | undefined } {
  if (isObject(call.custom)) return { name: call.custom.name, input: call.custom.input };
  return isObject(call.function)
    ? { name: call.function.name, input: call.function.arguments }
    : { name: undefined, input: undefined };
}

/** Some servers send the arguments as the object they are. */
export function argumentText(value: Json | undefined): string {
  if (typeof value === 'string') return value === '' ? '{}' : value;
  return isObject(value) ? JSON.stringify(value) : '{}';
}

/** Some servers give their calls no id, and everybody else needs one. */
export function newCallId(): string {
  return `call_${randomUUID().replaceAll('-', '')}`;
}
