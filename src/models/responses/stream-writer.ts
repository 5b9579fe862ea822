import type { GatewayError } from '../../errors.ts';
import type { Json, JsonObject } from '../../wire/json.ts';
import type { ReplyFacts, StreamWriter } from '../dialect.ts';
import { openaiErrorOf } from '../openai-error.ts';
import { type Finish, noUsage, type ReplyEvent, type ReplyPart, type Usage } from '../reply.ts';
import { endedResponse, itemId, responseHead, writeItem } from './write-reply.ts';

type Opening = ReplyEvent & { kind: 'open' };

/** The part that is being said, and everything of its next delta that is known already. */
interface OpenPart {
  readonly opening: Opening;
  readonly id: string;
  readonly place: string;
  readonly deltaHead: string;
  text: string;
  signature: string | undefined;
  redacted: string | undefined;
}

const deltaTypes: Readonly<Record<Opening['part'], string>> = {
  text: 'response.output_text.delta',
  refusal: 'response.refusal.delta',
  reasoning: 'response.reasoning_summary_text.delta',
  'tool-call': 'response.function_call_arguments.delta',
};

/** Typed events of the Responses API, numbered. */
export class ResponsesStreamWriter implements StreamWriter {
  readonly #facts: ReplyFacts;
  readonly #head: JsonObject;
  readonly #output: Json[] = [];
  #number = 0;
  #open: OpenPart | undefined;
  #usage: Usage = noUsage;
  #finish: Finish = 'other';

  constructor(facts: ReplyFacts) {
    this.#facts = facts;
    this.#head = responseHead(facts);
  }

  write(event: ReplyEvent): string {
    switch (event.kind) {
      case 'start': {
        const response = `"response":${JSON.stringify(this.#head)}`;
        return this.#event('response.created', response) + this.#event('response.in_progress', response);
      }
      case 'open':
        return this.#begin(event);
      case 'delta':
        return this.#delta(event.text);
      case 'signature':
        if (this.#open !== undefined) this.#open.signature = event.signature;
        return '';
      case 'redacted':
        if (this.#open !== undefined) this.#open.redacted = event.data;
        return '';
      case 'close':
        return this.#close();
      case 'usage':
        this.#usage = { ...this.#usage, ...event.usage };
        return '';
      case 'finish':
        this.#finish = event.finish;
        return '';
      case 'failed':
        return '';
    }
  }

  end(): string {
    const response = endedResponse(this.#head, this.#output, this.#finish, this.#usage);
    const type = response.status === 'completed' ? 'response.completed' : 'response.incomplete';
    return this.#event(type, `"response":${JSON.stringify(response)}`);
  }

  fail(error: GatewayError): string {
    return writeErrorEvent(error, this.#number++);
  }

  #event(type: string, members: string): string {
    return `event: ${type}\ndata: {"type":"${type}",${members},"sequence_number":${this.#number++}}\n\n`;
  }

  #begin(opening: Opening): string {
    const index = this.#output.length;
    const id = itemId(opening.part, this.#facts, index);
    const type = deltaTypes[opening.part];
    const place = `"item_id":${JSON.stringify(id)},"output_index":${index}${placeWithin(opening.part)}`;
    const deltaHead = `event: ${type}\ndata: {"type":"${type}",${place},"delta":`;
    this.#open = { opening, id, place, deltaHead, text: '', signature: undefined, redacted: undefined };
    const item = { ...writeItem(partOf(this.#open), id, 'completed'), status: 'in_progress', ...emptyOf(opening.part) };
    const added = this.#event('response.output_item.added', `"output_index":${index},"item":${JSON.stringify(item)}`);
    const content = contentOf(this.#open);
    return content === undefined ? added : added + this.#event('response.content_part.added', `${place},"part":${content}`);
  }

  #delta(text: string): string {
    const open = this.#open;
    if (open === undefined || text === '') return '';
    const isFirst = open.text === '';
    open.text += text;
    const logprobs = open.opening.part === 'text' ? ',"logprobs":[]' : '';
    const started = isFirst && open.opening.part === 'reasoning' ? this.#summaryPart('added', open, '') : '';
    return `${started}${open.deltaHead}${JSON.stringify(text)}${logprobs},"sequence_number":${this.#number++}}\n\n`;
  }

  #summaryPart(what: 'added' | 'done', { place }: OpenPart, text: string): string {
    return this.#event(
      `response.reasoning_summary_part.${what}`,
      `${place},"part":{"type":"summary_text","text":${JSON.stringify(text)}}`,
    );
  }

  #close(): string {
    const open = this.#open;
    if (open === undefined) return '';
    this.#open = undefined;
    const item = writeItem(partOf(open), open.id, 'completed');
    const index = this.#output.push(item) - 1;
    return this.#ended(open) + this.#event('response.output_item.done', `"output_index":${index},"item":${JSON.stringify(item)}`);
  }

  #ended(open: OpenPart): string {
    const { place } = open;
    const text = JSON.stringify(open.text);
    switch (open.opening.part) {
      case 'text':
        return (
          this.#event('response.output_text.done', `${place},"text":${text},"logprobs":[]`) +
          this.#event('response.content_part.done', `${place},"part":${contentOf(open)}`)
        );
      case 'refusal':
        return (
          this.#event('response.refusal.done', `${place},"refusal":${text}`) +
          this.#event('response.content_part.done', `${place},"part":${contentOf(open)}`)
        );
      case 'reasoning':
        if (open.text === '') return '';
        return (
          this.#event('response.reasoning_summary_text.done', `${place},"text":${text}`) +
          this.#summaryPart('done', open, open.text)
        );
      case 'tool-call':
        return this.#event('response.function_call_arguments.done', `${place},"arguments":${open.text === '' ? '"{}"' : text}`);
    }
  }
}

function placeWithin(part: Opening['part']): string {
  if (part === 'tool-call') return '';
  return part === 'reasoning' ? ',"summary_index":0' : ',"content_index":0';
}

/** How an item begins, where that is not what an empty one looks like. */
function emptyOf(part: Opening['part']): JsonObject {
  if (part === 'tool-call') return { arguments: '' };
  return part === 'reasoning' ? {} : { content: [] };
}

/** The part within a message, as JSON; undefined for items that have none. */
function contentOf({ opening, text }: OpenPart): string | undefined {
  if (opening.part === 'text') return `{"type":"output_text","annotations":[],"logprobs":[],"text":${JSON.stringify(text)}}`;
  return opening.part === 'refusal' ? `{"type":"refusal","refusal":${JSON.stringify(text)}}` : undefined;
}

function partOf({ opening, text, signature, redacted }: OpenPart): ReplyPart {
  switch (opening.part) {
    case 'tool-call':
      return { kind: 'tool-call', id: opening.id, name: opening.name, arguments: text };
    case 'reasoning':
      return { kind: 'reasoning', text, signature, redacted };
    default:
      return { kind: opening.part, text };
  }
}

/** What says to a client that its stream broke: its members as they are documented, and under `error` as they are sent. */
export function writeErrorEvent(error: GatewayError, number: number): string {
  const said = openaiErrorOf(error);
  const event = {
    type: 'error',
    code: said.code,
    message: said.message,
    param: said.param,
    error: said,
    sequence_number: number,
  };
  return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
}
