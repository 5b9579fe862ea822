import type { Dialect, ListKind } from './dialect.ts';
import { allLists, type OfferKeeper } from './offer-keeper.ts';

interface RefresherEvents {
  /** The offer is another one now. */
  changed(): void;
  answered(): void;
  /** A refresh that nobody waits for failed. */
  failed(error: unknown): void;
}

// A list that changes many times in a burst is read once.
const debounceMs = 200;
/** What says nothing of its changes is read this often, or as seldom as it asks for. */
const pollAtLeastMs = 60_000;
/** And what does say so, or asks to be read seldom, this often: its word may be lost, or none. */
const pollAtMostMs = 600_000;
/**
 * So many times what a reading has cost lies before the next one that a change causes: an upstream without rest takes a small share of
 * the processor, whatever it lists.
 */
const restPerReading = 30;
/** What has changed is also hashed, held against what was approved and built into a catalog: a tenth of a millisecond per definition. */
const restPerDefinitionMs = 2;
const longestRestMs = 30_000;

/** Decides when an upstream's lists are read again: one reading at a time, bursts as one, and from time to time where nobody tells. */
export class Refresher {
  readonly #keeper: OfferKeeper;
  readonly #events: RefresherEvents;
  readonly #due = new Set<ListKind>();
  #reading: Promise<void> | undefined;
  #debounceTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #hasRead = false;
  /** By `performance.now()`. */
  #restsUntilMs = 0;

  constructor(keeper: OfferKeeper, events: RefresherEvents) {
    this.#keeper = keeper;
    this.#events = events;
  }

  /** Reads every list, from now on: a reading that is already going on does not count. Rejects with LinkError. */
  async readAll(dialect: Dialect): Promise<void> {
    await this.#reading?.catch(() => {});
    for (const list of allLists) this.#due.add(list);
    await this.#read(dialect);
  }

  /** The far end says that a list has changed. */
  listChanged(dialect: Dialect, list: ListKind): void {
    this.#due.add(list);
    if (this.#isClosed) return;
    const restMs = this.#restsUntilMs - performance.now();
    this.#debounceTimer ??= setTimeout(
      () => {
        this.#debounceTimer = undefined;
        // What changes during a reading is read by the next one.
        if (this.#reading !== undefined) this.listChanged(dialect, list);
        else this.#readAlone(dialect);
      },
      Math.max(debounceMs, restMs),
    ).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#debounceTimer);
    clearTimeout(this.#pollTimer);
  }

  #readAlone(dialect: Dialect): void {
    this.#read(dialect).catch((error: unknown) => this.#events.failed(error));
  }

  #read(dialect: Dialect): Promise<void> {
    this.#reading ??= this.#readDue(dialect).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readDue(dialect: Dialect): Promise<void> {
    const kinds = [...this.#due];
    this.#due.clear();
    const costMs = startCosting();
    const hasChanged = await this.#keeper.read(dialect, kinds).catch((error: unknown) => {
      if (this.#hasRead) this.#schedulePoll(dialect);
      throw error;
    });
    // The first of a connection is none that a change has caused.
    if (this.#hasRead) this.#rest(Math.max(costMs() * restPerReading, hasChanged ? this.#keeper.size * restPerDefinitionMs : 0));
    this.#hasRead = true;
    if (this.#isClosed) return;
    this.#events.answered();
    this.#schedulePoll(dialect);
    if (hasChanged) this.#events.changed();
  }

  #rest(ms: number): void {
    this.#restsUntilMs = performance.now() + Math.min(ms, longestRestMs);
  }

  // Sooner where the far end does not say by itself that something changed (MCP 2026-07-28 utilities/caching).
  #schedulePoll(dialect: Dialect): void {
    clearTimeout(this.#pollTimer);
    if (this.#isClosed) return;
    const readAtMs = performance.now();
    const everyMs = Math.min(Math.max(this.#keeper.ttlMs ?? 0, pollAtLeastMs), pollAtMostMs);
    const wait = () => {
      this.#pollTimer = setTimeout(poll, everyMs).unref();
    };
    const poll = () => {
      if (dialect.announces() && performance.now() - readAtMs < pollAtMostMs - everyMs / 2) return wait();
      for (const list of allLists) this.#due.add(list);
      this.#readAlone(dialect);
    };
    wait();
  }
}

/** Of waiting for a slow far end nothing counts, and of a busy process no more than the time it took. */
function startCosting(): () => number {
  const [startedAtMs, before] = [performance.now(), process.cpuUsage()];
  return () => {
    const { user, system } = process.cpuUsage(before);
    return Math.min(performance.now() - startedAtMs, (user + system) / 1000);
  };
}
