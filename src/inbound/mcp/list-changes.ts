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
  /** What was listed since a change that nobody was told of yet, by who listed it and where. */
  #listed = new Map<string, Set<Toolbox>>();

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

  /** Somebody was shown this. What they know may be younger than what they saw at the last look, and gone at the next. */
  listed({ caller, toolbox }: Pick<Watcher, 'caller' | 'toolbox'>, shown: Toolbox): void {
    if (this.#timer === undefined && !this.#isLooking) return;
    const key = placeKey(caller, toolbox);
    const known = this.#listed.get(key);
    if (known === undefined) this.#listed.set(key, new Set([shown]));
    else known.add(shown);
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
      remembered((after: Toolbox | undefined) => (before === after ? [] : changedLists(before, after))),
    );
    const listed = this.#listed;
    this.#listed = new Map();
    let sinceMs = performance.now();
    for (const watcher of this.#ports.watchers()) {
      const [before, after] = [watcher.seen, visible(watcher.caller)(watcher.ip)(watcher.toolbox)];
      watcher.seen = after;
      const known = listed.get(placeKey(watcher.caller, watcher.toolbox));
      const methods = known === undefined ? changes(before)(after) : [before, ...known].flatMap((shown) => changes(shown)(after));
      for (const method of new Set(methods)) watcher.changed(method);
      if (performance.now() - sinceMs < sliceMs) continue;
      await nextTurn();
      if (this.#isClosed) return;
      sinceMs = performance.now();
    }
  }
}

function placeKey({ id }: Caller, toolbox: string): string {
  return `${id} ${toolbox}`;
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
