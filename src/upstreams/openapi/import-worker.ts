/** Converts a description away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import { parentPort, workerData } from 'node:worker_threads';
import { isObject } from '../../wire/json.ts';
import type { Conversion, ConversionProblem } from './conversion.ts';
import type { ConversionLimits } from './conversion-limits.ts';

export interface ImportJob {
  readonly purpose: string;
  readonly bytes: Uint8Array;
  /** Where the bytes came from. */
  readonly url: string | undefined;
  readonly limits: ConversionLimits;
  /** Other documents may be asked for. */
  readonly mayFetch: boolean;
}

/** What the thread says, in this order. */
export type ImportMessage =
  | { readonly kind: 'fetch'; readonly url: string }
  | { readonly kind: 'head'; readonly head: Omit<Conversion, 'operations' | 'problems'> }
  /** A JSON array; the next comes when `more` was heard. */
  | { readonly kind: 'operations'; readonly text: string }
  | { readonly kind: 'converted'; readonly problems: readonly ConversionProblem[] }
  | { readonly kind: 'validated'; readonly problems: readonly ConversionProblem[] }
  /** Instead of all others: the message of a GatewayError `bad_description`. */
  | { readonly kind: 'refused'; readonly message: string };

/** What it is told. */
export type ImportReply =
  | { readonly kind: 'fetched'; readonly document: Uint8Array | { readonly missing: string } }
  | { readonly kind: 'more' };

/**
 * This file where it runs: a source in development, a chunk of its own in the built program (it is imported dynamically, and by
 * nothing else).
 */
export const workerUrl = import.meta.url;
/** Tells a thread that was started for this from any other that loads the file. */
export const workerPurpose = 'gatehouse-openapi-imports';

function isJob(data: unknown): data is ImportJob {
  return isObject(data) && data.purpose === workerPurpose;
}

if (parentPort !== null && isJob(workerData)) {
  const { runImport } = await import('./run-import.ts');
  await runImport(workerData, parentPort);
}
