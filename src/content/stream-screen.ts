/** Content rules over a text that comes in pieces, such as the answer of a model. */
import type { ActiveRule, ContentCheck } from './content-check.ts';
import { decodeOpen, openEscape, resolveEscapes, type Unescaped } from './decode.ts';
import { type Finding, findDecoded } from './find.ts';
import { foldText, isAscii, openWord, toOriginal, type View } from './fold.ts';
import { type Blank, blanksOf } from './redact.ts';
import { gate } from './rule.ts';
import type { ContentHit } from './screen.ts';

/** What may go on of one channel's text. Offsets count UTF-16 code units from the first piece on. */
export interface StreamProgress {
  /** Everything before this may be released; it never becomes less. */
  readonly released: number;
  /** What became known to be blanked out, in order; all of it lies before `released`. */
  readonly blanks: readonly Blank[];
  /** Ids of the rules that say the stream must end here, before anything that was not released; empty: it goes on. */
  readonly blocked: readonly string[];
}

/**
 * The longest stretch that is held back, in UTF-16 code units: a private key with its marks, which is the longest thing a rule finds.
 * What is longer (a JSON Web Token can be made so, a comment, a run of base64) is judged as far as it goes.
 */
export const longestHold = 17_000;

/**
 * One answer. Says of each of its channels how much may be released: nothing is held back but what could still become part of a match
 * of a rule that redacts or blocks. Takes time linear to the text, however it is cut. Finds what `screenValue` finds in the whole text.
 */
export class StreamScreen {
  readonly #check: ContentCheck;
  readonly #channels = new Map<string, ChannelScreen>();
  readonly #counts = new Map<string, { readonly active: ActiveRule; readonly channel: string; count: number }>();

  constructor(check: ContentCheck) {
    this.#check = check;
  }

  push(channel: string, text: string): StreamProgress {
    return this.#of(channel).push(text);
  }

  /** Decides on what is held of a channel as it stands. More may follow: what began before can then be found, but not be held back. */
  letGo(channel: string): StreamProgress {
    return this.#of(channel).letGo();
  }

  /** Nothing follows: what is still held is judged as it stands. By channel. */
  end(): ReadonlyMap<string, StreamProgress> {
    return new Map([...this.#channels].map(([name, channel]) => [name, channel.end()]));
  }

  /** What was found so far, for the record. */
  get hits(): readonly ContentHit[] {
    const { direction } = this.#check;
    return [...this.#counts.values()].map(({ active: { rule, action }, channel, count }) => ({
      ...{ ruleId: rule.id, category: rule.category, severity: rule.severity, direction, action },
      ...{ pointer: `/${channel}`, count },
    }));
  }

