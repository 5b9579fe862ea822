/** What is compiled of schemas, kept by content: equal schemas of many tools are compiled once. */
import { hash } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import type { JsonObject } from '../wire/json.ts';
import { CheckPool, type Verdict } from './check-pool.ts';
import type { Job } from './check-worker.ts';
import { type CleanSchema, cleanSchema, UnusableSchema, writeClean } from './clean-schema.ts';
import type { Validator } from './compile-schema.ts';
import { argumentWords, type CheckWords } from './describe-error.ts';
import type { ArgumentSize } from './measure-arguments.ts';
import { checksQuickly, compilesQuickly, evaluationsPerValue } from './schema-cost.ts';

/** What is known of one schema, shared by all tools that have an equal one. */
export interface Plan {
  readonly clean: CleanSchema | undefined;
  /** The clean schema as JSON, for the threads. */
  readonly text: string;
  readonly hash: string;
  readonly cost: number;
  readonly isSmall: boolean;
  /** Of a small schema that was compiled. */
  validator: Validator | undefined;
  compiling: Promise<void> | undefined;
  warnings: readonly string[];
  /** Why nothing can be checked by it: reads on from "its schema". */
  problem: string | undefined;
  /** A problem that may have been the machine's is looked at again after this. */
  retryAtMs: number;
}

export class SchemaPlans {
  readonly #pool: CheckPool;
  readonly #clock: Clock;
  readonly #words: CheckWords;
  readonly #byHash = new Map<string, Plan>();

  constructor(pool = new CheckPool(), clock: Clock = systemClock, words = argumentWords) {
    this.#pool = pool;
    this.#clock = clock;
    this.#words = words;
  }

  /** The plan for a schema; the same one for equal schemas. Compiles nothing yet. */
  of(schema: JsonObject): Plan {
    const plan = makePlan(schema);
    const equal = this.#byHash.get(plan.hash);
    if (equal !== undefined) return equal;
    // The oldest goes; checks that are in use keep theirs.
    if (this.#byHash.size >= maxPlans) this.#byHash.delete(this.#byHash.keys().next().value ?? '');
    this.#byHash.set(plan.hash, plan);
    return plan;
  }

  /** Why nothing can be checked by it, as far as is known; a problem whose time is over is forgotten. */
  problemOf(plan: Plan): string | undefined {
    if (plan.problem !== undefined && plan.retryAtMs <= this.#clock.nowMs()) forget(plan);
    return plan.clean === undefined ? (plan.problem ?? '') : plan.problem;
  }

  /** Compiles what was not; waits for it where it is under way. */
  prepare(plan: Plan): Promise<void> {
    plan.compiling ??= this.#compile(plan);
    return plan.compiling;
  }

  /** The check in a thread of its own; of a value, or of the JSON that one is written in. Never rejects. */
  async elsewhere({ hash, clean, text }: Plan, what: Pick<Job, 'args' | 'source'>): Promise<Verdict> {
    if (clean === undefined) return { kind: 'unusable', problem: '' };
    return await this.#pool.run({ hash, schema: { text, patterns: clean.patterns, words: this.#words }, ...what });
  }

  /** Ends the worker threads, if there are any. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  async #compile(plan: Plan): Promise<void> {
    const { clean } = plan;
    if (clean === undefined) return;
    if (!plan.isSmall) return this.#compileElsewhere(plan, clean);
    try {
      const { compileSchema } = await import('./compile-schema.ts');
      plan.validator = await inTurn(() => compileSchema(clean.schema, clean.patterns, this.#words));
      plan.warnings = [...clean.warnings, ...plan.validator.warnings];
    } catch (error) {
      if (!(error instanceof UnusableSchema)) throw error;
      plan.problem = error.message;
    }
  }

  async #compileElsewhere(plan: Plan, clean: CleanSchema): Promise<void> {
    const verdict = await this.elsewhere(plan, { args: undefined });
    if (verdict.kind === 'checked') plan.warnings = [...clean.warnings, ...verdict.warnings];
    if (verdict.kind === 'unusable') plan.problem = verdict.problem;
    if (verdict.kind === 'late' && verdict.doing === 'compile') {
      plan.problem = 'takes too long to compile';
      plan.retryAtMs = this.#clock.nowMs() + retryAfterMs;
    }
    // Nothing is known; the next call tries again.
    if (verdict.kind === 'busy' || verdict.kind === 'broken') plan.compiling = undefined;
  }
}

/** Whether a value of this size may be checked where everybody waits for it. */
export function isQuick({ isSmall, clean, cost }: Plan, size: ArgumentSize): boolean {
  return isSmall && clean !== undefined && checksQuickly(clean, cost, size);
}

const maxPlans = 5_000;
const retryAfterMs = 60_000;

function forget(plan: Plan): void {
  plan.problem = undefined;
  plan.compiling = undefined;
  plan.retryAtMs = Number.POSITIVE_INFINITY;
}

function makePlan(inputSchema: JsonObject): Plan {
  const fresh = { validator: undefined, compiling: undefined, retryAtMs: Number.POSITIVE_INFINITY };
  try {
    const clean = cleanSchema(inputSchema);
    const cost = evaluationsPerValue(clean.schema);
    const text = writeClean(clean);
    const isSmall = compilesQuickly(clean) && Number.isFinite(cost);
    return {
      ...fresh,
      clean,
      text,
      hash: hash('sha256', text, 'base64'),
      cost,
      isSmall,
      warnings: clean.warnings,
      problem: undefined,
    };
  } catch (error) {
    if (!(error instanceof UnusableSchema)) throw error;
    const { message } = error;
    return { ...fresh, clean: undefined, text: '', hash: message, cost: 0, isSmall: false, warnings: [], problem: message };
  }
}

let last: Promise<unknown> = Promise.resolve();

/** One after the other, with a look at everything else that happens in between: a hundred first calls at once stop nobody. */
function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const result = last.then(() => new Promise((resolve) => setImmediate(resolve))).then(work);
  last = result.catch(() => {});
  return result;
}
