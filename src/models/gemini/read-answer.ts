import { isObject, type JsonObject } from '../../wire/json.ts';
import { ReplyError } from '../dialect.ts';
import { countAt, objectAt, objectsAt, textAt } from '../read-members.ts';
import type { Finish, ReplyEvent, Usage } from '../reply.ts';
import { markForGemini } from '../signature.ts';
import { makeCallId } from './call-id.ts';
import { readFailure } from './read-failure.ts';

/** Reads a GenerateContentResponse, whole or one after the other as they come. */
export interface AnswerReader {
  read(response: JsonObject): readonly ReplyEvent[];
  /** The answer has ended, and well. */
  readonly isComplete: boolean;
}

interface State {
  readonly events: ReplyEvent[];
  id: string;
  isStarted: boolean;
  parts: number;
  calls: number;
  open: 'text' | 'reasoning' | undefined;
  hasEnded: boolean;
  hasFailed: boolean;
}

export function openAnswer(): AnswerReader {
  const state: State = {
    events: [],
    id: '',
    isStarted: false,
    parts: 0,
    calls: 0,
    open: undefined,
    hasEnded: false,
    hasFailed: false,
  };
  return {
    read(response) {
      readResponse(state, response);
      return state.events.splice(0);
    },
    get isComplete() {
      return state.hasEnded && !state.hasFailed;
    },
  };
}

function readResponse(state: State, response: JsonObject): void {
  if (isObject(response.error)) {
    state.hasFailed = true;
    state.events.push({ kind: 'failed', failure: readFailure(countAt(response.error, 'code') ?? 500, response) });
    return;
  }
  if (!state.isStarted) {
    state.isStarted = true;
    state.id = textAt(response, 'responseId') ?? '';
    state.events.push({ kind: 'start', id: state.id, model: textAt(response, 'modelVersion') ?? '' });
  }
  const [candidate] = objectsAt(response, 'candidates');
  // What comes after the end is usage at most.
  if (candidate !== undefined && !state.hasEnded) {
    for (const part of objectsAt(objectAt(candidate, 'content'), 'parts')) readPart(state, part);
  }
  const usage = readUsage(response);
  if (usage !== undefined) state.events.push({ kind: 'usage', usage });
  const reason = textAt(candidate, 'finishReason');
  const blocked = textAt(objectAt(response, 'promptFeedback'), 'blockReason');
  if (reason !== undefined && reason !== unspecified) end(state, finishOf(reason, state.calls > 0));
  else if (candidate === undefined && blocked !== undefined) end(state, 'content-filter');
}

const unspecified = 'FINISH_REASON_UNSPECIFIED';

function end(state: State, finish: Finish): void {
  if (state.hasEnded) return;
  close(state);
  state.hasEnded = true;
  state.events.push({ kind: 'finish', finish });
}

function readPart(state: State, part: JsonObject): void {
  const given = textAt(part, 'thoughtSignature');
  const signature = given === undefined || given === '' ? undefined : markForGemini(given);
  const call = objectAt(part, 'functionCall');
  if (call !== undefined) {
    readCall(state, call, signature);
    return;
  }
  const text = textAt(part, 'text');
  if (text === undefined) return;
  const kind = part.thought === true ? 'reasoning' : 'text';
  if (text !== '') {
    open(state, kind);
    state.events.push({ kind: 'delta', index: state.parts - 1, text });
  }
  if (signature === undefined) return;
  // Text cannot be signed: its signature becomes a thought without words behind it, and goes back as the empty text that Gemini
  // itself sends signatures with.
  open(state, 'reasoning');
  state.events.push({ kind: 'signature', index: state.parts - 1, signature });
  close(state);
}

function open(state: State, kind: 'text' | 'reasoning'): void {
  if (state.open === kind) return;
  close(state);
  state.open = kind;
  state.events.push({ kind: 'open', index: state.parts, part: kind });
  state.parts += 1;
}

function close(state: State): void {
  if (state.open !== undefined) state.events.push({ kind: 'close', index: state.parts - 1 });
  state.open = undefined;
}

function readCall(state: State, call: JsonObject, signature: string | undefined): void {
  const name = textAt(call, 'name');
  if (name === undefined || name === '') throw new ReplyError('a function call has no name');
  close(state);
  const text = JSON.stringify(objectAt(call, 'args') ?? {});
  const said = textAt(call, 'id');
  const id = said === undefined || said === '' ? makeCallId(state.id, state.calls, name, text) : said;
  const index = state.parts;
  state.parts += 1;
  state.calls += 1;
  state.events.push({ kind: 'open', index, part: 'tool-call', id, name }, { kind: 'delta', index, text });
  if (signature !== undefined) state.events.push({ kind: 'signature', index, signature });
  state.events.push({ kind: 'close', index });
}

const filtered = new Set([
  'SAFETY',
  'RECITATION',
  'LANGUAGE',
  'BLOCKLIST',
  'PROHIBITED_CONTENT',
  'SPII',
  'IMAGE_SAFETY',
  'IMAGE_PROHIBITED_CONTENT',
  'IMAGE_RECITATION',
  'MODEL_ARMOR',
]);

/** A call that came out malformed is no call: nothing of it is in the answer. */
function finishOf(reason: string, hasCalls: boolean): Finish {
  if (reason === 'STOP') return hasCalls ? 'tool-calls' : 'stop';
  if (reason === 'MAX_TOKENS') return 'length';
  return filtered.has(reason) ? 'content-filter' : 'other';
}

/** Thoughts are not part of the candidates' count, and what tools put into the prompt not of the prompt's. */
export function readUsage(response: JsonObject): Usage | undefined {
  const usage = objectAt(response, 'usageMetadata');
  if (usage === undefined) return undefined;
  const reasoning = countAt(usage, 'thoughtsTokenCount') ?? 0;
  return {
    input: (countAt(usage, 'promptTokenCount') ?? 0) + (countAt(usage, 'toolUsePromptTokenCount') ?? 0),
    output: (countAt(usage, 'candidatesTokenCount') ?? 0) + reasoning,
    cacheRead: countAt(usage, 'cachedContentTokenCount') ?? 0,
    cacheWrite: 0,
    reasoning,
  };
}