  #of(name: string): ChannelScreen {
    let channel = this.#channels.get(name);
    if (channel === undefined) {
      // Each name is the provider's own: one that makes up names must not fill the memory.
      const known = this.#channels.size < mostChannels ? name : 'others';
      channel = this.#channels.get(known) ?? new ChannelScreen(this.#check, (active) => this.#note(active, known));
      this.#channels.set(known, channel);
    }
    return channel;
  }

  #note(active: ActiveRule, channel: string): void {
    const shown = /^[A-Za-z0-9_.$/-]{1,100}$/.test(channel) ? channel : '*';
    const key = `${active.rule.id} ${shown}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { active, channel: shown, count: 1 });
    else known.count++;
  }
}

const mostChannels = 1000;
/** What rules look back at from where a match begins: five words before an order, the scheme of a URL. */
const lookBack = 300;
/** From here on a held text is looked at again only when it has grown by an eighth. */
const longWait = 256;

/** How far a rule has decided, in the text as it came and in the text with its escapes resolved. */
interface Reader {
  readonly active: ActiveRule;
  readonly isStrict: boolean;
  plain: number;
  unescaped: number;
}

class ChannelScreen {
  readonly #note: (active: ActiveRule) => void;
  readonly #check: ContentCheck;
  readonly #readers: readonly Reader[];
  readonly #hasFolded: boolean;
  readonly #holds: boolean;
  readonly #decodes: boolean;
  /** The end of what came, from `#base` on. */
  #text = '';
  #base = 0;
  #decoded = 0;
  #released = 0;
  /** Everything before this is decided by every rule. */
  #watched = 0;
  #nextLook = 0;
  /** What was found and is not yet left behind. */
  #findings: Finding[] = [];
  #blanks: Blank[] = [];
  #blocked = new Set<string>();

  constructor(check: ContentCheck, note: (active: ActiveRule) => void) {
    this.#check = check;
    this.#note = note;
    this.#readers = check.rules.map((active) => ({ active, isStrict: active.action !== 'flag', plain: 0, unescaped: 0 }));
    const folded = check.rules.filter(({ rule }) => rule.reads === 'folded');
    this.#hasFolded = folded.length > 0;
    this.#decodes = (check.gates & gate.encoded) !== 0;
    this.#holds = check.strictest !== 'flag';
  }

  get #end(): number {
    return this.#base + this.#text.length;
  }

  push(text: string): StreamProgress {
    this.#text += text;
    if (this.#end >= this.#nextLook) this.#look(true);
    if (this.#end - this.#watched > longestHold) this.#look(false);
    return this.#progress();
  }

  letGo(): StreamProgress {
    this.#look(true);
    if (this.#findings.length > 0) this.#blank(this.#end);
    this.#released = this.#end;
    return this.#progress();
  }

  end(): StreamProgress {
    this.#look(false);
    return this.#progress();
  }

  #progress(): StreamProgress {
    const blanks = this.#blanks;
    if (blanks.length > 0) this.#blanks = [];
    return { released: this.#released, blanks, blocked: this.#blocked.size === 0 ? none : [...this.#blocked] };
  }

  #look(isOpen: boolean): void {
    const text = isOpen && endsInHalf(this.#text) ? this.#text.slice(0, -1) : this.#text;
    const view = isAscii(text) ? { text, original: text, offsets: undefined } : foldText(text);
    const limit = isOpen && this.#hasFolded && view.offsets !== undefined ? openWord(text) : text.length;
    for (const reader of this.#readers) reader.plain = this.#read(reader, view, limit, isOpen);
    if (this.#decodes) {
      this.#readUnescaped(view, limit, isOpen);
      this.#readDecoded(view, limit, isOpen);
    }
    this.#settle(isOpen);
  }

  /** One rule over what it has not decided on. Returns how far that is now. */
  #read({ active, plain }: Reader, view: View, limit: number, isOpen: boolean): number {
    const { rule } = active;
    const isFolded = rule.reads === 'folded';
    const from = isFolded ? toFolded(view, plain - this.#base) : plain - this.#base;
    let decided = Number.POSITIVE_INFINITY;
    const read = rule.find(
      view,
      (start, end) => {
        const [first, last] = isFolded ? toOriginal(view, start, end) : [start, end];
        if (isFolded && last > limit) decided = Math.min(decided, first);
        if (first < decided) this.#found({ active, start: this.#base + first, end: this.#base + last });
      },
      from,
      isOpen,
    );
    return Math.max(plain, this.#base + Math.min(decided, isFolded ? Math.min(limit, fromFolded(view, read)) : read));
  }

  #readUnescaped(view: View, limit: number, isOpen: boolean): void {
    const whole = isOpen ? Math.min(openEscape(view.text), toFolded(view, limit)) : view.text.length;
    const text = whole === view.text.length ? view.text : view.text.slice(0, whole);
    const unescaped = mayEscape(text) ? resolveEscapes(text) : undefined;
    const stop = this.#base + fromFolded(view, whole);
    for (const reader of this.#readers) {
      if (reader.active.rule.reads === 'original') reader.unescaped = reader.plain;
      else
        reader.unescaped =
          unescaped === undefined ? Math.min(reader.plain, stop) : this.#readResolved(reader, view, unescaped, isOpen);
    }
  }

  #readResolved(reader: Reader, view: View, { text, offsets }: Unescaped, isOpen: boolean): number {
    const from = lowerBound(offsets, toFolded(view, reader.unescaped - this.#base));
    let decided = Number.POSITIVE_INFINITY;
    const read = reader.active.rule.find(
      { text, original: text, offsets: undefined },
      (start, end) => {
        const found = this.#findingOf(reader.active, view, offsets[start] ?? 0, offsets[end] ?? view.text.length);
        // What was found without resolving is the same; that has to be known first.
        if (found.end > reader.plain) decided = Math.min(decided, found.start);
        if (found.start < decided) this.#foundNew(found);
      },
      from,
      isOpen,
    );
    return Math.max(reader.unescaped, Math.min(decided, this.#base + fromFolded(view, offsets[read] ?? view.text.length)));
  }

  #readDecoded(view: View, limit: number, isOpen: boolean): void {
    const settled = this.#readers.reduce((least, { plain, unescaped }) => Math.min(least, plain, unescaped), this.#end);
    const from = toFolded(view, this.#decoded - this.#base);
    const read = decodeOpen(isOpen ? view.text.slice(0, toFolded(view, limit)) : `${view.text} `, from, (part) => {
      const found = this.#findingOf(undefined, view, part.start, part.end);
      if (isOpen && found.end > settled) return false;
      for (const { active } of findDecoded(this.#check, part.text)) this.#foundNew({ ...found, active });
      return true;
    });
    this.#decoded = this.#base + fromFolded(view, Math.min(read, view.text.length));
  }

  #findingOf<Active extends ActiveRule | undefined>(active: Active, view: View, from: number, to: number) {
    const [start, end] = toOriginal(view, from, to);
    return { active, start: this.#base + start, end: this.#base + end };
  }

  #foundNew(found: Finding): void {
    const { active } = found;
    if (active.rule.reads === 'original') return;
    if (!this.#findings.some((other) => other.active === active && other.start < found.end && found.start < other.end))
      this.#found(found);
  }

  #found(found: Finding): void {
    this.#findings.push(found);
    this.#note(found.active);
    if (found.active.action === 'block') this.#blocked.add(found.active.rule.id);
  }

  #settle(isOpen: boolean): void {
    const end = isOpen && endsInHalf(this.#text) ? this.#end - 1 : this.#end;
    let watched = this.#decodes ? this.#decoded : end;
    let held = this.#decodes && this.#holds ? this.#decoded : this.#holds ? end : this.#end;
    for (const { isStrict, plain, unescaped } of this.#readers) {
      const read = this.#decodes ? Math.min(plain, unescaped) : plain;
      watched = Math.min(watched, read);
      if (isStrict) held = Math.min(held, read);
    }
    if (!isOpen) watched = held = this.#end;
    this.#watched = watched;
    if (this.#findings.length > 0) held = this.#blank(held);
    this.#released = Math.max(this.#released, held);
    const waits = this.#end - watched;
    this.#nextLook = waits > longWait ? this.#end + (waits >>> 3) : 0;
    if (!isOpen) for (const reader of this.#readers) reader.plain = reader.unescaped = this.#end;
    if (!isOpen) this.#decoded = this.#end;
    this.#forget(Math.min(watched, this.#released));
  }

  /** Takes the stretches that end before `held`; one that reaches beyond it is held from its start. */
  #blank(held: number): number {
    for (const { start, end, mark } of blanksOf(this.#findings)) {
      if (end <= this.#released) continue;
      if (end > held) return Math.min(held, start);
      this.#blanks.push({ start: Math.max(start, this.#released), end, mark });
    }
    return held;
  }

  #forget(needed: number): void {
    const cut = needed - lookBack;
    if (cut - this.#base < 4 * lookBack) return;
    this.#text = this.#text.slice(cut - this.#base);
    this.#base = cut;
    if (this.#findings.length > 0) this.#findings = this.#findings.filter(({ end }) => end > cut);
  }
}

const none: readonly string[] = Object.freeze([]);

function endsInHalf(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00;
}

function mayEscape(text: string): boolean {
  return text.includes('%') || text.includes('\\u');
}

/** The first offset of the folded text that came from this one of the original, or from behind it. */
function toFolded({ offsets }: View, at: number): number {
  return offsets === undefined ? at : lowerBound(offsets, at);
}

function fromFolded({ offsets, original }: View, at: number): number {
  return offsets === undefined ? at : (offsets[at] ?? original.length);
}

function lowerBound(offsets: Uint32Array, wanted: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (offsets[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
