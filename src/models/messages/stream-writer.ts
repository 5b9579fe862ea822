import type { JsonObject } from '../../wire/json.ts';
import type { ReplyFacts, StreamWriter } from '../dialect.ts';
import { type Finish, noUsage, type ReplyEvent } from '../reply.ts';
import { writeCallSignature } from './call-signature.ts';
import { writeStopReason } from './finish.ts';
import { writeDeltaUsage, writeUsage } from './usage.ts';
import { callId, writeEnvelope, writeStop, writeTextBlock, writeToolUse } from './write-reply.ts';

type Kind = 'text' | 'thinking' | 'tool_use';

/** A part that is open. Its block starts with what fills it: whether reasoning is redacted is not known before. */
interface OpenPart {
  readonly kind: Kind;
  readonly opening: JsonObject;
  /** Index of its block, once that has started. */
  block: number | undefined;
  /** What follows the block. */
  after: JsonObject | undefined;
}

export function event(type: string, data: JsonObject): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}

/** How the message ends is said in `end`, as usage may come after the finish. */
export function streamWriter(facts: ReplyFacts): StreamWriter {
  const parts = new Map<number, OpenPart>();
  let usage = noUsage;
  let finish: Finish = 'other';
  let stopSequence: string | undefined;
  let hasToolCalls = false;
  let isStarted = false;
  let blocks = 0;

  function start(): string {
    if (isStarted) return '';
    isStarted = true;
    const stop = { stop_reason: null, stop_sequence: null, stop_details: null };
    const message = { ...writeEnvelope(facts), content: [], ...stop, usage: writeUsage(usage) };
    return event('message_start', { message });
  }

  function startBlock(part: OpenPart): string {
    if (part.block !== undefined) return '';
    part.block = blocks++;
    return event('content_block_start', { index: part.block, content_block: part.opening });
  }

  function fill(part: OpenPart, delta: JsonObject): string {
    return startBlock(part) + event('content_block_delta', { index: part.block ?? 0, delta });
  }

  function wholeBlock(block: JsonObject): string {
    const index = blocks++;
    return event('content_block_start', { index, content_block: block }) + event('content_block_stop', { index });
  }

  function close(index: number, part: OpenPart): string {
    parts.delete(index);
    // A tool call without arguments is one, empty text is nothing.
    const started = part.kind === 'tool_use' ? startBlock(part) : '';
    const stopped = part.block === undefined ? '' : event('content_block_stop', { index: part.block });
    return started + stopped + (part.after === undefined ? '' : wholeBlock(part.after));
  }

  function open(given: Extract<ReplyEvent, { kind: 'open' }>): string {
    if (given.part !== 'tool-call') {
      parts.set(given.index, openPart(given.part));
      return '';
    }
    hasToolCalls = true;
    const id = callId(given.id, given.index, facts);
    const part: OpenPart = {
      kind: 'tool_use',
      opening: writeToolUse(id, given.name, {}),
      block: undefined,
      after: undefined,
    };
    parts.set(given.index, part);
    return startBlock(part);
  }

  function sign(part: OpenPart, signature: string): string {
    if (part.kind === 'thinking') return fill(part, { type: 'signature_delta', signature });
    if (part.kind === 'tool_use') part.after = writeCallSignature(signature);
    return '';
  }

  function writePart(given: Extract<ReplyEvent, { index: number }>): string {
    if (given.kind === 'open') return open(given);
    const part = parts.get(given.index);
    if (part === undefined) return '';
    switch (given.kind) {
      case 'delta':
        return given.text === '' ? '' : fill(part, deltas[part.kind](given.text));
      case 'signature':
        return sign(part, given.signature);
      case 'redacted':
        part.after = { type: 'redacted_thinking', data: given.data };
        return '';
      case 'close':
        return close(given.index, part);
    }
  }

  return {
    write: (given) => {
      switch (given.kind) {
        case 'start':
          return start();
        case 'usage':
          usage = { ...usage, ...given.usage };
          return '';
        case 'finish':
          ({ finish, stopSequence } = { stopSequence: undefined, ...given });
          return '';
        case 'failed':
          return '';
        default:
          return start() + writePart(given);
      }
    },
    end: () => {
      const closed = [...parts].map(([index, part]) => close(index, part)).join('');
      const stop = writeStop(writeStopReason(finish, hasToolCalls, stopSequence), stopSequence);
      const delta = { delta: { ...stop, container: null }, usage: writeDeltaUsage(usage) };
      return start() + closed + event('message_delta', delta) + event('message_stop', {});
    },
  };
}

const deltas: Readonly<Record<Kind, (text: string) => JsonObject>> = {
  text: (text) => ({ type: 'text_delta', text }),
  thinking: (thinking) => ({ type: 'thinking_delta', thinking }),
  tool_use: (partial_json) => ({ type: 'input_json_delta', partial_json }),
};

function openPart(part: 'text' | 'reasoning' | 'refusal'): OpenPart {
  const isThinking = part === 'reasoning';
  return {
    kind: isThinking ? 'thinking' : 'text',
    opening: isThinking ? { type: 'thinking', thinking: '', signature: '' } : writeTextBlock(''),
    block: undefined,
    after: undefined,
  };
}
