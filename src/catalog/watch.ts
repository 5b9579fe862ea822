import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type LoadResult, listFiles, loadNamespaces } from './load.ts';

interface WatchOptions {
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
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen: string | undefined;
  #working: Promise<void> | undefined;
  #isClosed = false;

  /** `onLoad` hears of every change after `start`, good or bad. It must not throw. */
  constructor(directory: string, onLoad: (result: LoadResult) => void, { pollMs = 2000, settleMs = 100 }: WatchOptions = {}) {
    this.#directory = directory;
    this.#onLoad = onLoad;
    this.#pollMs = pollMs;
    this.#settleMs = settleMs;
  }

  /** Remembers how the directory looks now, loads it and watches from there on. */
  async start(): Promise<LoadResult> {
    this.#seen = await fingerprint(this.#directory);
    const result = await loadNamespaces(this.#directory);
    if (this.#isClosed) return result;
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, () => this.#look());
      // Out of watches, or the directory is gone: looking at it from time to time goes on.
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      this.#watcher = undefined;
    }
    this.#schedule();
    return result;
  }

  /** Ends watching; a load that is under way is not reported. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watcher?.close();
    clearTimeout(this.#timer);
    await this.#working;
  }

  #schedule(): void {
    this.#timer = setTimeout(() => this.#look(), this.#pollMs);
    this.#timer.unref();
  }

  #look(): void {
    if (this.#isClosed || this.#working !== undefined) return;
    clearTimeout(this.#timer);
    this.#working = this.#reload().finally(() => {
      this.#working = undefined;
      if (!this.#isClosed) this.#schedule();
    });
  }

  async #reload(): Promise<void> {
    let now = await fingerprint(this.#directory);
    if (now === this.#seen) return;
    for (;;) {
      await this.#pause();
      const next = await fingerprint(this.#directory);
      if (next === now || this.#isClosed) break;
      now = next;
    }
    if (this.#isClosed) return;
    // Taken before the files are read: what changes while they are is found at the next look.
    this.#seen = now;
    const result = await loadNamespaces(this.#directory);
    if (!this.#isClosed) this.#onLoad(result);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#settleMs));
  }
}

// Follows links, so that a swapped one counts as a change.
async function fingerprint(directory: string): Promise<string> {
  const names = await listFiles(directory);
  if (names === undefined) return 'missing';
  const looks = names.map(async (name) => {
    try {
      const { ino, size, mtimeMs } = await stat(join(directory, name));
      return `${name} ${ino} ${size} ${mtimeMs}`;
    } catch {
      return `${name} unreadable`;
    }
  });
  return (await Promise.all(looks)).join('\n');
}
