import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Caller } from '../../call/authenticate.ts';
import type { Toolbox } from '../../catalog/catalog.ts';
import { changedLists } from './lists.ts';

/** Between two looks; whatever happens meanwhile is told together. */
const leastPauseMs = 250;
/** After a change, for what comes with it. */
const settleMs = 20;
/** How long one look may keep calls waiting. */
const sliceMs = 5;

/** A client that hears when what it sees has changed. */
export interface Watcher {
  /** As the registry has it now. */
  readonly caller: Caller;
  readonly ip: string;
  readonly toolbox: string;
  /** Its toolbox as it saw it when it was last looked at; undefined: none. */
  seen: Toolbox | undefined;
  /** Hears of one changed list, by the notification that says so. */
  changed(method: string): void;
}

interface ListChangePorts {
  readonly watchers: () => Iterable<Watcher>;
  /** What a caller would see if it listed now; undefined where it may not enter. */
  readonly visible: (place: Pick<Watcher, 'caller' | 'ip' | 'toolbox'>) => Toolbox | undefined;
  readonly log: Logger;
}

/**
 * Tells every client of both eras whose own lists changed, whatever the reason: a catalog, a policy, a key's scope, somebody's roles.
 * What is hidden from a client may change without it hearing anything.
 */
export class ListChanges {
  readonly #ports: ListChangePorts;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isDue = false;
  #isClosed = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(ports: ListChangePorts) {
    this.#ports = ports;
  }

  /** Something may look different to somebody from now on. */
  note(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    if (this.#isLooking) {
      this.#isDue = true;
      return;
    }
    const pauseMs = Math.max(settleMs, this.#lookedAtMs + leastPauseMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, pauseMs).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    this.#isLooking = true;
    try {
      await this.#look();
    } catch (error) {
      this.#ports.log.error({ err: error }, 'clients could not be told that their lists changed');
    }
    this.#isLooking = false;
    this.#lookedAtMs = performance.now();
    if (!this.#isDue) return;
    this.#isDue = false;
    this.note();
  }

  // Many clients share few callers, and most callers see one of few selections.
  async #look(): Promise<void> {
    const visible = remembered((caller: Caller) =>
      remembered((ip: string) => remembered((toolbox: string) => this.#ports.visible({ caller, ip, toolbox }))),
    );
    const changes = remembered((before: Toolbox | undefined) =>
      remembered((after: Toolbox | undefined) => changedLists(before, after)),
    );
    let sinceMs = performance.now();
    for (const watcher of this.#ports.watchers()) {
      const [before, after] = [watcher.seen, visible(watcher.caller)(watcher.ip)(watcher.toolbox)];
      watcher.seen = after;
      if (before !== after) for (const method of changes(before)(after)) watcher.changed(method);
      if (performance.now() - sinceMs < sliceMs) continue;
      await nextTurn();
      if (this.#isClosed) return;
      sinceMs = performance.now();
    }
  }
}

/** Makes a value for each key once. */
function remembered<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = make(key);
      known.set(key, value);
    }
    return value;
  };
}
