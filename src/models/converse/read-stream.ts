import type { JsonObject } from '../../wire/json.ts';
import { ReplyError, type StreamReader } from '../dialect.ts';
import { countAt, objectAt, parseObject, textAt } from '../read-members.ts';
import type { Finish, ReplyEvent } from '../reply.ts';
import { exceptionStatus, readFailure } from './read-failure.ts';
import { stopSequenceOf } from './read-reply.ts';
import { finishOf, readUsage } from './usage.ts';

type Kind = Extract<ReplyEvent, { kind: 'open' }>['part'];

interface State {
  /** Blocks are numbered by the provider, with gaps where a block says nothing to us. */
  block: number;
  open: Kind | undefined;
  parts: number;
  stop: { readonly finish: Finish; readonly stopSequence?: string } | undefined;
  isStarted: boolean;
  isComplete: boolean;
}

/** Events of ConverseStream; the end is told when the usage that follows it has come. */
export function streamReader(): StreamReader {
  const state: State = { block: -1, open: undefined, parts: 0, stop: undefined, isStarted: false, isComplete: false };
  return {
    read(event, data) {
      const document = parseObject(data);
      if (document === undefined) throw new ReplyError(`an event ${event.slice(0, 60)} is not a JSON object`);
      return readEvent(state, event, document);
    },
    get isComplete() {
      return state.isComplete;
    },
  };
}

const usual = new Set(['messageStart', 'contentBlockStart', 'contentBlockDelta', 'contentBlockStop', 'messageStop', 'metadata']);

function readEvent(state: State, event: string, data: JsonObject): readonly ReplyEvent[] {
  const status = usual.has(event) ? undefined : exceptionStatus(event);
  if (status !== undefined) return [{ kind: 'failed', failure: readFailure(status, { ...data, __type: event }) }];
  const start: readonly ReplyEvent[] = state.isStarted ? [] : [{ kind: 'start', id: '', model: '' }];
  state.isStarted = true;
  return [...start, ...readKnown(state, event, data)];
}

function readKnown(state: State, event: string, data: JsonObject): readonly ReplyEvent[] {
  switch (event) {
    case 'contentBlockStart':
      return readStart(state, data);
    case 'contentBlockDelta':
      return readDelta(state, data);
    case 'contentBlockStop':
      return close(state);
    case 'messageStop': {
      const stopSequence = stopSequenceOf(data);
      state.stop = { finish: finishOf(textAt(data, 'stopReason')), ...(stopSequence !== undefined && { stopSequence }) };
      return close(state);
    }
    case 'metadata':
      return readMetadata(state, data);
    default:
      return [];
  }
}

function readMetadata(state: State, data: JsonObject): readonly ReplyEvent[] {
  const usage = readUsage(data);
  const events: ReplyEvent[] = usage === undefined ? [] : [{ kind: 'usage', usage }];
  if (state.stop !== undefined && !state.isComplete) {
    state.isComplete = true;
    events.push({ kind: 'finish', ...state.stop });
  }
  return events;
}

function readStart(state: State, data: JsonObject): readonly ReplyEvent[] {
  const call = objectAt(objectAt(data, 'start'), 'toolUse');
  if (call === undefined) return [];
  const [id, name] = [textAt(call, 'toolUseId'), textAt(call, 'name')];
  if (id === undefined || name === undefined) throw new ReplyError('a tool use has no id or no name');
  const closed = close(state);
  const index = enter(state, data, 'tool-call');
  return [...closed, { kind: 'open', index, part: 'tool-call', id, name }];
}

/** Texts and thoughts are not announced: their first piece opens them. */
function readDelta(state: State, data: JsonObject): readonly ReplyEvent[] {
  const delta = objectAt(data, 'delta');
  const input = textAt(objectAt(delta, 'toolUse'), 'input');
  if (input !== undefined) {
    if (state.open !== 'tool-call' || blockOf(data) !== state.block)
      throw new ReplyError('arguments of a tool use that has not begun');
    return [{ kind: 'delta', index: state.parts - 1, text: input }];
  }
  const reasoning = objectAt(delta, 'reasoningContent');
  if (reasoning !== undefined) return readReasoning(state, data, reasoning);
  const text = textAt(delta, 'text');
  if (text === undefined) return [];
  const opened = openFor(state, data, 'text');
  return [...opened, { kind: 'delta', index: state.parts - 1, text }];
}

function readReasoning(state: State, data: JsonObject, reasoning: JsonObject): readonly ReplyEvent[] {
  const opened = openFor(state, data, 'reasoning');
  const index = state.parts - 1;
  const [text, signature, redacted] = ['text', 'signature', 'redactedContent'].map((name) => textAt(reasoning, name));
  if (text !== undefined) return [...opened, { kind: 'delta', index, text }];
  if (signature !== undefined) return [...opened, { kind: 'signature', index, signature }];
  return redacted === undefined ? opened : [...opened, { kind: 'redacted', index, data: redacted }];
}

function openFor(state: State, data: JsonObject, kind: 'text' | 'reasoning'): readonly ReplyEvent[] {
  if (state.open === kind && state.block === blockOf(data)) return [];
  const closed = close(state);
  const index = enter(state, data, kind);
  return [...closed, { kind: 'open', index, part: kind }];
}

/** Blocks follow each other: one that was left does not come back. */
function enter(state: State, data: JsonObject, kind: Kind): number {
  const block = blockOf(data);
  if (block <= state.block || state.stop !== undefined) throw new ReplyError(`block ${block} is out of order`);
  state.block = block;
  state.open = kind;
  state.parts += 1;
  return state.parts - 1;
}

function blockOf(data: JsonObject): number {
  const block = countAt(data, 'contentBlockIndex');
  if (block === undefined) throw new ReplyError('a piece of a block does not say of which');
  return block;
}

function close(state: State): readonly ReplyEvent[] {
  if (state.open === undefined) return [];
  state.open = undefined;
  return [{ kind: 'close', index: state.parts - 1 }];
}
