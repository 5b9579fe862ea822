/**
 * Bytes of an API description to tools, in a process of its own with limits on time and memory: whatever somebody uploads, everybody
 * else goes on.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { GatewayError, toGatewayError } from '../../errors.ts';
import { importTimeoutMs } from '../upstream.ts';
import { checkSize, refuse } from './check-size.ts';
import type { Conversion, Operation } from './conversion.ts';
import { type ConversionLimits, conversionLimits } from './conversion-limits.ts';
import type { ImportJob, ImportMessage, ImportReply, ImportUsage } from './import-process.ts';
import { type OperationChunk, readOperations } from './operation-text.ts';

export interface ConvertOptions {
  /** Where the description came from; what it refers to relatively is found from there. */
  readonly url?: string | undefined;
  /**
   * Gets another document that the description refers to, of `http` or `https`. Without it, none is fetched. It guards where
   * requests may go; what it throws is noted, and the reference leads nowhere.
   */
  readonly fetchReference?: ((url: string, signal?: AbortSignal) => Promise<Uint8Array>) | undefined;
  readonly limits?: Partial<ConversionLimits> | undefined;
  /** Of the process as a whole, its start included. */
  readonly cpuLimitMs?: number | undefined;
  /** By the clock, from the start of the process, fetching included; not the wait for others. */
  readonly timeoutMs?: number | undefined;
  /** Of the heap; the process needs some 100 MB more. */
  readonly memoryMegabytes?: number | undefined;
  /** Whoever aborts it wants no conversion any more: its process ends at once, or is never started. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what it took, where it came to its end. */
  readonly onUsage?: ((usage: ImportUsage) => void) | undefined;
}

/** The same work takes the same on a busy machine; only when it is done differs. */
export const importCpuMs = 5_000;
const importMemoryMegabytes = 400;

