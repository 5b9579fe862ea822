/** Compiles and checks away from the event loop. Loaded as a worker thread, and by the one who starts it to learn where it is. */
import { parentPort, workerData } from 'node:worker_threads';
import { isObject, type Json, type JsonObject } from '../wire/json.ts';
import { UnusableSchema } from './clean-schema.ts';
import { compileSchema, type Validator } from './compile-schema.ts';
import type { CheckWords } from './describe-error.ts';
import { measureValue } from './measure-arguments.ts';

export interface Job {
  /** Of the schema, which comes as JSON: objects are copied one by one. What was compiled once in this worker is not sent again. */
  readonly hash: string;
  readonly schema: { readonly text: string; readonly patterns: readonly string[]; readonly words: CheckWords } | undefined;
  /** Undefined, and no source, to compile only. */
  readonly args?: JsonObject | undefined;
  /** The JSON of what is to be checked: then it is parsed here as well. */
  readonly source?: Uint8Array | undefined;
}

export type Reply =
  /** The first half is done: what follows is the check. */
  { readonly kind: 'compiled' } | FinalReply;

export type FinalReply =
  | { readonly kind: 'checked'; readonly sentence: string | undefined; readonly warnings: readonly string[] }
  /** No schema should have to look at what came as JSON. */
  | { readonly kind: 'unread'; readonly problem: string }
  /** Reads on from "its input schema". */
  | { readonly kind: 'unusable'; readonly problem: string };

/**
 * This file where it runs: a source in development, a chunk of its own in the built program (it is imported dynamically, and by
 * nothing else).
 */
export const workerUrl = import.meta.url;
/** Tells a thread that was started for this from any other that loads the file. */
export const workerPurpose = 'gatehouse-argument-checks';

const validators = new Map<string, Validator>();

async function perform({ hash, schema, args, source }: Job, report: (reply: Reply) => void): Promise<FinalReply> {
  try {
    const validator = validators.get(hash) ?? (await compile(hash, schema));
    report({ kind: 'compiled' });
    const value = source === undefined ? args : (JSON.parse(Buffer.from(source).toString()) as Json);
    const size = source === undefined || value === undefined ? undefined : measureValue(value);
    if (typeof size === 'string') return { kind: 'unread', problem: size };
    return { kind: 'checked', sentence: value === undefined ? undefined : validator.check(value), warnings: validator.warnings };
  } catch (error) {
    if (error instanceof UnusableSchema) return { kind: 'unusable', problem: error.message };
    throw error;
  }
}

async function compile(hash: string, schema: Job['schema']): Promise<Validator> {
  if (schema === undefined) throw new Error('A schema that this worker has not compiled must come with the job.');
  const validator = await compileSchema(JSON.parse(schema.text) as JsonObject, schema.patterns, schema.words);
  validators.set(hash, validator);
  return validator;
}

if (parentPort !== null && isObject(workerData) && workerData.purpose === workerPurpose) {
  const port = parentPort;
  port.on('message', (job: Job) => {
    const report = (reply: Reply) => port.postMessage(reply);
    void perform(job, report).then(report);
  });
}
