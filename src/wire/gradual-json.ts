/** `JSON.parse` for what is too long to be parsed in one go: a text that comes in pieces comes to the same value. */
import { takeTurns } from '../turns.ts';
import type { Json, JsonObject } from './json.ts';

/** Characters that are taken at once: a millisecond, or a few where they are all brackets. */
const pieceCharacters = 64 * 1024;
/** Texts that are longer are taken piece by piece. Keys and numbers are not: twice as long, they are refused. */
const longestWord = 256 * 1024;
const mostValues = 2_000_000;
const deepest = 512;

/** What is JSON, and nobody should have to read; `message` reads on from "it". */
export class ExcessError extends Error {}

export interface Parsed {
  readonly value: Json;
  /** Some object has a key `__proto__`, which JavaScript gives a meaning of its own. */
  readonly namesPrototype: boolean;
}

/** In turns with everybody else's work. Rejects with SyntaxError where `JSON.parse` throws it, and with ExcessError. */
export async function parseInTurns(text: string): Promise<Parsed> {
  const turn = takeTurns();
  const gradual = new GradualJson();
  for (let at = 0; at < text.length; at += pieceCharacters) {
    gradual.push(text.slice(at, at + pieceCharacters));
    const isOver = turn();
    if (isOver !== undefined) await isOver;
  }
  return gradual.end();
}

/** A list or an object that has begun and not ended. */
interface Open {
  readonly isList: boolean;
  /** Offset of its bracket. */
  readonly start: number;
  /** Once it is known to go on in the next piece; until then it is a part of the text around it. */
  made: Json[] | JsonObject | undefined;
  /** Where that begins which is not in `made`. */
  runStart: number;
  /** Where the member begins that is not over. */
  memberStart: number;
  /** There was a member, and then a comma: another one has to follow. */
  hasComma: boolean;
  /** What stands before `runStart` was a member that was put in alone: a comma has to follow, or the end. */
  isAfter: boolean;
}

/** A text of which the beginning came. */
interface LongText {
  readonly open: Open;
  readonly key: string | undefined;
  readonly pieces: string[];
}

/**
 * Takes a text in pieces. Whatever begins and ends within one is left to `JSON.parse`, and only what lies across the border of two is
 * put together here: each character is parsed by it, or is a blank, or a bracket that was matched.
 */
export class GradualJson {
  /** What was not parsed: the last member that is not over. */
  #text = '';
  #at = 0;
  /** Begins with a list around the whole, which must come to one item. */
  readonly #open: Open[] = [openAt(-1, true, [])];
  #long: LongText | undefined;
  #values = 0;
  #namesPrototype = false;

