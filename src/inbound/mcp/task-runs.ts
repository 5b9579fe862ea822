import { Cancel } from '../../wire/cancel.ts';

/** Calls of tasks that this process makes right now. */
export class TaskRuns {
  readonly #running = new Map<string, { readonly cancel: Cancel; readonly done: Promise<void> }>();
  readonly #said = new Map<string, string>();

  /** Does the work unless this task has some already. */
  start(id: string, work: (cancel: Cancel) => Promise<void>): void {
    if (this.#running.has(id)) return;
    const cancel = new Cancel();
    const done = work(cancel).finally(() => this.#running.delete(id));
    this.#running.set(id, { cancel, done });
  }

  /** Notes why a call that can still be made was not, the last time. */
  say(id: string, message: string): void {
    if (this.#said.size >= mostSaid) this.#said.clear();
    this.#said.set(id, message);
  }

  said(id: string): string | undefined {
    return this.#said.get(id);
  }

  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  cancel(id: string): void {
    this.#running.get(id)?.cancel.cancel('the client cancelled the task');
  }

  /** Resolves when the work of this task is done, or the time is over. */
  async settled(id: string, withinMs: number): Promise<void> {
    const running = this.#running.get(id);
    if (running === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([running.done, late]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    const all = [...this.#running.values()];
    for (const { cancel } of all) cancel.cancel('the gateway is stopping');
    await Promise.allSettled(all.map(({ done }) => done));
  }
}

const mostSaid = 1_000;
