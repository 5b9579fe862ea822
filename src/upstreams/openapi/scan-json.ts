/** What JSON.parse does not tell: keys that stand twice in one object, and nesting. */

export interface KeyProblem {
  readonly kind: 'duplicate' | 'prototype' | 'depth';
  readonly key: string;
  /** Characters from the beginning of the text. */
  readonly offset: number;
}

const [quote, backslash, comma, openBrace, closeBrace, openBracket, closeBracket] = [34, 92, 44, 123, 125, 91, 93];

/** The first problem in a text that JSON.parse has read. */
export function findDuplicateKey(text: string, depthLimit: number): KeyProblem | undefined {
  /** Of each open object its keys; of each open list nothing. */
  const open: (Set<string> | undefined)[] = [];
  let isKeyNext = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const end = endOfString(text, at);
      const keys = isKeyNext ? open.at(-1) : undefined;
      if (keys !== undefined) {
        const key = readKey(text, at, end);
        if (key === '__proto__') return { kind: 'prototype', key, offset: at };
        if (keys.has(key)) return { kind: 'duplicate', key, offset: at };
        keys.add(key);
        isKeyNext = false;
      }
      at = end;
    } else if (code === openBrace || code === openBracket) {
      if (open.length >= depthLimit) return { kind: 'depth', key: '', offset: at };
      open.push(code === openBrace ? new Set() : undefined);
      isKeyNext = code === openBrace;
    } else if (code === closeBrace || code === closeBracket) {
      open.pop();
      isKeyNext = false;
    } else if (code === comma) {
      isKeyNext = open.at(-1) !== undefined;
    }
  }
  return undefined;
}

/** Where the closing quote is. */
function endOfString(text: string, start: number): number {
  let at = start;
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === backslash) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
}

function readKey(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end);
  return raw.includes('\\') ? String(JSON.parse(`"${raw}"`)) : raw;
}

/** From 1. */
export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