  /** Throws SyntaxError and ExcessError. */
  push(piece: string): void {
    this.#text += piece;
    if (this.#long !== undefined && !this.#continue(this.#long)) return;
    const isWithinText = this.#scan();
    this.#settle();
    if (!isWithinText && this.#text.length > 2 * longestWord) throw tooLong();
    if (!isWithinText || this.#text.length <= longestWord) return;
    this.#long = this.#beginLong();
    this.#continue(this.#long);
  }

  /** Throws SyntaxError where the value is not over. */
  end(): Parsed {
    const [whole, ...others] = this.#open;
    if (whole === undefined || others.length > 0 || this.#long !== undefined) throw unfinished();
    this.#finish(whole, this.#text.length);
    const [value, ...more] = whole.made as Json[];
    if (value === undefined || more.length > 0) throw unfinished();
    return { value, namesPrototype: this.#namesPrototype };
  }

  /** Looks at what is new. Returns whether it ends within a text, where that begins is then looked at again. */
  #scan(): boolean {
    const text = this.#text;
    for (; this.#at < text.length; this.#at++) {
      const code = text.charCodeAt(this.#at);
      if (code === quote) {
        const end = endOfText(text, this.#at + 1);
        if (text.charCodeAt(end) !== quote) return true;
        this.#at = end;
      } else if (code === openBracket || code === openBrace) this.#begin(code === openBracket);
      else if (code === closeBracket || code === closeBrace) this.#close(code === closeBracket);
      else if (code === comma) this.#next();
    }
    return false;
  }

  #begin(isList: boolean): void {
    if (this.#open.length > deepest) throw new ExcessError(`is nested deeper than ${deepest} levels`);
    this.#count();
    this.#open.push(openAt(this.#at, isList, undefined));
  }

  // What is not made is left to JSON.parse, brackets and all.
  #close(isList: boolean): void {
    const closed = this.#open.pop();
    if (closed?.made === undefined) return;
    const outer = this.#open.at(-1);
    if (outer === undefined || closed.isList !== isList) throw new SyntaxError('a bracket closes nothing');
    this.#finish(closed, this.#at);
    outer.isAfter = true;
    outer.runStart = this.#at + 1;
  }

  #next(): void {
    const inner = this.#open.at(-1);
    if (inner === undefined) throw unfinished();
    this.#count();
    inner.memberStart = this.#at + 1;
    if (!inner.isAfter) return;
    refuseWords(this.#text, inner.runStart, this.#at);
    inner.isAfter = false;
    inner.hasComma = true;
    inner.runStart = inner.memberStart;
  }

  #count(): void {
    if (++this.#values > mostValues) throw new ExcessError(`has more than ${mostValues} values`);
  }

  /** Makes what is open, so that no more is kept than the last member. */
  #settle(): void {
    for (const [depth, open] of this.#open.entries()) {
      const inner = this.#open[depth + 1];
      if (inner === undefined) this.#keepRest(open);
      else if (inner.made === undefined) {
        const key = this.#keyBefore(open, inner.start);
        inner.made = inner.isList ? [] : {};
        put(open, key, inner.made);
      }
    }
  }

  #keepRest(open: Open): void {
    const text = this.#text;
    if (!open.isAfter) this.#addRun(open);
    let from = open.runStart;
    while (isBlank(text.charCodeAt(from))) from++;
    if (open.isAfter && from < text.length) throw new SyntaxError('a comma is missing');
    this.#text = text.slice(from);
    this.#at -= from;
    open.runStart = 0;
    open.memberStart = 0;
  }

  /** Takes the last members of what ends at this place. */
  #finish(open: Open, end: number): void {
    if (open.isAfter) refuseWords(this.#text, open.runStart, end);
    else if (this.#add(open, this.#text.slice(open.runStart, end)) === 0 && open.hasComma) throw unfinished();
  }

  /** Takes the members that are over. */
  #addRun(open: Open): void {
    const { runStart, memberStart } = open;
    if (runStart === memberStart) return;
    if (this.#add(open, this.#text.slice(runStart, memberStart - 1)) === 0) throw new SyntaxError('a comma follows nothing');
    open.hasComma = true;
    open.runStart = memberStart;
  }

  #add({ isList, made }: Open, run: string): number {
    const parsed = this.#parse(isList ? `[${run}]` : `{${run}}`);
    if (Array.isArray(parsed)) {
      for (const item of parsed) (made as Json[]).push(item);
      return parsed.length;
    }
    const members = Object.entries(parsed as JsonObject);
    for (const [key, value] of members) setMember(made as JsonObject, key, value);
    return members.length;
  }

  /** The key of a member whose value begins here and is put in alone, after all before it; undefined in a list. */
  #keyBefore(open: Open, valueStart: number): string | undefined {
    if (open.isAfter) throw new SyntaxError('a comma is missing');
    this.#addRun(open);
    if (open.isList) {
      refuseWords(this.#text, open.memberStart, valueStart);
      return undefined;
    }
    const member = this.#parse(`{${this.#text.slice(open.memberStart, valueStart)}null}`) as JsonObject;
    const [key] = Object.keys(member);
    if (key === undefined) throw new SyntaxError('a key is missing');
    return key;
  }

  #parse(text: string): Json {
    // The same key may be spelled with escapes.
    if (this.#namesPrototype || !/__proto__|\\u00[567]/.test(text)) return JSON.parse(text) as Json;
    return JSON.parse(text, (key, part: Json) => {
      this.#namesPrototype ||= key === '__proto__';
      return part;
    }) as Json;
  }

  // All but the last member was taken, and that one has come as far as its text.
  #beginLong(): LongText {
    const open = this.#open.at(-1);
    if (open === undefined) throw unfinished();
    const start = this.#at;
    if (!open.isList && isAllBlank(this.#text, 0, start)) throw tooLong();
    const key = this.#keyBefore(open, start);
    this.#text = this.#text.slice(start + 1);
    return { open, key, pieces: [] };
  }

  /** Whether it is over. */
  #continue({ open, key, pieces }: LongText): boolean {
    const text = this.#text;
    const end = endOfText(text, 0);
    const isOver = text.charCodeAt(end) === quote;
    pieces.push(JSON.parse(`"${text.slice(0, end)}"`) as string);
    this.#text = text.slice(isOver ? end + 1 : end);
    this.#at = 0;
    if (!isOver) return false;
    put(open, key, pieces.join(''));
    open.isAfter = true;
    this.#long = undefined;
    return true;
  }
}

function openAt(start: number, isList: boolean, made: Open['made']): Open {
  return { isList, start, made, runStart: start + 1, memberStart: start + 1, hasComma: false, isAfter: false };
}

function put({ made }: Open, key: string | undefined, value: Json): void {
  if (Array.isArray(made)) made.push(value);
  else if (made !== undefined && key !== undefined) setMember(made, key, value);
}

function setMember(object: JsonObject, key: string, value: Json): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const letterU = 0x75;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Offset of the quote that ends a text; where there is none, of an escape that is not over, or the end. */
function endOfText(text: string, start: number): number {
  let at = start;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === quote) return at;
    if (code !== backslash) at++;
    else {
      const next = at + (text.charCodeAt(at + 1) === letterU ? 6 : 2);
      if (next > text.length) return at;
      at = next;
    }
  }
  return at;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function isAllBlank(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (!isBlank(text.charCodeAt(at))) return false;
  return true;
}

function refuseWords(text: string, start: number, end: number): void {
  if (!isAllBlank(text, start, end)) throw new SyntaxError('something stands where a comma should');
}

function unfinished(): SyntaxError {
  return new SyntaxError('it is not over');
}

function tooLong(): ExcessError {
  return new ExcessError(`has a key, a number or a gap of more than ${2 * longestWord} characters`);
}
