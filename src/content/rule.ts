import type { View } from './fold.ts';
import { openPattern } from './open-pattern.ts';

/** What gateways look for in tools' traffic as well. */
const baseCategories = ['secrets', 'personal-data', 'prompt-injection', 'hidden-text'] as const;
/** What models are asked for, and should not say. */
export const safetyCategories = ['violence', 'self-harm', 'sexual', 'hate', 'illicit', 'profanity'] as const;
export const categories = [...baseCategories, ...safetyCategories] as const;
/** What a judge can be asked about. */
export const judgedCategories = ['violence', 'self-harm', 'sexual', 'hate', 'illicit', 'prompt-injection'] as const;
export type JudgedCategory = (typeof judgedCategories)[number];
export type Category = (typeof categories)[number];

/** One thing that content is looked through for. */
export interface Rule {
  /** `<category>/<name>`; stands in policies, records and redacted text. */
  readonly id: string;
  readonly category: Category;
  readonly severity: 'low' | 'medium' | 'high' | 'critical';
  readonly title: string;
  /** Bits of `gate`: the quick look must have opened one of them, or the rule cannot match and is not run. */
  readonly gates: number;
  /** What it looks for, where that is one pattern. */
  readonly pattern?: RegExp | undefined;
  /** Which of the two the offsets belong to: `view.text`, or `view.original` for what folding takes away. */
  readonly reads: 'folded' | 'original';
  /**
   * Calls `add` for every place it finds in a stretch (by default everything), in linear time on any input. Where more text may follow,
   * only for what no further text can change. Returns the offset from which on something is not yet known: where the next stretch
   * begins, or the length of the text.
   */
  find(view: View, add: AddSpan, stretch?: Stretch): number;
}

/** Reports one place, from `start` up to and without `end`; true where that was enough of them. */
export type AddSpan = (start: number, end: number) => boolean;

/** A part of a text. A long text is looked through in several, and what is found is the same wherever they begin. */
export interface Stretch {
  /** Nothing is looked for before it. */
  readonly from: number;
  /** What begins here or behind it is left to the next stretch. */
  readonly until: number;
  /** More may follow behind the end of the text. */
  readonly isOpen: boolean;
}

export const everything: Stretch = Object.freeze({ from: 0, until: Number.POSITIVE_INFINITY, isOpen: false });

/** No rule has to read further from where a match begins, but for runs of one kind of characters: a private key with its marks. */
const longestReach = 17_000;

/** As much of a text as decides on what begins before `until`. */
export function partFor(text: string, until: number): string {
  const least = until + longestReach;
  if (least >= text.length) return text;
  // Every rule asks the same, and a text may be one run.
  if (lastPart.text !== text || least < lastPart.least || least > lastPart.end)
    lastPart = { text, least, end: endOfRun(text, least) };
  return lastPart.end === text.length ? text : text.slice(0, lastPart.end);
}

let lastPart = { text: '', least: 0, end: 0 };

// A run of blanks, or of what shows nothing, is not cut: its end is part of what is looked for.
function endOfRun(text: string, from: number): number {
  let end = from;
  while (end < text.length && mayRun(text.charCodeAt(end - 1))) end++;
  return end;
}

/** Blanks, controls and what shows nothing, which can stand in a row without end. */
function mayRun(code: number): boolean {
  if (code < 0x300) return code <= 0x20 || (code >= 0x7f && code <= 0xa0) || code === 0xad;
  return running.test(String.fromCharCode(code));
}

const running =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself looked for
  /[\u034f\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0]/;

/** What the quick look can say of a text: each bit lets some rules run. */
export const gate = {
  /** A long run of key characters that starts as some provider's keys do. */
  token: 1,
  /** A long run of key characters behind a word such as "token" or "password". */
  assignment: 2,
  /** Words that stand at private keys and passwords. */
  secretWords: 4,
  /** Digits enough for a card, an account or a telephone number. */
  digits: 8,
  /** An @ between letters. */
  at: 16,
  /** Words without which no instruction is injected. */
  injectionWords: 32,
  /** A Markdown or HTML image. */
  image: 64,
  /** A run that may be text in base64, hex or percent signs. */
  encoded: 128,
  /** Characters beyond ASCII. */
  foreign: 256,
  /** What hides: comments, styles, a screenful of blanks, control characters. */
  covered: 512,
  /** Marks by which models tell roles and tool calls. */
  roleMarks: 1024,
  /** A backslash and a `u`: in JSON, any character written so that no search sees it. */
  escaped: 2048,
  /** Words that the rules of content safety look for. */
  safetyWords: 4096,
} as const;

interface PatternRule extends Omit<Rule, 'find' | 'reads' | 'pattern'> {
  /**
   * Global. Without nested or overlapping quantifiers, with every repetition bounded, and fixed by a literal or a look behind at the
   * start, so that V8 takes linear time.
   */
  readonly pattern: RegExp;
  /** Whether what the pattern matched is what it looks like: a checksum, a range, an entropy. */
  readonly accepts?: (match: string, groups: readonly (string | undefined)[]) => boolean;
  /** The group that is the secret, where the match has a context around it. It must be the last thing matched. */
  readonly group?: number;
}

/** A rule that is one regular expression and, where there is one, a checksum. */
export function patternRule({ pattern, accepts, group, ...rule }: PatternRule): Rule {
  const find = patternFinder(pattern, (match, add) => {
    const [whole] = match;
    if (accepts !== undefined && !accepts(whole, match)) return false;
    const end = match.index + whole.length;
    return add(group === undefined ? match.index : end - (match[group] ?? whole).length, end);
  });
  return Object.freeze({
    ...rule,
    pattern,
    reads: 'folded' as const,
    find: (view: View, add: AddSpan, stretch?: Stretch) => find(view.text, add, stretch),
  });
}

type FindInText = (text: string, add: AddSpan, stretch?: Stretch) => number;

/** `find` of a rule by a pattern that is global; `report` is called for each match, in order, and answers as `add` does. */
export function patternFinder(pattern: RegExp, report: (match: RegExpExecArray, add: AddSpan) => boolean): FindInText {
  let open: RegExp | undefined;
  return (text, add, { from, until, isOpen } = everything) => {
    // Only streams need the other pattern.
    if (isOpen) open ??= openPattern(pattern);
    const search = isOpen && open !== undefined ? open : pattern;
    const part = partFor(text, until);
    search.lastIndex = from;
    for (let match = search.exec(part); match !== null; match = search.exec(part)) {
      if (match.index >= until) return part === text ? match.index : until;
      const end = match.index + match[0].length;
      if (isOpen && end >= text.length) return match.index;
      if (report(match, add)) return text.length;
      if (match[0] === '') search.lastIndex++;
      if (search.lastIndex >= until) return search.lastIndex;
    }
    return part === text ? text.length : until;
  };
}
