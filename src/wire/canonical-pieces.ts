import { canonicalJson } from './canonical-json.ts';
import { type Json, type JsonObject, longNumber } from './json.ts';

/** About so many characters are in a piece, whatever the value is made of. */
const pieceChars = 8 * 1024;

/** A list or object that is being written. */
interface Walk {
  readonly value: readonly Json[] | JsonObject;
  /** Of an object, in their order. */
  readonly keys: readonly string[] | undefined;
  at: number;
}

/**
 * What `canonicalJson` writes, piece by piece, for values that may be large: whoever takes the pieces may do something else between any two.
 * Joined they are the very same text.
 */
export function* canonicalPieces(root: Json): Generator<string, void, void> {
  const open: Walk[] = [];
  let text = '';
  let value = root;
  for (;;) {
    const walk = walkOf(value);
    if (walk !== undefined) {
      open.push(walk);
      text += walk.keys === undefined ? '[' : '{';
    } else if (typeof value === 'string' && value.length > pieceChars) {
      yield `${text}"`;
      yield* piecesOf(value);
      text = '"';
    } else text += canonicalJson(value);
    let next = open.at(-1);
    for (; next !== undefined && isDone(next); next = open.at(-1)) {
      text += next.keys === undefined ? ']' : '}';
      open.pop();
    }
    if (next === undefined) break;
    text += before(next);
    value = valueAt(next);
    if (text.length < pieceChars) continue;
    yield text;
    text = '';
  }
  yield text;
}

function* piecesOf(text: string): Generator<string, void, void> {
  for (let at = 0; at < text.length; ) {
    const end = endOfPiece(text, at);
    yield JSON.stringify(text.slice(at, end)).slice(1, -1);
    at = end;
  }
}

function walkOf(value: Json): Walk | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (Array.isArray(value)) return { value, keys: undefined, at: 0 };
  return longNumber(value) === undefined ? { value, keys: Object.keys(value).sort(), at: 0 } : undefined;
}

function isDone({ value, keys, at }: Walk): boolean {
  return at >= (keys ?? (value as readonly Json[])).length;
}

/** What stands before the next value of a list or object. */
function before({ keys, at }: Walk): string {
  const comma = at === 0 ? '' : ',';
  return keys === undefined ? comma : `${comma}${JSON.stringify(keys[at])}:`;
}

function valueAt(walk: Walk): Json {
  const { value, keys, at } = walk;
  walk.at++;
  return keys === undefined ? (value as readonly Json[])[at]! : (value as JsonObject)[keys[at]!]!;
}

/** Not in the middle of a character: each half of one would be written as an escape. */
function endOfPiece(text: string, from: number): number {
  const end = Math.min(text.length, from + pieceChars);
  const isSplit = end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00;
  return isSplit ? end + 1 : end;
}
