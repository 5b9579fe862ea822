import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { readFinish } from '../chat/finish.ts';
import { wordOf } from '../chat/read-reply.ts';
import { parseEvent } from '../chat/stream-reader.ts';
import { readChatUsage } from '../chat/usage.ts';
import { ReplyError, type StreamReader } from '../dialect.ts';
import { readStreamFailure } from '../openai-error.ts';
import { noUsage, type Reply, type ReplyEvent } from '../reply.ts';

const wordsOnly = { hasCalls: false, hasRefusal: false };

export function readCompletionsReply(body: JsonObject): Reply {
  const choice = Array.isArray(body.choices) ? body.choices[0] : undefined;
  if (!isObject(choice) || typeof choice.text !== 'string') throw new ReplyError('a completion without choices[0].text');
  return {
    id: wordOf(body.id),
    model: wordOf(body.model),
    parts: choice.text === '' ? [] : [{ kind: 'text', text: choice.text }],
    finish: readFinish(choice.finish_reason, wordsOnly),
    usage: readChatUsage(body.usage) ?? noUsage,
  };
}

const nothing: readonly ReplyEvent[] = Object.freeze([]);

/** Chunks of a completion, of its first choice. */
export class CompletionsStreamReader implements StreamReader {
  isComplete = false;
  #hasStarted = false;
  #isOpen = false;
  #reason: Json | undefined;

  read(event: string, data: string): readonly ReplyEvent[] {
    if (this.isComplete) return nothing;
    if (data.startsWith('[DONE]')) return this.#end();
    const chunk = parseEvent(data);
    if (event === 'error' || isObject(chunk.error)) return [{ kind: 'failed', failure: readStreamFailure(chunk) }];
    return this.#chunk(chunk);
  }

  end(): readonly ReplyEvent[] {
    return this.isComplete || typeof this.#reason !== 'string' ? nothing : this.#end();
  }

  #chunk(chunk: JsonObject): readonly ReplyEvent[] {
    const events: ReplyEvent[] = [];
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      events.push({ kind: 'start', id: wordOf(chunk.id), model: wordOf(chunk.model) });
    }
    const choice = Array.isArray(chunk.choices)
      ? chunk.choices.find((one) => isObject(one) && (one.index ?? 0) === 0)
      : undefined;
    if (isObject(choice)) {
      if (typeof choice.text === 'string' && choice.text !== '') {
        if (!this.#isOpen) events.push({ kind: 'open', index: 0, part: 'text' });
        this.#isOpen = true;
        events.push({ kind: 'delta', index: 0, text: choice.text });
      }
      this.#reason = choice.finish_reason ?? this.#reason;
    }
    const usage = readChatUsage(chunk.usage);
    if (usage !== undefined) events.push({ kind: 'usage', usage });
    return events;
  }

  #end(): readonly ReplyEvent[] {
    if (!this.#hasStarted) throw new ReplyError('a stream that ended before it began');
    this.isComplete = true;
    const finish: ReplyEvent = { kind: 'finish', finish: readFinish(this.#reason, wordsOnly) };
    return this.#isOpen ? [{ kind: 'close', index: 0 }, finish] : [finish];
  }
}
