/**
 * How much came in the last while, kept in a ring of slots: what is older than the window is forgotten slot by slot, at the latest one
 * slot after its time. A clock that is set back stands still here.
 */
export class RollingSum {
  readonly #slotMs: number;
  readonly #slots: Float64Array;
  #current = Number.NEGATIVE_INFINITY;
  #total = 0;

  constructor(windowMs: number, slots: number) {
    this.#slotMs = windowMs / slots;
    // One more: the slot that is being filled is not a whole one yet.
    this.#slots = new Float64Array(slots + 1);
  }

  add(amount: number, nowMs: number): void {
    this.#advance(nowMs);
    const at = this.#current % this.#slots.length;
    this.#slots[at] = (this.#slots[at] ?? 0) + amount;
    this.#total += amount;
  }

  /** Takes back what was added too much, the newest first, and never more than there is: what has left the window is gone. */
  takeBack(amount: number, nowMs: number): void {
    this.#advance(nowMs);
    let left = Math.min(amount, this.#total);
    const { length } = this.#slots;
    for (let slot = this.#current; left > 0 && slot > this.#current - length; slot--) {
      const at = ((slot % length) + length) % length;
      const taken = Math.min(left, this.#slots[at] ?? 0);
      this.#slots[at] = (this.#slots[at] ?? 0) - taken;
      this.#total -= taken;
      left -= taken;
    }
  }

  total(nowMs: number): number {
    this.#advance(nowMs);
    return this.#total;
  }

  /** When no more than so much is left of what is here now. */
  fallsToAtMs(amount: number, nowMs: number): number {
    this.#advance(nowMs);
    const { length } = this.#slots;
    let left = this.#total;
    for (let slot = this.#current - length + 1; left > amount && slot <= this.#current; slot++) {
      left -= this.#slots[((slot % length) + length) % length] ?? 0;
      if (left <= amount) return (slot + length) * this.#slotMs;
    }
    return nowMs;
  }

  clear(): void {
    this.#slots.fill(0);
    this.#total = 0;
  }

  #advance(nowMs: number): void {
    const now = Math.floor(nowMs / this.#slotMs);
    if (now <= this.#current) return;
    const { length } = this.#slots;
    if (now - this.#current >= length) {
      this.clear();
    } else {
      for (let slot = this.#current + 1; slot <= now; slot++) {
        this.#total -= this.#slots[slot % length] ?? 0;
        this.#slots[slot % length] = 0;
      }
    }
    this.#current = now;
  }
}
