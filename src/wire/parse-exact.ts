import { randomUUID } from 'node:crypto';

/** JSON.parse that keeps numbers a double cannot hold: they stringify to the digits they came with. */
export function parseExact(text: string): unknown {
  // Nobody outside can write a string that begins with it.
  const mark = `${randomUUID()}:`;
  const marked = markLongNumbers(text, mark);
  return marked === undefined ? JSON.parse(text) : unmark(parseMarked(marked, text), mark);
}

// What is wrong is said of the text as it came.
function parseMarked(marked: string, text: string): unknown {
  try {
    return JSON.parse(marked);
  } catch {
    return JSON.parse(text);
  }
}

const shortestLong = 16;
const quote = 0x22;
const backslash = 0x5c;
/** Digits, and what else stands in numbers. */
const numeral = new Uint8Array(128);
for (const byte of Buffer.from('+-.0123456789eE')) numeral[byte] = 1;

/**
 * The text with a string in the place of each such number, its digits behind a mark; undefined where there is none. What is no number,
 * or stands where a name must, is left for the parser to refuse.
 */
function markLongNumbers(text: string, mark: string): string | undefined {
  const pieces: string[] = [];
  let done = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) at = endOfString(text, at + 1);
    else if (code < 128 && numeral[code] === 1) {
      const start = at;
      while (numeral[text.charCodeAt(at + 1)] === 1) at++;
      if (at + 1 - start < shortestLong) continue;
      const source = text.slice(start, at + 1);
      if (String(Number(source)) === source || !isNumber.test(source) || isName(text, at + 1)) continue;
      pieces.push(text.slice(done, start), `"${mark}${source}"`);
      done = at + 1;
    }
  }
  if (done === 0) return undefined;
  pieces.push(text.slice(done));
  return pieces.join('');
}

function isName(text: string, end: number): boolean {
  let at = end;
  while (text.charCodeAt(at) <= 0x20) at++;
  return text.charAt(at) === ':';
}

/** RFC 8259 section 6. */
const isNumber = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** Where the quote stands that ends a string. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); code !== quote && at < text.length; code = text.charCodeAt(at))
    at += code === backslash ? 2 : 1;
  return at;
}

type Container = unknown[] | Record<string, unknown>;

// Not by a reviver: it takes a microsecond for each value there is. Without recursion, as the parser nests deeper than the stack is.
function unmark(value: unknown, mark: string): unknown {
  const open: Container[] = [];
  const read = (item: unknown): unknown => {
    if (typeof item === 'string') return item.startsWith(mark) ? rawNumber(item.slice(mark.length)) : item;
    if (typeof item === 'object' && item !== null) open.push(item as Container);
    return item;
  };
  const whole = read(value);
  for (let container = open.pop(); container !== undefined; container = open.pop()) {
    if (Array.isArray(container)) {
      for (let at = 0; at < container.length; at++) {
        const item: unknown = container[at];
        const exact = read(item);
        if (exact !== item) container[at] = exact;
      }
    } else {
      for (const key in container) {
        const item = container[key];
        const exact = read(item);
        if (exact !== item) container[key] = exact;
      }
    }
  }
  return whole;
}

function rawNumber(source: string): unknown {
  return (JSON as unknown as { rawJSON(source: string): unknown }).rawJSON(source);
}
