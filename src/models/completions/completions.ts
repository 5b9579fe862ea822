import { isObject, type JsonObject } from '../../wire/json.ts';
import { saysFinish, writeChatStreamError } from '../chat/chat.ts';
import { pushSlot } from '../chat/texts.ts';
import { readChatUsage } from '../chat/usage.ts';
import type { ClientDialect, ProviderDialect, TextSlot } from '../dialect.ts';
import { refuse } from '../members.ts';
import { readOpenaiFailure, writeOpenaiError } from '../openai-error.ts';
import { readCompletionsPrompt } from './read-prompt.ts';
import { CompletionsStreamReader, readCompletionsReply } from './read-reply.ts';
import { CompletionsStreamWriter, writeCompletionsReply } from './write-reply.ts';

/** OpenAI's older Completions (platform.openai.com/docs/api-reference/completions). */
export const completionsClient: ClientDialect = {
  name: 'completions',
  readPrompt: readCompletionsPrompt,
  writeReply: writeCompletionsReply,
  streamWriter: (facts) => new CompletionsStreamWriter(facts),
  isStream: (body) => body.stream === true,
  writeError: writeOpenaiError,
  writeStreamError: writeChatStreamError,
  textsOf: completionsTexts,
  isEnd: saysFinish,
};

/** For requests that are passed on as they come; nothing is translated into this dialect. */
export const completionsProvider: ProviderDialect = {
  name: 'completions',
  writePrompt: () => refuse('model', 'goes on from a text and answers only at /v1/completions; choose another model'),
  readReply: readCompletionsReply,
  streamReader: () => new CompletionsStreamReader(),
  readFailure: readOpenaiFailure,
  usageOf: (body) => readChatUsage(body.usage),
};

function completionsTexts(document: JsonObject): readonly TextSlot[] {
  if (!Array.isArray(document.choices)) return [];
  const slots: TextSlot[] = [];
  for (const choice of document.choices) {
    if (isObject(choice)) pushSlot(slots, choice, choice, 'text', `${typeof choice.index === 'number' ? choice.index : 0}/text`);
  }
  return slots;
}
