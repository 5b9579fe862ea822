/**
 * Latencies in microseconds, counted in steps of 1 µs up to 2 ms and of at most 0.1 % above that. It never grows,
 * so a run of a million calls costs the generator no more than a short one.
 */
export class Histogram {
  readonly #counts = new Uint32Array(linearSteps + maxDoublings * halfSteps);
  #total = 0;

  get count(): number {
    return this.#total;
  }

  record(us: number): void {
    this.#counts[stepOf(us)]! += 1;
    this.#total += 1;
  }

  /** The latency that this share of all calls did not exceed; undefined when nothing was recorded. */
  quantile(share: number): number | undefined {
    if (this.#total === 0) return undefined;
    let left = Math.max(1, Math.ceil(share * this.#total));
    for (let step = 0; step < this.#counts.length; step += 1) {
      left -= this.#counts[step]!;
      if (left <= 0) return latencyOf(step);
    }
    return latencyOf(this.#counts.length - 1);
  }
}

const linearSteps = 2048;
const halfSteps = linearSteps / 2;
// 2 ms doubled 15 times is about a minute, longer than any call is waited for.
const maxDoublings = 15;

function stepOf(us: number): number {
  if (!(us >= 1)) return 0;
  if (us < linearSteps) return Math.floor(us);
  const doublings = Math.floor(Math.log2(us)) - 10;
  if (doublings > maxDoublings) return linearSteps + maxDoublings * halfSteps - 1;
  return linearSteps + (doublings - 1) * halfSteps + Math.floor(us / 2 ** doublings) - halfSteps;
}

function latencyOf(step: number): number {
  if (step < linearSteps) return step;
  const doublings = Math.floor((step - linearSteps) / halfSteps) + 1;
  return (((step - linearSteps) % halfSteps) + halfSteps + 0.5) * 2 ** doublings;
}
