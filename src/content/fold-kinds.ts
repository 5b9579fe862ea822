/** What characters beyond ASCII fold to. Normalizing costs a microsecond, so each is normalized once and not each time it comes. */

/** What is known of such a character. */
export const kind = {
  /** Looked up already. */
  known: 1,
  /** Folds to letters of other alphabets. */
  mixed: 2,
  /** Folds to Latin letters. */
  latin: 4,
  /** No letter: a word ends. */
  ends: 8,
  /** Folds to something else than itself, which `formOf` has. */
  changes: 16,
} as const;

/** Beyond these planes of Unicode there are only what shows nothing and what has no meaning of its own. */
const lastLearned = 0x3ffff;
const kinds = new Uint8Array(lastLearned + 1);
const forms = new Map<number, string>();

/** Kinds of a character by its code point. */
export function kindsOf(code: number): number {
  if (code > lastLearned) return isInvisibleTag(code) ? kind.known | kind.changes : kind.known | kind.ends;
  if (kinds[code] === 0) kinds[code] = learnKinds(code);
  return kinds[code]!;
}

/** What a character that changes folds to. */
export function formOf(code: number): string {
  return forms.get(code) ?? '';
}

function isInvisibleTag(code: number): boolean {
  return code >= 0xe0000 && code <= 0xe0fff;
}

/** Characters that show nothing: soft hyphen, joiners, fillers, variation selectors, bidi controls; tags are among those beyond. */
const invisible =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself looked for
  /^[\u034f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]$/;
const accent = /^[\u0300-\u036f]$/;
const letter = /^[\p{L}\p{M}]$/u;

function learnKinds(code: number): number {
  const character = String.fromCodePoint(code);
  // What shows nothing is part of no word and ends none.
  if (invisible.test(character)) return kind.known | kind.changes;
  let form = '';
  let found: number = kind.known;
  for (const part of character.normalize(isComposed(code) ? 'NFKC' : 'NFKD')) {
    if (accent.test(part)) continue;
    if (part >= '\u0080') found |= kind.mixed;
    else if (/[A-Za-z]/.test(part)) found |= kind.latin;
    form += part;
  }
  if (!letter.test(character)) found |= kind.ends;
  if (form === character) return found;
  forms.set(code, form);
  return found | kind.changes;
}

// Scripts whose marks are letters or parts of syllables, not accents: Hebrew to Vedic, kana to Hangul.
function isComposed(code: number): boolean {
  return (code >= 0x0590 && code <= 0x1cff) || (code >= 0x3000 && code <= 0xd7ff);
}
