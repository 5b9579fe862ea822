import { isObject, type JsonObject } from '../../wire/json.ts';
import { wordOf } from '../chat/read-reply.ts';
import { parseEvent } from '../chat/stream-reader.ts';
import { ReplyError, type StreamReader } from '../dialect.ts';
import { readStreamFailure } from '../openai-error.ts';
import type { ReplyEvent } from '../reply.ts';
import { callIdOf, readStatus } from './read-reply.ts';
import { paragraphBreak } from './reasoning.ts';
import { readResponseUsage } from './usage.ts';

const nothing: readonly ReplyEvent[] = Object.freeze([]);

type Kind = 'text' | 'reasoning' | 'refusal' | 'tool-call';

/** Typed events of the Responses API. Parts follow each other; a piece of one that another has followed already is an error. */
export class ResponsesStreamReader implements StreamReader {
  isComplete = false;
  #events: ReplyEvent[] = [];
  #hasStarted = false;
  #index = -1;
  #open: Kind | undefined;
  /** Of the open part: its item, and its place within. */
  #item = -1;
  #place = -1;
  #isEmpty = true;
  readonly #closed = new Set<string>();
  #hasCalls = false;
  #hasRefusal = false;

  read(event: string, data: string): readonly ReplyEvent[] {
    if (this.isComplete || data === '[DONE]') return nothing;
    const document = parseEvent(data);
    this.#events = [];
    this.#read(typeof document.type === 'string' ? document.type : event, document);
    return this.#events;
  }

  #read(type: string, event: JsonObject): void {
    switch (type) {
      case 'response.output_text.delta':
        this.#delta(event, 'text', event.content_index);
        return;
      case 'response.function_call_arguments.delta':
        this.#delta(event, 'tool-call', 0);
        return;
      case 'response.reasoning_summary_text.delta':
        this.#delta(event, 'reasoning', event.summary_index);
        return;
      case 'response.reasoning_text.delta':
        this.#delta(event, 'reasoning', event.content_index);
        return;
      case 'response.refusal.delta':
        this.#delta(event, 'refusal', event.content_index);
        return;
      case 'response.created':
      case 'response.in_progress':
        this.#start(event.response);
        return;
      case 'response.output_item.added':
        this.#added(event);
        return;
      case 'response.output_text.done':
        this.#whole(event, 'text', event.text, event.content_index);
        return;
      case 'response.refusal.done':
        this.#whole(event, 'refusal', event.refusal, event.content_index);
        return;
      case 'response.function_call_arguments.done':
        this.#whole(event, 'tool-call', event.arguments, 0);
        return;
      case 'response.output_item.done':
        this.#done(event);
        return;
      case 'response.completed':
      case 'response.incomplete':
        this.#end(event.response);
        return;
      case 'response.failed':
      case 'error':
        this.#events.push({ kind: 'failed', failure: readStreamFailure(isObject(event.response) ? event.response : event) });
    }
  }

  #start(response: unknown): void {
    if (this.#hasStarted || !isObject(response)) return;
    this.#hasStarted = true;
    this.#events.push({ kind: 'start', id: wordOf(response.id), model: wordOf(response.model) });
  }

  #added({ item, output_index }: JsonObject): void {
    if (!isObject(item) || item.type !== 'function_call') return;
    if (typeof item.name !== 'string') throw new ReplyError('a function_call without name');
    this.#close();
    this.#begin('tool-call', numberOf(output_index), 0);
    this.#hasCalls = true;
    this.#events.push({ kind: 'open', index: this.#index, part: 'tool-call', id: callIdOf(item), name: item.name });
    if (typeof item.arguments === 'string') this.#text(item.arguments);
  }

  #delta({ delta, output_index }: JsonObject, kind: Kind, place: unknown): void {
    if (typeof delta !== 'string') throw new ReplyError('a delta that is no text');
    if (delta === '') return;
    this.#enter(kind, numberOf(output_index), numberOf(place));
    this.#text(delta);
  }

  /** The text of a part that came without deltas. */
  #whole({ output_index }: JsonObject, kind: Kind, text: unknown, place: unknown): void {
    if (typeof text !== 'string' || text === '') return;
    const isOpen = this.#isOpen(kind, numberOf(output_index), numberOf(place));
    if (isOpen ? !this.#isEmpty : this.#closed.has(keyOf(numberOf(output_index), numberOf(place)))) return;
    this.#enter(kind, numberOf(output_index), numberOf(place));
    this.#text(text);
  }

  #text(text: string): void {
    if (text === '') return;
    this.#isEmpty = false;
    this.#events.push({ kind: 'delta', index: this.#index, text });
  }

  #isOpen(kind: Kind, item: number, place: number): boolean {
    return this.#open === kind && this.#item === item && this.#place === place;
  }

  #enter(kind: Kind, item: number, place: number): void {
    if (this.#isOpen(kind, item, place)) return;
    // A thought goes on with the next paragraph of its summary.
    if (kind === 'reasoning' && this.#open === kind && this.#item === item && place > this.#place) {
      this.#place = place;
      this.#events.push({ kind: 'delta', index: this.#index, text: paragraphBreak });
      return;
    }
    if (kind === 'tool-call') throw new ReplyError('arguments of a function_call that is not open');
    this.#close();
    this.#begin(kind, item, place);
    if (kind === 'refusal') this.#hasRefusal = true;
    this.#events.push({ kind: 'open', index: this.#index, part: kind });
  }

  #begin(kind: Kind, item: number, place: number): void {
    if (this.#closed.has(keyOf(item, place))) throw new ReplyError('a piece of a part came after another had begun');
    this.#index++;
    this.#open = kind;
    this.#item = item;
    this.#place = place;
    this.#isEmpty = true;
  }

  #done({ item, output_index }: JsonObject): void {
    const index = numberOf(output_index);
    if (isObject(item) && item.type === 'reasoning') this.#seal(item, index);
    if (this.#item === index) this.#close();
  }

  #seal(item: JsonObject, index: number): void {
    const sealed = wordOf(item.encrypted_content);
    if (sealed === '') return;
    const isSaid =
      (this.#open === 'reasoning' && this.#item === index) || (Array.isArray(item.summary) && item.summary.length > 0);
    if (!(this.#open === 'reasoning' && this.#item === index)) this.#enter('reasoning', index, 0);
    this.#events.push(
      isSaid
        ? { kind: 'signature', index: this.#index, signature: sealed }
        : { kind: 'redacted', index: this.#index, data: sealed },
    );
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#closed.add(keyOf(this.#item, this.#place));
    this.#events.push({ kind: 'close', index: this.#index });
    this.#open = undefined;
  }

  #end(response: unknown): void {
    if (!isObject(response)) throw new ReplyError('a response.completed without its response');
    this.#start(response);
    this.#close();
    const usage = readResponseUsage(response.usage);
    if (usage !== undefined) this.#events.push({ kind: 'usage', usage });
    const finish = readStatus(response, { hasCalls: this.#hasCalls, hasRefusal: this.#hasRefusal });
    this.#events.push({ kind: 'finish', finish });
    this.isComplete = true;
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function keyOf(item: number, place: number): string {
  return `${item}/${place}`;
}
