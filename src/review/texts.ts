import type { Json } from '../wire/json.ts';
import { isObject } from '../wire/json.ts';

/** A text somewhere in a definition. */
export interface DefinitionText {
  /** JSON pointer (RFC 6901). */
  readonly path: string;
  readonly text: string;
  /** The name of something, and not a value. */
  readonly isName: boolean;
}

const mostTexts = 5_000;
const mostCharacters = 100_000;
const deepest = 64;

/**
 * Every text of a definition that may reach a model: values and names of members, and lists of short texts once more as one text, since
 * an order may be spread over them. `isWhole` says whether all of it was read.
 */
export function textsOf(value: Json): { readonly texts: readonly DefinitionText[]; readonly isWhole: boolean } {
  const texts: DefinitionText[] = [];
  let characters = 0;
  let isWhole = true;

  function add(path: string, text: string, isName: boolean): void {
    if (texts.length >= mostTexts || characters >= mostCharacters) {
      isWhole = false;
      return;
    }
    const room = mostCharacters - characters;
    if (text.length > room) isWhole = false;
    texts.push({ path, text: text.slice(0, room), isName });
    characters += Math.min(text.length, room);
  }

  function walk(path: string, part: Json, depth: number): void {
    if (depth > deepest) {
      isWhole = false;
      return;
    }
    if (typeof part === 'string') {
      add(path, part, false);
    } else if (Array.isArray(part)) {
      const words = part.filter((entry) => typeof entry === 'string');
      if (words.length > 1) add(path, words.join(' '), false);
      for (const [at, entry] of part.entries()) {
        if (!isWhole) return;
        walk(`${path}/${at}`, entry, depth + 1);
      }
    } else if (isObject(part)) {
      const keys = Object.keys(part);
      if (keys.length > 1) add(path, keys.map(wordsOf).join(' '), true);
      for (const key of keys) {
        if (!isWhole) return;
        const inner = `${path}/${key.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1')}`;
        add(inner, wordsOf(key), true);
        walk(inner, part[key]!, depth + 1);
      }
    }
  }
  walk('', value, 0);
  return { texts, isWhole };
}

/** A name as the words it is made of: `sendAll_secrets` is read as `send All secrets`. */
export function wordsOf(name: string): string {
  return name.replaceAll(/[_-]+/g, ' ').replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2');
}
