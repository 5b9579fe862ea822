/** Where the parts of a JSON text stand: offsets of keys, and of the items of lists. */
export interface JsonPlace {
  readonly offset: number;
  readonly parts: ReadonlyMap<string, JsonPlace>;
}

const string = /"(?:[^"\\]|\\.)*"/y;
const literal = /[^\s,\]}]+/y;
const space = /\s*/y;

/**
 * Of a text that `JSON.parse` takes; much faster than a reader of YAML, which knows it too. Undefined where an object has a key twice,
 * or one that JavaScript gives a meaning of its own.
 */
export function findPlaces(text: string): JsonPlace | undefined {
  let at = 0;
  let isRefused = false;

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

  function value(offset: number): JsonPlace {
    const parts = new Map<string, JsonPlace>();
    const first = look();
    if (first === '"') take(string);
    else if (first !== '{' && first !== '[') take(literal);
    else {
      at++;
      for (let count = 0; look() !== '}' && text.charAt(at) !== ']'; count++) {
        const partAt = at;
        let name = String(count);
        if (first === '{') {
          name = JSON.parse(take(string)) as string;
          look();
          at++;
        }
        isRefused ||= name === '__proto__' || parts.has(name);
        parts.set(name, value(partAt));
        if (look() === ',') at++;
      }
      at++;
    }
    return { offset, parts };
  }

  const whole = value(0);
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
