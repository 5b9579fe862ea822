/**
 * Rules: CEL expressions that say who may make which call. They are parsed and type-checked when written; what is evaluated has a
 * bound on its steps, no way into prototypes, and an answer without arguments as well, so that lists are made by the same rules.
 */
import type { Environment } from '@marcbachmann/cel-js';
import { suggestName } from '../problems.ts';
import { isObject, type JsonObject } from '../wire/json.ts';
import type { Comparison } from './comparisons.ts';
import { type Facts, factTable } from './rule-facts.ts';
import type { Run, Step } from './rule-run.ts';
import { can, Fault, OutOfSteps, open, outcomesOf, type Value } from './rule-value.ts';

export interface Rule {
  readonly source: string;
  /** Whether what it says can depend on the arguments of the call. */
  readonly usesArguments: boolean;
  /** Whether it can depend on when a call is made, or from where. */
  readonly usesMoment: boolean;
  readonly step: Step;
}

/** Something that the writer of a rule has to change. */
export interface RuleProblem {
  /** A sentence; says where in the rule. */
  readonly message: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** What the rules of a capability say about one call. */
export interface Decision {
  readonly isAllowed: boolean;
  /** Of rules that could not be evaluated and therefore allowed nothing: sentences for the log, without anything a caller sent. */
  readonly faults: readonly string[];
}

const maxLength = 4096;
/** Between a fraction of a millisecond and a few, depending on the steps. */
const maxSteps = 100_000;

/** Parses and checks one rule, which must be true or false. Every problem that can be told apart at once. */
export async function compileRule(
  source: string,
): Promise<{ readonly rule: Rule } | { readonly problems: readonly RuleProblem[] }> {
  if (source.length > maxLength)
    return refuse(source, 0, `A rule has at most ${maxLength} characters; this one has ${source.length}.`);
  // Most gateways start without a rule, and the parser and its types take a while to load.
  const [environment, { compileExpression }] = await Promise.all([openLanguage(), import('./compile-expression.ts')]);
  const parsed = parse(environment, source);
  if ('problems' in parsed) return parsed;
  const compiled = compileExpression(parsed.ast);
  if ('complaints' in compiled) return { problems: compiled.complaints.map(({ message, at }) => problemAt(source, at, message)) };
  const { comparisons, ...rest } = compiled;
  remember(source, comparisons);
  return { rule: Object.freeze({ source, ...rest }) };
}

// Asked for by whoever looks over what is in effect, long after it was compiled; most rules have none.
const compared = new Map<string, readonly Comparison[]>();
const mostCompared = 10_000;

function remember(source: string, comparisons: readonly Comparison[]): void {
  if (comparisons.length === 0) return;
  if (compared.size >= mostCompared) compared.clear();
  compared.set(source, comparisons);
}

/** What a rule that was compiled in this process compares with names; empty for one that was not. */
export function comparisonsOf(source: string): readonly Comparison[] {
  return compared.get(source) ?? [];
}

/**
 * Whether the rules allow a call: at least one is true. Without rules (undefined) everything is allowed; an empty list allows
 * nothing. A rule that cannot be evaluated is not true.
 */
export function decide(rules: readonly Rule[] | undefined, facts: Facts, args: JsonObject): Decision {
  if (rules === undefined) return allowed;
  let faults = noFaults;
  for (const rule of rules) {
    const value = evaluate(rule, facts, args);
    if (value === true) return allowed;
    if (value !== false) faults = [...faults, explain(rule, value)];
  }
  return faults === noFaults ? refused : { isAllowed: false, faults };
}

/**
 * Whether the rules can allow this call for some arguments: what a list shows. Never false where `decide` would allow. True for
 * some arguments that nobody can write only where the rule itself contradicts its arguments (`args.a > 1 && args.a < 1`).
 */
export function mayAllow(rules: readonly Rule[] | undefined, facts: Facts): boolean {
  if (rules === undefined) return true;
  return rules.some((rule) => (outcomesOf(evaluate(rule, facts, open)) & can.beTrue) !== 0);
}

const noFaults: readonly string[] = Object.freeze([]);
const allowed: Decision = Object.freeze({ isAllowed: true, faults: noFaults });
const refused: Decision = Object.freeze({ isAllowed: false, faults: noFaults });

function evaluate(rule: Rule, facts: Facts, args: Value): Value {
  const run: Run = { facts, args, locals: [], steps: maxSteps };
  try {
    return rule.step(run);
  } catch (error) {
    if (error instanceof OutOfSteps)
      return args === open ? open : new Fault('The rule needs too many steps for these arguments', 0);
    throw error;
  }
}

function explain(rule: Rule, value: Value): string {
  const fault = value instanceof Fault ? value : new Fault('The rule is neither true nor false', 0);
  return problemAt(rule.source, fault.at, `${fault.message}.`).message;
}

function parse(
  environment: Environment,
  source: string,
): { readonly ast: Parsed['ast'] } | { readonly problems: readonly RuleProblem[] } {
  let parsed: Parsed;
  try {
    parsed = environment.parse(source);
  } catch (error) {
    return refuseFor(source, error);
  }
  const { valid, type, error } = parsed.check();
  if (!valid) return refuseFor(source, error);
  if (type === 'bool') return { ast: parsed.ast };
  const hint = type === 'dyn' ? ' What comes from arguments can be anything: compare it, such as args.dryRun == true.' : '';
  return refuse(source, 0, `A rule must be true or false, and this one is of type ${type}.${hint}`);
}

type Parsed = ReturnType<Environment['parse']>;

function refuseFor(source: string, error: unknown): { readonly problems: readonly RuleProblem[] } {
  const { summary, range } = isCelError(error) ? error : {};
  // Nested too deep for the parser is the only other thing that can be wrong with a text this short.
  const refused = problemAt(source, range?.start ?? 0, summary === undefined ? 'The rule is nested too deep.' : `${summary}.`);
  return { problems: [{ ...refused, message: refused.message + hintFor(summary ?? '', source.slice(0, range?.start)) }] };
}

/** What was probably meant by a name that is none; begins with a blank where there is anything to say. */
function hintFor(summary: string, before: string): string {
  const variable = /^Unknown variable: (\w+)/.exec(summary)?.[1];
  if (variable !== undefined) return suggestName(variable, [...Object.keys(factTable), 'args']);
  const member = /^No such key: (\w+)/.exec(summary)?.[1];
  const holder = /(\w+)\s*\.\s*$/.exec(before)?.[1];
  return member === undefined || holder === undefined ? '' : suggestName(member, Object.keys(factTable[holder] ?? {}));
}

function isCelError(error: unknown): error is { readonly summary?: string; readonly range?: { readonly start: number } } {
  return isObject(error) && 'summary' in error;
}

function refuse(source: string, at: number, message: string): { readonly problems: readonly RuleProblem[] } {
  return { problems: [problemAt(source, at, message)] };
}

function problemAt(source: string, at: number, message: string): RuleProblem {
  const lines = source.slice(0, at).split('\n');
  const [line, column] = [lines.length, (lines.at(-1)?.length ?? 0) + 1];
  return { line, column, message: `${message.slice(0, -1)} (rule line ${line}, column ${column}).` };
}

let language: Promise<Environment> | undefined;

function openLanguage(): Promise<Environment> {
  language ??= makeLanguage();
  return language;
}

async function makeLanguage(): Promise<Environment> {
  const { Environment } = await import('@marcbachmann/cel-js');
  const limits = { maxAstNodes: 500, maxDepth: 32, maxListElements: 200, maxMapEntries: 100, maxCallArguments: 8 };
  const environment = new Environment({ limits });
  for (const [name, members] of Object.entries(factTable)) {
    const schema = Object.fromEntries(Object.entries(members).map(([member, { type }]) => [member, type]));
    environment.registerVariable({ name, schema });
  }
  return environment.registerVariable('args', 'map<string, dyn>');
}
