import { atOnce, type Steps } from '../turns.ts';
import type { ActiveRule, ContentCheck } from './content-check.ts';
import { decodeSteps, resolveEscapes } from './decode.ts';
import { foldSteps, toOriginal, type View } from './fold.ts';
import { gatesOf, lookedAtOnce, openGates } from './gates.ts';
import { adderTo } from './known-places.ts';
import { type AddSpan, everything, gate } from './rule.ts';

/** One place in a text and the rule that found it. */
export interface Finding {
  readonly active: ActiveRule;
  readonly start: number;
  readonly end: number;
}

const none: readonly Finding[] = Object.freeze([]);
/** Nothing that a rule looks for is shorter. */
const shortest = 5;

/** Many short strings take longer than one long one. */
export const leastCost = 64;

/** How many characters rules may still be run over. What opens no gate costs nothing of it. */
export interface Budget {
  characters: number;
  /** How many places may still be found. */
  places: number;
}

/** What the rules of a check find in a text, in offsets of that text; undefined when the budget does not reach. */
export function findIn(check: ContentCheck, text: string, budget?: Budget): readonly Finding[] | undefined {
  if (text.length < shortest) return none;
  if (text.length > lookedAtOnce) return atOnce(findSteps(check, text, budget));
  const open = openGates(check, text);
  return open === 0 ? none : atOnce(findOpened(check, text, open, budget));
}

/** The same in steps. */
export function* findSteps(check: ContentCheck, text: string, budget?: Budget): Steps<readonly Finding[] | undefined> {
  if (text.length < shortest) return none;
  const open =
    text.length > lookedAtOnce
      ? yield* gatesOf(check, text, budget?.characters ?? Number.POSITIVE_INFINITY)
      : openGates(check, text);
  return open === 0 ? none : yield* findOpened(check, text, open, budget);
}

function* findOpened(
  check: ContentCheck,
  text: string,
  open: number,
  budget: Budget | undefined,
): Steps<readonly Finding[] | undefined> {
  const view = yield* readableView(text, budget);
  if (view === undefined) return undefined;
  const most = budget?.places ?? Number.POSITIVE_INFINITY;
  const gates = view.text === text ? open : open | (yield* gatesOf(check, view.text, Number.POSITIVE_INFINITY));
  const findings = yield* runRules(check, view, gates, most);
  if ((check.gates & gate.encoded) !== 0 && findings.length <= most) {
    yield* addEscaped(check, view, findings, most);
    if ((open & gate.encoded) !== 0 && findings.length <= most) yield* addDecoded(check, view, findings, most);
  }
  if (budget !== undefined) {
    if (findings.length > most) return undefined;
    budget.places -= findings.length;
  }
  return findings;
}

/** The text folded, at the expense of the budget. */
function* readableView(text: string, budget: Budget | undefined): Steps<View | undefined> {
  if (budget === undefined) return yield* foldSteps(text, Number.POSITIVE_INFINITY);
  const cost = Math.max(text.length, leastCost);
  if (budget.characters < cost) return undefined;
  budget.characters -= cost;
  // One character can fold to eighteen; what was added repeats itself, and takes rules a quarter of the time.
  const view = yield* foldSteps(text, text.length + 4 * budget.characters + 3);
  if (view === undefined) budget.characters = -1;
  else if (view.text.length > text.length) budget.characters -= (view.text.length - text.length) >> 2;
  return view;
}

/** What is found in a text that was decoded, in offsets of that text. */
export function findDecoded(check: ContentCheck, text: string): readonly Finding[] {
  return atOnce(decodedSteps(check, text, Number.POSITIVE_INFINITY));
}

function* decodedSteps(check: ContentCheck, text: string, most: number): Steps<Finding[]> {
  const open = text.length > lookedAtOnce ? yield* gatesOf(check, text, Number.POSITIVE_INFINITY) : openGates(check, text);
  return yield* runRules(check, plainView(text), open, most);
}

/** So much of a text is read by one rule at once, */
const readAtOnce = 32_768;
/** and a text up to this by all of them. */
const readWithOthers = 4096;
/** How often one rule is counted in one text that is not changed for it. */
const mostCounted = 1000;

/** One more than `most` says that there are more. */
export function* runRules(check: ContentCheck, view: View, open: number, most: number, stretch = readAtOnce): Steps<Finding[]> {
  const findings: Finding[] = [];
  for (const active of check.rules) {
    const { rule } = active;
    if ((rule.gates & open) === 0) continue;
    if (findings.length > most) break;
    const add = adder(active, view, most + 1 - findings.length, findings);
    const { length } = rule.reads === 'original' ? view.original : view.text;
    // Most texts are short, and then nothing is made for each rule but this.
    if (length <= readWithOthers) rule.find(view, add);
    else for (let from = 0; from < length; yield) from = rule.find(view, add, { ...everything, from, until: from + stretch });
  }
  return findings;
}

// Every place of what is redacted is needed; of the rest only whether and, roughly, how often.
function adder(active: ActiveRule, view: View, most: number, findings: Finding[]): AddSpan {
  const { rule, action } = active;
  const isPlain = rule.reads === 'original' || view.offsets === undefined;
  let left = action === 'redact' ? most : Math.min(most, mostCounted);
  return (start, end) => {
    const [from, to] = isPlain ? [start, end] : toOriginal(view, start, end);
    findings.push({ active, start: from, end: to });
    return --left === 0;
  };
}

function* addDecoded(check: ContentCheck, view: View, findings: Finding[], most: number): Steps<void> {
  const addNew = adderTo(findings);
  for (const part of yield* decodeSteps(view.text)) {
    const [start, end] = toOriginal(view, part.start, part.end);
    for (const { active } of yield* decodedSteps(check, part.text, most)) addNew({ active, start, end });
  }
}

function* addEscaped(check: ContentCheck, view: View, findings: Finding[], most: number): Steps<void> {
  const resolved = resolveEscapes(view.text);
  if (resolved === undefined) return;
  const { text, offsets } = resolved;
  const addNew = adderTo(findings);
  for (const found of yield* decodedSteps(check, text, most)) {
    const [start] = toOriginal(view, offsets[found.start] ?? 0, view.text.length);
    const [, end] = toOriginal(view, 0, offsets[found.end] ?? view.text.length);
    addNew({ active: found.active, start, end });
  }
}

function plainView(text: string): View {
  return { text, original: text, offsets: undefined };
}
