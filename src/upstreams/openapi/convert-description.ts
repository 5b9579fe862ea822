/**
 * Bytes of an API description to tools, in a thread of its own with limits on time and memory: whatever somebody uploads, everybody
 * else goes on.
 */
import { Worker } from 'node:worker_threads';
import { GatewayError, toGatewayError } from '../../errors.ts';
import type { Conversion, Operation } from './conversion.ts';
import { type ConversionLimits, conversionLimits } from './conversion-limits.ts';
import type { ImportJob, ImportMessage, ImportReply } from './import-worker.ts';

export interface ConvertOptions {
  /** Where the description came from; what it refers to relatively is found from there. */
  readonly url?: string | undefined;
  /**
   * Gets another document that the description refers to, of `http` or `https`. Without it, none is fetched. It guards where
   * requests may go; what it throws is noted, and the reference leads nowhere.
   */
  readonly fetchReference?: ((url: string) => Promise<Uint8Array>) | undefined;
  readonly limits?: Partial<ConversionLimits> | undefined;
  /** From its start in a thread; fetching included. */
  readonly timeoutMs?: number | undefined;
  readonly memoryMegabytes?: number | undefined;
}

export const importTimeoutMs = 5_000;
export const importMemoryMegabytes = 512;

let last: Promise<unknown> = Promise.resolve();

/**
 * One description after the other: each may take all the memory that there is for it. Throws GatewayError `bad_description`, which
 * names the limit or the line.
 */
export function convertDescription(bytes: Uint8Array, options: ConvertOptions = {}): Promise<Conversion> {
  const result = last.then(() => convertInThread(bytes, options));
  last = result.catch(() => {});
  return result;
}

async function convertInThread(bytes: Uint8Array, options: ConvertOptions): Promise<Conversion> {
  const { workerUrl, workerPurpose } = await import('./import-worker.ts');
  const memoryMegabytes = options.memoryMegabytes ?? importMemoryMegabytes;
  const job: ImportJob = {
    purpose: workerPurpose,
    bytes,
    url: options.url,
    limits: { ...conversionLimits, ...options.limits },
    mayFetch: options.fetchReference !== undefined,
  };
  const worker = new Worker(new URL(workerUrl), {
    workerData: job,
    // Nothing of ours is in there but the job: no secrets of the environment either.
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: memoryMegabytes, maxYoungGenerationSizeMb: 64 },
  });
  try {
    return await collect(worker, options, memoryMegabytes);
  } finally {
    await worker.terminate();
  }
}

/** Puts together what the thread says. */
function collect(worker: Worker, options: ConvertOptions, memoryMegabytes: number): Promise<Conversion> {
  const { promise, resolve, reject } = Promise.withResolvers<Conversion>();
  const timeoutMs = options.timeoutMs ?? importTimeoutMs;
  const operations: Operation[] = [];
  let head: Omit<Conversion, 'operations' | 'problems'> | undefined;
  let converted: Conversion | undefined;
  const reply = (message: ImportReply) => worker.postMessage(message);

  // What was converted stands, whatever becomes of the rest.
  const giveUp = (error: GatewayError, why: string) => {
    if (converted === undefined) return reject(error);
    const message = `The document was not held against the schema of its format: ${why}.`;
    resolve({ ...converted, problems: [...converted.problems, { kind: 'changed', operation: '', pointer: '', message }] });
  };
  const hear = (message: ImportMessage) => {
    switch (message.kind) {
      case 'fetch':
        void fetchFor(message.url, options).then((document) => reply({ kind: 'fetched', document }));
        return;
      case 'head':
        head = message.head;
        return;
      case 'operations':
        operations.push(...parseOperations(message.text));
        // Others have their turn first.
        setImmediate(reply, { kind: 'more' });
        return;
      case 'converted':
        if (head !== undefined) converted = { ...head, operations, problems: message.problems };
        return;
      case 'validated':
        if (converted !== undefined) resolve({ ...converted, problems: [...converted.problems, ...message.problems] });
        return;
      case 'refused':
        reject(new GatewayError('bad_description', message.message));
    }
  };

  const timer = setTimeout(
    () => giveUp(limitError(`takes more than ${timeoutMs / 1000} s to convert`), 'that took too long'),
    timeoutMs,
  );
  worker.on('message', hear);
  worker.on('error', (error) => {
    const isMemory = 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    giveUp(
      isMemory ? limitError(`takes more than ${memoryMegabytes} MB of memory to convert`) : toGatewayError(error),
      'that failed',
    );
  });
  worker.on('exit', () => giveUp(toGatewayError(new Error('The import thread ended before it was done.')), 'that failed'));
  return promise.finally(() => clearTimeout(timer));
}

function parseOperations(text: string): Operation[] {
  return JSON.parse(text);
}

function limitError(what: string): GatewayError {
  return new GatewayError('bad_description', `The API description ${what}. Import a smaller one, with fewer operations.`);
}

async function fetchFor(url: string, { fetchReference }: ConvertOptions): Promise<Uint8Array | { readonly missing: string }> {
  if (fetchReference === undefined) return { missing: 'which was not fetched' };
  try {
    return await fetchReference(url);
  } catch (error) {
    return { missing: `which could not be fetched: ${error instanceof GatewayError ? error.message : 'the request failed'}` };
  }
}
