import type { ClientDialect, ProviderDialect } from '../dialect.ts';
import { readOpenaiFailure, writeOpenaiError } from '../openai-error.ts';
import { readResponsesPrompt } from './read-prompt.ts';
import { readResponsesReply } from './read-reply.ts';
import { ResponsesStreamReader } from './stream-reader.ts';
import { ResponsesStreamWriter, writeErrorEvent } from './stream-writer.ts';
import { responsesTexts } from './texts.ts';
import { readResponseUsage } from './usage.ts';
import { writeResponsesPrompt } from './write-prompt.ts';
import { writeResponsesReply } from './write-reply.ts';

/** OpenAI's Responses API (platform.openai.com/docs/api-reference/responses), without what is kept at its servers. */
export const responsesClient: ClientDialect = {
  name: 'responses',
  readPrompt: readResponsesPrompt,
  writeReply: writeResponsesReply,
  streamWriter: (facts) => new ResponsesStreamWriter(facts),
  isStream: (body) => body.stream === true,
  writeError: writeOpenaiError,
  writeStreamError: (error, lastPart = '') => writeErrorEvent(error, nextNumber(lastPart)),
  textsOf: responsesTexts,
  // It repeats all that was said. In a text of the model, the quotes of such a member would be escaped.
  isEnd: (data) => /"response"\s*:/.test(data),
};

export const responsesProvider: ProviderDialect = {
  name: 'responses',
  writePrompt: writeResponsesPrompt,
  readReply: readResponsesReply,
  streamReader: () => new ResponsesStreamReader(),
  readFailure: readOpenaiFailure,
  usageOf: (body) => readResponseUsage(body.usage),
};

/** Behind the last event that has one. In a text of the model, the quotes of such a member would be escaped. */
function nextNumber(events: string): number {
  const last = [...events.matchAll(/"sequence_number":\s*(\d{1,9})\b/g)].at(-1);
  return last === undefined ? 0 : Number(last[1]) + 1;
}
