/** Refuses, cleans or notes what a streaming answer holds, while it passes. */

import { mostJudged } from '../content/judge-limit.ts';
import type { Blank } from '../content/redact.ts';
import type { ContentHit } from '../content/screen.ts';
import type { StreamProgress, StreamScreen } from '../content/stream-screen.ts';
import { GatewayError } from '../errors.ts';
import type { ClientDialect, TextSlot } from '../models/dialect.ts';
import { EventTextReader, type EventTexts } from '../models/event-texts.ts';
import { inTurns, type Steps } from '../turns.ts';
import type { AnswerStream } from '../upstreams/upstream.ts';
import { type RawEvent, SseCutter, withData } from '../wire/sse-cutter.ts';
import { ContentRefusal } from './screen.ts';

/** An answer that is looked through on its way. */
interface StreamInspection extends AnswerStream {
  /**
   * The answer has come to its end: what is still held is judged as it stands and goes on. Not to be called for a stream that broke
   * off. Throws, or rejects with, ContentRefusal.
   */
  end(): Promise<void> | undefined;
  /** What was found so far, for the record. */
  readonly hits: readonly ContentHit[];
}

/** Rejects with ContentRefusal, as `judgeAnswer` does. */
type StreamJudge = (texts: readonly string[]) => Promise<readonly ContentHit[]>;

/** Larger events are none that a model sends. */
const largestEventBytes = 16 * 1024 * 1024;
/** Held bytes and events with text of other channels, beyond which a held channel is let go. */
const mostHeldBytes = 1024 * 1024;
const mostOvertaking = 8;
/** A longer text is looked through in parts of this many UTF-16 code units, and others have a turn between them. */
const readAtOnce = 8192;
/** Stretches to be blanked out of one channel that are still to be written. With more, nothing of the answer is worth reading. */
const mostBlanks = 150_000;
/** Choices, tool calls and parts of one answer; names of them are the provider's own. */
const mostChannels = 1000;

/**
 * Passes a stream of server-sent events on as `screen` allows. Whole events are held while some of their text is; they go on in the
 * order they came, as the very bytes they were where nothing in them is blanked out. A rule that blocks ends the stream: what stood
 * before it goes out, then `write` throws, or rejects with, ContentRefusal. `capability` names the model in the refusal.
 *
 * `judge` is asked once, at the end, about all that was said; what ends the answer waits for it, the words before do not.
 */
export function passInspected(
  screen: StreamScreen | undefined,
  dialect: Pick<ClientDialect, 'textsOf' | 'isEnd'>,
  sink: AnswerStream,
  capability: string,
  judge?: StreamJudge,
): StreamInspection {
  return new Inspection(screen, dialect, sink, capability, judge);
}

/** A text in a held event, and where it stands in all that came of its channel. */
interface HeldText {
  readonly slot: TextSlot;
  readonly start: number;
  readonly end: number;
}

interface HeldEvent {
  readonly event: RawEvent;
  readonly said: EventTexts;
  readonly texts: readonly HeldText[];
  /** With a judge: what goes on before it has spoken. */
  readonly isWords: boolean;
}

interface Channel {
  came: number;
  released: number;
  /** In order; those before `written` are written. */
  readonly blanks: Blank[];
  written: number;
  /** The end of its text, where a judge will be asked. */
  said: string;
}

class Inspection implements StreamInspection {
  readonly #screen: StreamScreen | undefined;
  readonly #judge: StreamJudge | undefined;
  readonly #reader: EventTextReader;
  readonly #isEnd: (event: RawEvent) => boolean;
  readonly #sink: AnswerStream;
  readonly #capability: string;
  readonly #cutter = new SseCutter(largestEventBytes);
  readonly #channels = new Map<string, Channel>();
  #held: HeldEvent[] = [];
  /** How many of the first held ones may go on. */
  #free = 0;
  #heldBytes = 0;
  #overtaking = 0;
  #blocked: readonly string[] = [];
  #judged: readonly ContentHit[] = [];

