/** The quick look at parsed JSON that is large. */
import type { Steps } from '../turns.ts';
import { isObject, type Json, longNumber } from '../wire/json.ts';
import type { ContentCheck } from './content-check.ts';
import { lookedAtOnce, looksClean, overlap } from './gates.ts';
import { isMedia } from './texts-in.ts';

/** Whether a value is written in about so many characters, or fewer. */
export function weighs(value: Json, most: number): boolean {
  return left(value, most, 0) >= 0;
}

/** Deepest nesting that is looked at level by level. */
const deepest = 128;

function left(value: Json, most: number, depth: number): number {
  if (typeof value === 'string') return most - value.length - 3;
  if (typeof value !== 'object' || value === null) return most - 5;
  if (depth > deepest) return -1;
  let rest = most;
  if (Array.isArray(value)) for (let at = 0; at < value.length && rest >= 0; at++) rest = left(value[at]!, rest, depth + 1);
  else
    for (const key in value) {
      rest = left(value[key] ?? null, rest - key.length - 3, depth + 1);
      if (rest < 0) break;
    }
  return rest;
}

/** JSON that is being written and looked at piece by piece. */
interface Writing {
  readonly check: ContentCheck;
  readonly passesMedia: boolean;
  /** The end of what is written. */
  text: string;
  isClean: boolean;
}

/** Whether no rule can match anywhere in the value. */
export function* valueLooksClean(check: ContentCheck, value: Json, passesMedia: boolean): Steps<boolean> {
  const state: Writing = { check, passesMedia, text: '', isClean: true };
  yield* write(state, value, 0);
  return state.isClean && looksClean(check, Buffer.from(state.text));
}

/** Smaller parts are written in one go. */
const smallPart = 4096;

function* write(state: Writing, value: Json, depth: number): Steps<void> {
  if (typeof value === 'string') return yield* writeText(state, value);
  if (depth > deepest || isWhole(value)) {
    state.text += JSON.stringify(value);
    return yield* look(state);
  }
  let sign = Array.isArray(value) ? '[' : '{';
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    state.text += sign;
    sign = ',';
    if (typeof key === 'string') {
      yield* writeText(state, key);
      state.text += ':';
    }
    yield* write(state, item, depth + 1);
    if (!state.isClean) return;
  }
  state.text += Array.isArray(value) ? ']' : '}';
}

/** Whether it is written in one go: all but lists and objects that are large. */
function isWhole(value: Json): value is null | boolean | number {
  return !(Array.isArray(value) || isObject(value)) || longNumber(value) !== undefined || weighs(value, smallPart);
}

function* writeText(state: Writing, text: string): Steps<void> {
  state.text += '"';
  if (!(state.passesMedia && isMedia(text))) {
    for (let at = 0; at < text.length && state.isClean; ) {
      const end = endOfPart(text, at + smallPart);
      state.text += JSON.stringify(text.slice(at, end)).slice(1, -1);
      at = end;
      yield* look(state);
    }
  }
  state.text += '"';
}

/** Not between the halves of a character. */
function endOfPart(text: string, end: number): number {
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last < 0xdc00 ? end + 1 : end;
}

function* look(state: Writing): Steps<void> {
  if (state.text.length < lookedAtOnce) return;
  state.isClean = looksClean(state.check, Buffer.from(state.text));
  state.text = state.text.slice(-overlap);
  yield;
}
