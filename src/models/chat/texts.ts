import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import type { TextSlot } from '../dialect.ts';
import { textMembers } from './reasoning.ts';

/** Texts of a whole completion or of one chunk: of every choice its content, refusal, reasoning, and the arguments of its calls. */
export function chatTexts(document: JsonObject): readonly TextSlot[] {
  if (!Array.isArray(document.choices)) return [];
  const slots: TextSlot[] = [];
  for (const choice of document.choices) {
    if (!isObject(choice)) continue;
    const prefix = typeof choice.index === 'number' ? `${choice.index}/` : '0/';
    // A server may send both: which one its client reads is not ours to say.
    if (isObject(choice.delta)) pushMessage(slots, choice, choice.delta, prefix);
    if (isObject(choice.message)) pushMessage(slots, choice, choice.message, isObject(choice.delta) ? `${prefix}whole/` : prefix);
  }
  return slots;
}

const plainMembers = ['content', 'refusal'] as const;

function pushMessage(slots: TextSlot[], choice: JsonObject, message: JsonObject, prefix: string): void {
  for (const member of textMembers) pushSlot(slots, choice, message, member, prefix + member);
  pushList(slots, choice, message.reasoning_details, `${prefix}reasoning_details`);
  for (const member of plainMembers) pushSlot(slots, choice, message, member, prefix + member);
  pushList(slots, choice, message.content, `${prefix}content`);
  if (isObject(message.audio)) pushSlot(slots, choice, message.audio, 'transcript', `${prefix}transcript`);
  if (isObject(message.function_call)) pushSlot(slots, choice, message.function_call, 'arguments', `${prefix}function_call`);
  if (Array.isArray(message.tool_calls)) pushCalls(slots, choice, message.tool_calls, prefix);
}

function pushCalls(slots: TextSlot[], choice: JsonObject, calls: readonly Json[], prefix: string): void {
  for (const [place, call] of calls.entries()) {
    if (!isObject(call)) continue;
    const channel = `${prefix}tool/${typeof call.index === 'number' ? call.index : place}`;
    if (isObject(call.function)) pushSlot(slots, choice, call.function, 'arguments', channel);
    if (isObject(call.custom)) pushSlot(slots, choice, call.custom, 'input', channel);
  }
}

/** Lists of pieces, whose texts some servers nest once more. */
function pushList(slots: TextSlot[], choice: JsonObject, pieces: Json | undefined, channel: string): void {
  if (!Array.isArray(pieces)) return;
  for (const piece of pieces) {
    if (!isObject(piece)) continue;
    pushSlot(slots, choice, piece, 'text', channel);
    pushSlot(slots, choice, piece, 'summary', channel);
    if (!Array.isArray(piece.thinking)) continue;
    for (const inner of piece.thinking) if (isObject(inner)) pushSlot(slots, choice, inner, 'text', `${channel}/thinking`);
  }
}

/** Log probabilities spell the text out token by token: what is rewritten loses them. */
export function pushSlot(slots: TextSlot[], choice: JsonObject, holder: JsonObject, member: string, channel: string): void {
  const text = holder[member];
  if (typeof text !== 'string' || text === '') return;
  slots.push({
    text,
    channel,
    replace(replacement) {
      holder[member] = replacement;
      if (choice.logprobs !== undefined) choice.logprobs = null;
    },
  });
}
