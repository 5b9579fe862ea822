import { expect, longKeyBytes } from './bulk-memory.ts';
import { scanBulk } from './bulk-scan.ts';
import { readKey, refuseDuplicate } from './member-keys.ts';
import { ScanError } from './scan-error.ts';
import { endOfShortString, endOfString } from './scan-string.ts';

/**
 * Finds the members of a JSON-RPC message in its bytes without building the values, so that an answer of any size can be
 * checked and passed on as it came, and so that what JSON.parse hides (duplicate keys, depth, integers that lose digits)
 * is seen before a request is judged. Short values are one look at each byte here, long ones are passed over by `bulk-scan.ts`.
 */
export interface Member {
  readonly key: string;
  /** Offset of the key's opening quote. */
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
}

export interface MessageScan {
  /** Members of the message itself. */
  readonly members: readonly Member[];
  /** Members of `params` or `result`, when that is an object. */
  readonly body: readonly Member[];
  readonly depth: number;
  /** Holds a number that a double cannot keep: parse with `parseExact`. */
  readonly hasLongNumber: boolean;
  /** Has a key `uri` anywhere, or one that may be it: spelled with escapes. */
  readonly namesUri: boolean;
  /** How many keys it has, in all its objects. */
  readonly keys: number;
  /** How many lists and objects it has within, and how many values of every kind: nearly, and never fewer than half. */
  readonly containers: number;
  readonly values: number;
}

/** Deepest nesting a message may have; deeper ones exist only to exhaust the stack of whoever reads them. */
export const maxDepth = 128;

/** Keys longer than `longKeyBytes` that a message may have. Each of them costs whoever reads the message a look at all the others. */
const maxLongKeys = 32;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const openObject = 0x7b;
const closeObject = 0x7d;
/** From a closing bracket to its opening one. */
const closesBy = 2;

/** What a byte outside of strings means. */
const kind = {
  other: 0,
  space: 1,
  quote: 2,
  openObject: 3,
  closeObject: 4,
  openArray: 5,
  closeArray: 6,
  comma: 7,
  colon: 8,
  number: 9,
  word: 10,
} as const;
const kinds = new Uint8Array(256);
for (const [bytes, value] of [
  [' \n\r\t', kind.space],
  ['"', kind.quote],
  ['{', kind.openObject],
  ['}', kind.closeObject],
  ['[', kind.openArray],
  [']', kind.closeArray],
  [',', kind.comma],
  [':', kind.colon],
  ['-0123456789', kind.number],
  ['tfn', kind.word],
] as const) {
  for (const byte of Buffer.from(bytes)) kinds[byte] = value;
}

const numeral = new Uint8Array(256);
for (const byte of Buffer.from('+-.0123456789eE')) numeral[byte] = 1;

/** Scans one message. Throws ScanError. */
export function scanMessage(bytes: Buffer): MessageScan {
  return scanner.scan(bytes);
}

class Scanner {
  #bytes: Buffer = nothing;
  readonly #open = new Uint8Array(maxDepth + 1);
  #at = 0;
  #deepest = 1;
  #hasLongNumber = false;
  #namesUri = false;
  #longKeys = 0;
  #keys = 0;
  #commas = 0;
  #containers = 0;

  scan(bytes: Buffer): MessageScan {
    this.#bytes = bytes;
    this.#at = 0;
    this.#deepest = 1;
    this.#hasLongNumber = false;
    this.#namesUri = false;
    this.#longKeys = 0;
    this.#keys = 0;
    this.#commas = 0;
    this.#containers = 0;
    try {
      return this.#message();
    } finally {
      this.#bytes = nothing;
    }
  }

