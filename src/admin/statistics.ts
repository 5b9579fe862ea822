/** A share or a mean and the range that holds the true one in 95 of 100 cases. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Of the normal distribution, two-sided 95 %. */
const z = 1.959964;

/** Wilson's score interval for a share (Wilson 1927); undefined where nothing was counted. */
export function shareOf(hits: number, of: number): Estimate | undefined {
  if (of <= 0) return undefined;
  const share = hits / of;
  const z2 = z * z;
  const middle = (share + z2 / (2 * of)) / (1 + z2 / of);
  const half = (z / (1 + z2 / of)) * Math.sqrt((share * (1 - share)) / of + z2 / (4 * of * of));
  return { value: share, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** Normal approximation for a mean, from the sum and the sum of squares; without a range for a single one. */
export function meanOf(total: number, totalSquare: number, count: number): Estimate | undefined {
  if (count <= 0) return undefined;
  const mean = total / count;
  if (count < 2) return { value: mean, low: mean, high: mean };
  const variance = Math.max(0, (totalSquare - count * mean * mean) / (count - 1));
  const half = z * Math.sqrt(variance / count);
  return { value: mean, low: mean - half, high: mean + half };
}

/** An estimate of something that cannot be outside of these. */
export function within(estimate: Estimate | undefined, least: number, most: number): Estimate | undefined {
  if (estimate === undefined) return undefined;
  return { value: estimate.value, low: Math.max(least, estimate.low), high: Math.min(most, estimate.high) };
}
