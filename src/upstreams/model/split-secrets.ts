import type { ClientDialect, TextSlot } from '../../models/dialect.ts';
import { EventTextReader, type EventTexts } from '../../models/event-texts.ts';
import { type RawEvent, SseCutter, withData } from '../../wire/sse-cutter.ts';
import { beginningAt, findIn, inPlain, openEscapeAt, type Plain, type Span, spellingsOf } from '../spellings.ts';
import { beginningsOf, mayBegin } from './beginnings.ts';
import { headsIn } from './call-heads.ts';
import type { OpenTarget } from './open-target.ts';

/** Fewer characters of a secret tell nothing (`sk-`), and many a word ends in them: they are not waited with. */
const leastHeld = 4;
/** Texts of other channels, and bytes, beyond which nothing is waited with any longer. */
const mostOvertaking = 8;
const mostHeldBytes = 1024 * 1024;

/** What follows each other, as a client puts it together. */
interface Channel {
  came: number;
  /** The end of what came, as far as a secret begins so. */
  tail: string;
  /** Characters of the secret that it is. */
  known: number;
  /** Of that secret. */
  length: number;
  overtaken: number;
  blanks: readonly Span[];
}

interface HeldText extends Span {
  readonly slot: TextSlot;
  readonly channel: Channel;
}

interface HeldEvent {
  readonly event: RawEvent;
  readonly said: EventTexts | undefined;
  readonly texts: readonly HeldText[];
}

/**
 * Blanks out secrets of a target that come back in pieces, each in an event of its own. Costs a look at the end of each text until one
 * of them ends as a secret begins; from there events are read, and held while four characters or more of one may have come.
 */
export class SplitSecrets {
  readonly #reader: EventTextReader;
  readonly #target: Pick<OpenTarget, 'secrets'>;
  // What comes here was measured before.
  readonly #cutter = new SseCutter(Number.POSITIVE_INFINITY);
  readonly #channels = new Map<string, Channel>();
  #held: HeldEvent[] = [];
  #heldBytes = 0;
  #isWatching = false;

  constructor(dialect: Pick<ClientDialect, 'textsOf'>, target: Pick<OpenTarget, 'secrets'>) {
    this.#reader = new EventTextReader({ textsOf: (document) => [...dialect.textsOf(document), ...headsIn(document)] });
    this.#target = target;
  }

  /** To be told of each text of the model before the bytes that hold it pass. */
  saw(text: string, start: number, end: number): void {
    if (this.#isWatching) return;
    const { secrets } = this.#target;
    this.#isWatching = secrets.length > 0 && mayBegin(beginningsOf(secrets), text, start, end);
  }

  /** Whole events, and what of them and of those before may go on. */
  pass(bytes: Buffer): Buffer {
    if (!this.#isWatching) return bytes;
    for (const event of this.#cutter.push(bytes)) this.#take(event);
    if (this.#heldBytes > mostHeldBytes) for (const channel of this.#channels.values()) letGo(channel);
    const free = this.#release();
    this.#isWatching = this.#held.length > 0 || [...this.#channels.values()].some(({ tail }) => tail !== '');
    return free;
  }

  /** The rest: what is left of a secret that was cut off. */
  end(): Buffer {
    for (const channel of this.#channels.values()) letGo(channel);
    return Buffer.concat([this.#release(), this.#cutter.rest]);
  }

  #take(event: RawEvent): void {
    const said = this.#read(event);
    const texts = said?.slots.flatMap((slot) => (slot.text === '' ? [] : [this.#look(slot)])) ?? [];
    this.#held.push({ event, said, texts });
    this.#heldBytes += event.bytes.length;
    for (const channel of this.#channels.values()) {
      if (channel.tail === '' || texts.length === 0 || texts.some((text) => text.channel === channel)) continue;
      if (++channel.overtaken >= mostOvertaking) letGo(channel);
    }
  }

  // What is no JSON holds no text that a client would read.
  #read({ data }: RawEvent): EventTexts | undefined {
    try {
      return this.#reader.read(data);
    } catch {
      return undefined;
    }
  }

  #look(slot: TextSlot): HeldText {
    const channel = this.#channelOf(slot.channel);
    const spellings = spellingsOf(this.#target.secrets);
    const seen = channel.tail + slot.text;
    const from = channel.came - channel.tail.length;
    const found = findIn(plainOf(seen), spellings).map(({ start, end }) => ({ start: from + start, end: from + end }));
    if (found.length > 0) channel.blanks = [...channel.blanks, ...found];
    // What comes next says what an escape is that has only begun.
    const open = openEscapeAt(seen);
    const closed = plainOf(seen.slice(0, open));
    const { length, of } = beginningAt(closed.text, spellings);
    channel.tail = seen.slice(length === 0 ? open : closed.startOf(closed.text.length - length));
    channel.known = length;
    channel.length = of;
    channel.overtaken = 0;
    const start = channel.came;
    channel.came += slot.text.length;
    return { slot, channel, start, end: channel.came };
  }

  #channelOf(name: string): Channel {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      channel = { came: 0, tail: '', known: 0, length: 0, overtaken: 0, blanks: [] };
      this.#channels.set(name, channel);
    }
    return channel;
  }

  #release(): Buffer {
    let count = 0;
    while (count < this.#held.length && this.#held[count]?.texts.every(isFree)) count++;
    const free = this.#held.splice(0, count);
    for (const { event } of free) this.#heldBytes -= event.bytes.length;
    return Buffer.concat(free.map(written));
  }
}

/** A good part of a secret is not given away because the rest did not come. */
function letGo(channel: Channel): void {
  const { tail, known, came, length } = channel;
  if (known >= leastHeld && known * 2 >= length) channel.blanks = [...channel.blanks, { start: came - tail.length, end: came }];
  channel.tail = '';
  channel.known = 0;
}

/** Secrets are compared byte by byte, and texts are not in bytes. */
function plainOf(text: string): Plain {
  const bytes = Buffer.from(text);
  const plain = inPlain(bytes.toString('latin1'));
  if (bytes.length === text.length) return plain;
  const charactersTo = (end: number) => bytes.subarray(0, end).toString().length;
  return {
    text: plain.text,
    startOf: (at) => charactersTo(plain.startOf(at)),
    endOf: (at) => charactersTo(plain.endOf(at)),
  };
}

function isFree({ end, channel: { came, tail } }: HeldText): boolean {
  return tail.length < leastHeld || end <= came - tail.length;
}

/** The bytes of an event as they go out: those that came, where nothing in them is blanked out. */
function written({ event, said, texts }: HeldEvent): Buffer {
  // One text may be in two channels.
  const changed = new Map<TextSlot['replace'], string>();
  for (const { slot, start, end, channel } of texts) {
    if (channel.blanks.length === 0) continue;
    const before = changed.get(slot.replace) ?? slot.text;
    const text = channel.blanks.reduce((left, blank) => starred(left, blank.start - start, blank.end - start), before);
    channel.blanks = channel.blanks.filter((blank) => blank.end > end);
    if (text !== before) changed.set(slot.replace, text);
  }
  if (changed.size === 0) return event.bytes;
  for (const [replace, text] of changed) replace(text);
  return withData(event, JSON.stringify(said?.document()));
}

function starred(text: string, start: number, end: number): string {
  const [from, to] = [Math.max(0, start), Math.min(text.length, end)];
  return from >= to ? text : text.slice(0, from) + '*'.repeat(to - from) + text.slice(to);
}
