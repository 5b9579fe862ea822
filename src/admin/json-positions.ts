import type { Steps } from '../turns.ts';

/** Where the parts of a JSON text stand: offsets of keys, and of the items of lists. */
export interface JsonPlace {
  readonly offset: number;
  readonly parts: ReadonlyMap<string, JsonPlace>;
}

const nothing: ReadonlyMap<string, JsonPlace> = new Map();
const valuesPerStep = 500;

const string = /"(?:[^"\\]|\\.)*"/y;
const literal = /[^\s,\]}]+/y;
const space = /\s*/y;

/**
 * Of a text that `JSON.parse` takes; much faster than a reader of YAML, which knows it too. Undefined where an object has a key twice,
 * or one that JavaScript gives a meaning of its own.
 */
export function* findPlaces(text: string): Steps<JsonPlace | undefined> {
  let at = 0;
  let isRefused = false;
  let count = 0;

  function take(pattern: RegExp): string {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? '';
    at += found.length;
    return found;
  }

  function look(): string {
    take(space);
    return text.charAt(at);
  }

  function* value(offset: number): Steps<JsonPlace> {
    const first = look();
    if (first !== '{' && first !== '[') {
      take(first === '"' ? string : literal);
      return { offset, parts: nothing };
    }
    const parts = new Map<string, JsonPlace>();
    at++;
    for (let item = 0; look() !== '}' && text.charAt(at) !== ']'; item++) {
      const partAt = at;
      let name = String(item);
      if (first === '{') {
        name = JSON.parse(take(string)) as string;
        look();
        at++;
      }
      isRefused ||= name === '__proto__' || parts.has(name);
      if (++count % valuesPerStep === 0) yield;
      parts.set(name, yield* value(partAt));
      if (look() === ',') at++;
    }
    at++;
    return { offset, parts };
  }

  const whole = yield* value(0);
  return isRefused ? undefined : whole;
}

/** The offset of what this path leads to, or of the nearest thing above it that is there. */
export function offsetAt(place: JsonPlace, path: readonly PropertyKey[]): number {
  let nearest = place;
  for (const step of path) {
    const next = nearest.parts.get(String(step));
    if (next === undefined) break;
    nearest = next;
  }
  return nearest.offset;
}
