import { hasHiding, type View } from './fold.ts';
import { type AddSpan, everything, gate, patternFinder, type Rule, type Stretch } from './rule.ts';

const category = 'hidden-text';

/** Text that a model reads and a person does not see. Rules look at the original, since folding takes away what they look for. */
export const hiddenTextRules: readonly Rule[] = [
  originalRule({
    id: 'hidden-text/tag-characters',
    severity: 'critical',
    title: 'Tag characters (U+E0000 to U+E007F): ASCII that no screen shows',
    // A flag of a region is written with tags behind a black flag (Unicode TR51); its tags are few and end in U+E007F.
    pattern: /(?<!\u{1f3f4}[\u{e0020}-\u{e007e}]{0,6})[\u{e0000}-\u{e007f}]+/gu,
    gates: gate.foreign,
  }),
  originalRule({
    id: 'hidden-text/variation-selectors',
    severity: 'critical',
    title: 'Variation selectors in a row, which can carry any bytes',
    pattern: /[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]{2,}/gu,
    gates: gate.foreign,
  }),
  originalRule({
    id: 'hidden-text/bidi-controls',
    severity: 'high',
    title: 'Controls that change the order in which text is shown',
    pattern: /[\u202a-\u202e\u2066-\u2069]+/g,
    gates: gate.foreign,
  }),
  originalRule({
    id: 'hidden-text/invisible-characters',
    severity: 'high',
    title: 'Characters without width, where no script needs them',
    // Joiners belong to Indic and Arabic scripts and to emoji; between Latin letters, and in a row, they only hide.
    pattern:
      // biome-ignore lint/suspicious/noMisleadingCharacterClass: what joins characters is itself looked for
      /[\u200b\u2060-\u2064\ufeff\u115f\u1160\u3164\uffa0\u180e]+|(?<=[A-Za-z0-9])[\u034f\u00ad\u200c\u200d\ufe00-\ufe0f]+(?=[A-Za-z])|[\u200c\u200d]{2,}/g,
    gates: gate.foreign,
    accepts: (_, at) => at > 0,
  }),
  originalRule({
    id: 'hidden-text/mixed-alphabets',
    severity: 'medium',
    title: 'A word that mixes Latin letters with lookalikes from another alphabet',
    pattern:
      /(?<![A-Za-z\u0370-\u058f])(?:[A-Za-z]{1,40}[\u0370-\u03ff\u0400-\u052f]|[\u0370-\u03ff\u0400-\u052f]{1,40}[A-Za-z])[A-Za-z\u0370-\u052f]{0,40}/g,
    gates: gate.foreign,
    accepts: (text) =>
      text.length > 3 && /[а-яіјѕԁԛԝһӏАВЕКМНОРСТУХІЈЅαεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ]/.test(text) && /[A-Za-z]{2}/.test(text),
  }),
  originalRule({
    id: 'hidden-text/control-characters',
    severity: 'medium',
    title: 'Terminal sequences and control characters that overwrite or conceal',
    pattern: /\u001b\[[0-9;?]{0,20}[A-Za-z]|[\u0008\u007f\u0080-\u009f]+|\u001b/g,
    gates: gate.covered | gate.foreign,
  }),
  {
    id: 'hidden-text/html-comment',
    category,
    severity: 'medium',
    title: 'An HTML comment that gives orders',
    gates: gate.covered,
    reads: 'original',
    find: ({ original }, add, stretch) => findComments(original, add, stretch),
  },
  originalRule({
    id: 'hidden-text/html-style',
    severity: 'medium',
    title: 'HTML with a style that hides its text',
    pattern:
      /<[a-z]{1,10}\s[^<>]{0,200}(?:display\s{0,2}:\s{0,2}none|font-size\s{0,2}:\s{0,2}0|visibility\s{0,2}:\s{0,2}hidden)[^<>]{0,100}>\s{0,10}[^<\s]/gi,
    gates: gate.covered,
  }),
  originalRule({
    id: 'hidden-text/far-away',
    severity: 'medium',
    title: 'Text behind a screenful of blanks',
    pattern: /(?<=\S)(?: {80}|\n{25}|(?:\n {1,8}){25})[ \n]*(?=\S)/g,
    gates: gate.covered,
    accepts: (_, at, text) => /\S{3}/.test(text.slice(Math.max(0, at - 40), at)),
  }),
];

const longestComment = 2000;

// Each end and each word is looked for once: a text of many beginnings takes no longer than its length. That takes so little that it is
// done in one stretch.
function findComments(text: string, add: AddSpan, { from, isOpen }: Stretch = everything): number {
  const givesOrders = orderFinder(text);
  let end = -1;
  for (let start = text.indexOf('<!--', from); start >= 0; start = text.indexOf('<!--', Math.max(start + 4, end))) {
    end = text.indexOf('-->', start + 4);
    if (end < 0) return isOpen ? unendedComment(text, start, givesOrders) : text.length;
    if (givesOrders(start + 4, Math.min(end, start + longestComment)) && add(start, end + 3)) return text.length;
  }
  return isOpen ? openTail(text, '<!--', Math.max(from, end)) : text.length;
}

/** Where the first comment begins, from `first` on, that may still become one that gives orders. */
function unendedComment(text: string, first: number, givesOrders: (from: number, to: number) => boolean): number {
  for (let start = first; start >= 0; start = text.indexOf('<!--', start + 4))
    // Whatever else follows, a long comment without such a word stays one.
    if (text.length < start + longestComment || givesOrders(start + 4, start + longestComment)) return start;
  return openTail(text, '<!--', first);
}

/** Whether a part of a text gives orders; parts are asked for from the front to the back. */
function orderFinder(text: string): (from: number, to: number) => boolean {
  const orders = /\b(?:assistant|instructions?|ignore|must|prompt|model|ai agent)\b/gi;
  let at = -1;
  let last = -1;
  return (from, to) => {
    if (at < from) {
      orders.lastIndex = from;
      const match = orders.exec(text);
      at = match?.index ?? Number.POSITIVE_INFINITY;
      last = match === null ? at : orders.lastIndex;
    }
    return last <= to;
  };
}

/** Where the text ends in a beginning of `word`, or its length. */
function openTail(text: string, word: string, from: number): number {
  for (let length = word.length - 1; length > 0; length--)
    if (text.length - length >= from && text.endsWith(word.slice(0, length))) return text.length - length;
  return text.length;
}

interface OriginalRule extends Omit<Rule, 'find' | 'category' | 'reads' | 'pattern'> {
  readonly pattern: RegExp;
  readonly accepts?: (match: string, at: number, text: string) => boolean;
}

function originalRule({ pattern, accepts, ...rule }: OriginalRule): Rule {
  const find = patternFinder(pattern, (match, add) => {
    const isIt = accepts === undefined || accepts(match[0], match.index, match.input);
    return isIt && add(match.index, match.index + match[0].length);
  });
  return Object.freeze({
    ...rule,
    pattern,
    category,
    reads: 'original' as const,
    find: ({ original }: View, add: AddSpan, stretch?: Stretch) => find(original, add, stretch),
  });
}

/** One kind of hidden text in a text. */
export interface HiddenText {
  readonly ruleId: string;
  readonly title: string;
  readonly severity: Rule['severity'];
  readonly count: number;
  /** Offset of the first place. */
  readonly at: number;
}

/** What is hidden in a text that people are asked to judge, such as the description of a tool. Empty when nothing is. */
export function findHiddenText(text: string): readonly HiddenText[] {
  const view = { text, original: text, offsets: undefined };
  return hiddenTextRules.flatMap(({ id, title, severity, find }) => {
    const starts: number[] = [];
    find(view, (start) => {
      starts.push(start);
      return false;
    });
    return starts.length === 0 ? [] : [{ ruleId: id, title, severity, count: starts.length, at: starts[0] ?? 0 }];
  });
}

/** The text without what `findHiddenText` finds, as it may be shown and passed on. Words in mixed alphabets stay as they are. */
export function stripHiddenText(text: string): string {
  if (!hasHiding(text) && findHiddenText(text).length === 0) return text;
  const view = { text, original: text, offsets: undefined };
  const keep = new Uint8Array(text.length).fill(1);
  for (const { id, find } of hiddenTextRules) {
    if (id === 'hidden-text/mixed-alphabets') continue;
    find(view, (start, end) => {
      keep.fill(0, start, end);
      return false;
    });
  }
  let kept = '';
  for (let at = 0; at < text.length; at++) if (keep[at] === 1) kept += text[at];
  return kept;
}
