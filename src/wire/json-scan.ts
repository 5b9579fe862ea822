/**
 * Finds the members of a JSON-RPC message in its bytes without building the values, so that an answer of any size can be
 * checked and passed on as it came, and so that what JSON.parse hides (duplicate keys, depth, integers that lose digits)
 * is seen before a request is judged. Strings are skipped by `indexOf`, everything else is one look at each byte.
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
}

/** The bytes are not one JSON object that a message can be; `message` says what is wrong and at which byte. */
export class ScanError extends Error {
  /** A message that parses but must not be used: duplicate members or too deep. */
  readonly isRefusal: boolean;
  constructor(message: string, isRefusal = false) {
    super(message);
    this.isRefusal = isRefusal;
  }
}

/** Deepest nesting a message may have; deeper ones exist only to exhaust the stack of whoever reads them. */
export const maxDepth = 128;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openArray = 0x5b;
const backslash = 0x5c;
const closeArray = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;

/** Scans one message. Throws ScanError. */
export function scanMessage(bytes: Buffer): MessageScan {
  return new Scanner(bytes).message();
}

class Scanner {
  readonly #bytes: Buffer;
  #at = 0;
  #deepest = 0;
  #hasLongNumber = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  message(): MessageScan {
    const members: Member[] = [];
    const body: Member[] = [];
    this.#space();
    if (this.#bytes[this.#at] !== openObject) throw this.#unexpected();
    this.#object(1, members, body);
    this.#space();
    if (this.#at !== this.#bytes.length) throw this.#unexpected();
    return { members, body, depth: this.#deepest, hasLongNumber: this.#hasLongNumber };
  }

  #object(depth: number, members: Member[] | undefined, body: Member[] | undefined): void {
    if (depth > maxDepth) throw new ScanError(`nested deeper than ${maxDepth} levels`, true);
    if (depth > this.#deepest) this.#deepest = depth;
    const bytes = this.#bytes;
    this.#at++;
    this.#space();
    if (bytes[this.#at] === closeObject) {
      this.#at++;
      return;
    }
    for (;;) {
      if (bytes[this.#at] !== quote) throw this.#unexpected();
      const keyStart = this.#at;
      this.#string();
      const keyEnd = this.#at;
      this.#space();
      if (bytes[this.#at] !== colon) throw this.#unexpected();
      this.#at++;
      this.#space();
      const start = this.#at;
      if (members === undefined) {
        this.#value(depth);
      } else {
        const key = this.#key(keyStart, keyEnd);
        refuseDuplicate(members, key);
        if (body !== undefined && bytes[start] === openObject && (key === 'params' || key === 'result')) {
          this.#object(depth + 1, body, undefined);
        } else {
          this.#value(depth);
        }
        members.push({ key, keyStart, start, end: this.#at });
      }
      this.#space();
      const next = bytes[this.#at];
      if (next !== comma && next !== closeObject) throw this.#unexpected();
      this.#at++;
      if (next === closeObject) return;
      this.#space();
    }
  }

  #array(depth: number): void {
    if (depth > maxDepth) throw new ScanError(`nested deeper than ${maxDepth} levels`, true);
    if (depth > this.#deepest) this.#deepest = depth;
    const bytes = this.#bytes;
    this.#at++;
    this.#space();
    if (bytes[this.#at] === closeArray) {
      this.#at++;
      return;
    }
    for (;;) {
      this.#value(depth);
      this.#space();
      const next = bytes[this.#at];
      if (next !== comma && next !== closeArray) throw this.#unexpected();
      this.#at++;
      if (next === closeArray) return;
      this.#space();
    }
  }

  #value(depth: number): void {
    const byte = this.#bytes[this.#at];
    if (byte === quote) this.#string();
    else if (byte === openObject) this.#object(depth + 1, undefined, undefined);
    else if (byte === openArray) this.#array(depth + 1);
    else if (byte === 0x2d || (byte !== undefined && byte >= 0x30 && byte <= 0x39)) this.#number();
    else if (byte === 0x74) this.#literal('true');
    else if (byte === 0x66) this.#literal('false');
    else if (byte === 0x6e) this.#literal('null');
    else throw this.#unexpected();
  }

  #string(): void {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    for (;;) {
      const end = bytes.indexOf(quote, at);
      if (end < 0) throw new ScanError(`a string that starts at byte ${this.#at} does not end`);
      let slashes = 0;
      while (bytes[end - 1 - slashes] === backslash) slashes++;
      at = end + 1;
      if (slashes % 2 === 0) break;
    }
    this.#at = at;
  }

  #number(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start;
    for (;;) {
      const byte = bytes[at];
      // 0-9 + - . e E
      if (
        byte === undefined ||
        !((byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x65 || byte === 0x45)
      ) {
        break;
      }
      at++;
    }
    if (at - start >= 16) this.#hasLongNumber = true;
    this.#at = at;
  }

  #literal(word: string): void {
    const end = this.#at + word.length;
    if (this.#bytes.toString('latin1', this.#at, end) !== word) throw this.#unexpected();
    this.#at = end;
  }

  #space(): void {
    const bytes = this.#bytes;
    for (;;) {
      const byte = bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #key(start: number, end: number): string {
    const text = this.#bytes.toString('utf8', start + 1, end - 1);
    if (!text.includes('\\')) return text;
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      throw new ScanError(`the key at byte ${start} has a bad escape`);
    }
  }

  #unexpected(): ScanError {
    if (this.#at >= this.#bytes.length) return new ScanError('it ends too early');
    return new ScanError(`unexpected byte 0x${(this.#bytes[this.#at] ?? 0).toString(16).padStart(2, '0')} at offset ${this.#at}`);
  }
}

// Parsers disagree on which of two equal members counts, and some ignore case (CVE-2026-27896): neither may pass.
function refuseDuplicate(members: readonly Member[], key: string): void {
  for (const { key: other } of members) {
    if (other === key || (other.length === key.length && other.toLowerCase() === key.toLowerCase())) {
      throw new ScanError(`the member ${JSON.stringify(key)} appears twice`, true);
    }
  }
}

/** JSON.parse that keeps numbers a double cannot hold: they stringify to the digits they came with. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, ((_key: string, value: unknown, context: { source?: string }) => {
    const { source } = context;
    if (typeof value !== 'number' || source === undefined || source.length < 16) return value;
    return String(value) === source ? value : (JSON as unknown as { rawJSON(source: string): unknown }).rawJSON(source);
  }) as (key: string, value: unknown) => unknown);
}
