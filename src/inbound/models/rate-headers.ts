import type { ClientDialectName } from '../../models/dialect.ts';
import type { CounterUsage } from '../../store/ports/counters.ts';

/**
 * How a caller's own rates stand, in the headers that the clients of each dialect read (OpenAI: rate limits in headers; Anthropic:
 * response headers). Of several limits the one with the least left. What a provider says of its own is for us alone.
 */
export function rateHeaders(
  rates: readonly CounterUsage[],
  dialect: ClientDialectName,
  nowMs: number,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [unit, name] of units) {
    const tightest = leastLeft(rates.filter(({ demand: { limit } }) => limit.unit === unit));
    if (tightest === undefined) continue;
    const { demand, used, resetsInMs } = tightest;
    const { limit } = demand;
    const windowMs = limit.kind === 'rate' ? limit.windowMs : 0;
    const left = Math.max(0, Math.floor(limit.amount - used));
    // Nobody knows when the oldest call leaves the window without asking every counter; by then all of it is free again.
    const resetMs = resetsInMs > 0 ? resetsInMs : used === 0 ? 0 : windowMs;
    if (dialect === 'messages') {
      headers[`anthropic-ratelimit-${name}-limit`] = String(limit.amount);
      headers[`anthropic-ratelimit-${name}-remaining`] = String(left);
      headers[`anthropic-ratelimit-${name}-reset`] = new Date(nowMs + resetMs).toISOString();
    } else {
      headers[`x-ratelimit-limit-${name}`] = String(limit.amount);
      headers[`x-ratelimit-remaining-${name}`] = String(left);
      headers[`x-ratelimit-reset-${name}`] = `${Math.ceil(resetMs / 1000)}s`;
    }
  }
  return headers;
}

const units = [
  ['calls', 'requests'],
  ['tokens', 'tokens'],
] as const;

function leastLeft(rates: readonly CounterUsage[]): CounterUsage | undefined {
  let least: CounterUsage | undefined;
  for (const rate of rates) if (least === undefined || leftOf(rate) < leftOf(least)) least = rate;
  return least;
}

function leftOf({ demand: { limit }, used }: CounterUsage): number {
  return limit.amount - used;
}
