import type { CallFigures } from '../../call/ask.ts';
import { totalSpent } from '../../models/spent.ts';

/** Header of whole answers; a client that sends it is told the same at the end of an answer in parts. */
export const figuresHeader = 'x-gatehouse-figures';

/**
 * What a call took, as a dictionary of structured fields (RFC 9651 section 3.2): `ms` in all, `upstream-ms` of these the provider's,
 * `first-token-ms` until its answer began, `tokens-in`, `tokens-out`, and `nano-usd`, billionths of a US dollar, where a price is known.
 */
export function writeFigures({ ms, upstreamMs, spent }: CallFigures): string {
  let text = `ms=${rounded(ms)}`;
  // What is given again was asked of nobody.
  if (upstreamMs !== undefined && spent?.cache === undefined) text += `, upstream-ms=${rounded(upstreamMs)}`;
  if (spent === undefined) return text;
  const { input, output, nanoUsd } = totalSpent(spent);
  if (spent.firstTokenMs !== undefined) text += `, first-token-ms=${rounded(spent.firstTokenMs)}`;
  text += `, tokens-in=${input}, tokens-out=${output}`;
  return spent.nanoUsd === undefined ? text : `${text}, nano-usd=${nanoUsd}`;
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}

/** A comment (WHATWG HTML 9.2.5), so that clients who do not know it pass over it. */
export function figuresComment(figures: CallFigures): string {
  return `: ${figuresHeader} ${writeFigures(figures)}\n\n`;
}