  constructor(
    screen: StreamScreen | undefined,
    dialect: Pick<ClientDialect, 'textsOf' | 'isEnd'>,
    sink: AnswerStream,
    capability: string,
    judge: StreamJudge | undefined,
  ) {
    this.#judge = judge;
    this.#screen = screen;
    this.#reader = new EventTextReader(dialect);
    this.#isEnd = ({ data }) => data !== undefined && dialect.isEnd?.(data) === true;
    this.#sink = sink;
    this.#capability = capability;
  }

  get hits(): readonly ContentHit[] {
    const found = this.#screen?.hits ?? [];
    return this.#judged.length === 0 ? found : [...found, ...this.#judged];
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#refuseBlocked();
    const taken = inTurns(this.#takeAll(this.#cut(bytes)));
    const isWhole = this.#judge === undefined;
    return taken instanceof Promise ? taken.then(() => this.#pass(isWhole)) : this.#pass(isWhole);
  }

  end(): Promise<void> | undefined {
    this.#refuseBlocked();
    const ended = this.#screen === undefined ? undefined : inTurns(this.#endScreen(this.#screen));
    return ended instanceof Promise ? ended.then(() => this.#finishAnswer()) : this.#finishAnswer();
  }

  *#endScreen(screen: StreamScreen): Steps<void> {
    for (const [index, name] of screen.channels.entries()) {
      if (index > 0) yield;
      this.#settle(this.#channelOf(name), screen.end(name));
    }
  }

  #finishAnswer(): Promise<void> | undefined {
    const { rest } = this.#cutter;
    if (rest.length > 0)
      this.#hold({ event: { bytes: rest, data: undefined }, said: this.#reader.read(undefined), texts: [], isWords: false });
    if (this.#judge === undefined || this.#blocked.length > 0) return this.#pass(true);
    const said = [...this.#channels.values()].map(({ said }) => said);
    return this.#judge(said).then((hits) => {
      this.#judged = hits;
      return this.#pass(true);
    });
  }

  #cut(bytes: Buffer): readonly RawEvent[] {
    try {
      return this.#cutter.push(bytes);
    } catch (error) {
      throw new GatewayError('upstream_failed', 'The model sent an event that is too large to be looked through.', {
        cause: error,
      });
    }
  }

  *#takeAll(events: readonly RawEvent[]): Steps<void> {
    for (const event of events) {
      yield* this.#take(event);
      if (this.#blocked.length > 0) return;
    }
  }

  *#take(event: RawEvent): Steps<void> {
    const said = this.#reader.read(event.data);
    const texts: HeldText[] = [];
    let read = 0;
    for (const slot of said.slots) {
      if (slot.text === '') continue;
      const channel = this.#channelOf(slot.channel);
      const start = channel.came;
      channel.came += slot.text.length;
      texts.push({ slot, start, end: channel.came });
      if (this.#judge !== undefined) channel.said = (channel.said + slot.text).slice(-mostJudged);
      if (this.#screen === undefined) channel.released = channel.came;
      else if (slot.text.length <= readAtOnce) this.#settle(channel, this.#screen.push(slot.channel, slot.text));
      else yield* this.#takeLong(this.#screen, slot, channel);
      read += slot.text.length;
      if (read < readAtOnce) continue;
      read = 0;
      yield;
    }
    const isWords = texts.length > 0 && !(this.#judge !== undefined && this.#isEnd(event));
    this.#hold({ event, said, texts, isWords });
    this.#overtake(texts);
  }

  *#takeLong(screen: StreamScreen, { channel: name, text }: TextSlot, channel: Channel): Steps<void> {
    for (let at = 0; at < text.length && this.#blocked.length === 0; at += readAtOnce) {
      this.#settle(channel, screen.push(name, text.slice(at, at + readAtOnce)));
      yield;
    }
  }

  #hold(held: HeldEvent): void {
    this.#held.push(held);
    this.#heldBytes += held.event.bytes.length;
  }

