import type { JsonObject } from '../../wire/json.ts';
import { writeFinish } from '../chat/finish.ts';
import { writeChatUsage } from '../chat/usage.ts';
import type { ReplyFacts, StreamWriter } from '../dialect.ts';
import { noUsage, type Reply, type ReplyEvent, type Usage } from '../reply.ts';

/** The answer's words; thoughts have no place in this dialect, and tools are never offered. */
export function writeCompletionsReply({ parts, finish, usage }: Reply, facts: ReplyFacts): JsonObject {
  const text = parts.map((part) => (part.kind === 'text' || part.kind === 'refusal' ? part.text : '')).join('');
  return {
    ...headOf(facts),
    choices: [{ text, index: 0, logprobs: null, finish_reason: writeFinish(finish, false) }],
    usage: writeChatUsage(usage),
  };
}

function headOf({ id, createdAtMs, model }: ReplyFacts): JsonObject {
  return { id: `cmpl-${id}`, object: 'text_completion', created: Math.floor(createdAtMs / 1000), model };
}

export class CompletionsStreamWriter implements StreamWriter {
  readonly #head: string;
  readonly #choiceEnd: string;
  readonly #withUsage: boolean;
  #isSaid = false;
  #usage: Usage = noUsage;

  constructor(facts: ReplyFacts) {
    this.#withUsage = facts.streamsUsage;
    this.#head = `data: ${JSON.stringify(headOf(facts)).slice(0, -1)},"choices":[`;
    this.#choiceEnd = facts.streamsUsage ? '}],"usage":null}\n\n' : '}]}\n\n';
  }

  write(event: ReplyEvent): string {
    switch (event.kind) {
      case 'open':
        this.#isSaid = event.part === 'text' || event.part === 'refusal';
        return '';
      case 'delta':
        return this.#isSaid && event.text !== '' ? this.#chunk(event.text, 'null') : '';
      case 'usage':
        this.#usage = { ...this.#usage, ...event.usage };
        return '';
      case 'finish':
        return this.#chunk('', JSON.stringify(writeFinish(event.finish, false)));
      default:
        return '';
    }
  }

  end(): string {
    if (!this.#withUsage) return 'data: [DONE]\n\n';
    return `${this.#head}],"usage":${JSON.stringify(writeChatUsage(this.#usage))}}\n\ndata: [DONE]\n\n`;
  }

  #chunk(text: string, finish: string): string {
    return `${this.#head}{"text":${JSON.stringify(text)},"index":0,"logprobs":null,"finish_reason":${finish}${this.#choiceEnd}`;
  }
}
