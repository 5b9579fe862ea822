import { Worker } from 'node:worker_threads';

// Beside this file, as a source or bundled.
const checkerUrl = new URL(import.meta.url.endsWith('.ts') ? './check-schemas.ts' : './check-schemas.mjs', import.meta.url);

interface Tool {
  readonly inputSchema: unknown;
  readonly outputSchema?: unknown;
}

export interface SchemaProblem {
  /** Of the tool, in what was given. */
  readonly index: number;
  readonly problem: string;
}

/** Threads that compile schemas, each in turn. */
export class SchemaCheckers {
  readonly #workers: readonly Worker[];

  constructor(count: number) {
    this.#workers = Array.from({ length: count }, () => new Worker(checkerUrl));
  }

  async check(tools: readonly Tool[]): Promise<SchemaProblem[]> {
    const parts = await Promise.all(
      this.#workers.map(async (worker, part) => {
        const own = tools.flatMap(({ inputSchema, outputSchema }, index) =>
          index % this.#workers.length === part ? [{ index, inputSchema, outputSchema }] : [],
        );
        if (own.length === 0) return [];
        const { promise, resolve, reject } = Promise.withResolvers<SchemaProblem[]>();
        worker.once('message', resolve);
        worker.once('error', reject);
        worker.postMessage(JSON.stringify(own));
        try {
          return await promise;
        } finally {
          worker.off('error', reject);
        }
      }),
    );
    return parts.flat();
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}
