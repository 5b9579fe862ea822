/**
 * Converts a description in a process of its own. Loaded by that process, and by the one who starts it to learn where it is. It is no
 * thread, for a thread that runs out of memory while V8 parses takes the whole process with it.
 */
import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Conversion, ConversionProblem } from './conversion.ts';
import type { ConversionLimits } from './conversion-limits.ts';

/** The first message; the description itself comes through standard input. */
export interface ImportJob {
  /** Where the description came from. */
  readonly url: string | undefined;
  readonly limits: ConversionLimits;
  /** Other documents may be asked for. */
  readonly mayFetch: boolean;
}

/** What the process says, in this order. */
export type ImportMessage =
  | { readonly kind: 'fetch'; readonly url: string }
  | { readonly kind: 'head'; readonly head: Omit<Conversion, 'operations' | 'problems'> }
  /** An OperationChunk as JSON; the next comes when `more` was heard. */
  | { readonly kind: 'operations'; readonly text: string }
  | { readonly kind: 'converted'; readonly problems: readonly ConversionProblem[] }
  | { readonly kind: 'validated'; readonly problems: readonly ConversionProblem[]; readonly usage: ImportUsage }
  /** Instead of all others: the message of a GatewayError `bad_description`. */
  | { readonly kind: 'refused'; readonly message: string };

/** What it is told after the job. */
export type ImportReply =
  | { readonly kind: 'fetched'; readonly document: Uint8Array | { readonly missing: string } }
  | { readonly kind: 'more' };

/** Of the process as a whole. */
export interface ImportUsage {
  /** Until all operations were converted; the rest is spent on holding the document against the schema of its format. */
  readonly convertedCpuMs: number;
  readonly cpuMs: number;
  /** Resident memory at its most. */
  readonly memoryMegabytes: number;
}

/**
 * This file where it runs: a source in development, a chunk of its own in the built program (it is imported dynamically, and by
 * nothing else).
 */
export const processUrl = import.meta.url;
/** Its first argument, which tells the process that was started for this from any other that loads the file. */
export const processPurpose = 'gatehouse-openapi-import';
/** The same of the thread in that process that keeps it within its CPU time. */
const watchPurpose = 'gatehouse-openapi-import-watch';
/** The second argument of both is the CPU time of all its threads, in milliseconds; the third is the process that started it. */
const [, , purpose, cpuLimitMs = '', startedBy = ''] = process.argv;

if (purpose === processPurpose) {
  // Whoever converts is too busy to look at a clock.
  new Worker(new URL(processUrl), { argv: [watchPurpose, cpuLimitMs, startedBy] }).unref();
  const { runImport } = await import('./run-import.ts');
  await runImport();
}
if (purpose === watchPurpose) watchCpuTime(Number(cpuLimitMs), Number(startedBy));

/**
 * Says so on standard output, on which nothing else is said, and leaves the end to the one who hears it. Where nobody is left to hear
 * it, as the gateway was killed, it ends the process itself: whoever converts does not look up to see that.
 */
function watchCpuTime(limitMs: number, parent: number): void {
  let hasSaidSo = false;
  setInterval(() => {
    if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
    const { user, system } = process.cpuUsage();
    if (hasSaidSo || user + system <= limitMs * 1000) return;
    hasSaidSo = true;
    writeSync(1, 'spent');
  }, 50);
}
