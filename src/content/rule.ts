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
   * Calls `add` for every place it finds from `from` on, in linear time on any input. Where more text may follow (`isOpen`), only for
   * what no further text can change. Returns the offset from which on something is not yet known, else the length of the text.
   */
  find(view: View, add: AddSpan, from?: number, isOpen?: boolean): number;
}

/** Reports one place, from `start` up to and without `end`. */
export type AddSpan = (start: number, end: number) => void;

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
    if (accepts !== undefined && !accepts(whole, match)) return;
    const end = match.index + whole.length;
    add(group === undefined ? match.index : end - (match[group] ?? whole).length, end);
  });
  return Object.freeze({
    ...rule,
    pattern,
    reads: 'folded' as const,
    find: (view: View, add: AddSpan, from?: number, isOpen?: boolean) => find(view.text, add, from, isOpen),
  });
}

type FindInText = (text: string, add: AddSpan, from?: number, isOpen?: boolean) => number;

/** `find` of a rule by a pattern that is global; `report` is called for each match, in order. */
export function patternFinder(pattern: RegExp, report: (match: RegExpExecArray, add: AddSpan) => void): FindInText {
  let open: RegExp | undefined;
  return (text, add, from = 0, isOpen = false) => {
    // Only streams need the other pattern.
    if (isOpen) open ??= openPattern(pattern);
    const search = isOpen && open !== undefined ? open : pattern;
    search.lastIndex = from;
    for (let match = search.exec(text); match !== null; match = search.exec(text)) {
      const end = match.index + match[0].length;
      if (isOpen && end >= text.length) return match.index;
      report(match, add);
      if (match[0] === '') search.lastIndex++;
    }
    return text.length;
  };
}
