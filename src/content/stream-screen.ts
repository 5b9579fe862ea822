/** Content rules over a text that comes in pieces, such as the answer of a model. */
import { type Beginnings, beginningsOf } from './beginnings.ts';
import type { ActiveRule, ContentCheck } from './content-check.ts';
import { decodeOpen, mayBeEncoded, openEscape, resolveEscapes, type Unescaped } from './decode.ts';
import { type Finding, findDecoded } from './find.ts';
import { firstFrom, toOriginal, type View } from './fold.ts';
import { GrowingView, openWord } from './growing-view.ts';
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

  /** Nothing follows: what is still held of a channel is judged as it stands. */
  end(channel: string): StreamProgress {
    return this.#of(channel).end();
  }

  /** Names of what was pushed so far. */
  get channels(): readonly string[] {
    return [...this.#channels.keys()];
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
      channel = new ChannelScreen(this.#check, (active) => this.#note(active, name));
      this.#channels.set(name, channel);
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

/** What rules look back at from where a match begins: five words before an order, the scheme of a URL. */
const lookBack = 300;
/** From here on a held text is looked at again only when it has grown by an eighth. */
const longWait = 256;

/** How far a rule has decided that has something open, in the text as it came and in the text with its escapes resolved. */
interface Reader {
  readonly active: ActiveRule;
  readonly isFolded: boolean;
  isAwake: boolean;
  plain: number;
  unescaped: number;
}

interface Escapes {
  /** Offset of the first that is not whole yet, or of the end. */
  readonly stop: number;
  readonly resolved: Unescaped | undefined;
}

class ChannelScreen {
  readonly #note: (active: ActiveRule) => void;
  readonly #check: ContentCheck;
  readonly #readers: readonly Reader[];
  readonly #beginnings: Beginnings;
  readonly #holds: boolean;
  readonly #decodes: boolean;
  /** The end of what came, from `#base` on. */
  #text = '';
  #base = 0;
  /** Up to here every rule has looked; those that are not awake have nothing open there. */
  #looked = 0;
  #decoded = 0;
  #released = 0;
  /** Everything before this is decided by every rule. */
  #watched = 0;
  #nextLook = 0;
  /** Where the last character beyond ASCII came, and the last that an escape begins with. */
  #foreignAt = -1;
  #escapeAt = -1;
  /** Where an escape begins that is not whole yet. */
  #escaped = Number.POSITIVE_INFINITY;
  #fold = new GrowingView();
  #awake: Reader[] = [];
  /** What was found and is not yet left behind. */
  #findings: Finding[] = [];
  #blanks: Blank[] = [];
  #blockedAt = Number.POSITIVE_INFINITY;
  readonly #blocked = new Set<string>();

  constructor(check: ContentCheck, note: (active: ActiveRule) => void) {
    this.#check = check;
    this.#note = note;
    this.#readers = check.rules.map((active) => {
      const isFolded = active.rule.reads === 'folded';
      return { active, isFolded, isAwake: false, plain: 0, unescaped: 0 };
    });
    this.#beginnings = beginningsOf(check);
    this.#decodes = (check.gates & gate.encoded) !== 0;
    this.#holds = check.strictest !== 'flag';
  }

  get #end(): number {
    return this.#base + this.#text.length;
  }

  push(text: string): StreamProgress {
    const start = this.#end;
    this.#text += text;
    this.#noteSigns(text, start);
    if (this.#end >= this.#nextLook) this.#look(true);
    if (this.#end - this.#watched > longestHold) this.#look(false);
    return this.#progress();
  }

  letGo(): StreamProgress {
    this.#look(true);
    if (this.#findings.length > 0) this.#blank(this.#end);
    this.#released = Math.min(this.#end, this.#blockedAt);
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

  #noteSigns(text: string, start: number): void {
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code >= 128) this.#foreignAt = start + at;
      else if (code === 0x25 || code === 0x5c) this.#escapeAt = start + at;
    }
  }

  #look(isOpen: boolean): void {
    const isHalf = isOpen && this.#foreignAt === this.#end - 1 && endsInHalf(this.#text);
    const text = isHalf ? this.#text.slice(0, -1) : this.#text;
    const hasForeign = this.#foreignAt >= this.#base;
    const view = hasForeign ? this.#fold.of(text) : { text, original: text, offsets: undefined };
    const limit = isOpen && hasForeign ? openWord(text) : text.length;
    const unescaped = this.#unescape(view, limit, isOpen);
    if (!isOpen || unescaped?.resolved !== undefined) for (const reader of this.#readers) this.#wake(reader);
    else this.#wakeFor(view);
    for (const reader of this.#awake) reader.plain = this.#read(reader, view, limit, isOpen);
    this.#readUnescaped(view, unescaped, isOpen);
    if (this.#decodes) this.#readDecoded(view, limit, isOpen);
    this.#looked = this.#base + text.length;
    this.#settle(isOpen);
  }

  #wakeFor(view: View): void {
    const from = this.#looked - this.#base;
    const { offsets, text, original } = view;
    this.#beginnings.look(original, from, (rule) => {
      const reader = this.#readers[rule]!;
      if (offsets === undefined || !reader.isFolded) this.#wake(reader);
    });
    if (offsets === undefined) return;
    this.#beginnings.look(text, toFolded(view, from), (rule) => {
      const reader = this.#readers[rule]!;
      if (reader.isFolded) this.#wake(reader);
    });
  }

  #wake(reader: Reader): void {
    if (reader.isAwake) return;
    reader.isAwake = true;
    reader.plain = this.#looked;
    reader.unescaped = Math.min(this.#looked, this.#escaped);
    this.#awake.push(reader);
  }

  /** One rule over what it has not decided on. Returns how far that is now. */
  #read({ active, isFolded, plain }: Reader, view: View, limit: number, isOpen: boolean): number {
    const { rule } = active;
    const from = isFolded ? toFolded(view, plain - this.#base) : plain - this.#base;
    let decided = Number.POSITIVE_INFINITY;
    const read = rule.find(
      view,
      (start, end) => {
        const [first, last] = isFolded ? toOriginal(view, start, end) : [start, end];
        if (isFolded && last > limit) decided = Math.min(decided, first);
        if (first < decided) this.#found({ active, start: this.#base + first, end: this.#base + last });
        return false;
      },
      { from, until: Number.POSITIVE_INFINITY, isOpen },
    );
    return Math.max(plain, this.#base + Math.min(decided, isFolded ? Math.min(limit, fromFolded(view, read)) : read));
  }

  /** The text with its escapes resolved, as far as the last of them is whole; undefined where there is no trace of one. */
  #unescape(view: View, limit: number, isOpen: boolean): Escapes | undefined {
    if (!this.#decodes || this.#escapeAt < this.#base) return undefined;
    const whole = isOpen ? Math.min(openEscape(view.text), toFolded(view, limit)) : view.text.length;
    return { stop: this.#base + fromFolded(view, whole), resolved: resolveEscapes(view.text.slice(0, whole)) };
  }

  #readUnescaped(view: View, unescaped: Escapes | undefined, isOpen: boolean): void {
    const stop = unescaped?.stop ?? Number.POSITIVE_INFINITY;
    for (const reader of this.#awake) {
      if (unescaped?.resolved !== undefined && reader.isFolded)
        reader.unescaped = this.#readResolved(reader, view, unescaped.resolved, isOpen);
      else reader.unescaped = Math.min(reader.plain, stop);
    }
    this.#escaped = stop;
  }

  #readResolved(reader: Reader, view: View, { text, offsets }: Unescaped, isOpen: boolean): number {
    const from = firstFrom(offsets, toFolded(view, reader.unescaped - this.#base));
    let decided = Number.POSITIVE_INFINITY;
    const read = reader.active.rule.find(
      { text, original: text, offsets: undefined },
      (start, end) => {
        const found = this.#findingOf(reader.active, view, offsets[start] ?? 0, offsets[end] ?? view.text.length);
        // What was found without resolving is the same; that has to be known first.
        if (found.end > reader.plain) decided = Math.min(decided, found.start);
        if (found.start < decided) this.#foundNew(found);
        return false;
      },
      { from, until: Number.POSITIVE_INFINITY, isOpen },
    );
    return Math.max(reader.unescaped, Math.min(decided, this.#base + fromFolded(view, offsets[read] ?? view.text.length)));
  }

  #readDecoded(view: View, limit: number, isOpen: boolean): void {
    const whole = isOpen ? view.text.slice(0, toFolded(view, limit)) : `${view.text} `;
    const from = toFolded(view, this.#decoded - this.#base);
    let read = whole.length;
    if (mayBeEncoded(whole, from)) {
      const settled = this.#awake.reduce((least, { plain, unescaped }) => Math.min(least, plain, unescaped), this.#end);
      read = decodeOpen(whole, from, (part) => {
        const found = this.#findingOf(undefined, view, part.start, part.end);
        if (isOpen && found.end > settled) return false;
        for (const { active } of findDecoded(this.#check, part.text)) this.#foundNew({ ...found, active });
        return true;
      });
    }
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
    if (found.active.action !== 'block') return;
    this.#blocked.add(found.active.rule.id);
    this.#blockedAt = Math.min(this.#blockedAt, found.start);
  }

  #settle(isOpen: boolean): void {
    const end = this.#looked;
    // What is left of the beginning of an escape, or of a character, may become anything.
    let watched = Math.min(end, this.#escaped, this.#decodes ? this.#decoded : end);
    let held = this.#holds ? watched : this.#end;
    for (const { active, plain, unescaped } of this.#awake) {
      const read = Math.min(plain, unescaped);
      watched = Math.min(watched, read);
      if (active.action !== 'flag') held = Math.min(held, read);
    }
    if (!isOpen) {
      watched = held = this.#decoded = this.#end;
      this.#sleep(() => true);
    } else this.#sleep(({ plain, unescaped }) => plain >= end && unescaped >= Math.min(end, this.#escaped));
    this.#watched = watched;
    if (this.#findings.length > 0) held = this.#blank(held);
    this.#released = Math.max(this.#released, Math.min(held, this.#blockedAt));
    const waits = this.#end - watched;
    this.#nextLook = waits > longWait ? this.#end + (waits >>> 3) : 0;
    const needed = Math.min(watched, this.#released);
    if (this.#findings.length > 0) this.#findings = this.#findings.filter((found) => found.end > needed);
    this.#forget(needed);
  }

  #sleep(hasNothing: (reader: Reader) => boolean): void {
    if (this.#awake.length === 0) return;
    for (const reader of this.#awake) if (hasNothing(reader)) reader.isAwake = false;
    this.#awake = this.#awake.filter(({ isAwake }) => isAwake);
  }

  /** Takes the stretches that end before `held`; one that reaches beyond it is held from its start. */
  #blank(held: number): number {
    // Where two rules find the same, the one further up names it, whichever was sure of it first.
    const { rules } = this.#check;
    const findings = this.#findings.toSorted((a, b) => rules.indexOf(a.active) - rules.indexOf(b.active));
    for (const { start, end, mark } of blanksOf(findings)) {
      if (end <= this.#released) continue;
      if (end > held) return Math.min(held, start);
      this.#blanks.push({ start: Math.max(start, this.#released), end, mark });
    }
    return held;
  }

  #forget(needed: number): void {
    const cut = needed - lookBack;
    if (cut - this.#base < lookBack) return;
    this.#text = this.#text.slice(cut - this.#base);
    this.#base = cut;
    this.#fold = new GrowingView();
  }
}

const none: readonly string[] = Object.freeze([]);

function endsInHalf(text: string): boolean {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last < 0xdc00;
}

function toFolded({ offsets }: View, at: number): number {
  return offsets === undefined ? at : firstFrom(offsets, at);
}

function fromFolded({ offsets, original }: View, at: number): number {
  return offsets === undefined ? at : (offsets[at] ?? original.length);
}
