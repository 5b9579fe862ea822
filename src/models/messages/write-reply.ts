import type { JsonObject } from '../../wire/json.ts';
import type { ReplyFacts } from '../dialect.ts';
import type { Reply, ReplyPart } from '../reply.ts';
import { writeCallSignature } from './call-signature.ts';
import { writeStopReason } from './finish.ts';
import { writeUsage } from './usage.ts';
import { readArguments } from './write-blocks.ts';

/** A message as `POST /v1/messages` answers it. */
export function writeReply(reply: Reply, facts: ReplyFacts): JsonObject {
  const hasToolCalls = reply.parts.some(({ kind }) => kind === 'tool-call');
  const stopReason = writeStopReason(reply.finish, hasToolCalls, reply.stopSequence);
  return {
    ...writeEnvelope(facts),
    content: reply.parts.flatMap((part, at) => writeReplyBlocks(part, at, facts)),
    ...writeStop(stopReason, reply.stopSequence),
    usage: writeUsage(reply.usage),
  };
}

export function writeEnvelope(facts: ReplyFacts): JsonObject {
  return {
    id: `msg_${facts.id}`,
    type: 'message',
    role: 'assistant',
    model: facts.model,
    container: null,
    diagnostics: null,
  };
}

export function writeStop(stopReason: string, stopSequence: string | undefined): JsonObject {
  return {
    stop_reason: stopReason,
    stop_sequence: stopReason === 'stop_sequence' ? (stopSequence ?? null) : null,
    stop_details: stopReason === 'refusal' ? { type: 'refusal', category: null, explanation: null } : null,
  };
}

export function writeTextBlock(text: string): JsonObject {
  return { type: 'text', text, citations: null };
}

export function writeToolUse(id: string, name: string, input: JsonObject): JsonObject {
  return { type: 'tool_use', id, name, input, caller: { type: 'direct' } };
}

/** A call keeps its provider's id, which comes back with its result. */
export function callId(id: string, at: number, facts: ReplyFacts): string {
  return id === '' ? `toolu_${facts.id}_${at}` : id;
}

function writeReplyBlocks(part: ReplyPart, at: number, facts: ReplyFacts): JsonObject[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [writeTextBlock(part.text)];
    case 'tool-call': {
      const block = writeToolUse(callId(part.id, at, facts), part.name, readArguments(part.arguments));
      return part.signature === undefined ? [block] : [block, writeCallSignature(part.signature)];
    }
    case 'reasoning': {
      const blocks: JsonObject[] = [];
      if (part.redacted === undefined || part.text !== '' || part.signature !== undefined)
        blocks.push({ type: 'thinking', thinking: part.text, signature: part.signature ?? '' });
      if (part.redacted !== undefined) blocks.push({ type: 'redacted_thinking', data: part.redacted });
      return blocks;
    }
  }
}
