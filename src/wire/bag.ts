/** What a bag holds: it knows its own place, so that taking it out needs no search. */
export interface Bagged {
  /** -1 outside of a bag. Only the bag changes it. */
  place: number;
}

/**
 * What is in flight right now: put in and taken out with every call, and a few dozen at a time. A Map or Set would serve, but each
 * time one has used up its room V8 gives it a new table, to which the old one keeps pointing. Once an old table has grown old all
 * that follow count as reachable, and with them every call that was in flight when a table was replaced: a third of all calls then
 * survived until the next full collection, and the collector took a tenth of the time.
 */
export class Bag<Item extends Bagged> implements Iterable<Item> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: Item): void {
    if (this.#items[item.place] === item) return;
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** Returns whether it was there. The last item takes its place: there is no order. */
  delete(item: Item): boolean {
    const { place } = item;
    if (this.#items[place] !== item) return false;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[place] = last;
      last.place = place;
    }
    item.place = -1;
    return true;
  }

  find(isWanted: (item: Item) => boolean): Item | undefined {
    return this.#items.find(isWanted);
  }

  clear(): void {
    for (const item of this.#items) item.place = -1;
    this.#items.length = 0;
  }

  /** All of them as they are now: the bag may change while they are gone through. */
  [Symbol.iterator](): ArrayIterator<Item> {
    return this.#items.slice().values();
  }
}
