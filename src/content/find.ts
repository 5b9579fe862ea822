import type { ActiveRule, ContentCheck } from './content-check.ts';
import { decodeParts, resolveEscapes } from './decode.ts';
import { foldText, hasHiding, toOriginal, type View } from './fold.ts';
import { foreignAnchors } from './injection-words.ts';
import { gate } from './rule.ts';
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
const leastCost = 64;

/** How many characters rules may still be run over. What opens no gate costs nothing of it. */
export interface Budget {
  characters: number;
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
  const findings = runRules(check, view, view.text === text ? open : open | openGates(check, view.text));
  if ((check.gates & gate.encoded) !== 0) {
    addEscaped(check, view, findings);
    if ((open & gate.encoded) !== 0) addDecoded(check, view, findings);
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
export function findDecoded(check: ContentCheck, text: string): readonly Finding[] {
  return runRules(check, plainView(text), openGates(check, text));
}

function runRules(check: ContentCheck, view: View, open: number): Finding[] {
  const findings: Finding[] = [];
  for (const active of check.rules) {
    const { rule } = active;
    if ((rule.gates & open) === 0) continue;
    rule.find(view, (start, end) => {
      const [from, to] = rule.reads === 'original' ? [start, end] : toOriginal(view, start, end);
      findings.push({ active, start: from, end: to });
    });
  }
  return findings;
}

function addDecoded(check: ContentCheck, view: View, findings: Finding[]): void {
  for (const part of decodeParts(view.text)) {
    const [start, end] = toOriginal(view, part.start, part.end);
    for (const { active } of findDecoded(check, part.text)) addNew(findings, { active, start, end });
  }
}

function addEscaped(check: ContentCheck, view: View, findings: Finding[]): void {
  const resolved = resolveEscapes(view.text);
  if (resolved === undefined) return;
  const { text, offsets } = resolved;
  for (const found of findDecoded(check, text)) {
    const [start] = toOriginal(view, offsets[found.start] ?? 0, view.text.length);
    const [, end] = toOriginal(view, 0, offsets[found.end] ?? view.text.length);
    addNew(findings, { active: found.active, start, end });
  }
}

function plainView(text: string): View {
  return { text, original: text, offsets: undefined };
}

const mostCompared = 100;

// What was found without decoding is found again with it.
function addNew(findings: Finding[], found: Finding): void {
  if (found.active.rule.reads === 'original') return;
  const isKnown = (other: Finding) => other.active === found.active && other.start < found.end && found.start < other.end;
  if (!findings.slice(0, mostCompared).some(isKnown)) findings.push(found);
}