interface Allowance {
  readonly cpuLimitMs: number;
  readonly timeoutMs: number;
  readonly memoryMegabytes: number;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * One description after the other: each may take all the memory that there is for it. Throws GatewayError `bad_description`, which
 * names the limit or the line, and `cancelled`.
 */
export function convertDescription(bytes: Uint8Array, options: ConvertOptions = {}): Promise<Conversion> {
  const { promise: aborted, reject: abort } = Promise.withResolvers<never>();
  const { signal } = options;
  const giveUp = () => abort(new GatewayError('cancelled', 'The API description is not wanted any more.'));
  if (signal?.aborted === true) giveUp();
  else signal?.addEventListener('abort', giveUp, { once: true });
  // Whoever waits for the one before need not wait to give up.
  const result = last.then(() => (signal?.aborted === true ? aborted : convertInProcess(bytes, options, aborted)));
  last = result.catch(() => {});
  return Promise.race([result, aborted]).finally(() => signal?.removeEventListener('abort', giveUp));
}

async function convertInProcess(bytes: Uint8Array, options: ConvertOptions, aborted: Promise<never>): Promise<Conversion> {
  const limits = { ...conversionLimits, ...options.limits };
  checkSize(bytes, limits);
  const { processUrl, processPurpose } = await import('./import-process.ts');
  const { cpuLimitMs = importCpuMs, timeoutMs = importTimeoutMs, memoryMegabytes = importMemoryMegabytes } = options;
  const child = fork(fileURLToPath(processUrl), [processPurpose, String(cpuLimitMs), String(process.pid)], {
    // Nothing of ours is in there but the job: no secrets of the environment either.
    env: {},
    execArgv: [`--max-old-space-size=${memoryMegabytes}`, '--max-semi-space-size=16'],
    stdio: ['pipe', 'pipe', 'ignore', 'ipc'],
    serialization: 'advanced',
  });
  try {
    const collected = collect(child, options, { cpuLimitMs, timeoutMs, memoryMegabytes });
    const job: ImportJob = { url: options.url, limits, mayFetch: options.fetchReference !== undefined };
    tell(child, job);
    // It may be gone before it has read everything.
    child.stdin?.on('error', () => {});
    child.stdin?.end(bytes);
    return await Promise.race([collected, aborted]);
  } finally {
    child.kill('SIGKILL');
  }
}

/** To a process that may be gone by now. */
function tell(child: ChildProcess, message: ImportJob | ImportReply): void {
  if (child.connected) child.send(message, () => {});
}

/** Puts together what the process says. */
function collect(child: ChildProcess, options: ConvertOptions, allowance: Allowance): Promise<Conversion> {
  const { promise, resolve, reject } = Promise.withResolvers<Conversion>();
  const operations: Operation[] = [];
  const read = readOperations();
  let head: Omit<Conversion, 'operations' | 'problems'> | undefined;
  let converted: Conversion | undefined;

  // What was converted stands, whatever becomes of the rest.
  const giveUp = (error: GatewayError, why: string) => {
    if (converted === undefined) return reject(error);
    const message = `The document was not held against the schema of its format: ${why}.`;
    resolve({ ...converted, problems: [...converted.problems, { kind: 'changed', operation: '', pointer: '', message }] });
  };
  const hear = (message: ImportMessage) => {
    switch (message.kind) {
      case 'fetch':
        void fetchFor(message.url, options).then((document) => tell(child, { kind: 'fetched', document }));
        return;
      case 'head':
        head = message.head;
        return;
      case 'operations':
        for (const operation of read(parseChunk(message.text))) operations.push(operation);
        // Others have their turn first.
        setImmediate(tell, child, { kind: 'more' });
        return;
      case 'converted':
        if (head !== undefined) converted = { ...head, operations, problems: message.problems };
        return;
      case 'validated':
        options.onUsage?.(message.usage);
        if (converted !== undefined) resolve({ ...converted, problems: [...converted.problems, ...message.problems] });
        return;
      case 'refused':
        reject(new GatewayError('bad_description', message.message));
    }
  };

  const timer = setTimeout(() => giveUp(timeError(allowance), 'that took too long'), allowance.timeoutMs);
  child.stdout?.once('data', () => giveUp(cpuError(allowance), 'that took too long'));
  child.on('message', hear);
  child.on('error', (error) => giveUp(toGatewayError(error), 'that failed'));
  // Not "exit", which may come before what the process said last.
  child.on('close', (code, signal) => giveUp(endError(code, signal, allowance), 'that failed'));
  return promise.finally(() => clearTimeout(timer));
}

function parseChunk(text: string): OperationChunk {
  return JSON.parse(text);
}

function limitError(what: string): GatewayError {
  return refuse(`${what}. Import a smaller one, with fewer operations.`);
}

function cpuError({ cpuLimitMs }: Allowance): GatewayError {
  return refuse(
    `takes more than ${cpuLimitMs / 1000} s of CPU time to convert. Import a smaller one, with fewer operations; for one that you trust, the operator can raise GATEHOUSE_IMPORT_CPU_MS.`,
  );
}

function timeError({ cpuLimitMs, timeoutMs }: Allowance): GatewayError {
  return refuse(
    `was not converted within ${timeoutMs / 1000} s by the clock, in less than the ${cpuLimitMs / 1000} s of CPU time that it may take: what it refers to is slow, or this machine is busy. Try again later.`,
  );
}

/** V8 aborts when its heap is full, and the kernel kills when the machine's memory is. */
function endError(code: number | null, signal: string | null, { memoryMegabytes }: Allowance): GatewayError {
  const isMemory = signal === 'SIGABRT' || signal === 'SIGKILL' || code === 134;
  if (isMemory) return limitError(`takes more than ${memoryMegabytes} MB of memory to convert`);
  return toGatewayError(new Error(`The import process ended with ${signal ?? code} before it was done.`));
}

async function fetchFor(
  url: string,
  { fetchReference, signal }: ConvertOptions,
): Promise<Uint8Array | { readonly missing: string }> {
  if (fetchReference === undefined) return { missing: 'which was not fetched' };
  try {
    return await fetchReference(url, signal);
  } catch (error) {
    return { missing: `which could not be fetched: ${error instanceof GatewayError ? error.message : 'the request failed'}` };
  }
}
