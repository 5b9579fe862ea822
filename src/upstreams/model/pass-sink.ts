import { type ClientDialectName, ReplyError, type StreamReader } from '../../models/dialect.ts';
import { clientDialects } from '../../models/dialects.ts';
import type { ReplyEvent } from '../../models/reply.ts';
import { blankOut } from '../blank-out.ts';
import type { AnswerStream } from '../upstream.ts';
import { EventSplitter, readEvent } from './event-splitter.ts';
import type { AnswerMarks } from './held-marks.ts';
import type { OpenTarget } from './open-target.ts';
import type { BodySink } from './provider-exchange.ts';
import { SplitSecrets } from './split-secrets.ts';
import type { StreamMeter } from './stream-meter.ts';

export const eventLimitBytes = 4 * 1024 * 1024;
/** Of what comes before anything is said; one who sends more of it has begun, whatever it means. */
export const heldLimitBytes = 4 * 1024 * 1024;

interface PassOptions {
  readonly dialect: ClientDialectName;
  readonly reader: StreamReader;
  readonly meter: StreamMeter;
  readonly stream: AnswerStream;
  /** What it was sent in confidence is blanked out. */
  readonly target: Pick<OpenTarget, 'secrets'>;
  /** Gatehouse asked for the usage, its client did not: the event that holds nothing else is not passed on. */
  readonly keepsUsage: boolean;
  /** Of what the target keeps. */
  readonly marks?: AnswerMarks | undefined;
}

/**
 * Passes an answer on as it comes, in the dialect that the client speaks itself: whole events, byte for byte. Of the events only the
 * few that say more than text are read.
 */
