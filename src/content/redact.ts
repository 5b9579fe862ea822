import { makeCategoryCheck } from './content-check.ts';
import { type Finding, findIn } from './find.ts';

/** The text with every finding that is to be redacted replaced by `[redacted:<rule id>]`; what overlaps is replaced once. */
export function replaceFindings(text: string, findings: readonly Finding[]): string {
  const places = findings.filter(({ active }) => active.action === 'redact').sort((a, b) => a.start - b.start || b.end - a.end);
  let out = '';
  let done = 0;
  for (let at = 0; at < places.length; ) {
    const { start, active } = places[at]!;
    let { end } = places[at]!;
    for (at++; at < places.length && places[at]!.start < end; at++) end = Math.max(end, places[at]!.end);
    out += `${text.slice(done, start)}[redacted:${active.rule.id}]`;
    done = end;
  }
  return out + text.slice(done);
}

const secretsOnly = makeCategoryCheck('out', ['secrets'], 'redact');

/** A text without the secrets in it, for messages that may echo what they were sent. */
export function redactText(text: string): string {
  const findings = findIn(secretsOnly, text) ?? [];
  return findings.length === 0 ? text : replaceFindings(text, findings);
}
