import { isObject, type JsonObject } from '../../wire/json.ts';
import { type ProviderDialect, ReplyError } from '../dialect.ts';
import { gatherReply } from '../gather-reply.ts';
import { parseObject, textAt } from '../read-members.ts';
import type { ReplyEvent } from '../reply.ts';
import { openAnswer, readUsage } from './read-answer.ts';
import { readFailure } from './read-failure.ts';
import { writePrompt } from './write-prompt.ts';

/** Google's generateContent, the same for AI Studio and Vertex AI (ai.google.dev/api/generate-content). */
export const gemini: ProviderDialect = {
  name: 'gemini',
  writePrompt,
  readReply(body) {
    const answer = openAnswer();
    const events: ReplyEvent[] = [...answer.read(body)];
    if (!answer.isComplete) events.push(...answer.read(closing(body)));
    return gatherReply(events);
  },
  streamReader() {
    const answer = openAnswer();
    return {
      read(_event, data) {
        const response = parseObject(data);
        if (response === undefined) throw new ReplyError('an event is not a JSON object');
        return answer.read(response);
      },
      get isComplete() {
        return answer.isComplete;
      },
    };
  },
  readFailure,
  usageOf: readUsage,
};

/** A whole answer that gives no reason for its end has ended all the same; one without candidates is none. */
function closing(body: JsonObject): JsonObject {
  const [candidate] = Array.isArray(body.candidates) ? body.candidates : [];
  if (!isObject(candidate))
    throw new ReplyError(`there is no candidate in the answer (${textAt(body, 'modelVersion') ?? 'no model'})`);
  return { candidates: [{ finishReason: 'OTHER' }] };
}
