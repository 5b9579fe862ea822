/** Checks the arguments of a call against the input schema of its tool. */
import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { JsonObject } from '../wire/json.ts';
import { CheckPool, type Verdict } from './check-pool.ts';
import type { Job } from './check-worker.ts';
import { type CleanSchema, cleanSchema, UnusableSchema } from './clean-schema.ts';
import type { Validator } from './compile-schema.ts';
import { type ArgumentSize, measureArguments, withPlainNumbers } from './measure-arguments.ts';
import { checksQuickly, compilesQuickly, evaluationsPerValue } from './schema-cost.ts';

export interface ArgumentCheck {
  /**
   * Undefined where the arguments fit; otherwise one sentence that says what to change. At once for what is small and was compiled
   * before; as a promise the first time, and for whatever takes long. The promise rejects with GatewayError `checks_busy` alone.
   */
  check(args: JsonObject): undefined | string | Promise<undefined | string>;
  /** Compiles, so that the first call need not wait. */
  prepare(): Promise<void>;
  /** What of the schema is not checked, as sentences; complete once something was checked or prepared. */
  readonly warnings: readonly string[];
  /** Why no call of the tool can be checked, and every one is refused; known once something was checked or prepared. */
  readonly problem: string | undefined;
}

/** What is known of one schema, shared by all tools that have an equal one. */
interface Plan {
  readonly clean: CleanSchema | undefined;
  readonly hash: string;
  readonly cost: number;
  readonly isSmall: boolean;
  /** Of a small schema that was compiled. */
  validator: Validator | undefined;
  compiling: Promise<void> | undefined;
  warnings: readonly string[];
  problem: string | undefined;
  /** A problem that may have been the machine's is looked at again after this. */
  retryAtMs: number;
}

/** Makes checks, and keeps what is compiled: by schema object, and by content for equal ones. */
export class ArgumentChecks {
  readonly #pool: CheckPool;
  readonly #clock: Clock;
  readonly #byObject = new WeakMap<JsonObject, ArgumentCheck>();
  readonly #byHash = new Map<string, Plan>();

  constructor(pool = new CheckPool(), clock: Clock = systemClock) {
    this.#pool = pool;
    this.#clock = clock;
  }

  /** The check for an input schema; the same one for the same object. Looks at nothing yet. */
  of(inputSchema: JsonObject): ArgumentCheck {
    let check = this.#byObject.get(inputSchema);
    if (check === undefined) {
      check = this.#make(inputSchema);
      this.#byObject.set(inputSchema, check);
    }
    return check;
  }

  /** Ends the worker threads, if there are any. */
  async close(): Promise<void> {
    await this.#pool.close();
  }

