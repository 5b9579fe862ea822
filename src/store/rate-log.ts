/**
 * What was let through within one window, oldest first. Neighbours share an entry as long as it stays within a hundredth of the
 * limit, or is of one moment, and an entry leaves when its newest call does. So nothing is forgotten too early: in no window, wherever
 * it starts, is more let through than the limit. What is kept too long is at most the other calls of one entry, less than 1 % of the
 * limit. Limits below 200 are exact. At most about 200 entries, whatever the limit.
 */
export class RateLog {
  total = 0;
  #timesMs = [0.5, 0.5, 0.5, 0.5];
  #amounts = [0, 0, 0, 0];
  /** Entries are numbered without end; their place is the number modulo the capacity, a power of two. */
  #first = 0;
  #next = 0;

  get isEmpty(): boolean {
    return this.#first === this.#next;
  }

  /** Forgets what has left the window. */
  prune(nowMs: number, windowMs: number): void {
    const mask = this.#timesMs.length - 1;
    while (this.#first < this.#next && this.#timesMs[this.#first & mask]! + windowMs <= nowMs) {
      this.total -= this.#amounts[this.#first & mask]!;
      this.#first += 1;
    }
  }

  /** Returns the number of the entry it went into: one that is of `fromMs` or later. */
  add(nowMs: number, amount: number, limit: number, fromMs = 0): number {
    this.total += amount;
    const last = (this.#next - 1) & (this.#timesMs.length - 1);
    const mayShare = this.#amounts[last]! + amount <= shareLimit(limit) || this.#timesMs[last] === nowMs;
    if (!this.isEmpty && mayShare && this.#timesMs[last]! >= fromMs) {
      this.#timesMs[last] = nowMs;
      this.#amounts[last]! += amount;
      return this.#next - 1;
    }
    if (this.#next - this.#first === this.#timesMs.length) this.#grow();
    const place = this.#next & (this.#timesMs.length - 1);
    this.#timesMs[place] = nowMs;
    this.#amounts[place] = amount;
    this.#next += 1;
    return this.#next - 1;
  }

  /** Takes back some of an entry, unless it has left the window. */
  subtract(entry: number, amount: number): void {
    if (entry < this.#first || entry >= this.#next) return;
    const place = entry & (this.#timesMs.length - 1);
    const taken = Math.min(amount, this.#amounts[place]!);
    this.#amounts[place]! -= taken;
    this.total -= taken;
  }

  /** When the newest entry was made that must go before no more than `most` is left; undefined where all may stay. */
  newestOver(most: number): number | undefined {
    const mask = this.#timesMs.length - 1;
    let kept = 0;
    for (let entry = this.#next - 1; entry >= this.#first; entry -= 1) {
      kept += this.#amounts[entry & mask]!;
      if (kept > most) return this.#timesMs[entry & mask]!;
    }
    return undefined;
  }

  /** Of the newest entry; 0 where there is none. */
  get lastMs(): number {
    return this.isEmpty ? 0 : this.#timesMs[(this.#next - 1) & (this.#timesMs.length - 1)]!;
  }

  /** What was let through since then, in at most 8 parts, oldest first, each at the time of its newest call. */
  since(fromMs: number): { readonly atMs: number; readonly amount: number }[] {
    const mask = this.#timesMs.length - 1;
    let first = this.#first;
    while (first < this.#next && this.#timesMs[first & mask]! < fromMs) first += 1;
    const perPart = Math.ceil((this.#next - first) / 8);
    const parts: { readonly atMs: number; readonly amount: number }[] = [];
    for (let start = first; start < this.#next; start += perPart) {
      const end = Math.min(start + perPart, this.#next);
      let amount = 0;
      for (let entry = start; entry < end; entry += 1) amount += this.#amounts[entry & mask]!;
      if (amount > 0) parts.push({ atMs: this.#timesMs[(end - 1) & mask]!, amount });
    }
    return parts;
  }

  #grow(): void {
    const capacity = this.#timesMs.length;
    const timesMs = new Array<number>(capacity * 2).fill(0.5);
    const amounts = new Array<number>(capacity * 2).fill(0);
    for (let entry = this.#first; entry < this.#next; entry += 1) {
      timesMs[entry & (capacity * 2 - 1)] = this.#timesMs[entry & (capacity - 1)]!;
      amounts[entry & (capacity * 2 - 1)] = this.#amounts[entry & (capacity - 1)]!;
    }
    this.#timesMs = timesMs;
    this.#amounts = amounts;
  }
}

/** The most that one entry holds of several calls. */
function shareLimit(limit: number): number {
  return Math.max(1, Math.floor(limit / 100));
}
