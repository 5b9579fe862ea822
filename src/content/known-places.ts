import type { ActiveRule } from './content-check.ts';
import type { Finding } from './find.ts';

const mostCompared = 100;

// What was found without decoding is found again with it. Each rule finds from the front to the back, both times: nearly all of what
// is known is seen with one look, whatever their number.
export function adderTo(findings: Finding[]): (found: Finding) => void {
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