  // A model that has gone on to something else will hardly come back to what it was saying, and must not be held for it.
  #overtake(texts: readonly HeldText[]): void {
    const waiting = this.#firstWaiting()?.texts.find((text) => !this.#isFreeText(text));
    if (waiting === undefined) {
      this.#overtaking = 0;
      return;
    }
    const { channel } = waiting.slot;
    if (texts.some(({ slot }) => slot.channel === channel)) this.#overtaking = 0;
    else if (texts.length > 0) this.#overtaking++;
    if (this.#overtaking < mostOvertaking && this.#heldBytes < mostHeldBytes) return;
    this.#overtaking = 0;
    if (this.#screen !== undefined) this.#settle(this.#channelOf(channel), this.#screen.letGo(channel));
  }

  /** The first event that may not go on. What may go on once may do so for good. */
  #firstWaiting(): HeldEvent | undefined {
    while (this.#free < this.#held.length && this.#isFree(this.#held[this.#free]!)) this.#free++;
    return this.#held[this.#free];
  }

  #settle(channel: Channel, { released, blanks, blocked }: StreamProgress): void {
    channel.released = released;
    for (const blank of blanks) channel.blanks.push(blank);
    if (blocked.length > 0) this.#blocked = [...new Set([...this.#blocked, ...blocked])];
    if (channel.blanks.length - channel.written > mostBlanks) this.#blocked = ['content/unread'];
  }

  /** `isWhole`: also what follows the last words, which may be the end of the answer. */
  #pass(isWhole: boolean): Promise<void> | undefined {
    this.#firstWaiting();
    let count = this.#free;
    while (!isWhole && count > 0 && !this.#held[count - 1]!.isWords) count--;
    this.#free -= count;
    const free = this.#held.splice(0, count).map((held) => this.#finish(held));
    const [only] = free;
    const written = only === undefined ? undefined : this.#sink.write(free.length === 1 ? only : Buffer.concat(free));
    if (this.#blocked.length === 0) return written;
    if (written !== undefined) return written.then(() => this.#refuseBlocked());
    this.#refuseBlocked();
    return undefined;
  }

  #isFree({ texts }: HeldEvent): boolean {
    return texts.every((text) => this.#isFreeText(text));
  }

  #isFreeText({ slot, end }: HeldText): boolean {
    return end <= this.#channelOf(slot.channel).released;
  }

  /** The bytes of an event as they go out. */
  #finish({ event, said, texts }: HeldEvent): Buffer {
    this.#heldBytes -= event.bytes.length;
    let isChanged = false;
    for (const { slot, start, end } of texts) {
      const channel = this.#channelOf(slot.channel);
      if (channel.blanks.length === 0) continue;
      const text = withoutBlanks(slot.text, start, channel.blanks, channel.written);
      forgetBlanks(channel, end);
      if (text === slot.text) continue;
      slot.replace(text);
      isChanged = true;
    }
    return isChanged ? withData(event, JSON.stringify(said.document())) : event.bytes;
  }

  #channelOf(name: string): Channel {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      if (this.#channels.size >= mostChannels)
        throw new GatewayError('upstream_failed', `The model sent more than ${mostChannels} texts in one answer.`);
      channel = { came: 0, released: 0, blanks: [], written: 0, said: '' };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  #refuseBlocked(): void {
    if (this.#blocked.length === 0) return;
    throw new ContentRefusal(
      `The answer of ${this.#capability} went on to what must not be passed on (${this.#blocked.join(', ')}) and was ended there. Ask for something else, or ask whoever administers the model.`,
      this.hits,
    );
  }
}

const mostWritten = 1000;

/** Leaves behind what ends before an offset. */
function forgetBlanks(channel: Channel, end: number): void {
  const { blanks } = channel;
  while (channel.written < blanks.length && blanks[channel.written]!.end <= end) channel.written++;
  if (channel.written < blanks.length && channel.written < mostWritten) return;
  blanks.splice(0, channel.written);
  channel.written = 0;
}

/** A stretch that begins in another event has its mark there. */
function withoutBlanks(text: string, start: number, blanks: readonly Blank[], first: number): string {
  let out = '';
  let done = 0;
  for (let at = first; at < blanks.length; at++) {
    const blank = blanks[at]!;
    const from = blank.start - start;
    if (from >= text.length) break;
    if (blank.end <= start) continue;
    out += text.slice(done, Math.max(0, from)) + (from >= 0 ? blank.mark : '');
    done = Math.min(text.length, blank.end - start);
  }
  return out + text.slice(done);
}
