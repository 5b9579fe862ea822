import type { ReplyFacts, StreamWriter } from '../dialect.ts';
import { noUsage, type ReplyEvent, type Usage } from '../reply.ts';
import { writeFinish } from './finish.ts';
import { extraContent, writeDetail } from './reasoning.ts';
import { writeChatUsage } from './usage.ts';

type Open = (ReplyEvent & { kind: 'open' })['part'];

/** Chunks of Chat Completions. What is the same in all of them is written once. */
export class ChatStreamWriter implements StreamWriter {
  readonly #head: string;
  readonly #choiceEnd: string;
  readonly #withUsage: boolean;
  #open: Open | undefined;
  #calls = 0;
  #thoughts = 0;
  #hasArguments = false;
  #hasRefusal = false;
  #usage: Usage = noUsage;

  constructor(facts: ReplyFacts) {
    this.#withUsage = facts.streamsUsage;
    const created = Math.floor(facts.createdAtMs / 1000);
    this.#head = `data: {"id":${JSON.stringify(`chatcmpl-${facts.id}`)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(facts.model)},"choices":[`;
    this.#choiceEnd = facts.streamsUsage ? '}],"usage":null}\n\n' : '}]}\n\n';
  }

  write(event: ReplyEvent): string {
    switch (event.kind) {
      case 'start':
        return this.#chunk('{"role":"assistant","content":"","refusal":null}');
      case 'open':
        return this.#begin(event);
      case 'delta':
        return this.#delta(event.text);
      case 'signature':
        return this.#signature(event.signature);
      case 'redacted':
        return this.#details(JSON.stringify(writeDetail({ kind: 'reasoning', text: '', redacted: event.data }, this.#thoughts)));
      case 'close':
        return this.#close();
      case 'usage':
        this.#usage = { ...this.#usage, ...event.usage };
        return '';
      case 'finish':
        return this.#chunk('{}', JSON.stringify(writeFinish(event.finish, this.#hasRefusal)));
      case 'failed':
        return '';
    }
  }

  end(): string {
    if (!this.#withUsage) return 'data: [DONE]\n\n';
    return `${this.#head}],"usage":${JSON.stringify(writeChatUsage(this.#usage))}}\n\ndata: [DONE]\n\n`;
  }

  #chunk(delta: string, finish = 'null'): string {
    return `${this.#head}{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}${this.#choiceEnd}`;
  }

  #begin(event: ReplyEvent & { kind: 'open' }): string {
    this.#open = event.part;
    if (event.part !== 'tool-call') return '';
    this.#hasArguments = false;
    const name = JSON.stringify(event.name);
    return this.#call(`"id":${JSON.stringify(event.id)},"type":"function","function":{"name":${name},"arguments":""}`);
  }

  #delta(text: string): string {
    if (text === '') return '';
    const quoted = JSON.stringify(text);
    switch (this.#open) {
      case 'text':
        return this.#chunk(`{"content":${quoted}}`);
      case 'reasoning':
        return this.#chunk(`{"reasoning_content":${quoted}}`);
      case 'refusal':
        this.#hasRefusal = true;
        return this.#chunk(`{"refusal":${quoted}}`);
      case 'tool-call':
        this.#hasArguments = true;
        return this.#call(`"function":{"arguments":${quoted}}`);
      case undefined:
        return '';
    }
  }

  #signature(signature: string): string {
    if (this.#open === 'tool-call') return this.#call(`"extra_content":${JSON.stringify(extraContent(signature))}`);
    if (this.#open !== 'reasoning') return '';
    return this.#details(JSON.stringify({ type: 'reasoning.text', signature, index: this.#thoughts }));
  }

  #details(detail: string): string {
    return this.#chunk(`{"reasoning_details":[${detail}]}`);
  }

  /** Whoever reads arguments parses them: none at all are an empty object. */
  #close(): string {
    const wasOpen = this.#open;
    this.#open = undefined;
    if (wasOpen === 'reasoning') this.#thoughts++;
    if (wasOpen !== 'tool-call') return '';
    const rest = this.#hasArguments ? '' : this.#call('"function":{"arguments":"{}"}');
    this.#calls++;
    return rest;
  }

  #call(members: string): string {
    return this.#chunk(`{"tool_calls":[{"index":${this.#calls},${members}}]}`);
  }
}