export class PassSink implements BodySink {
  readonly #options: PassOptions;
  readonly #splitter = new EventSplitter(eventLimitBytes);
  readonly #traits: Traits;
  readonly #split: SplitSecrets;
  /** Events that begin an answer and say nothing yet: until something is said, another target may answer. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #ready: Buffer[] = [];
  /** What stands around the words of an event that says nothing else. */
  #before: { readonly start: string; readonly rest: string } | undefined;
  #hasModel = false;
  #hasFinished = false;
  #hasSpoken: boolean;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#traits = traits[options.dialect];
    this.#split = new SplitSecrets(clientDialects.get(options.dialect) ?? textless, options.target);
    this.#hasSpoken = !this.#traits.hasPreamble;
  }

  get isComplete(): boolean {
    return this.#options.reader.isComplete;
  }

  data(chunk: Buffer): Promise<void> | undefined {
    this.#splitter.push(chunk, this.#take);
    return this.#flush();
  }

  end(): Promise<void> | undefined {
    if (!this.#splitter.end(this.#take) || !(this.isComplete || this.#hasFinished))
      throw new ReplyError('the stream ended before the answer was complete');
    this.#see((reader) => reader.end?.() ?? []);
    const writing = this.#flush();
    return writing === undefined ? this.#write(this.#split.end()) : writing.then(() => this.#write(this.#split.end()));
  }

  readonly #take = (event: Buffer): void => {
    // As text that has a character for each byte, which is searched faster than the bytes.
    const text = event.toString('latin1');
    if (!this.#isAsBefore(text) && this.#look(text, event)) return;
    const { marks } = this.#options;
    this.#ready.push(marks === undefined ? event : marks.event(event, text));
  };

  /** Events mostly differ in nothing but what is said: then the one before was looked at for both. */
  #isAsBefore(text: string): boolean {
    const before = this.#before;
    if (before === undefined || !text.startsWith(before.start) || !text.endsWith(before.rest)) return false;
    const end = text.length - before.rest.length;
    if (text.indexOf(quote, before.start.length) !== end) return false;
    this.#split.saw(text, before.start.length, end);
    this.#options.meter.spokenBytes += end - before.start.length;
    return true;
  }

  /** Returns whether the event stays here. Throws ProviderFailed, and ReplyError for what no client can read. */
  #look(text: string, event: Buffer): boolean {
    if (!endsAsObject(text)) refuseBroken(event);
    const { isOther, finish, spoken, hasPreamble } = this.#traits;
    const isLast = finish !== undefined && hasText(text, finish);
    if (isLast) this.#hasFinished = true;
    const isRead = !this.#hasModel || isLast || isOther(text);
    if (isRead && this.#read(event)) return true;
    const said = spokenIn(text, spoken);
    if (this.#options.target.secrets.length > 0) this.#seeAll(text);
    if (said !== undefined) {
      this.#options.meter.spokenBytes += said.end - said.start;
      if (!isRead) this.#before = { start: text.slice(0, said.start), rest: text.slice(said.end) };
    }
    if (!this.#hasSpoken && (said !== undefined || !hasPreamble?.(text))) this.#hasSpoken = true;
    return false;
  }

  /**
   * An event may say several things, under names that are escaped or there twice: every text of it is seen. What is between two quotes
   * is taken for one, so that no quote outside of JSON makes texts of what is none.
   */
  #seeAll(text: string): void {
    for (let start = 0, end = endOfText(text, 0); end >= 0; start = end + 1, end = endOfText(text, start))
      if (text.charCodeAt(end + 1) !== colon) this.#split.saw(text, start, end);
  }

  /** Returns whether the event stays here. Throws ProviderFailed. */
  #read(event: Buffer): boolean {
    const { meter, keepsUsage } = this.#options;
    const read = readEvent(event);
    if (read === undefined) return false;
    this.#hasModel = true;
    this.#see((reader) => reader.read(read.type, read.data));
    return keepsUsage && meter.usage !== undefined && /"choices"\s*:\s*\[\s*\]/.test(read.data);
  }

  /** Throws ProviderFailed. */
  #see(read: (reader: StreamReader) => readonly ReplyEvent[]): void {
    try {
      for (const one of read(this.#options.reader)) this.#options.meter.saw(one);
    } catch (error) {
      // It sees a part of the stream only: what it makes of that is not for it to judge.
      if (!(error instanceof ReplyError)) throw error;
    }
  }

  #hold(): void {
    for (const event of this.#ready) {
      this.#heldBytes += event.length;
      this.#held.push(Buffer.from(event));
    }
    this.#ready = [];
    if (this.#heldBytes > heldLimitBytes) this.#hasSpoken = true;
  }

  #flush(): Promise<void> | undefined {
    if (this.#ready.length === 0) return undefined;
    if (!this.#hasSpoken) this.#hold();
    if (!this.#hasSpoken) return undefined;
    const events = this.#held.length === 0 ? this.#ready : [...this.#held, ...this.#ready];
    this.#held = [];
    this.#ready = [];
    const [only] = events;
    const bytes = events.length === 1 && only !== undefined ? only : Buffer.concat(events);
    blankOut(bytes, this.#options.target.secrets);
    return this.#write(this.#split.pass(bytes));
  }

  #write(bytes: Buffer): Promise<void> | undefined {
    if (bytes.length === 0) return undefined;
    const { stream, meter } = this.#options;
    meter.wrote(bytes.length);
    return stream.write(bytes);
  }
}

interface Traits {
  /** Whether an event may say something of the answer that is not text. */
  readonly isOther: (event: string) => boolean;
  /** The member that says why it ended, where a stream may end with that. */
  readonly finish: Member | undefined;
  /** Members with text. */
  readonly spoken: readonly Member[];
  /** Whether an event is of those that come before anything is said. */
  readonly hasPreamble?: (event: string) => boolean;
}

const usage = member('usage');
const error = member('error');
const groq = member('x_groq');

const chatTraits: Traits = {
  isOther: (event) => hasValue(event, usage) || hasValue(event, error) || isShort(event) || valueAt(event, groq) >= 0,
  finish: member('finish_reason'),
  spoken: ['content', 'arguments', 'reasoning_content', 'reasoning', 'refusal'].map(member),
};

const traits: Readonly<Record<ClientDialectName, Traits>> = {
  chat: chatTraits,
  completions: { ...chatTraits, spoken: [member('text')] },
  messages: {
    isOther: (event) => !event.includes('"content_block_') && !event.includes('"ping"'),
    finish: undefined,
    spoken: ['text', 'thinking', 'partial_json'].map(member),
    hasPreamble: (event) =>
      event.includes('"message_start"') || event.includes('"ping"') || event.includes('"content_block_start"'),
  },
  responses: {
    isOther: (event) =>
      event.includes('"response.') && !event.includes('.delta"') ? isLifecycle(event) : event.includes('"error"'),
    finish: undefined,
    spoken: [member('delta')],
    hasPreamble: (event) =>
      event.includes('"response.created"') || event.includes('"response.in_progress"') || event.includes('"response.queued"'),
  },
};

const lifecycle = ['"response.created"', '"response.completed"', '"response.incomplete"', '"response.failed"'];

function isLifecycle(event: string): boolean {
  return lifecycle.some((type) => event.includes(type));
}

/** Whether the last line ends as a JSON object does. */
function endsAsObject(event: string): boolean {
  let end = event.length - 1;
  while (event.charCodeAt(end) <= space) end--;
  return event.charCodeAt(end) === closingBrace;
}

/** Half of an object would be read by the client before it hears that the answer broke off; what is no object at all it knows to pass over. */
function refuseBroken(event: Buffer): void {
  const data = readEvent(event)?.data.trim();
  if (data === undefined || !data.startsWith('{')) return;
  try {
    JSON.parse(data);
  } catch {
    throw new ReplyError('an event whose data is no JSON');
  }
}

/** `data: [DONE]` and its like. */
function isShort(event: string): boolean {
  return event.length < 24 && event.includes('[DONE]');
}

const quote = '"';
const colon = 0x3a;
const space = 0x20;
const closingBrace = 0x7d;
const backslash = '\\';

/** A member of an object, as it is looked for: text of at most six characters is found without a table that is made each time. */
interface Member {
  readonly name: string;
  readonly probe: string;
}

function member(name: string): Member {
  const quoted = `"${name}"`;
  return { name: quoted, probe: quoted.slice(-6) };
}

/** Where the value of a member begins; -1 where it is not there. In JSON, a text cannot hold the name with both of its quotes. */
function valueAt(event: string, { name, probe }: Member, from = 0): number {
  for (let found = event.indexOf(probe, from); found >= 0; found = event.indexOf(probe, found + 1)) {
    let at = found + probe.length;
    if (!event.startsWith(name, at - name.length)) continue;
    while (event[at] === ' ' || event[at] === ':') at++;
    return at;
  }
  return -1;
}

/** Whether a member is there and not null. */
function hasValue(event: string, name: Member): boolean {
  const at = valueAt(event, name);
  return at >= 0 && event[at] !== 'n';
}

function hasText(event: string, name: Member): boolean {
  const at = valueAt(event, name);
  return at >= 0 && event[at] === quote;
}

/** The text of the first of these members that has one. */
function spokenIn(event: string, names: readonly Member[]): Said | undefined {
  for (const name of names) {
    for (let at = valueAt(event, name); at >= 0; at = valueAt(event, name, at)) {
      if (event[at] !== quote) continue;
      const end = endOfText(event, at + 1);
      if (end > at + 1) return { start: at + 1, end };
    }
  }
  return undefined;
}

interface Said {
  readonly start: number;
  readonly end: number;
}

/** The quote that ends a text. */
function endOfText(event: string, start: number): number {
  let end = event.indexOf(quote, start);
  while (end > 0 && isEscaped(event, end)) end = event.indexOf(quote, end + 1);
  return end;
}

function isEscaped(event: string, at: number): boolean {
  let before = at;
  while (event[before - 1] === backslash) before--;
  return (at - before) % 2 === 1;
}

/** Of a dialect that nobody speaks. */
const textless = { textsOf: () => [] };
