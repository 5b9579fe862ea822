import { type FSWatcher, watch } from 'node:fs';
import { fingerprint, type LoadResult, loadNamespaces } from './load.ts';

interface WatchOptions {
  /** What was loaded before: only later changes are reported. Without it the first look reports what is there. */
  readonly since?: Pick<LoadResult, 'seen'>;
  /** The directory of API descriptions, whose changes count as well. */
  readonly imports?: string;
  /** How often the directory is looked at: some file systems report nothing, and config maps only swap a link. */
  readonly pollMs?: number;
  /** How long the files must stay as they are before they are read: a file half written is not read. */
  readonly settleMs?: number;
}

/** Watches a directory of namespace files and loads it anew whenever it has changed. */
export class NamespaceWatch {
  readonly #directory: string;
  readonly #onLoad: (result: LoadResult) => void;
  readonly #pollMs: number;
  readonly #settleMs: number;
  readonly #imports: string | undefined;
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;
  #seen: string | undefined;
  #working: Promise<void> | undefined;
  /** Something happened while a look was under way, perhaps behind its back. */
  #mustLookAgain = false;
  #isClosed = false;

  /** `onLoad` hears of every change, good or bad. It must not throw. */
  constructor(directory: string, onLoad: (result: LoadResult) => void, options: WatchOptions = {}) {
    this.#directory = directory;
    this.#onLoad = onLoad;
    this.#imports = options.imports;
    this.#seen = options.since?.seen;
    this.#pollMs = options.pollMs ?? 2000;
    this.#settleMs = options.settleMs ?? 100;
  }

  start(): void {
    for (const directory of [this.#directory, this.#imports]) if (directory !== undefined) this.#watch(directory);
    this.#look();
  }

  #watch(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#look());
      // Out of watches, or the directory is gone: looking at it from time to time goes on.
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // It is not there yet; it is looked at from time to time.
    }
  }

  /** Ends watching; a load that is under way is not reported. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const watcher of this.#watchers) watcher.close();
    clearTimeout(this.#timer);
    await this.#working;
  }

  #look(): void {
    if (this.#isClosed) return;
    if (this.#working !== undefined) {
      this.#mustLookAgain = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#mustLookAgain = false;
    this.#working = this.#reload().finally(() => {
      this.#working = undefined;
      if (this.#isClosed) return;
      if (this.#mustLookAgain) this.#look();
      else this.#timer = setTimeout(() => this.#look(), this.#pollMs).unref();
    });
  }

  async #reload(): Promise<void> {
    let now = await fingerprint(this.#directory, this.#imports);
    if (now === this.#seen) return;
    for (;;) {
      await this.#pause();
      const next = await fingerprint(this.#directory, this.#imports);
      if (next === now || this.#isClosed) break;
      now = next;
    }
    if (this.#isClosed) return;
    const result = await loadNamespaces(this.#directory, this.#imports);
    this.#seen = result.seen;
    if (!this.#isClosed) this.#onLoad(result);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#settleMs));
  }
}
