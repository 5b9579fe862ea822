import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { ReplyError } from '../dialect.ts';
import { noUsage, type Reply, type ReplyPart } from '../reply.ts';
import { readFinish } from './finish.ts';
import { readUsage } from './usage.ts';

/** Blocks of tools that Anthropic ran itself are left out: no other dialect has them. */
export function readReply(body: JsonObject): Reply {
  if (!Array.isArray(body.content)) throw new ReplyError('content is no array');
  const finish = readFinish(body.stop_reason);
  return {
    id: textOr(body.id, ''),
    model: textOr(body.model, ''),
    parts: [...body.content.flatMap((block) => readReplyBlock(block) ?? []), ...readExplanation(body.stop_details)],
    finish,
    ...(typeof body.stop_sequence === 'string' && { stopSequence: body.stop_sequence }),
    usage: { ...noUsage, ...readUsage(body.usage) },
  };
}

function readReplyBlock(block: Json): ReplyPart | undefined {
  if (!isObject(block)) throw new ReplyError('a block of content is no object');
  switch (block.type) {
    case 'text':
      return { kind: 'text', text: textOf(block, 'text') };
    case 'thinking':
      return { kind: 'reasoning', text: textOf(block, 'thinking'), signature: textOr(block.signature, '') || undefined };
    case 'redacted_thinking':
      return { kind: 'reasoning', text: '', redacted: textOf(block, 'data') };
    case 'tool_use':
      return { kind: 'tool-call', id: textOf(block, 'id'), name: textOf(block, 'name'), arguments: writeArguments(block.input) };
    default:
      return undefined;
  }
}

export function writeArguments(input: Json | undefined): string {
  try {
    return JSON.stringify(input ?? {});
  } catch {
    throw new ReplyError('the input of a tool is nested too deeply');
  }
}

/** Why the model refused, in words for people. */
export function readExplanation(details: Json | undefined): ReplyPart[] {
  if (!isObject(details) || details.type !== 'refusal' || typeof details.explanation !== 'string') return [];
  return [{ kind: 'refusal', text: details.explanation }];
}

export function textOf(object: JsonObject, name: string): string {
  const value = object[name];
  if (typeof value === 'string') return value;
  throw new ReplyError(`${name} is no string`);
}

export function textOr(value: Json | undefined, other: string): string {
  return typeof value === 'string' ? value : other;
}
