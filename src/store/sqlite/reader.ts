import { Worker } from 'node:worker_threads';
import { GatewayError } from '../../errors.ts';
import { mapInTurns } from '../../turns.ts';
import { explainSqliteError } from './explain-error.ts';
import type { ReadJob, ReadReply } from './read-worker.ts';

type Row = Record<string, unknown>;
type Part = Extract<ReadReply, { readonly rows: unknown }>;

interface ReaderLimits {
  /** Queries that run or wait at once. */
  readonly waiting: number;
  /** A thread without work ends after this. */
  readonly idleMs: number;
  /** How long a thread that ends is waited for. */
  readonly endMs: number;
  readonly memoryMegabytes: number;
}

const readerLimits: ReaderLimits = { waiting: 32, idleMs: 60_000, endMs: 1000, memoryMegabytes: 256 };

interface Thread {
  readonly worker: Worker;
  readonly waiting: Map<number, PromiseWithResolvers<Part>>;
  isGone: boolean;
}

/**
 * For queries that look at many rows: SQLite answers on the thread that asks, and no call would go on meanwhile. One thread of its own,
 * with a connection of its own, which starts when there is something to read. It sees all that is committed.
 */
export class SqliteReader {
  readonly #path: string;
  readonly #limits: ReaderLimits;
  #thread: Promise<Thread> | undefined;
  #live: Thread | undefined;
  #running = 0;
  #nextId = 1;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(path: string, limits: Partial<ReaderLimits> = {}) {
    this.#path = path;
    this.#limits = { ...readerLimits, ...limits };
  }

  /** One after the other. Throws GatewayError `store_unavailable` where too many wait, and as the store's own connection does. */
  async all(sql: string, parameters: readonly unknown[]): Promise<readonly Row[]> {
    if (this.#isClosed) throw gone();
    if (this.#running >= this.#limits.waiting) {
      const text = `${this.#running} searches of the store run or wait already. Try again in a few seconds.`;
      throw new GatewayError('store_unavailable', text, { retryAfterMs: 5000 });
    }
    this.#running++;
    clearTimeout(this.#idle);
    try {
      this.#thread ??= this.#open().catch((error: unknown) => {
        this.#thread = undefined;
        throw error;
      });
      return await this.#read(await this.#thread, this.#nextId++, sql, parameters);
    } finally {
      this.#running--;
      if (this.#running === 0 && !this.#isClosed) this.#idle = setTimeout(() => void this.#end(), this.#limits.idleMs).unref();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    await this.#end();
  }

  async #open(): Promise<Thread> {
    const { workerUrl, workerPurpose } = await import('./read-worker.ts');
    const worker = new Worker(new URL(workerUrl), {
      workerData: { purpose: workerPurpose, path: this.#path },
      env: {},
      // Node calls its SQLite experimental, once for each thread.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxOldGenerationSizeMb: this.#limits.memoryMegabytes },
    });
    const thread: Thread = { worker, waiting: new Map(), isGone: false };
    worker.on('message', (reply: ReadReply) => this.#hear(thread, reply));
    worker.on('error', (error) => this.#fail(thread, explainSqliteError(error, this.#path)));
    worker.on('exit', () => this.#fail(thread, gone()));
    worker.unref();
    this.#live = thread;
    return thread;
  }

  /** Part by part: unpacking much at once would be what the thread is there to spare others. */
  async #read(thread: Thread, id: number, sql: string, parameters: readonly unknown[]): Promise<readonly Row[]> {
    let part = await this.#ask(thread, { id, sql, parameters });
    const rows = await toRows(part);
    while (!part.isLast) {
      part = await this.#ask(thread, { id, sql: undefined });
      rows.push(...(await toRows(part)));
    }
    return rows;
  }

  #ask({ worker, waiting, isGone }: Thread, job: ReadJob): Promise<Part> {
    if (isGone) return Promise.reject(gone());
    const answer = Promise.withResolvers<Part>();
    if (waiting.size === 0) worker.ref();
    waiting.set(job.id, answer);
    worker.postMessage(job);
    return answer.promise;
  }

  #hear({ worker, waiting }: Thread, reply: ReadReply): void {
    const answer = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
    if ('rows' in reply) answer?.resolve(reply);
    else answer?.reject(explainSqliteError(Object.assign(new Error(reply.error.message), reply.error), this.#path));
  }

  #fail(thread: Thread, error: unknown): void {
    thread.isGone = true;
    // One that ended for want of work may have a successor by now.
    if (this.#live === thread) this.#thread = undefined;
    for (const answer of thread.waiting.values()) answer.reject(error);
    thread.waiting.clear();
  }

  // SQLite is not interrupted: what it is at goes on to its end, and nobody waits for that.
  async #end(): Promise<void> {
    const opening = this.#thread;
    this.#thread = undefined;
    this.#live = undefined;
    const thread = await opening?.catch(() => undefined);
    if (thread === undefined) return;
    this.#fail(thread, gone());
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#limits.endMs);
    await Promise.race([thread.worker.terminate(), late.promise]);
    clearTimeout(timer);
  }
}

function toRows({ columns, rows }: Part): Promise<Row[]> {
  return mapInTurns(rows, (row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
}

function gone(): GatewayError {
  return new GatewayError('store_unavailable', 'The store was closed while it was read. Ask again once the gateway runs.');
}
