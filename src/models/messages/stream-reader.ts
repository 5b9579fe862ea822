import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { ReplyError, type StreamReader } from '../dialect.ts';
import type { ReplyEvent } from '../reply.ts';
import { readStreamFailure } from './failure.ts';
import { readFinish } from './finish.ts';
import { readExplanation, textOf, textOr, writeArguments } from './read-reply.ts';
import { usageReader } from './usage.ts';

/** A block that is open: `index` of its part, undefined for one that no other dialect has. */
interface OpenBlock {
  readonly index: number | undefined;
  /** A tool's input as it stood in the opening, for servers that send it there. */
  readonly input?: string | undefined;
  hasDelta: boolean;
}

/** Events of a streamed message. Types that are not known are passed over, as the documentation asks. */
export function streamReader(): StreamReader {
  const blocks = new Map<Json | undefined, OpenBlock>();
  const readUsage = usageReader();
  let isStarted = false;
  let isComplete = false;
  let isFinished = false;
  let parts = 0;

  function open(data: JsonObject): ReplyEvent[] {
    const block = data.content_block;
    if (!isObject(block)) throw new ReplyError('content_block is no object');
    const index = parts;
    const events = openingOf(block, index);
    blocks.set(data.index, {
      index: events.length === 0 ? undefined : index,
      ...(block.type === 'tool_use' &&
        isObject(block.input) &&
        hasMembers(block.input) && { input: writeArguments(block.input) }),
      hasDelta: false,
    });
    if (events.length > 0) parts++;
    return events;
  }

  function fill(data: JsonObject): ReplyEvent[] {
    const block = blocks.get(data.index);
    if (block === undefined) throw new ReplyError('a delta belongs to no open block');
    if (!isObject(data.delta)) throw new ReplyError('delta is no object');
    const { index } = block;
    if (index === undefined) return [];
    const event = deltaOf(data.delta, index);
    if (event === undefined) return [];
    block.hasDelta = true;
    return event.kind === 'delta' && event.text === '' ? [] : [event];
  }

  function close(data: JsonObject): ReplyEvent[] {
    const block = blocks.get(data.index);
    if (block === undefined) throw new ReplyError('a block ends that is not open');
    blocks.delete(data.index);
    const { index, input, hasDelta } = block;
    if (index === undefined) return [];
    const late: ReplyEvent[] = input === undefined || hasDelta ? [] : [{ kind: 'delta', index, text: input }];
    return [...late, { kind: 'close', index }];
  }

  function change(data: JsonObject): ReplyEvent[] {
    const events: ReplyEvent[] = [];
    const delta = isObject(data.delta) ? data.delta : {};
    for (const part of readExplanation(delta.stop_details)) {
      if (part.kind !== 'refusal') continue;
      const index = parts++;
      events.push({ kind: 'open', index, part: 'refusal' }, { kind: 'delta', index, text: part.text }, { kind: 'close', index });
    }
    events.push(...usageEvent(data.usage));
    if (typeof delta.stop_reason === 'string') events.push(finish(delta));
    return events;
  }

  function finish(delta: JsonObject): ReplyEvent {
    isFinished = true;
    const stopSequence = delta.stop_sequence;
    return {
      kind: 'finish',
      finish: readFinish(delta.stop_reason),
      ...(typeof stopSequence === 'string' && { stopSequence }),
    };
  }

  function usageEvent(given: Json | undefined): ReplyEvent[] {
    const usage = readUsage(given);
    return Object.keys(usage).length === 0 ? [] : [{ kind: 'usage', usage }];
  }

  function start(data: JsonObject): ReplyEvent[] {
    if (isStarted) throw new ReplyError('message_start came twice');
    if (!isObject(data.message)) throw new ReplyError('message is no object');
    isStarted = true;
    const { id, model, usage } = data.message;
    return [{ kind: 'start', id: textOr(id, ''), model: textOr(model, '') }, ...usageEvent(usage)];
  }

  function stop(): ReplyEvent[] {
    if (blocks.size > 0) throw new ReplyError('message_stop came before the end of a block');
    isComplete = true;
    return isFinished ? [] : [finish({})];
  }

  const readers = {
    content_block_start: open,
    content_block_delta: fill,
    content_block_stop: close,
    message_delta: change,
    message_stop: stop,
  };

  return {
    read: (event, text) => {
      const data = parseData(text);
      const type = typeof data.type === 'string' ? data.type : event;
      if (isComplete || type === 'ping') return [];
      if (type === 'error') return [{ kind: 'failed', failure: readStreamFailure(data) }];
      if (type === 'message_start') return start(data);
      if (!isKnown(readers, type)) return [];
      if (!isStarted) throw new ReplyError(`${type} came before message_start`);
      return readers[type](data);
    },
    get isComplete() {
      return isComplete;
    },
  };
}

function isKnown<T extends object>(table: T, name: string): name is Extract<keyof T, string> {
  return Object.hasOwn(table, name);
}

function parseData(text: string): JsonObject {
  try {
    const data: unknown = JSON.parse(text);
    if (isObject(data)) return data;
  } catch {
    // Said below: the parser's own words quote what it read.
  }
  throw new ReplyError('data of an event is no JSON object');
}

/** None for blocks that no other dialect has: tools that Anthropic ran itself. */
function openingOf(block: JsonObject, index: number): ReplyEvent[] {
  switch (block.type) {
    case 'text':
      return [{ kind: 'open', index, part: 'text' }, ...initialText(block.text, index)];
    case 'thinking': {
      const signature = textOr(block.signature, '');
      const signed: ReplyEvent[] = signature === '' ? [] : [{ kind: 'signature', index, signature }];
      return [{ kind: 'open', index, part: 'reasoning' }, ...initialText(block.thinking, index), ...signed];
    }
    case 'redacted_thinking':
      return [
        { kind: 'open', index, part: 'reasoning' },
        { kind: 'redacted', index, data: textOf(block, 'data') },
      ];
    case 'tool_use':
      return [{ kind: 'open', index, part: 'tool-call', id: textOf(block, 'id'), name: textOf(block, 'name') }];
    default:
      return [];
  }
}

function initialText(text: Json | undefined, index: number): ReplyEvent[] {
  return typeof text === 'string' && text !== '' ? [{ kind: 'delta', index, text }] : [];
}

function deltaOf(delta: JsonObject, index: number): ReplyEvent | undefined {
  switch (delta.type) {
    case 'text_delta':
      return { kind: 'delta', index, text: textOf(delta, 'text') };
    case 'thinking_delta':
      return { kind: 'delta', index, text: textOf(delta, 'thinking') };
    case 'input_json_delta':
      return textOf(delta, 'partial_json') === '' ? undefined : { kind: 'delta', index, text: textOf(delta, 'partial_json') };
    case 'signature_delta':
      return { kind: 'signature', index, signature: textOf(delta, 'signature') };
    default:
      return undefined;
  }
}

function hasMembers(object: JsonObject): boolean {
  return Object.keys(object).length > 0;
}
