/** A few worker threads for schemas and arguments that are too large to be checked where everybody waits. */
import { Worker } from 'node:worker_threads';
import type { FinalReply, Job, Reply } from './check-worker.ts';

export type Verdict =
  | FinalReply
  | { readonly kind: 'late'; readonly doing: 'compile' | 'check' }
  | { readonly kind: 'busy' }
  /** The worker's program is gone: nothing is wrong with what was to be checked. */
  | { readonly kind: 'broken'; readonly reason: unknown };

interface PoolLimits {
  readonly workers: number;
  /** A worker that has just been started starts within this as well. */
  readonly compileMs: number;
  readonly checkMs: number;
  /** Longest wait for a worker. */
  readonly queueMs: number;
  readonly queued: number;
  /** Of these with the same schema: one tool does not keep all others waiting. */
  readonly queuedPerSchema: number;
  /** A worker without work ends after this. */
  readonly idleMs: number;
  readonly memoryMegabytes: number;
  /** Of the processor, used by this process so far; the real one unless a test says otherwise. */
  readonly cpuMs: () => number;
}

const poolLimits: PoolLimits = {
  workers: 2,
  compileMs: 5_000,
  checkMs: 2_000,
  queueMs: 5_000,
  queued: 64,
  queuedPerSchema: 8,
  idleMs: 60_000,
  memoryMegabytes: 256,
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/**
 * A deadline is for work. Where the machine gave this process less than half of it, that says nothing of a schema: the work, and who
 * waits for it, gets the same again, so often at most.
 */
const mostGraces = 4;

interface Deadline {
  clear(): void;
}

function startDeadline(deadlineMs: number, cpuMs: () => number, pass: () => void): Deadline {
  let timer: NodeJS.Timeout;
  const start = (graces: number): void => {
    const beforeMs = cpuMs();
    timer = setTimeout(() => {
      const hasRun = cpuMs() - beforeMs >= deadlineMs / 2;
      if (hasRun || graces === 0) pass();
      else start(graces - 1);
    }, deadlineMs);
  };
  start(mostGraces);
  return { clear: () => clearTimeout(timer) };
}

async function findWorker(): Promise<{ readonly url: string; readonly purpose: string }> {
  const { workerUrl, workerPurpose } = await import('./check-worker.ts');
  return { url: workerUrl, purpose: workerPurpose };
}

/** Whether files of the program are no longer where they were when it was started. */
function isGone(reason: unknown): boolean {
  return reason instanceof Error && 'code' in reason && /MODULE_NOT_FOUND$/.test(String(reason.code));
}

interface Waiting {
  readonly job: Job;
  readonly settle: (verdict: Verdict) => void;
  readonly deadline: Deadline;
}

interface Thread {
  readonly worker: Worker;
  /** Hashes of the schemas it has compiled. */
  readonly compiled: Set<string>;
  current: { readonly hash: string; readonly settle: (verdict: Verdict) => void; doing: 'compile' | 'check' } | undefined;
  /** Of what it does, or of its idleness. */
  deadline: Deadline | undefined;
}

/** A worker that compiled so many is replaced when it is idle: validators are never given back one by one. */
const maxCompiled = 200;

export class CheckPool {
  readonly #limits: PoolLimits;
  readonly #threads = new Set<Thread>();
  readonly #queue: Waiting[] = [];
  #entry: { readonly url: string; readonly purpose: string } | undefined;

  constructor(limits: Partial<PoolLimits> = {}) {
    this.#limits = { ...poolLimits, ...limits };
  }

  /** Never rejects and never takes longer than the limits say; on a machine that is too busy, five times as long. */
  async run(job: Job): Promise<Verdict> {
    try {
      this.#entry ??= await findWorker();
    } catch (reason) {
      if (isGone(reason)) return { kind: 'broken', reason };
      throw reason;
    }
    const sameSchema = this.#queue.filter(({ job: { hash } }) => hash === job.hash).length;
    if (this.#queue.length >= this.#limits.queued || sameSchema >= this.#limits.queuedPerSchema) return { kind: 'busy' };
    return await new Promise((settle) => {
      const deadline = startDeadline(this.#limits.queueMs, this.#limits.cpuMs, () => this.#giveUp(waiting));
      const waiting = { job, settle, deadline };
      this.#queue.push(waiting);
      this.#next();
    });
  }

  /** Ends all threads; what waits is answered with `busy`. */
  async close(): Promise<void> {
    for (const { settle, deadline } of this.#queue.splice(0)) {
      deadline.clear();
      settle({ kind: 'busy' });
    }
    await Promise.all([...this.#threads].map((thread) => this.#end(thread, { kind: 'busy' })));
  }

  #giveUp(waiting: Waiting): void {
    this.#queue.splice(this.#queue.indexOf(waiting), 1);
    waiting.settle({ kind: 'busy' });
  }

  #next(): void {
    // One thread at most for one schema: the others serve the others.
    const running = new Set([...this.#threads].map(({ current }) => current?.hash));
    const index = this.#queue.findIndex(({ job }) => !running.has(job.hash));
    const waiting = this.#queue[index];
    if (waiting === undefined) return;
    const idle = [...this.#threads].filter(({ current }) => current === undefined);
    const thread = idle.find(({ compiled }) => compiled.has(waiting.job.hash)) ?? idle[0];
    if (thread === undefined && this.#threads.size >= this.#limits.workers) return;
    this.#queue.splice(index, 1);
    waiting.deadline.clear();
    this.#give(thread ?? this.#open(), waiting);
  }

  #open(): Thread {
    const { url = '', purpose } = this.#entry ?? {};
    const worker = new Worker(new URL(url), {
      workerData: { purpose },
      // Nothing of ours is in there but the job: no secrets of the environment either.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.#limits.memoryMegabytes },
    });
    const thread: Thread = { worker, compiled: new Set(), current: undefined, deadline: undefined };
    this.#threads.add(thread);
    worker.on('message', (reply: Reply) => this.#hear(thread, reply));
    // Out of memory, or anything else that ends a thread: the same as one that does not come back.
    worker.on('error', (reason) => void (isGone(reason) ? this.#endBroken(thread, reason) : this.#endLate(thread)));
    // A check that runs is kept alive by the timer of its deadline; an idle thread keeps nothing. Listening takes this back, so
    // that it comes last.
    worker.unref();
    return thread;
  }

  #give(thread: Thread, { job, settle }: Waiting): void {
    const isCompiled = thread.compiled.has(job.hash);
    thread.current = { hash: job.hash, settle, doing: 'compile' };
    this.#startDeadline(thread, isCompiled ? this.#limits.checkMs : this.#limits.compileMs);
    thread.worker.postMessage(isCompiled ? { ...job, schema: undefined } : job);
  }

  #startDeadline(thread: Thread, deadlineMs: number): void {
    thread.deadline?.clear();
    thread.deadline = startDeadline(deadlineMs, this.#limits.cpuMs, () => void this.#endLate(thread));
  }

  #startIdleness(thread: Thread): void {
    const timer = setTimeout(() => void this.#end(thread, { kind: 'busy' }), this.#limits.idleMs).unref();
    thread.deadline = { clear: () => clearTimeout(timer) };
  }

  async #endLate(thread: Thread): Promise<void> {
    await this.#end(thread, { kind: 'late', doing: thread.current?.doing ?? 'check' });
    this.#next();
  }

  async #endBroken(thread: Thread, reason: unknown): Promise<void> {
    await this.#end(thread, { kind: 'broken', reason });
    this.#next();
  }

  #hear(thread: Thread, reply: Reply): void {
    const { current } = thread;
    if (current === undefined) return;
    if (reply.kind === 'compiled') {
      thread.compiled.add(current.hash);
      current.doing = 'check';
      this.#startDeadline(thread, this.#limits.checkMs);
      return;
    }
    thread.current = undefined;
    thread.deadline?.clear();
    if (thread.compiled.size >= maxCompiled) void this.#end(thread, { kind: 'busy' });
    else this.#startIdleness(thread);
    current.settle(reply);
    this.#next();
  }

  async #end(thread: Thread, verdict: Verdict): Promise<void> {
    this.#threads.delete(thread);
    thread.deadline?.clear();
    thread.current?.settle(verdict);
    thread.current = undefined;
    await thread.worker.terminate();
  }
}
