import type { JsonObject } from '../../wire/json.ts';
import { ReplyError } from '../dialect.ts';
import { objectAt, objectsAt, textAt } from '../read-members.ts';
import { noUsage, type Reply, type ReplyPart } from '../reply.ts';
import { finishOf, readUsage } from './usage.ts';

/** Neither an id nor the model's name is in the body. */
export function readReply(body: JsonObject): Reply {
  const message = objectAt(objectAt(body, 'output'), 'message');
  if (message === undefined) throw new ReplyError('there is no message in the answer');
  const stopSequence = stopSequenceOf(body);
  return {
    id: '',
    model: '',
    parts: objectsAt(message, 'content').flatMap(readBlock),
    finish: finishOf(textAt(body, 'stopReason')),
    ...(stopSequence !== undefined && { stopSequence }),
    usage: readUsage(body) ?? noUsage,
  };
}

export function stopSequenceOf(body: JsonObject): string | undefined {
  return textAt(objectAt(body, 'additionalModelResponseFields'), 'stop_sequence');
}

function readBlock(block: JsonObject): readonly ReplyPart[] {
  const text = textAt(block, 'text');
  if (text !== undefined) return [{ kind: 'text', text }];
  const call = objectAt(block, 'toolUse');
  if (call !== undefined) return [readCall(call)];
  const reasoning = objectAt(block, 'reasoningContent');
  if (reasoning !== undefined) return readReasoning(reasoning);
  const cited = objectsAt(objectAt(block, 'citationsContent'), 'content').map((piece) => textAt(piece, 'text') ?? '');
  return cited.length > 0 ? [{ kind: 'text', text: cited.join('') }] : [];
}

function readCall(call: JsonObject): ReplyPart {
  const [id, name] = [textAt(call, 'toolUseId'), textAt(call, 'name')];
  if (id === undefined || name === undefined) throw new ReplyError('a tool use has no id or no name');
  return { kind: 'tool-call', id, name, arguments: JSON.stringify(objectAt(call, 'input') ?? {}) };
}

function readReasoning(reasoning: JsonObject): readonly ReplyPart[] {
  const redacted = textAt(reasoning, 'redactedContent');
  if (redacted !== undefined) return [{ kind: 'reasoning', text: '', redacted }];
  const said = objectAt(reasoning, 'reasoningText');
  if (said === undefined) return [];
  const signature = textAt(said, 'signature');
  return [{ kind: 'reasoning', text: textAt(said, 'text') ?? '', ...(signature !== undefined && { signature }) }];
}
