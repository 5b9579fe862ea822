/** Checks the arguments of a call against the input schema of its tool. */
import { type Clock, systemClock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
import type { JsonObject } from '../wire/json.ts';
import { CheckPool, type Verdict } from './check-pool.ts';
import { findMisfits, type Misfits, misfitOf, mostMisfits } from './find-misfits.ts';
import { type ArgumentSize, measureArguments, withPlainNumbers } from './measure-arguments.ts';
import { isQuick, type Plan, SchemaPlans } from './schema-plans.ts';

export interface ArgumentCheck {
  /**
   * Undefined where the arguments fit; otherwise one sentence that says what to change. At once for what is small and was compiled
   * before; as a promise the first time, and for whatever takes long. The promise rejects with GatewayError `checks_busy` alone.
   */
  check(args: JsonObject): undefined | string | Promise<undefined | string>;
  /** Everything to change in arguments that were refused with this sentence. */
  misfits(args: JsonObject, sentence: string): Misfits;
  /** Compiles, so that the first call need not wait. */
  prepare(): Promise<void>;
  /** What of the schema is not checked, as sentences; complete once something was checked or prepared. */
  readonly warnings: readonly string[];
  /** Why no call of the tool can be checked, and every one is refused; known once something was checked or prepared. */
  readonly problem: string | undefined;
}

/** Makes checks, and keeps what is compiled: by schema object, and by content for equal ones. */
export class ArgumentChecks {
  readonly #plans: SchemaPlans;
  readonly #byObject = new WeakMap<JsonObject, ArgumentCheck>();

  constructor(pool = new CheckPool(), clock: Clock = systemClock) {
    this.#plans = new SchemaPlans(pool, clock);
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
    await this.#plans.close();
  }

  #make(inputSchema: JsonObject): ArgumentCheck {
    let known: Plan | undefined;
    const plan = () => {
      known ??= this.#plans.of(inputSchema);
      return known;
    };
    return {
      check: (args) => {
        const size = measureArguments(args);
        if (typeof size === 'string') return size;
        return this.#check(known ?? plan(), args, size);
      },
      misfits: (args, sentence) => allMisfits(known, args, sentence),
      prepare: () => this.#plans.prepare(plan()),
      get warnings() {
        return known?.warnings ?? [];
      },
      get problem() {
        return known?.problem;
      },
    };
  }

  #check(plan: Plan, args: JsonObject, size: ArgumentSize): undefined | string | Promise<undefined | string> {
    const problem = this.#plans.problemOf(plan);
    if (problem !== undefined) return refusal(problem);
    const plain = size.hasLongNumbers ? withPlainNumbers(args) : args;
    const { validator } = plan;
    const isHere = isQuick(plan, size);
    if (isHere && validator !== undefined) return validator.check(plain);
    return this.#checkLater(plan, plain, isHere);
  }

  async #checkLater(plan: Plan, args: JsonObject, isHere: boolean): Promise<undefined | string> {
    await this.#plans.prepare(plan);
    if (plan.problem !== undefined) return refusal(plan.problem);
    if (isHere && plan.validator !== undefined) return plan.validator.check(args);
    return explain(plan, await this.#plans.elsewhere(plan, { args }));
  }
}

function allMisfits(plan: Plan | undefined, args: JsonObject, sentence: string): Misfits {
  const first = misfitOf(sentence);
  const size = measureArguments(args);
  if (plan?.clean === undefined || plan.problem !== undefined || typeof size === 'string')
    return { found: [first], isPartial: false };
  const plain = size.hasLongNumbers ? withPlainNumbers(args) : args;
  const { found, isPartial, chosenAt = [] } = findMisfits(plan.clean.schema, plain, plan.validator?.patterns);
  const isOfOther = chosenAt.some((place) => first.path === place || first.path.startsWith(`${place}/`));
  const isTold = found.length > 0 && (!isPartial || isOfOther || found.some(({ message }) => message === sentence));
  return { found: isTold ? found : [first, ...found].slice(0, mostMisfits), isPartial };
}

function refusal(problem: string): string {
  return `This tool cannot be called: its input schema ${problem}. Calling again will not help; its operator has to change it.`;
}

function explain(plan: Plan, verdict: Verdict): undefined | string {
  switch (verdict.kind) {
    case 'checked':
      return verdict.sentence;
    // Only of what comes as JSON.
    case 'unread':
      return verdict.problem;
    case 'unusable':
      plan.problem = verdict.problem;
      return refusal(verdict.problem);
    case 'late':
      return 'These arguments take too long to check against the input schema of this tool; send fewer or shorter ones.';
    case 'broken':
      throw new GatewayError(
        'internal',
        'Gatehouse cannot check these arguments: files of its program were moved or replaced while it runs. Its operator has to start it again.',
        { cause: verdict.reason },
      );
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
