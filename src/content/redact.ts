import { makeCategoryCheck } from './content-check.ts';
import { type Finding, findIn } from './find.ts';

/** A stretch of a text that must not be seen. */
export interface Blank {
  readonly start: number;
  readonly end: number;
  /** What stands in its place. */
  readonly mark: string;
}

/** What is to be redacted, in order; what overlaps is one stretch, named after what begins first. */
export function blanksOf(findings: readonly Finding[]): Blank[] {
  const places = findings.filter(({ active }) => active.action === 'redact').sort((a, b) => a.start - b.start || b.end - a.end);
  const blanks: Blank[] = [];
  for (let at = 0; at < places.length; ) {
    const { start, active } = places[at]!;
    let { end } = places[at]!;
    for (at++; at < places.length && places[at]!.start < end; at++) end = Math.max(end, places[at]!.end);
    blanks.push({ start, end, mark: `[redacted:${active.rule.id}]` });
  }
  return blanks;
}

/** The text with every finding that is to be redacted replaced by `[redacted:<rule id>]`; what overlaps is replaced once. */
export function replaceFindings(text: string, findings: readonly Finding[]): string {
  const pieces: string[] = [];
  let done = 0;
  for (const { start, end, mark } of blanksOf(findings)) {
    pieces.push(text.slice(done, start), mark);
    done = end;
  }
  pieces.push(text.slice(done));
  return pieces.join('');
}

const secretsOnly = makeCategoryCheck('out', ['secrets'], 'redact');

/** A text without the secrets in it, for messages that may echo what they were sent. */
export function redactText(text: string): string {
  const findings = findIn(secretsOnly, text) ?? [];
  return findings.length === 0 ? text : replaceFindings(text, findings);
}