  #make(inputSchema: JsonObject): ArgumentCheck {
    let known: Plan | undefined;
    const plan = () => {
      known ??= this.#plan(inputSchema);
      return known;
    };
    return {
      check: (args) => {
        const size = measureArguments(args);
        if (typeof size === 'string') return size;
        return this.#check(known ?? plan(), args, size);
      },
      prepare: () => this.#prepare(plan()),
      get warnings() {
        return known?.warnings ?? [];
      },
      get problem() {
        return known?.problem;
      },
    };
  }

  #plan(inputSchema: JsonObject): Plan {
    const plan = makePlan(inputSchema);
    const equal = this.#byHash.get(plan.hash);
    if (equal !== undefined) return equal;
    // The oldest goes; checks that are in use keep theirs.
    if (this.#byHash.size >= maxPlans) this.#byHash.delete(this.#byHash.keys().next().value ?? '');
    this.#byHash.set(plan.hash, plan);
    return plan;
  }

  #check(plan: Plan, args: JsonObject, size: ArgumentSize): undefined | string | Promise<undefined | string> {
    if (plan.problem !== undefined && plan.retryAtMs <= this.#clock.nowMs()) forget(plan);
    const { clean, validator, problem } = plan;
    if (problem !== undefined || clean === undefined) return refusal(problem ?? '');
    const plain = size.hasLongNumbers ? withPlainNumbers(args) : args;
    const isQuick = plan.isSmall && checksQuickly(clean, plan.cost, size);
    if (isQuick && validator !== undefined) return validator.check(plain);
    return this.#checkLater(plan, clean, plain, isQuick);
  }

  async #checkLater(plan: Plan, clean: CleanSchema, args: JsonObject, isQuick: boolean): Promise<undefined | string> {
    await this.#prepare(plan);
    if (plan.problem !== undefined) return refusal(plan.problem);
    if (isQuick && plan.validator !== undefined) return plan.validator.check(args);
    const verdict = await this.#pool.run(jobOf(plan, clean, args));
    return explain(plan, verdict);
  }

  #prepare(plan: Plan): Promise<void> {
    plan.compiling ??= this.#compile(plan);
    return plan.compiling;
  }

  async #compile(plan: Plan): Promise<void> {
    const { clean } = plan;
    if (clean === undefined) return;
    if (!plan.isSmall) return this.#compileElsewhere(plan, clean);
    try {
      const { compileSchema } = await import('./compile-schema.ts');
      plan.validator = await inTurn(() => compileSchema(clean.schema, clean.patterns));
      plan.warnings = [...clean.warnings, ...plan.validator.warnings];
    } catch (error) {
      if (!(error instanceof UnusableSchema)) throw error;
      plan.problem = error.message;
    }
  }

  async #compileElsewhere(plan: Plan, clean: CleanSchema): Promise<void> {
    const verdict = await this.#pool.run(jobOf(plan, clean, undefined));
    if (verdict.kind === 'checked') plan.warnings = [...clean.warnings, ...verdict.warnings];
    if (verdict.kind === 'unusable') plan.problem = verdict.problem;
    if (verdict.kind === 'late' && verdict.doing === 'compile') {
      plan.problem = 'takes too long to compile';
      plan.retryAtMs = this.#clock.nowMs() + retryAfterMs;
    }
    // Nothing is known; the next call tries again.
    if (verdict.kind === 'busy') plan.compiling = undefined;
  }
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
    const { schema, warnings } = clean;
    const cost = evaluationsPerValue(schema);
    const hash = createHash('sha256').update(JSON.stringify(schema)).digest('base64');
    return {
      ...fresh,
      clean,
      hash,
      cost,
      isSmall: compilesQuickly(clean) && Number.isFinite(cost),
      warnings,
      problem: undefined,
    };
  } catch (error) {
    if (!(error instanceof UnusableSchema)) throw error;
    const { message } = error;
    return { ...fresh, clean: undefined, hash: message, cost: 0, isSmall: false, warnings: [], problem: message };
  }
}

function jobOf({ hash }: Plan, { schema, patterns }: CleanSchema, args: JsonObject | undefined): Job {
  return { hash, schema: { clean: schema, patterns }, args };
}

function refusal(problem: string): string {
  return `This tool cannot be called: its input schema ${problem}. Calling again will not help; its operator has to change it.`;
}

function explain(plan: Plan, verdict: Verdict): undefined | string {
  switch (verdict.kind) {
    case 'checked':
      return verdict.sentence;
    case 'unusable':
      plan.problem = verdict.problem;
      return refusal(verdict.problem);
    case 'late':
      return 'These arguments take too long to check against the input schema of this tool; send fewer or shorter ones.';
    case 'busy':
      throw new GatewayError(
        'checks_busy',
        'Too many calls wait for their arguments to be checked; try again in a few seconds.',
        {
          retryAfterMs: 2_000,
        },
      );
  }
}

let last: Promise<unknown> = Promise.resolve();

/** One after the other, with a look at everything else that happens in between: a hundred first calls at once stop nobody. */
function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const result = last.then(() => new Promise((resolve) => setImmediate(resolve))).then(work);
  last = result.catch(() => {});
  return result;
}
