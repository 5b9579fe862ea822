import { GatewayError } from '../../errors.ts';
import type { JsonObject } from '../../wire/json.ts';
import { argumentsOf } from '../call-arguments.ts';
import { exactMediaType } from '../media-type.ts';
import type { MediaPart, Message, Part, ToolCallPart, ToolResultPart } from '../prompt.ts';
import { signatureForGemini } from '../signature.ts';
import { isMadeUp } from './call-id.ts';

/** What the parts of a conversation need to know of the rest of it. */
interface Conversation {
  readonly namesById: ReadonlyMap<string, string>;
  /** From the third generation on, calls are to carry their signatures, and results may hold media. */
  readonly isThird: boolean;
}

/** `contents` of a request: one entry per turn. Throws GatewayError `invalid_request`. */
export function writeContents(messages: readonly Message[], isThird: boolean): JsonObject[] {
  const conversation = { namesById: nameCalls(messages), isThird };
  const turns: { readonly role: string; readonly parts: JsonObject[] }[] = [];
  for (const { role: said, parts: given } of messages) {
    const role = said === 'assistant' ? 'model' : 'user';
    const parts = writeParts(given, conversation);
    const last = turns.at(-1);
    if (parts.length === 0) continue;
    // The results of calls must all be in the turn that follows them.
    if (last?.role === role) last.parts.push(...parts);
    else turns.push({ role, parts });
  }
  if (turns.length === 0) {
    throw new GatewayError(
      'invalid_request',
      'The prompt has no message with anything in it: say at least one thing as the user.',
    );
  }
  return turns.map(({ role, parts }) => ({ role, parts }));
}

function nameCalls(messages: readonly Message[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const { parts } of messages) for (const part of parts) if (part.kind === 'tool-call') names.set(part.id, part.name);
  return names;
}

function writeParts(given: readonly Part[], conversation: Conversation): JsonObject[] {
  const results: JsonObject[] = [];
  const rest: JsonObject[] = [];
  const after: JsonObject[] = [];
  let isFirstCall = true;
  for (const part of given) {
    if (part.kind === 'text' || part.kind === 'refusal') {
      // An empty text is refused.
      if (part.text !== '') rest.push({ text: part.text });
    } else if (part.kind === 'media') rest.push(writeMedia(part));
    else if (part.kind === 'reasoning') rest.push(...writeThought(part));
    else if (part.kind === 'tool-call') {
      rest.push(writeCall(part, conversation, isFirstCall));
      isFirstCall = false;
    } else results.push(writeResult(part, conversation, after));
  }
  return [...(results ?? []), ...(rest ?? []), ...after];
}

function writeMedia({ mediaType, source }: MediaPart): JsonObject {
  if (source.kind === 'base64') return { inlineData: { mimeType: mediaType, data: source.data } };
  const mimeType = exactMediaType(mediaType, source.url);
  return { fileData: { ...(mimeType !== undefined && { mimeType }), fileUri: source.url } };
}

/** Thoughts without a signature, and those of others, are of no use to it. */
function writeThought({ text, signature }: { readonly text: string; readonly signature?: string | undefined }): JsonObject[] {
  const thoughtSignature = signatureForGemini(signature);
  if (thoughtSignature === undefined) return [];
  return [text === '' ? { text, thoughtSignature } : { text, thought: true, thoughtSignature }];
}

/** What Google's documentation gives for calls whose signature was lost or that another model made: without any, the request is refused. */
const anySignature = 'skip_thought_signature_validator';

function writeCall(
  { id, name, arguments: text, signature }: ToolCallPart,
  { isThird }: Conversation,
  isFirst: boolean,
): JsonObject {
  const thoughtSignature = signatureForGemini(signature) ?? (isThird && isFirst ? anySignature : undefined);
  return {
    functionCall: { ...sayId(id), name, args: argumentsOf(text) },
    ...(thoughtSignature !== undefined && { thoughtSignature }),
  };
}

function sayId(id: string): { readonly id?: string } {
  return id === '' || isMadeUp(id) ? {} : { id };
}

function writeResult(part: ToolResultPart, { namesById, isThird }: Conversation, after: JsonObject[]): JsonObject {
  const name = part.name ?? namesById.get(part.callId);
  if (name === undefined) {
    throw new GatewayError(
      'invalid_request',
      'A tool result answers a call that no message before it makes; send the message with the call, too.',
    );
  }
  const texts: string[] = [];
  const media: JsonObject[] = [];
  for (const inner of part.parts) {
    if (inner.kind === 'text') texts.push(inner.text);
    else media.push(writeMedia(inner));
  }
  if (!isThird) after.push(...media);
  const response = { [part.isError ? 'error' : 'output']: texts.join('\n') };
  return { functionResponse: { ...sayId(part.callId), name, response, ...(isThird && media.length > 0 && { parts: media }) } };
}
