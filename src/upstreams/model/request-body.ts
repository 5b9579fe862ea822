import type { ClientDialectName } from '../../models/dialect.ts';
import type { Json, JsonObject } from '../../wire/json.ts';
import { isObject } from '../../wire/json.ts';
import { memberTexts, writeMembers } from '../../wire/member-texts.ts';

/** Where each dialect says how long an answer may be; the first is the one to write. */
const lengthMembers: Readonly<Record<ClientDialectName, readonly string[]>> = {
  chat: ['max_completion_tokens', 'max_tokens'],
  responses: ['max_output_tokens'],
  completions: ['max_tokens'],
  messages: ['max_tokens'],
};

/** Most tokens of the answer, as the client says; undefined where it does not. */
export function lengthOf(body: JsonObject, dialect: ClientDialectName): number | undefined {
  const given = lengthMembers[dialect].map((name) => body[name]).find((value) => typeof value === 'number' && value > 0);
  return typeof given === 'number' ? given : undefined;
}

/** Answers that are wanted to one prompt. */
export function answersOf({ n, best_of: best }: JsonObject): number {
  const many = (value: Json | undefined) => (typeof value === 'number' && value >= 1 ? Math.min(Math.floor(value), 128) : 1);
  return Math.max(many(n), many(best));
}

export interface PassedBody {
  readonly bytes: Buffer;
  /** Gatehouse asked for the usage at the end of the stream; the client did not. */
  readonly keepsUsage: boolean;
}

/** A request that a target speaks as its client does: as it came, for the target's own model. What is not known here stays in it. */
export function passBody(
  body: JsonObject,
  dialect: ClientDialectName,
  { model, isStream, maxTokens }: { readonly model: string; readonly isStream: boolean; readonly maxTokens: number | undefined },
): PassedBody {
  const changes: Record<string, Json> = { model };
  if (!isStream && body.stream === true) changes.stream = false;
  const [member] = lengthMembers[dialect];
  if (maxTokens !== undefined && member !== undefined && lengthOf(body, dialect) === undefined) changes[member] = maxTokens;
  const reports = dialect === 'chat' || dialect === 'completions';
  const options = isObject(body.stream_options) ? body.stream_options : {};
  const keepsUsage = isStream && reports && options.include_usage !== true;
  if (keepsUsage) changes.stream_options = { ...options, include_usage: true };
  return { bytes: Buffer.from(writeMembers(memberTexts(body), changes)), keepsUsage };
}
