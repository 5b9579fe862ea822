import { isObject, type Json, type JsonObject } from '../../wire/json.ts';
import { ReplyError, type StreamReader } from '../dialect.ts';
import { readStreamFailure } from '../openai-error.ts';
import type { ReplyEvent } from '../reply.ts';
import { readFinish } from './finish.ts';
import { contentPieces, newCallId, readNamed, wordOf } from './read-reply.ts';
import { readDetail, reasoningText, signatureOfCall } from './reasoning.ts';
import { readChatUsage } from './usage.ts';

const nothing: readonly ReplyEvent[] = Object.freeze([]);

/** A call of a tool as its pieces come; opened once it has a name. */
interface OpenCall {
  readonly index: number | undefined;
  readonly id: string | undefined;
  isOpen: boolean;
  held: string;
}

/**
 * Chunks of Chat Completions. `finish` is said when `[DONE]` comes, after the usage that follows the last choice. Calls of tools
 * follow each other with every server that is known; pieces of one that another has followed already are an error.
 */
export class ChatStreamReader implements StreamReader {
  isComplete = false;
  #events: ReplyEvent[] = [];
  #hasStarted = false;
  #index = -1;
  #open: 'text' | 'reasoning' | 'refusal' | 'tool-call' | undefined;
  #isSealed = false;
  #call: OpenCall | undefined;
  readonly #calls = new Set<number>();
  #hasCalls = false;
  #hasRefusal = false;
  #reason: Json | undefined;

  read(event: string, data: string): readonly ReplyEvent[] {
    if (this.isComplete) return nothing;
    this.#events = [];
    if (data.startsWith('[DONE]')) this.#end();
    else this.#chunk(event, parseEvent(data));
    return this.#events;
  }

  end(): readonly ReplyEvent[] {
    if (this.isComplete || typeof this.#reason !== 'string') return nothing;
    this.#events = [];
    this.#end();
    return this.#events;
  }

  #chunk(event: string, chunk: JsonObject): void {
    if (event === 'error' || isObject(chunk.error) || typeof chunk.error === 'string') {
      this.#events.push({ kind: 'failed', failure: readStreamFailure(chunk) });
      return;
    }
    const choice = Array.isArray(chunk.choices) ? chunk.choices.find(isFirst) : undefined;
    if (choice !== undefined) {
      this.#start(chunk);
      if (isObject(choice.delta)) this.#delta(choice.delta);
      this.#reason = choice.finish_reason ?? this.#reason;
    }
    const usage = readChatUsage(chunk.usage ?? (isObject(chunk.x_groq) ? chunk.x_groq.usage : undefined));
    if (usage !== undefined) {
      this.#start(chunk);
      this.#events.push({ kind: 'usage', usage });
    }
  }

  #start(chunk: JsonObject): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    this.#events.push({ kind: 'start', id: wordOf(chunk.id), model: wordOf(chunk.model) });
  }

  #delta(delta: JsonObject): void {
    const thought = reasoningText(delta);
    if (thought !== '') this.#text('reasoning', thought);
    if (Array.isArray(delta.reasoning_details)) this.#details(delta.reasoning_details, thought !== '');
    const { content, refusal } = delta;
    if (typeof content === 'string') this.#text('text', content);
    else if (Array.isArray(content)) for (const { kind, text } of contentPieces(content)) this.#text(kind, text);
    if (typeof refusal === 'string') this.#text('refusal', refusal);
    if (Array.isArray(delta.tool_calls)) for (const call of delta.tool_calls) this.#toolCall(call);
  }

  #text(part: 'text' | 'reasoning' | 'refusal', text: string): void {
    if (text === '') return;
    if (this.#open !== part || this.#isSealed) this.#begin(part);
    this.#events.push({ kind: 'delta', index: this.#index, text });
  }

  #begin(part: 'text' | 'reasoning' | 'refusal'): void {
    this.#close();
    this.#open = part;
    this.#index++;
    this.#isSealed = false;
    if (part === 'refusal') this.#hasRefusal = true;
    this.#events.push({ kind: 'open', index: this.#index, part });
  }

  /** What signs a thought ends it. */
  #details(details: readonly Json[], isTextKnown: boolean): void {
    for (const detail of details) {
      for (const { text, signature, redacted } of readDetail(detail)) {
        if (!isTextKnown) this.#text('reasoning', text);
        if (redacted !== undefined) {
          this.#begin('reasoning');
          this.#events.push({ kind: 'redacted', index: this.#index, data: redacted });
        }
        if (signature !== undefined) {
          if (this.#open !== 'reasoning' || this.#isSealed) this.#begin('reasoning');
          this.#events.push({ kind: 'signature', index: this.#index, signature });
        }
        if (redacted !== undefined || signature !== undefined) this.#isSealed = true;
      }
    }
  }

  #toolCall(piece: Json): void {
    if (!isObject(piece)) throw new ReplyError('a tool call that is no object');
    const { name, input } = readNamed(piece);
    const call = this.#callOf(piece);
    call.held += typeof input === 'string' ? input : isObject(input) ? JSON.stringify(input) : '';
    if (!call.isOpen && typeof name === 'string' && name !== '') this.#openCall(call, name);
    if (!call.isOpen || this.#open !== 'tool-call') return;
    if (call.held !== '') {
      this.#events.push({ kind: 'delta', index: this.#index, text: call.held });
      call.held = '';
    }
    const signature = signatureOfCall(piece);
    if (signature !== undefined) this.#events.push({ kind: 'signature', index: this.#index, signature });
  }

  /** Some servers give every call the same index, or none: then a new id tells a new call. */
  #callOf(piece: JsonObject): OpenCall {
    const id = wordOf(piece.id) || undefined;
    const index = typeof piece.index === 'number' ? piece.index : undefined;
    const last = this.#call;
    const isSame =
      last !== undefined &&
      (index === undefined || index === last.index) &&
      (id === undefined || last.id === undefined || id === last.id);
    if (isSame && (this.#open === 'tool-call' || !last.isOpen)) return last;
    if (isSame || (id === undefined && index !== undefined && this.#calls.has(index)))
      throw new ReplyError('a piece of a tool call came after another part had begun');
    this.#close();
    if (index !== undefined) this.#calls.add(index);
    this.#call = { index, id, isOpen: false, held: '' };
    return this.#call;
  }

  #openCall(call: OpenCall, name: string): void {
    call.isOpen = true;
    this.#open = 'tool-call';
    this.#index++;
    this.#hasCalls = true;
    this.#events.push({ kind: 'open', index: this.#index, part: 'tool-call', id: call.id ?? newCallId(), name });
  }

  #close(): void {
    if (this.#call !== undefined && !this.#call.isOpen) throw new ReplyError('a tool call without a name');
    if (this.#open === undefined) return;
    this.#events.push({ kind: 'close', index: this.#index });
    this.#open = undefined;
  }

  #end(): void {
    if (!this.#hasStarted) throw new ReplyError('a stream that ended before it began');
    this.#close();
    const facts = { hasCalls: this.#hasCalls, hasRefusal: this.#hasRefusal };
    this.#events.push({ kind: 'finish', finish: readFinish(this.#reason, facts) });
    this.isComplete = true;
  }
}

function isFirst(choice: Json): choice is JsonObject {
  return isObject(choice) && (choice.index === 0 || choice.index === undefined);
}

/** The data of one event. */
export function parseEvent(data: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (error) {
    throw new ReplyError('an event whose data is no JSON', { cause: error });
  }
  if (!isObject(value)) throw new ReplyError('an event whose data is no object');
  return value;
}