  #message(): MessageScan {
    const members: Member[] = [];
    const body: Member[] = [];
    this.#space();
    if (this.#bytes[this.#at] !== openObject) throw this.#unexpected();
    this.#object(members, body);
    this.#space();
    if (this.#at !== this.#bytes.length) throw this.#unexpected();
    return {
      members,
      body,
      depth: this.#deepest,
      hasLongNumber: this.#hasLongNumber,
      namesUri: this.#namesUri,
      keys: this.#keys,
      containers: this.#containers,
      values: this.#containers + this.#commas,
    };
  }

  /** Notes the members of an object. `body` is given for the message itself. */
  #object(members: Member[], body: Member[] | undefined): void {
    const bytes = this.#bytes;
    this.#at++;
    this.#space();
    if (bytes[this.#at] === closeObject) {
      this.#at++;
      return;
    }
    let folded: Set<string> | undefined;
    for (;;) {
      const keyStart = this.#at;
      if (bytes[keyStart] !== quote) throw this.#unexpected();
      this.#at = endOfString(bytes, keyStart);
      this.#noteKey(keyStart, this.#at);
      const key = readKey(bytes, keyStart, this.#at);
      folded = refuseDuplicate(members, folded, key, keyStart);
      this.#space();
      if (bytes[this.#at] !== colon) throw this.#unexpected();
      this.#at++;
      this.#space();
      const start = this.#at;
      if (body !== undefined && bytes[start] === openObject && (key === 'params' || key === 'result')) {
        this.#deepest = Math.max(this.#deepest, 2);
        this.#object(body, undefined);
      } else {
        this.#value(body === undefined ? 2 : 1);
      }
      members.push({ key, keyStart, start, end: this.#at });
      this.#space();
      const next = bytes[this.#at];
      if (next !== comma && next !== closeObject) throw this.#unexpected();
      this.#at++;
      if (next === closeObject) return;
      this.#space();
    }
  }

  /** Passes over one value at this depth: one loop without recursion, since this is where the bytes are. */
  #value(outer: number): void {
    const bytes = this.#bytes;
    const open = this.#open;
    const { length } = bytes;
    let at = this.#at;
    let depth = outer;
    let next: number = expect.value;
    const bulkAt = length - at < bulkFromBytes ? Number.POSITIVE_INFINITY : at + shortValueBytes;
    do {
      if (at >= bulkAt) {
        this.#bulk(at, depth, outer, next);
        return;
      }
      const what = at < length ? kinds[bytes[at]!] : kind.other;
      if (what === kind.space) {
        at++;
        continue;
      }
      if (what === kind.quote) {
        if (next > expect.key) throw this.#unexpected(at);
        const start = at;
        at = endOfShortString(bytes, at);
        if (at === 0) {
          if (length - start >= bulkFromBytes) {
            this.#bulk(start, depth, outer, next);
            return;
          }
          at = endOfString(bytes, start);
        }
        if (next <= expect.valueOrEnd) {
          next = expect.commaOrEnd;
        } else {
          next = expect.colon;
          this.#noteKey(start, at);
        }
      } else if (what === kind.comma) {
        if (next !== expect.commaOrEnd) throw this.#unexpected(at);
        next = open[depth] === openObject ? expect.key : expect.value;
        this.#commas++;
        at++;
      } else if (what === kind.colon) {
        if (next !== expect.colon) throw this.#unexpected(at);
        next = expect.value;
        at++;
      } else if (what === kind.openObject || what === kind.openArray) {
        if (next > expect.valueOrEnd) throw this.#unexpected(at);
        if (++depth > maxDepth) throw tooDeep();
        open[depth] = bytes[at]!;
        this.#containers++;
        if (depth > this.#deepest) this.#deepest = depth;
        next = what === kind.openObject ? expect.keyOrEnd : expect.valueOrEnd;
        at++;
      } else if (what === kind.closeObject || what === kind.closeArray) {
        const mayEnd = next === expect.commaOrEnd || next === (what === kind.closeObject ? expect.keyOrEnd : expect.valueOrEnd);
        if (depth === outer || open[depth] !== bytes[at]! - closesBy || !mayEnd) throw this.#unexpected(at);
        depth--;
        next = expect.commaOrEnd;
        at++;
      } else if (what === kind.other || next > expect.valueOrEnd) {
        throw this.#unexpected(at);
      } else {
        at = what === kind.number ? this.#number(at) : this.#word(at);
        next = expect.commaOrEnd;
      }
    } while (depth > outer || next !== expect.commaOrEnd);
    this.#at = at;
  }

  /** Goes on with a value that turned out to be long. */
  #bulk(at: number, depth: number, outer: number, next: number): void {
    const passed = scanBulk(this.#bytes, { at, depth, outer, next, open: this.#open }, maxDepth);
    if (passed.kind === 'unexpected') throw this.#unexpected(passed.at);
    if (passed.kind === 'too-deep') throw tooDeep();
    this.#at = passed.end;
    this.#deepest = Math.max(this.#deepest, passed.deepest);
    this.#hasLongNumber ||= passed.hasLongNumber;
    this.#namesUri ||= passed.namesUri;
    this.#countLongKeys(passed.longKeys);
    this.#keys += passed.keys;
    this.#commas += passed.commas;
    this.#containers += passed.containers;
  }

  #noteKey(start: number, end: number): void {
    const bytes = this.#bytes;
    this.#keys++;
    if (end - start === 5) {
      if (bytes[start + 1] === 0x75 && bytes[start + 2] === 0x72 && bytes[start + 3] === 0x69) this.#namesUri = true;
    } else if (end - start >= 10 && !this.#namesUri) {
      // The shortest other spelling of "uri" has one escape: \u0075ri.
      for (let at = start + 1; at < end; at++) if (bytes[at] === backslash) this.#namesUri = true;
    }
    if (end - start - 2 > longKeyBytes) this.#countLongKeys(1);
  }

  #countLongKeys(count: number): void {
    this.#longKeys += count;
    if (this.#longKeys > maxLongKeys)
      throw new ScanError(`it has more than ${maxLongKeys} keys of more than ${longKeyBytes} bytes`, true);
  }

  #number(start: number): number {
    const bytes = this.#bytes;
    let at = start + 1;
    while (numeral[bytes[at]!] === 1) at++;
    if (at - start >= 16) this.#hasLongNumber = true;
    if (!isNumber(bytes, start, at)) throw this.#unexpected(start);
    return at;
  }

  #word(start: number): number {
    const word = words.find((candidate) => this.#bytes.toString('latin1', start, start + candidate.length) === candidate);
    if (word === undefined) throw this.#unexpected(start);
    return start + word.length;
  }

  #space(): void {
    const bytes = this.#bytes;
    while (kinds[bytes[this.#at] ?? 0] === kind.space) this.#at++;
  }

  #unexpected(at = this.#at): ScanError {
    if (at >= this.#bytes.length) return new ScanError('it ends too early');
    return new ScanError(`unexpected byte 0x${(this.#bytes[at] ?? 0).toString(16).padStart(2, '0')} at offset ${at}`);
  }
}

const nothing = Buffer.alloc(0);
/** A scan is one call that nothing interrupts, so one scanner serves all. */
const scanner = new Scanner();

/** RFC 8259 section 6; nearly always a few digits. */
function isNumber(bytes: Buffer, start: number, end: number): boolean {
  let at = bytes[start] === 0x2d ? start + 1 : start;
  const first = bytes[at];
  const digits = () => {
    const from = at;
    for (let byte = bytes[at]; at < end && byte !== undefined && byte >= 0x30 && byte <= 0x39; byte = bytes[at]) at++;
    return at - from;
  };
  const whole = digits();
  if (whole === 0 || (first === 0x30 && whole > 1)) return false;
  if (at < end && bytes[at] === 0x2e) {
    at++;
    if (digits() === 0) return false;
  }
  if (at < end && (bytes[at] === 0x65 || bytes[at] === 0x45)) {
    at++;
    if (bytes[at] === 0x2b || bytes[at] === 0x2d) at++;
    if (digits() === 0) return false;
  }
  return at === end;
}

const words = ['true', 'false', 'null'];

/** A value with less than this behind its start is looked at byte by byte: copying it away costs more. */
const bulkFromBytes = 1024;
/** A value is looked at byte by byte for so long before it counts as long. */
const shortValueBytes = 256;

function tooDeep(): ScanError {
  return new ScanError(`nested deeper than ${maxDepth} levels`, true);
}
