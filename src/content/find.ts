import type { ActiveRule, ContentCheck } from './content-check.ts';
import { decodeParts, resolveEscapes } from './decode.ts';
import { foldText, hasHiding, toOriginal, type View } from './fold.ts';
import { foreignAnchors } from './injection-words.ts';
import { type AddSpan, gate } from './rule.ts';
import { foreignSafetyAnchors } from './safety-words.ts';

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
  const open = openGates(check, text);
  if (open === 0) return none;
  if (budget !== undefined) {
    const cost = Math.max(text.length, leastCost);
    if (budget.characters < cost) return undefined;
    budget.characters -= cost;
  }
  const view = foldText(text);
  // One character can fold to eighteen; what was added repeats itself, and takes rules a quarter of the time.
  if (budget !== undefined && view.text.length > text.length) {
    budget.characters -= (view.text.length - text.length) >> 2;
    if (budget.characters < 0) return undefined;
  }
  const most = budget?.places ?? Number.POSITIVE_INFINITY;
  const findings = runRules(check, view, view.text === text ? open : open | openGates(check, view.text), most);
  if ((check.gates & gate.encoded) !== 0 && findings.length <= most) {
    addEscaped(check, view, findings, most);
    if ((open & gate.encoded) !== 0 && findings.length <= most) addDecoded(check, view, findings, most);
  }
  if (budget !== undefined) {
    if (findings.length > most) return undefined;
    budget.places -= findings.length;
  }
  return findings;
}

/** The gates a text opens; `foreign` only if something in its characters is worth a closer look. */
function openGates(check: ContentCheck, text: string): number {
  let open = check.look(Buffer.from(text));
  // JSON in a text has escapes of its own.
  if ((open & gate.escaped) !== 0) open = (open & ~gate.escaped) | (/\\u00[2-7]/.test(text) ? gate.encoded & check.gates : 0);
  if ((open & gate.foreign) === 0) return open;
  return (open & ~gate.foreign) | lookAtForeign(text);
}

/** What characters beyond ASCII make necessary; 0 when they are just letters. */
export function lookAtForeign(text: string): number {
  let open = hasHiding(text) ? gate.foreign : 0;
  if (foreignAnchors.test(text)) open |= gate.foreign | gate.injectionWords;
  if (foreignSafetyAnchors.test(text)) open |= gate.safetyWords;
  return open;
}

/** What is found in a text that was decoded, in offsets of that text. */
export function findDecoded(check: ContentCheck, text: string, most = Number.POSITIVE_INFINITY): readonly Finding[] {
  return runRules(check, plainView(text), openGates(check, text), most);
}

/** One more than `most` says that there are more. */
function runRules(check: ContentCheck, view: View, open: number, most: number): Finding[] {
  const findings: Finding[] = [];
  for (const active of check.rules) {
    const { rule } = active;
    if ((rule.gates & open) === 0) continue;
    const isPlain = rule.reads === 'original' || view.offsets === undefined;
    if (findings.length > most) break;
    readRule(active, view, most + 1 - findings.length, (start, end) => {
      const [from, to] = isPlain ? [start, end] : toOriginal(view, start, end);
      findings.push({ active, start: from, end: to });
    });
  }
  return findings;
}

/** How often one rule is counted in one text that is not changed for it. */
const mostCounted = 1000;
const enough = Symbol('enough');

// Every place of what is redacted is needed; of the rest only whether and, roughly, how often.
function readRule({ rule, action }: ActiveRule, view: View, most: number, add: AddSpan): void {
  let left = action === 'redact' ? most : Math.min(most, mostCounted);
  try {
    rule.find(view, (start, end) => {
      add(start, end);
      // The one way out of a search that is the rule's own.
      if (--left === 0) throw enough;
    });
  } catch (thrown) {
    if (thrown !== enough) throw thrown;
  }
}

function addDecoded(check: ContentCheck, view: View, findings: Finding[], most: number): void {
  const addNew = adderTo(findings);
  for (const part of decodeParts(view.text)) {
    const [start, end] = toOriginal(view, part.start, part.end);
    for (const { active } of findDecoded(check, part.text, most)) addNew({ active, start, end });
  }
}

function addEscaped(check: ContentCheck, view: View, findings: Finding[], most: number): void {
  const resolved = resolveEscapes(view.text);
  if (resolved === undefined) return;
  const { text, offsets } = resolved;
  const addNew = adderTo(findings);
  for (const found of findDecoded(check, text, most)) {
    const [start] = toOriginal(view, offsets[found.start] ?? 0, view.text.length);
    const [, end] = toOriginal(view, 0, offsets[found.end] ?? view.text.length);
    addNew({ active: found.active, start, end });
  }
}

function plainView(text: string): View {
  return { text, original: text, offsets: undefined };
}

const mostCompared = 100;

// What was found without decoding is found again with it. Each rule finds from the front to the back, both times: nearly all of what
// is known is seen with one look, whatever their number.
function adderTo(findings: Finding[]): (found: Finding) => void {
  const byRule = new Map<ActiveRule, { readonly spans: Finding[]; at: number }>();
  const placesOf = (active: ActiveRule) => {
    let places = byRule.get(active);
    if (places === undefined) {
      places = { spans: [], at: 0 };
      byRule.set(active, places);
    }
    return places;
  };
  for (const finding of findings) placesOf(finding.active).spans.push(finding);
  const compared = findings.slice(0, mostCompared);
  return (found) => {
    if (found.active.rule.reads === 'original') return;
    const places = placesOf(found.active);
    const { spans } = places;
    while (places.at < spans.length && spans[places.at]!.end <= found.start) places.at++;
    const next = spans[places.at];
    if (next !== undefined && next.start <= found.start && found.end <= next.end) return;
    if (compared.some((other) => other.active === found.active && other.start < found.end && found.start < other.end)) return;
    findings.push(found);
    spans.push(found);
    if (compared.length < mostCompared) compared.push(found);
  };
}
