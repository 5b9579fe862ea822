import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { CachedDialect } from './cache-key.ts';

/** A request as its last question and everything else. */
export interface Question {
  readonly text: string;
  /** The request without it: two questions are only compared where all of this is the same. */
  readonly rest: JsonObject;
}

/** Longer ones differ in details that no vector shows. */
const longestQuestion = 2_000;

/** Of a normalized request; undefined where it does not end with a question in plain words. */
export function findQuestion(dialect: CachedDialect, body: JsonObject): Question | undefined {
  switch (dialect) {
    case 'chat':
    case 'messages':
      return ofMessages(body, 'messages');
    case 'responses':
      return typeof body.input === 'string' ? of(body.input, { ...body, input: '' }) : ofMessages(body, 'input');
    case 'completions':
      return typeof body.prompt === 'string' ? of(body.prompt, { ...body, prompt: '' }) : undefined;
    case 'embeddings':
      return undefined;
  }
}

function ofMessages(body: JsonObject, member: string): Question | undefined {
  const messages = body[member];
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  if (!Array.isArray(messages) || !isObject(last) || last.role !== 'user') return undefined;
  const { content, ...rest } = last;
  return of(content, { ...body, [member]: [...messages.slice(0, -1), rest] });
}

function of(text: Json | undefined, rest: JsonObject): Question | undefined {
  // With its blanks: what is cut off one text keeps all of it in memory.
  if (typeof text !== 'string' || text.length > longestQuestion) return undefined;
  const trimmed = text.trim();
  return trimmed === '' ? undefined : { text: trimmed, rest };
}
