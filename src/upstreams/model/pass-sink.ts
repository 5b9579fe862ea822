import { type ClientDialectName, ReplyError, type StreamReader } from '../../models/dialect.ts';
import { blankOut } from '../blank-out.ts';
import type { AnswerStream } from '../upstream.ts';
import { EventSplitter, readEvent } from './event-splitter.ts';
import type { BodySink } from './provider-exchange.ts';
import type { StreamMeter } from './stream-meter.ts';

export const eventLimitBytes = 4 * 1024 * 1024;

export interface PassOptions {
  readonly dialect: ClientDialectName;
  readonly reader: StreamReader;
  readonly meter: StreamMeter;
  readonly stream: AnswerStream;
  /** As blank-out.ts makes them. */
  readonly secrets: readonly Buffer[];
  /** Gatehouse asked for the usage, its client did not: the event that holds nothing else is not passed on. */
  readonly keepsUsage: boolean;
}

/**
 * Passes an answer on as it comes, in the dialect that the client speaks itself: whole events, byte for byte. Of the events only the
 * few that say more than text are read.
 */
export class PassSink implements BodySink {
  readonly #options: PassOptions;
  readonly #splitter = new EventSplitter(eventLimitBytes);
  readonly #traits: Traits;
  /** Events that begin an answer and say nothing yet: until something is said, another target may answer. */
  #held: Buffer[] = [];
  #ready: Buffer[] = [];
  #hasModel = false;
  #hasFinished = false;
  #hasSpoken: boolean;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#traits = traits[options.dialect];
    this.#hasSpoken = !this.#traits.hasPreamble;
  }

  data(chunk: Buffer): Promise<void> | undefined {
    this.#splitter.push(chunk, this.#take);
    return this.#flush();
  }

  end(): undefined {
    if (this.#splitter.restBytes > 0 || !(this.#options.reader.isComplete || this.#hasFinished))
      throw new ReplyError('the stream ended before the answer was complete');
  }

  readonly #take = (event: Buffer): void => {
    const { isOther, finish, spoken, hasPreamble } = this.#traits;
    // A sign per byte: what is looked for is ASCII, and found sooner in a text than in bytes.
    const text = event.toString('latin1');
    const isLast = finish !== undefined && hasText(text, finish);
    if (isLast) this.#hasFinished = true;
    if ((!this.#hasModel || isLast || isOther(text)) && this.#read(event)) return;
    const said = spokenIn(text, spoken);
    this.#options.meter.spokenBytes += said;
    if (!this.#hasSpoken && (said > 0 || !hasPreamble?.(text))) this.#hasSpoken = true;
    this.#ready.push(event);
  };

  /** Returns whether the event stays here. Throws ProviderFailed. */
  #read(event: Buffer): boolean {
    const { reader, meter, keepsUsage } = this.#options;
    const read = readEvent(event);
    if (read === undefined) return false;
    this.#hasModel = true;
    try {
      for (const one of reader.read(read.type, read.data)) meter.saw(one);
    } catch (error) {
      // It sees a part of the stream only: what it makes of that is not for it to judge.
      if (!(error instanceof ReplyError)) throw error;
    }
    return keepsUsage && meter.usage !== undefined && /"choices"\s*:\s*\[\s*\]/.test(read.data);
  }

  #flush(): Promise<void> | undefined {
    if (this.#ready.length === 0) return undefined;
    if (!this.#hasSpoken) {
      this.#held.push(...this.#ready.map((event) => Buffer.from(event)));
      this.#ready = [];
      return undefined;
    }
    const events = this.#held.length === 0 ? this.#ready : [...this.#held, ...this.#ready];
    this.#held = [];
    this.#ready = [];
    const [only] = events;
    const bytes = events.length === 1 && only !== undefined ? only : Buffer.concat(events);
    const { secrets, stream, meter } = this.#options;
    blankOut(bytes, secrets);
    meter.wrote(bytes.length);
    return stream.write(bytes);
  }
}

interface Traits {
  /** Whether an event may say something of the answer that is not text. */
  readonly isOther: (event: string) => boolean;
  /** The member that says why it ended, where a stream may end with that. */
  readonly finish: string | undefined;
  /** Members with text. */
  readonly spoken: readonly string[];
  /** Whether an event is of those that come before anything is said. */
  readonly hasPreamble?: (event: string) => boolean;
}

const chatTraits: Traits = {
  isOther: (event) => hasValue(event, '"usage"') || hasValue(event, '"error"') || isShort(event) || event.includes('"x_groq"'),
  finish: '"finish_reason"',
  spoken: ['"content"', '"arguments"', '"reasoning_content"', '"reasoning"', '"refusal"'],
};

const traits: Readonly<Record<ClientDialectName, Traits>> = {
  chat: chatTraits,
  completions: { ...chatTraits, spoken: ['"text"'] },
  messages: {
    isOther: (event) => !event.includes('"content_block_') && !event.includes('"ping"'),
    finish: undefined,
    spoken: ['"text"', '"thinking"', '"partial_json"'],
    hasPreamble: (event) =>
      event.includes('"message_start"') || event.includes('"ping"') || event.includes('"content_block_start"'),
  },
  responses: {
    isOther: (event) =>
      event.includes('"response.') && !event.includes('.delta"') ? isLifecycle(event) : event.includes('"error"'),
    finish: undefined,
    spoken: ['"delta"'],
    hasPreamble: (event) =>
      event.includes('"response.created"') || event.includes('"response.in_progress"') || event.includes('"response.queued"'),
  },
};

const lifecycle = ['"response.created"', '"response.completed"', '"response.incomplete"', '"response.failed"'];

function isLifecycle(event: string): boolean {
  return lifecycle.some((type) => event.includes(type));
}

/** `data: [DONE]` and its like. */
function isShort(event: string): boolean {
  return event.length < 24 && event.includes('[DONE]');
}

/** Where the value of a member begins; -1 where it is not there. In JSON, a text cannot hold the name with both of its quotes. */
function valueAt(event: string, name: string): number {
  const found = event.indexOf(name);
  if (found < 0) return -1;
  let at = found + name.length;
  while (event[at] === ' ' || event[at] === ':') at++;
  return at;
}

/** Whether a member is there and not null. */
function hasValue(event: string, name: string): boolean {
  const at = valueAt(event, name);
  return at >= 0 && event[at] !== 'n';
}

function hasText(event: string, name: string): boolean {
  const at = valueAt(event, name);
  return at >= 0 && event[at] === '"';
}

/** Bytes of text of the first of these members. */
function spokenIn(event: string, names: readonly string[]): number {
  for (const name of names) {
    const at = valueAt(event, name);
    if (at < 0 || event[at] !== '"') continue;
    let end = event.indexOf('"', at + 1);
    while (end > 0 && event[end - 1] === '\\' && event[end - 2] !== '\\') end = event.indexOf('"', end + 1);
    if (end > at + 1) return end - at - 1;
  }
  return 0;
}
