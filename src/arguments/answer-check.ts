/** Checks the structured content of answers against the output schema of their tool. */
import type { Json, JsonObject } from '../wire/json.ts';
import { CheckPool, type Verdict } from './check-pool.ts';
import { answerWords } from './describe-error.ts';
import { measureValue } from './measure-arguments.ts';
import { isQuick, type Plan, SchemaPlans } from './schema-plans.ts';

/** What is wrong with an answer. Sentences hold nothing of what was answered but names of members, in part. */
export type AnswerFlaw =
  | { readonly kind: 'misfit'; readonly sentence: string }
  /** Nothing is known of it: reads on from "It was not checked: ". */
  | { readonly kind: 'unchecked'; readonly why: string };

/** Structured content that is larger is not checked. */
const mostCheckedBytes = 4 * 1024 * 1024;
/** It is parsed for the check alone: what takes longer than a fraction of a millisecond is done in another thread. */
const quickBytes = 64 * 1024;
const mostNoted = 1_000;

type Warn = (details: Readonly<Record<string, unknown>>, message: string) => void;

/** Makes checks, and keeps what is compiled. Its threads are its own: answers keep no arguments waiting. */
export class AnswerChecks {
  readonly #plans: SchemaPlans;
  readonly #warn: Warn;
  readonly #byObject = new WeakMap<JsonObject, Plan>();
  readonly #noted = new Set<string>();

  constructor(
    warn: Warn,
    pool = new CheckPool({ workers: 1, queued: 8, queuedPerSchema: 4, queueMs: 1_000, compileMs: 2_000, checkMs: 1_000 }),
  ) {
    this.#warn = warn;
    this.#plans = new SchemaPlans(pool, undefined, answerWords);
  }

  /** Compiles while the upstream works on its first answer. */
  prepare(outputSchema: JsonObject): void {
    const plan = this.#planOf(outputSchema);
    if (plan.compiling === undefined) this.#plans.prepare(plan).catch(() => {});
  }

  /** `source` is the JSON of the structured content. At once for what is small and was compiled before. The promise never rejects. */
  check(outputSchema: JsonObject, source: Buffer): undefined | AnswerFlaw | Promise<undefined | AnswerFlaw> {
    const plan = this.#planOf(outputSchema);
    const problem = this.#plans.problemOf(plan);
    if (problem !== undefined) return unusable(problem);
    if (source.length > mostCheckedBytes)
      return unchecked(`its structured content has ${source.length} bytes, and no more than ${mostCheckedBytes} are checked`);
    const found = checkHere(plan, source);
    return found === 'elsewhere' ? this.#checkLater(plan, source) : found;
  }

  /** Tells whoever operates the gateway, once in a while and not for every answer. */
  note(capability: string, rule: string, sentence: string): void {
    const key = `${rule} ${capability}`;
    if (this.#noted.has(key)) return;
    if (this.#noted.size >= mostNoted) this.#noted.clear();
    this.#noted.add(key);
    this.#warn({ capability, rule, reason: sentence }, 'answers are not what their tool promises');
  }

  /** Ends the worker thread, if there is one. */
  async close(): Promise<void> {
    await this.#plans.close();
  }

  #planOf(outputSchema: JsonObject): Plan {
    let plan = this.#byObject.get(outputSchema);
    if (plan === undefined) {
      plan = this.#plans.of(outputSchema);
      this.#byObject.set(outputSchema, plan);
    }
    return plan;
  }

  async #checkLater(plan: Plan, source: Buffer): Promise<undefined | AnswerFlaw> {
    try {
      await this.#plans.prepare(plan);
    } catch {
      return unusable('cannot be compiled');
    }
    if (plan.problem !== undefined) return unusable(plan.problem);
    const found = checkHere(plan, source);
    // A copy: with a part of a buffer all of it would be sent.
    return found === 'elsewhere' ? flawOf(await this.#plans.elsewhere(plan, { source: Uint8Array.from(source) })) : found;
  }
}

function checkHere(plan: Plan, source: Buffer): undefined | AnswerFlaw | 'elsewhere' {
  const { validator } = plan;
  if (validator === undefined || source.length > quickBytes) return 'elsewhere';
  const value = JSON.parse(source.toString()) as Json;
  const size = measureValue(value);
  if (typeof size === 'string') return unchecked(size);
  if (!isQuick(plan, size)) return 'elsewhere';
  const sentence = validator.check(value);
  return sentence === undefined ? undefined : { kind: 'misfit', sentence };
}

function flawOf(verdict: Verdict): undefined | AnswerFlaw {
  switch (verdict.kind) {
    case 'checked':
      return verdict.sentence === undefined ? undefined : { kind: 'misfit', sentence: verdict.sentence };
    case 'unread':
      return unchecked(verdict.problem);
    case 'unusable':
      return unusable(verdict.problem);
    case 'late':
      return unchecked('it takes too long to check');
    case 'broken':
      return unchecked('files of the program that checks it were moved or replaced while it runs');
    case 'busy':
      return unchecked('too many others wait to be checked');
  }
}

function unusable(problem: string): AnswerFlaw {
  return unchecked(`the output schema of this tool ${problem}`);
}

function unchecked(why: string): AnswerFlaw {
  return { kind: 'unchecked', why: why.replace(/\.$/, '') };
}
