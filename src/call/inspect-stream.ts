/** Refuses, cleans or notes what a streaming answer holds, while it passes. */

import { mostJudged } from '../content/judge-limit.ts';
import type { Blank } from '../content/redact.ts';
import type { ContentHit } from '../content/screen.ts';
import type { StreamProgress, StreamScreen } from '../content/stream-screen.ts';
import { GatewayError } from '../errors.ts';
import type { ClientDialect, TextSlot } from '../models/dialect.ts';
import { EventTextReader, type EventTexts } from '../models/event-texts.ts';
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
  dialect: Pick<ClientDialect, 'textsOf'>,
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
}

interface Channel {
  came: number;
  released: number;
  /** Not yet written, in order. */
  blanks: readonly Blank[];
  /** The end of its text, where a judge will be asked. */
  said: string;
}

class Inspection implements StreamInspection {
  readonly #screen: StreamScreen | undefined;
  readonly #judge: StreamJudge | undefined;
  readonly #reader: EventTextReader;
  readonly #sink: AnswerStream;
  readonly #capability: string;
  readonly #cutter = new SseCutter(largestEventBytes);
  readonly #channels = new Map<string, Channel>();
  #held: HeldEvent[] = [];
  #heldBytes = 0;
  #overtaking = 0;
  #blocked: readonly string[] = [];
  #judged: readonly ContentHit[] = [];

  constructor(
    screen: StreamScreen | undefined,
    dialect: Pick<ClientDialect, 'textsOf'>,
    sink: AnswerStream,
    capability: string,
    judge: StreamJudge | undefined,
  ) {
    this.#judge = judge;
    this.#screen = screen;
    this.#reader = new EventTextReader(dialect);
    this.#sink = sink;
    this.#capability = capability;
  }

  get hits(): readonly ContentHit[] {
    const found = this.#screen?.hits ?? [];
    return this.#judged.length === 0 ? found : [...found, ...this.#judged];
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#refuseBlocked();
    for (const event of this.#cut(bytes)) {
      this.#take(event);
      if (this.#blocked.length > 0) break;
    }
    return this.#pass(this.#judge === undefined);
  }

  end(): Promise<void> | undefined {
    this.#refuseBlocked();
    for (const [name, progress] of this.#screen?.end() ?? []) this.#settle(this.#channelOf(name), progress);
    const { rest } = this.#cutter;
    if (rest.length > 0) this.#hold({ event: { bytes: rest, data: undefined }, said: this.#reader.read(undefined), texts: [] });
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

  #take(event: RawEvent): void {
    const said = this.#reader.read(event.data);
    const texts: HeldText[] = [];
    for (const slot of said.slots) {
      if (slot.text === '') continue;
      const channel = this.#channelOf(slot.channel);
      const start = channel.came;
      channel.came += slot.text.length;
      texts.push({ slot, start, end: channel.came });
      if (this.#judge !== undefined) channel.said = (channel.said + slot.text).slice(-mostJudged);
      if (this.#screen === undefined) channel.released = channel.came;
      else this.#settle(channel, this.#screen.push(slot.channel, slot.text));
    }
    this.#hold({ event, said, texts });
    this.#overtake(texts);
  }

  #hold(held: HeldEvent): void {
    this.#held.push(held);
    this.#heldBytes += held.event.bytes.length;
  }

  // A model that has gone on to something else will hardly come back to what it was saying, and must not be held for it.
  #overtake(texts: readonly HeldText[]): void {
    const first = this.#held.find((held) => !this.#isFree(held));
    const waiting = first?.texts.find((text) => !this.#isFreeText(text));
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

  #settle(channel: Channel, { released, blanks, blocked }: StreamProgress): void {
    channel.released = released;
    if (blanks.length > 0) channel.blanks = [...channel.blanks, ...blanks];
    if (blocked.length > 0) this.#blocked = [...new Set([...this.#blocked, ...blocked])];
  }

  /** `isWhole`: also what follows the last words, which may be the end of the answer. */
  #pass(isWhole: boolean): Promise<void> | undefined {
    let count = 0;
    while (count < this.#held.length && this.#isFree(this.#held[count]!)) count++;
    while (!isWhole && count > 0 && this.#held[count - 1]!.texts.length === 0) count--;
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
      const text = withoutBlanks(slot.text, start, channel.blanks);
      channel.blanks = channel.blanks.filter((blank) => blank.end > end);
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
      channel = { came: 0, released: 0, blanks: [], said: '' };
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

/** A stretch that begins in another event has its mark there. */
function withoutBlanks(text: string, start: number, blanks: readonly Blank[]): string {
  let out = '';
  let done = 0;
  for (const blank of blanks) {
    const from = blank.start - start;
    if (from >= text.length) break;
    if (blank.end <= start) continue;
    out += text.slice(done, Math.max(0, from)) + (from >= 0 ? blank.mark : '');
    done = Math.min(text.length, blank.end - start);
  }
  return out + text.slice(done);
}
